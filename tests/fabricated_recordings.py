"""Small recordings with exact truth, rendered by casting rays at boxes on a plane; and public layouts of them."""

from dataclasses import replace
from functools import partial

import numpy as np

from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import look_at, rotation_about_z
from skyweave.core.observation import Observation
from skyweave.core.sensors import Sensor, get_sensor
from skyweave.recordings.recording import Annotations, Capture, Frame, RecordedScene

START = 1_700_000_000_123_456_789
STEP = 500_000_000
SURFACES = ("ground", "vehicle", "sky")
CATEGORIES = ("car", "truck", "pedestrian")
CRS = "EPSG:32632"
EAST, NORTH = 691_000.0, 5_334_000.0


def scene(
    name: str = "crossing-0",
    frames: int = 3,
    platforms: int = 2,
    rows: int = 60,
    columns: int = 100,
    crs: str | None = CRS,
    sensor: Sensor | None = None,
    noise: float = 0.0,
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0),
) -> RecordedScene:
    """Cars that drive east, one behind a truck; UAVs that look at the crossing from several sides, none straight."""
    origin = np.array([EAST, NORTH, 0.0]) if crs else np.zeros(3)
    camera = PinholeCamera(
        np.array([[columns * 0.9, 0, columns * 0.51], [0, columns * 0.88, rows * 0.49], [0, 0, 1]]),
        rows,
        columns,
        distortion,
    )
    made = []
    for number in range(frames):
        annotations = objects(origin, number)
        captures, seen = {}, {}
        for platform in range(platforms):
            angle = 2 * np.pi * platform / platforms + 0.3
            height = 40.0 + 10 * platform
            place = origin + np.array([45 * np.cos(angle), 45 * np.sin(angle), height])
            true = CameraGeometry(camera, look_at(place, origin + np.array([number, 0, 0])), crs, f"UAV_{platform + 1}")
            moved = true.world_from_camera.copy()
            moved[:3, 3] += noise
            channel = f"UAV_{platform + 1}"
            time = START + number * STEP
            reported = replace(true, world_from_camera=moved)
            captures[channel] = Capture(
                channel=channel,
                platform=f"uav-{platform + 1}",
                time=time + 3_000_001 * platform,
                geometry=reported,
                load=partial(load_observation, true, reported, annotations.boxes, sensor, time),
                true_geometry=true,
                true_time=time,
                load_depth=partial(load_part, true, annotations.boxes, "depth"),
                load_instances=partial(load_part, true, annotations.boxes, "instances"),
                load_classes=partial(load_part, true, annotations.boxes, "classes"),
            )
            seen[channel] = visible_shares(true, annotations.boxes)
        made.append(Frame(START + number * STEP, captures, replace(annotations, visibility=seen)))
    return RecordedScene(name, made, crs, "cars on a plane", "nowhere")


def objects(origin: np.ndarray, number: int) -> Annotations:
    """Six objects at frame ``number``, two metres on each time; the last two stand."""
    start = np.array([[-18, 4, 0.75], [-6, 4, 0.75], [8, -4, 1.6], [16, 10, 0.75], [2, 16, 0.9], [-10, -14, 0.75]])
    sizes = np.array([[4.5, 1.8, 1.5], [4.4, 1.9, 1.5], [9, 2.5, 3.2], [4.5, 1.8, 1.5], [0.6, 0.6, 1.8], [4, 1.7, 1.5]])
    velocities = np.array([[4, 0], [4, 0], [4, 0], [0, 4], [0, 0], [0, 0]], float)
    yaws = np.array([0.0, 0.1, 0.0, np.pi / 2, 0.0, -2.5])
    centres = start + origin
    centres[:, :2] += velocities * number * STEP / 1e9
    return Annotations(
        Boxes(centres, sizes, yaws),
        velocities,
        ("car", "car", "truck", "car", "pedestrian", "car"),
        ("a", "b", "c", "d", "e", "f"),
    )


def cast(geometry: CameraGeometry, boxes: Boxes) -> tuple[np.ndarray, np.ndarray]:
    """Depth along the optical axis (rows, columns) and index of the nearest box (-1 ground, -2 sky) of each pixel."""
    camera = geometry.camera
    rays = geometry.world_rays(camera.pixel_centres()).reshape(-1, 3)
    with np.errstate(divide="ignore", invalid="ignore"):
        ground = np.where(rays[:, 2] < 0, -geometry.position[2] / rays[:, 2], np.inf)
        best, index = ground.copy(), np.where(np.isfinite(ground), -1, -2)
        for number in range(len(boxes)):
            box_from_world = rotation_about_z(-float(boxes.yaws[number]))
            start = box_from_world @ (geometry.position - boxes.centres[number])
            along = rays @ box_from_world.T
            low = (-boxes.sizes[number] / 2 - start) / along
            high = (boxes.sizes[number] / 2 - start) / along
            near, far = np.minimum(low, high).max(1), np.maximum(low, high).min(1)
            hit = (near <= far) & (near > 0) & (near < best)
            best[hit], index[hit] = near[hit], number
    return best.reshape(camera.rows, camera.columns), index.reshape(camera.rows, camera.columns)


def visible_shares(geometry: CameraGeometry, boxes: Boxes) -> np.ndarray:
    """(n,) pixels of each box that are seen, of those it would have alone."""
    _, index = cast(geometry, boxes)
    alone = [np.count_nonzero(cast(geometry, boxes.select(np.array([n])))[1] == 0) for n in range(len(boxes))]
    return np.array([np.count_nonzero(index == n) / max(count, 1) for n, count in enumerate(alone)])


def load_part(geometry: CameraGeometry, boxes: Boxes, part: str) -> np.ndarray:
    """Depth, instances or classes of a picture."""
    depth, index = cast(geometry, boxes)
    if part == "depth":
        return depth.astype(np.float32)
    if part == "instances":
        return np.maximum(index, -1).astype(np.int32)
    return np.where(index >= 0, 1, np.where(index == -1, 0, 2)).astype(np.uint8)


def load_observation(
    true: CameraGeometry, reported: CameraGeometry, boxes: Boxes, sensor: Sensor | None, time: int
) -> Observation:
    """A colour for the ground, one for each box; any other sensor gets reflectances."""
    _, index = cast(true, boxes)
    palette = np.random.default_rng(7).integers(40, 250, (len(boxes) + 2, 3)).astype(np.float32)
    pixels = palette[index].transpose(2, 0, 1)
    if sensor is None:
        return Observation.from_pixels(pixels, get_sensor("rgb"), 0.1, geometry=reported, time=time)
    many = np.resize(pixels, (len(sensor), *pixels.shape[1:])) / 300
    many[0, 0, 0] = np.nan
    return Observation.from_pixels(many, sensor, 0.2, geometry=reported, time=time, notes=("made up",))
