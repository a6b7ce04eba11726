"""Where platforms are, where their cameras look, and what is wrong with what they report."""

from dataclasses import dataclass, replace

import numpy as np

from skyweave.core.errors import ConfigError
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import camera_pose
from skyweave.simulator.config import CameraConfig, ErrorsConfig, PlatformConfig

FOLLOW_TIME_S = 1.5  # seconds by which a follower is behind
GUST_RAD_S = (0.7, 1.9, 3.1)  # radians per second of the wind's swings


@dataclass(frozen=True)
class Mount:
    """A camera on a platform.

    Attributes:
        channel: name of its pictures.
        config: as configured; camera: with its field of view drawn.
        pitch: radians below the horizon; None to look at the target.
    """

    channel: str
    config: CameraConfig
    camera: PinholeCamera
    pitch: float | None


class Platform:
    """One platform.

    Args:
        name: of it.
        config: of its kind.
        start: radians: where around its target it starts.
        ground: height of the ground in metres.
        errors: of what it reports.
        generator: for everything random.
    """

    def __init__(
        self,
        name: str,
        config: PlatformConfig,
        start: float,
        ground: float,
        errors: ErrorsConfig,
        generator: np.random.Generator,
    ) -> None:
        self.name, self.config, self.errors, self.generator = name, config, errors, generator
        self.time = 0.0
        self.following = ""  # name of a vehicle
        self.altitude = float(generator.uniform(*config.altitude))
        self.distance = float(generator.uniform(*config.distance))
        self.target = np.array([*generator.uniform(-1, 1, 2) * config.offset, ground])
        self.angle = start + float(generator.normal(0, 0.15))
        self.phases = generator.uniform(0, 2 * np.pi, (6, len(GUST_RAD_S)))
        self.clock = round(float(generator.normal(0, 1)) * errors.clock * 1e6)
        self._wrong = generator.standard_normal(6)
        self.mounts = [self._mount(camera, generator) for camera in config.cameras]
        self.heading = self.angle + np.pi
        self.base = self._base()

    def step(self, seconds: float, followed: np.ndarray | None = None) -> None:
        """Move on.

        Args:
            seconds: by how much.
            followed: (3,) local position of what a follower follows.
        """
        self.time += seconds
        if self.config.motion == "follow" and followed is not None:
            way = (followed - self.target) * -np.expm1(-seconds / FOLLOW_TIME_S)
            reach = self.config.speed * seconds / max(float(np.linalg.norm(way)), 1e-9)
            self.target = self.target + way * min(1.0, reach)
        self.base = self._base()
        keep = np.exp(-seconds / self.errors.correlation)
        self._wrong = keep * self._wrong + np.sqrt(1 - keep**2) * self.generator.standard_normal(6)

    def move_target(self, target: np.ndarray) -> None:
        """Start over from another target.

        Args:
            target: (3,) local metres.
        """
        self.target = np.asarray(target, float)
        self.base = self._base()

    def geometry(self, mount: Mount) -> CameraGeometry:
        """Return a camera as it truly is, in local axes.

        Args:
            mount: the camera on this platform.
        """
        sway = np.sin(np.array(GUST_RAD_S) * self.time + self.phases).mean(1) * 1.2
        place = self.base + sway[:3] * self.config.sway
        tilt = np.radians(sway[3:] * self.config.shake)
        east, north, up = self.target - place
        yaw, flat = self.heading, float(np.hypot(east, north))
        if mount.pitch is None:
            yaw = float(np.arctan2(north, east)) if flat > 1e-6 else yaw
            pitch = float(np.arctan2(-up, flat))
        else:
            pitch = mount.pitch
        pose = camera_pose(place, yaw + np.radians(mount.config.yaw) + tilt[0], pitch + tilt[1], tilt[2])
        return CameraGeometry(mount.camera, pose, None, self.name)

    def reported(self, true: CameraGeometry) -> CameraGeometry:
        """Return a camera as the platform reports it, with the errors of its pose.

        Args:
            true: as it is.
        """
        if not (self.errors.position or self.errors.attitude):
            return true
        pose = true.world_from_camera.copy()
        pose[:3, 3] += self._wrong[:3] * self.errors.position
        pose[:3, :3] = _small_rotation(np.radians(self._wrong[3:] * self.errors.attitude)) @ pose[:3, :3]
        return replace(true, world_from_camera=pose)

    def _mount(self, config: CameraConfig, generator: np.random.Generator) -> Mount:
        if config.field_of_view is not None:
            view = np.radians(generator.uniform(*config.field_of_view))
        else:
            assert config.ground_sample_distance is not None
            view = 2 * np.arctan(config.columns * config.ground_sample_distance / 2 / self.altitude)
        camera = PinholeCamera.from_field_of_view(float(view), config.rows, config.columns)
        pitch = None if config.pitch is None else float(np.radians(generator.uniform(*config.pitch)))
        channel = self.name if len(self.config.cameras) == 1 else f"{self.name}_{config.name}"
        return Mount(channel, config, camera, pitch)

    def _base(self) -> np.ndarray:
        """Where it is without wind; sets the heading."""
        motion, travelled = self.config.motion, self.config.speed * self.time
        ahead, height = self.angle + np.pi, self.target[2] + self.altitude
        if motion == "lawnmower":
            return self._lawnmower_base(travelled, height)
        if motion == "transit":
            self.heading = ahead
            along = travelled - self.distance
            return np.array([*(self.target[:2] + along * np.array([np.cos(ahead), np.sin(ahead)])), height])
        angle = self.angle
        if motion == "orbit" and self.distance > 0:
            angle += travelled / self.distance
        self.heading = angle + np.pi
        return np.array([*(self.target[:2] + self.distance * np.array([np.cos(angle), np.sin(angle)])), height])

    def _lawnmower_base(self, travelled: float, height: float) -> np.ndarray:
        """Where a platform is that goes up and down over the area; sets the heading."""
        x, y, self.heading = _lawnmower(travelled + self.phases[0, 0] * 20, self.config.area, self.config.spacing)
        c, s = np.cos(self.angle), np.sin(self.angle)
        self.heading += self.angle
        return np.array([self.target[0] + c * x - s * y, self.target[1] + s * x + c * y, height])


def make_platforms(
    configs: "list[PlatformConfig]", ground: float, errors: ErrorsConfig, generator: np.random.Generator
) -> list[Platform]:
    """Make all platforms of a world; those of one kind start evenly around their target.

    Args:
        configs: kinds of platforms.
        ground: height of the ground in the middle of the world, metres.
        errors: of what platforms report.
        generator: of random numbers.

    Raises:
        ConfigError: two cameras would have the same channel name.
    """
    platforms: list[Platform] = []
    for config in configs:
        _make_group(generator, config, platforms, ground, errors)
    _check_channels([mount.channel for platform in platforms for mount in platform.mounts])
    return platforms


def _make_group(
    generator: np.random.Generator,
    config: PlatformConfig,
    platforms: list[Platform],
    ground: float,
    errors: ErrorsConfig,
) -> None:
    """Make the platforms of one configuration, evenly spaced on their circle."""
    turn = float(generator.uniform(0, 2 * np.pi))
    for number in range(config.count):
        name = config.name if config.count == 1 else f"{config.name}_{number + 1}"
        start = turn + 2 * np.pi * number / config.count
        platforms.append(Platform(name, config, start, ground, errors, generator))


def _check_channels(names: list[str]) -> None:
    """Refuse two cameras with the same channel name."""
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"two cameras would be called {twice!r}; give platforms and cameras other names")


def _lawnmower(travelled: float, area: float, spacing: float) -> tuple[float, float, float]:
    """Place and heading up and down over a square, and back again."""
    lines = max(int(area // spacing), 1) + 1
    loop = lines * area + (lines - 1) * spacing
    at = travelled % (2 * loop)
    at, back = (at, 0.0) if at < loop else (2 * loop - at, np.pi)
    line, rest = divmod(at, area + spacing)
    direction = 1.0 if int(line) % 2 == 0 else -1.0
    y = -((lines - 1) * spacing) / 2 + line * spacing
    if rest <= area:
        return direction * (rest - area / 2), y, (0.0 if direction > 0 else np.pi) + back
    return direction * area / 2, y + rest - area, np.pi / 2 + back


def _small_rotation(angles: np.ndarray) -> np.ndarray:
    """(3, 3) rotation about an axis by its length in radians (Rodrigues)."""
    length = float(np.linalg.norm(angles))
    if length < 1e-15:
        return np.eye(3)
    x, y, z = angles / length
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(length) * skew + (1 - np.cos(length)) * skew @ skew)
