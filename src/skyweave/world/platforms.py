"""How platforms fly and where their cameras look."""

from dataclasses import dataclass, replace

import numpy as np

from skyweave.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.geometry.frames import camera_pose
from skyweave.geometry.ground import Ground
from skyweave.world.config import NoiseConfig, PlatformConfig

STRIP = 40.0  # metres between the lines of a lawnmower
LEAD = 0.5  # seconds by which a following camera lags


@dataclass
class Platform:
    """One platform in one scene.

    Attributes:
        name: channel. config: what it is.
        camera: its camera. altitude: metres above the ground. pitch: radians. bearing: radians, where it starts.
        distance: metres from the place it looks at. turns: 1 or -1, the way it goes round.
        clock: seconds that its clock is fast. target: identity of the agent that it follows.
    """

    name: str
    config: PlatformConfig
    camera: PinholeCamera
    altitude: float
    pitch: float
    bearing: float
    distance: float
    turns: float
    clock: float = 0.0
    target: int = -1

    def pose(self, time: float, place: np.ndarray, ground: Ground) -> np.ndarray:
        """``world_from_camera`` at a time, looking at or flying about ``place`` (2,)."""
        speed, motion = self.config.speed, self.config.motion
        if motion == "lawnmower":
            length = 4 * self.distance + 2 * STRIP
            along = (speed * time + self.bearing / (2 * np.pi) * length) % (2 * length)
            line, forth = divmod(along, length)
            x = (forth if line == 0 else length - forth) - length / 2
            position = place + [x, (line - 0.5) * STRIP]
            yaw = 0.0 if line == 0 else np.pi
        else:
            angle = self.bearing + (self.turns * speed * time / max(self.distance, 5.0) if motion == "orbit" else 0.0)
            position = place + self.distance * np.array([np.cos(angle), np.sin(angle)])
            yaw = angle + np.pi
        height = float(np.nan_to_num(ground.height(np.append(position, 0.0)[None])[0]))
        return camera_pose(np.append(position, height + self.altitude), yaw, self.pitch)


def make_platforms(configs: list[PlatformConfig], noise: NoiseConfig, generator: np.random.Generator) -> list[Platform]:
    """All platforms of a scene; those of one kind are spread around the place."""
    platforms = []
    for config in configs:
        start = generator.uniform(0, 2 * np.pi)
        for i in range(config.count):
            altitude, pitch = generator.uniform(*config.altitude), np.deg2rad(generator.uniform(*config.pitch))
            natural = altitude / np.tan(pitch) if pitch > np.deg2rad(5) else 3 * altitude
            distance = generator.uniform(*config.distance) if config.distance else min(natural, 4 * altitude)
            camera = PinholeCamera.from_field_of_view(np.deg2rad(config.field_of_view), config.rows, config.columns)
            platforms.append(
                Platform(
                    name=config.name if config.count == 1 else f"{config.name}_{i + 1}",
                    config=config,
                    camera=camera,
                    altitude=altitude,
                    pitch=float(pitch),
                    bearing=start + 2 * np.pi * i / config.count + generator.uniform(-0.3, 0.3),
                    distance=float(distance),
                    turns=float(generator.choice((-1.0, 1.0))),
                    clock=float(generator.normal(0, noise.clock)) if noise.clock else 0.0,
                )
            )
    names = [platform.name for platform in platforms]
    if len(set(names)) < len(names):
        raise ValueError(f"platforms need different names, got {', '.join(names)}")
    return platforms


def reported(geometry: CameraGeometry, noise: NoiseConfig, generator: np.random.Generator) -> CameraGeometry:
    """The pose as the platform believes it."""
    if not (noise.position or noise.attitude):
        return geometry
    pose = geometry.world_from_camera.copy()
    pose[:3, 3] += generator.normal(0, 1, 3) * noise.position
    axis = generator.normal(0, 1, 3) * np.deg2rad(noise.attitude)
    pose[:3, :3] = _rotation(axis) @ pose[:3, :3]
    return replace(geometry, world_from_camera=pose)


def _rotation(vector: np.ndarray) -> np.ndarray:
    """Rodrigues' formula."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)
