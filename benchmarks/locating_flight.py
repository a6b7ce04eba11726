"""A flight whose errors are known: true poses, what the log says of them, objects, and their boxes in the images."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from skyweave.core.geometry import (
    Boxes,
    CameraGeometry,
    GroundPlane,
    PinholeCamera,
    camera_angles,
    camera_pose,
    grid_convergence,
    make_transform,
    quaternion_from_rotation,
    rotation_about_z,
    rotation_from_quaternion,
    rotation_from_vector,
    unproject_lon_lat,
)
from skyweave.detection.formats.json_lines import write_json_lines
from skyweave.detection.image_detections import ImageDetections
from skyweave.locating.camera_track import CameraTrack
from skyweave.locating.ground_points import CAMERA_ERRORS, level_axes
from skyweave.locating.located import BoxErrorConfig
from skyweave.locating.object_classes import object_class
from skyweave.locating.pose_error_model import PoseErrorConfig
from skyweave.locating.tracking import CameraStream, SeenImage
from skyweave.telemetry import Heights, PosesOverTime
from skyweave.telemetry.poses_over_time import NS_PER_S

CATEGORIES = ("car", "car", "car", "truck", "person", "bicycle")
MIN_DEPRESSION = np.radians(8.0)  # of the rays to objects
CRS, ORIGIN = "EPSG:32633", np.array([412000.0, 5420000.0])
LOG_INTERVAL_S = 0.1
LOG_MARGIN_S = 1.5  # before the first and after the last image, that the log covers
CLOCK = CAMERA_ERRORS.index("clock")


@dataclass(frozen=True)
class FlightConfig:
    """Conditions of a simulated flight; angles in degrees, metres, seconds."""

    altitude: float = 60.0
    pitch: float = 45.0
    errors: PoseErrorConfig = field(default_factory=lambda: PoseErrorConfig(horizontal=1e-3, roll=1e-3, focal=1e-6))
    boxes: BoxErrorConfig = field(default_factory=BoxErrorConfig)
    speed: float = 8.0
    turn_rate: float = 6.0
    seconds: float = 15.0
    rate: float = 5.0
    objects: int = 40
    moving: float = 0.5
    rows: int = 1080
    columns: int = 1920
    field_of_view: float = 70.0


class World:
    """Objects, parked and driving, and the ground, whose elevation is not the one that is assumed."""

    def __init__(self, config: FlightConfig, seed: int, elevation: float | None = None) -> None:
        self.generator = np.random.default_rng(seed)
        draw, count = self.generator, config.objects
        drawn = draw.normal()
        self.ground = GroundPlane(float(drawn if elevation is None else elevation) * config.errors.elevation)
        self.categories = tuple(draw.choice(CATEGORIES, count).tolist())
        classes = [object_class(name) for name in self.categories]
        self.sizes = np.array([np.maximum(draw.normal(one.size, one.size_std), 0.3) for one in classes])
        reach = config.altitude / np.tan(np.radians(min(config.pitch, 70.0)))
        half = max(0.9 * config.altitude, 0.8 * reach)
        self.start = draw.uniform(-half, half, (count, 2))
        speeds = np.array([draw.uniform(0.3, 1.0) * one.speed for one in classes])
        self.speeds = np.where(draw.random(count) < config.moving, speeds, 0.0)
        self.headings = draw.uniform(0, 2 * np.pi, count)
        self.turns = draw.normal(0, 0.05, count) * (self.speeds > 0)

    def at(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Return places (n, 3) on the ground and headings (n,) of all objects."""
        headings = self.headings + self.turns * time
        turning = np.abs(self.turns) > 1e-9
        safe = np.where(turning, self.turns, 1.0)
        east = np.where(turning, (np.sin(headings) - np.sin(self.headings)) / safe, np.cos(self.headings) * time)
        north = np.where(turning, (np.cos(self.headings) - np.cos(headings)) / safe, np.sin(self.headings) * time)
        places = self.start + self.speeds[:, None] * np.stack([east, north], 1)
        return np.concatenate([places, np.full((len(places), 1), self.ground.z)], 1), headings


class Drone:
    """One drone: its true flight, its log with constant errors, and what its detector gives."""

    def __init__(
        self, config: FlightConfig, world: World, seed: int, platform: int = 0, errors: np.ndarray | None = None
    ) -> None:
        self.config, self.world, self.platform = config, world, platform
        draw = self.generator = np.random.default_rng(seed)
        self.factor = np.sqrt(config.errors.camera_covariance())
        drawn = draw.normal(size=len(CAMERA_ERRORS))
        self.errors = self.factor @ (drawn if errors is None else errors)
        self.yaw = draw.uniform(0, 2 * np.pi)
        self.turn_rate = np.radians(config.turn_rate) * draw.choice([-1, 1])
        self.camera = PinholeCamera.from_field_of_view(np.radians(config.field_of_view), config.rows, config.columns)
        intrinsics = self.camera.intrinsics.copy()
        intrinsics[[0, 1], [0, 1]] /= 1 + self.errors[CAMERA_ERRORS.index("focal")]
        self.assumed = PinholeCamera(intrinsics, config.rows, config.columns)
        reach = config.altitude / np.tan(np.radians(config.pitch))
        middle = self._direction(config.seconds / 2)
        offset = self._path(config.seconds / 2) + min(reach, 1e3) * middle
        self.origin = -offset + draw.normal(0, 5, 2)
        self.persistent = draw.normal(size=(len(world.categories), 2))

    def true_pose(self, time: float) -> np.ndarray:
        """Return ``world_from_camera`` as it is."""
        sway = 0.06 * np.sin(0.9 * time)
        position = np.array([*(self.origin + self._path(time)), self.config.altitude])
        return camera_pose(position, self.yaw + self.turn_rate * time + sway, np.radians(self.config.pitch))

    def logged_pose(self, time: float) -> np.ndarray:
        """Return ``world_from_camera`` as the log has it for the image of a time."""
        pose = self.true_pose(time - self.errors[CLOCK])
        jitter = self.jitter(time)
        turn = rotation_from_vector(-level_axes(pose) @ (self.errors + jitter)[3:6])
        return make_transform(turn @ pose[:3, :3], pose[:3, 3] - (self.errors + jitter)[:3])

    def jitter(self, time: float) -> np.ndarray:
        """Return what a logged pose is wrong by beside its constant errors: (8,)."""
        draw = np.random.default_rng([self.platform, round(time * 1000) + 10**6])
        return np.asarray(self.config.errors.jitter() * draw.normal(size=len(CAMERA_ERRORS)))

    def log(self) -> PosesOverTime:
        """Return the log of the flight, ten poses a second."""
        times = np.arange(-LOG_MARGIN_S, self.config.seconds + LOG_MARGIN_S, LOG_INTERVAL_S)
        poses = np.array([self.logged_pose(time) for time in times])
        places = unproject_lon_lat(poses[:, :2, 3] + ORIGIN, CRS)
        convergence = grid_convergence(places[0, 1], places[0, 0], CRS)
        covariance = np.tile(np.diag(np.square(np.diag(self.factor)[[0, 1, 2, 4, 5, 3]])), (len(times), 1, 1))
        return PosesOverTime(
            source=f"drone {self.platform}",
            times=np.round(times * NS_PER_S).astype(np.int64),
            clock="video",
            places=places[:, ::-1],
            heights={"ground": Heights(poses[:, 2, 3])},
            enu_from_camera=quaternion_from_rotation(rotation_about_z(-convergence) @ poses[:, :3, :3]),
            enu_from_body=np.full((len(times), 4), np.nan),
            covariance=covariance,
        )

    def stream(self) -> CameraStream:
        """Return what the drone saw, with its log."""
        errors = self.config.errors
        track = CameraTrack(self.log(), self.assumed, CRS, "ground", 0.0, errors, np.diag(self.factor))
        images = []
        for frame, time in enumerate(np.arange(0, self.config.seconds, 1 / self.config.rate)):
            images.append(SeenImage(frame, round(time * NS_PER_S), self.detect(float(time))))
        return CameraStream(f"drone {self.platform}", track, images)

    def detect(self, time: float) -> ImageDetections:
        """Return boxes with noise; their identities are the numbers of the objects."""
        places, headings = self.world.at(time)
        geometry = CameraGeometry(self.camera, self.true_pose(time))
        sizes = self.world.sizes
        centres = places + np.stack([0 * headings, 0 * headings, sizes[:, 2] / 2], 1)
        pixels, depth = geometry.project(Boxes(centres, sizes, headings).corners())
        boxes = np.concatenate([pixels.min(1), pixels.max(1)], 1)
        size = np.array([self.config.columns, self.config.rows] * 2)
        rays = places - geometry.position
        down = np.arctan2(-rays[:, 2], np.hypot(rays[:, 0], rays[:, 1]))
        seen = (depth.min(1) > 1) & (down > MIN_DEPRESSION)
        seen[seen] &= ((boxes[seen, :2] > 2) & (boxes[seen, 2:] < size[2:] - 2)).all(1)
        rows = np.flatnonzero(seen)
        config, boxes = self.config.boxes, boxes[rows]
        std = config.pixels + config.share * (boxes[:, 2:] - boxes[:, :2])
        white = self.generator.normal(size=(len(rows), 2))
        keep = np.exp(-1 / self.config.rate / config.memory)
        self.persistent = keep * self.persistent + np.sqrt(1 - keep**2) * self.generator.normal(
            size=self.persistent.shape
        )
        noise = std * (np.sqrt(1 - config.persistent) * white + np.sqrt(config.persistent) * self.persistent[rows])
        categories = tuple(self.world.categories[row] for row in rows)
        identities = tuple(map(str, rows.tolist()))
        return ImageDetections(boxes + np.tile(noise, 2), np.full(len(rows), 0.9), categories, identities)

    def _direction(self, time: float) -> np.ndarray:
        angle = self.yaw + self.turn_rate * time
        return np.array([np.cos(angle), np.sin(angle)])

    def _path(self, time: float) -> np.ndarray:
        start, end = self.yaw, self.yaw + self.turn_rate * time
        radius = self.config.speed / self.turn_rate
        return np.array([(np.sin(end) - np.sin(start)) * radius, (np.cos(start) - np.cos(end)) * radius])


def write_flight(drone: Drone, folder: Path) -> dict[str, Path]:
    """Write a flight as its user has it: a log in CSV, a list of the images, their boxes, and the camera.

    Args:
        drone: that flew.
        folder: where.

    Returns:
        The files by what they are: ``log``, ``images``, ``boxes``, ``camera``.
    """
    paths = {
        "log": folder / "log.csv",
        "images": folder / "images.csv",
        "boxes": folder / "boxes.jsonl",
        "camera": folder / "camera.yaml",
    }
    poses = drone.log().select(np.arange(round(LOG_MARGIN_S * 10), len(drone.log())))
    lines = ["seconds,latitude,longitude,height_above_ground(m),gimbal_heading,gimbal_pitch,gimbal_roll"]
    for row in range(len(poses)):
        yaw, pitch, roll = camera_angles(rotation_from_quaternion(poses.enu_from_camera[row]))
        values = [*poses.places[row], poses.heights["ground"].values[row]]
        angles = [(90 - np.degrees(yaw)) % 360, -np.degrees(pitch), np.degrees(roll)]
        numbers = [f"{value:.9f}" for value in values] + [f"{angle:.4f}" for angle in angles]
        lines.append(",".join([f"{poses.seconds[row]:.3f}", *numbers]))
    paths["log"].write_text("\n".join(lines) + "\n")
    images = drone.stream().images
    frames = [f"{image.frame},{image.time / NS_PER_S:.6f}" for image in images]
    paths["images"].write_text("\n".join(["frame,seconds", *frames]) + "\n")
    write_json_lines(paths["boxes"], [(image.frame, image.detections) for image in images])
    camera = drone.assumed
    content = {"rows": camera.rows, "columns": camera.columns, "intrinsics": camera.intrinsics.tolist()}
    paths["camera"].write_text(json.dumps(content))
    return paths
