"""A scene small enough for unit tests: bright cars on a grey plane, four cameras, exact truth."""

import numpy as np

from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import look_at
from skyweave.core.geometry.ground import GroundPlane
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.perception.config import LiftConfig, MapConfig, PerceptionConfig
from skyweave.recordings.recording import Annotations, Capture, Frame, RecordedScene

RGB = get_sensor("rgb")
CAMERA = PinholeCamera.from_field_of_view(1.0, 64, 96)
SPEED = 4.0


def config(**changes: object) -> PerceptionConfig:
    """A model of seconds."""
    fields = {
        "map": MapConfig(32.0, 1.0),
        "lift": LiftConfig(options={"ceiling": 4.0, "count": 3}, channels=16),
        "neck": 16,
        "trunk": (16, 16, 16),
        "horizon": 2,
        "categories": ("car", "truck"),
    }
    return PerceptionConfig(**{**fields, **changes})  # type: ignore[arg-type]


def scene(frames: int = 6, platforms: int = 4, name: str = "toy") -> RecordedScene:
    """Six cars that drive east and a parked truck, at two frames a second."""
    return RecordedScene(name, [frame(k, platforms) for k in range(frames)])


def frame(number: int, platforms: int = 4) -> Frame:
    """One moment."""
    time = number * 500_000_000
    y = np.array([-12.0, -7, -2, 3, 8, 12])
    x = np.linspace(-10, 6, 6) + SPEED * number * 0.5
    centres = np.concatenate([np.stack([x, y, np.full(6, 0.8)], 1), [[2.0, -14.5, 1.5]]])
    boxes = Boxes(centres, np.array([[4.5, 2.0, 1.6]] * 6 + [[8.0, 2.5, 3.0]]), np.zeros(7))
    captures = {}
    for i in range(platforms):
        angle = i * np.pi / 2 + 0.3
        pose = look_at(np.array([18 * np.cos(angle), 18 * np.sin(angle), 30.0]), np.zeros(3))
        geometry = CameraGeometry(CAMERA, pose, name=f"UAV_{i + 1}")
        pixels = picture(geometry, boxes)
        captures[f"UAV_{i + 1}"] = Capture(
            f"UAV_{i + 1}",
            f"UAV_{i + 1}",
            time,
            geometry,
            lambda pixels=pixels: Observation.from_pixels(pixels, RGB, 0.5),  # type: ignore[misc]
            load_depth=lambda geometry=geometry: ground_depth(geometry),  # type: ignore[misc]
        )
    annotations = Annotations(
        boxes,
        np.array([[SPEED, 0.0]] * 6 + [[0.0, 0.0]]),
        ("car",) * 6 + ("truck",),
        tuple(f"object-{i}" for i in range(7)),
        {"UAV_1": np.ones(7)},
    )
    return Frame(time, captures, annotations)


def ground_depth(geometry: CameraGeometry) -> np.ndarray:
    """(rows, columns) of the ground alone."""
    depth = GroundPlane().depth(geometry.position, geometry.world_rays(geometry.camera.pixel_centres()))
    return np.asarray(depth, np.float32)


def picture(geometry: CameraGeometry, boxes: Boxes) -> np.ndarray:
    """(3, rows, columns): the ground grey, boxes' roofs bright, by casting every pixel's ray onto the roof planes."""
    rays = geometry.world_rays(geometry.camera.pixel_centres())
    pixels = np.full((3, geometry.camera.rows, geometry.camera.columns), 90, np.float32)
    for i, (centre, size) in enumerate(zip(boxes.centres, boxes.sizes, strict=True)):
        depth = (centre[2] + size[2] / 2 - geometry.position[2]) / rays[..., 2]
        hit = np.abs(geometry.position[:2] + depth[..., None] * rays[..., :2] - centre[:2]) <= size[:2] / 2
        pixels[:, hit.all(-1)] = np.array([[230], [60 if i < 6 else 200], [40]])
    return pixels
