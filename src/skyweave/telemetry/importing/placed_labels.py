"""Labels of images as boxes on the ground: where an object of its class must stand to fill the labelled box.

A box in an image says where an object is and not how it is turned. The heading is that of its track where it moves,
else that under which the outline of a box of the class's usual size fits best.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.ground import Ground
from skyweave.recordings.recording import Annotations, Capture
from skyweave.telemetry.importing.labels import CameraBox, ImageLabel, ImageLabels
from skyweave.telemetry.poses_over_time import NS_PER_S

CLASS_SIZES = {  # length, width and height in metres: means of nuScenes' annotations (arXiv 1903.11027)
    "car": (4.6, 1.95, 1.73),
    "van": (5.2, 2.0, 2.1),
    "truck": (6.9, 2.5, 2.8),
    "bus": (11.0, 2.9, 3.5),
    "motorcycle": (2.1, 0.77, 1.47),
    "bicycle": (1.7, 0.6, 1.28),
    "pedestrian": (0.73, 0.67, 1.77),
}
UNKNOWN_SIZE = (2.0, 2.0, 1.5)
HEADINGS = np.arange(8) * np.pi / 8  # that are tried for an object that stands
STEPS = 6
MIN_TRAVEL_M = 1.0  # between keyframes, from which a heading is that of the motion
MAX_STEP_M = 20.0
MIN_MERGE_M = 1.0
MERGE_SHARE = 0.5  # of an object's length, within which two cameras see the same one


@dataclass(frozen=True)
class Keyframe:
    """One image that is imported.

    Attributes:
        capture: with its camera and pose.
        number: of the image in its video or folder, from 0.
        name: of its file.
        scale: of its pixels to those of the image as it was labelled.
    """

    capture: Capture
    number: int
    name: str
    scale: float


@dataclass(frozen=True)
class GroundObject:
    """An object of one moment on the ground.

    Attributes:
        category: its class.
        instance: identity over the scene.
        centre: (3,) metres.
        size: (3,) length, width and height.
        yaw: heading, radians, counter-clockwise from east.
        velocity: (2,) m/s; NaN where unknown.
    """

    category: str
    instance: str
    centre: np.ndarray
    size: np.ndarray
    yaw: float
    velocity: np.ndarray


def place_labels(
    keyframes: Sequence[Keyframe], labels: ImageLabels | None, ground: Ground
) -> list[list[GroundObject]] | None:
    """Place the labels of one camera's images on the ground.

    Args:
        keyframes: in order of time.
        labels: of the images; None where nobody labelled them.
        ground: under everything.

    Returns:
        Objects by keyframe; None without labels.
    """
    if labels is None:
        return None
    placed: list[list[GroundObject]] = []
    stated: dict[tuple[int, str], ImageLabel] = {}
    for index, keyframe in enumerate(keyframes):
        rows = labels.of_image(keyframe.number, keyframe.name) or []
        objects = []
        for number, label in enumerate(rows):
            instance = f"{keyframe.capture.platform}-{label.track or f'{keyframe.number}.{number}'}"
            candidate = _place(label, keyframe, ground, instance, None)
            if candidate is not None and (index, instance) not in stated:
                stated[index, instance] = label
                objects.append(candidate)
        placed.append(objects)
    return _with_motion(placed, keyframes, stated, ground)


def _distance_to_others(candidate: GroundObject, kept: Sequence[GroundObject]) -> float:
    """Return metres to the nearest object of its category that another platform sees, infinite where there is none."""
    distances = [
        float(np.linalg.norm(candidate.centre[:2] - other.centre[:2]))
        for other in kept
        if other.category == candidate.category and _platform(other) != _platform(candidate)
    ]
    return min(distances, default=np.inf)


def merge_objects(objects: Sequence[GroundObject]) -> Annotations:
    """Return the annotations of one moment; what two cameras see at one place is one object.

    Args:
        objects: of all cameras.
    """
    kept: list[GroundObject] = []
    for candidate in objects:
        if _distance_to_others(candidate, kept) > max(MERGE_SHARE * candidate.size[0], MIN_MERGE_M):
            kept.append(candidate)
    boxes = Boxes(
        np.array([one.centre for one in kept]),
        np.array([one.size for one in kept]),
        np.array([one.yaw for one in kept]),
    )
    velocities = np.array([one.velocity for one in kept]).reshape(-1, 2)
    return Annotations(boxes, velocities, tuple(one.category for one in kept), tuple(one.instance for one in kept))


def _platform(placed: GroundObject) -> str:
    return placed.instance.rpartition("-")[0]


def _with_motion(
    placed: list[list[GroundObject]],
    keyframes: Sequence[Keyframe],
    stated: dict[tuple[int, str], ImageLabel],
    ground: Ground,
) -> list[list[GroundObject]]:
    """Objects with the velocities of their tracks, and headings of those that move."""
    tracks: dict[str, list[int]] = defaultdict(list)
    position = {}
    for index, objects in enumerate(placed):
        for one in objects:
            tracks[one.instance].append(index)
            position[index, one.instance] = one.centre
    moved: list[list[GroundObject]] = []
    for index, objects in enumerate(placed):
        row = []
        for one in objects:
            frames = tracks[one.instance]
            place = frames.index(index)
            before, after = frames[max(place - 1, 0)], frames[min(place + 1, len(frames) - 1)]
            velocity, travel = _motion(position, keyframes, one.instance, before, after)
            label = stated[index, one.instance]
            if label.camera_box is None and np.hypot(*travel) > MIN_TRAVEL_M:
                heading = float(np.arctan2(travel[1], travel[0]))
                one = _place(label, keyframes[index], ground, one.instance, heading) or one
            row.append(replace(one, velocity=velocity))
        moved.append(row)
    return moved


def _motion(
    position: dict[tuple[int, str], np.ndarray], keyframes: Sequence[Keyframe], instance: str, before: int, after: int
) -> tuple[np.ndarray, np.ndarray]:
    """Velocity (2,) and displacement (2,) between two keyframes."""
    if before == after:
        return np.full(2, np.nan), np.zeros(2)
    travel = (position[after, instance] - position[before, instance])[:2]
    seconds = (keyframes[after].capture.time - keyframes[before].capture.time) / NS_PER_S
    return travel / seconds, travel


def _place(
    label: ImageLabel, keyframe: Keyframe, ground: Ground, instance: str, heading: float | None
) -> GroundObject | None:
    """An object on the ground; None where its image does not meet it."""
    camera = keyframe.capture.geometry
    if label.camera_box is not None:
        return _from_camera_box(label, label.camera_box, camera, instance)
    if label.box is None:
        return None
    size = np.array(CLASS_SIZES.get(label.category, UNKNOWN_SIZE))
    box = label.box * keyframe.scale
    start = _start(box, camera, ground)
    if start is None:
        return None
    headings = HEADINGS if heading is None else np.array([heading])
    fits = [_fit(start, size, yaw, box, camera, ground) for yaw in headings.tolist()]
    cost, centre, yaw = min(fits, key=lambda fit: fit[0])
    if not np.isfinite(cost):
        return None
    return GroundObject(label.category, instance, centre, size, yaw, np.full(2, np.nan))


def _from_camera_box(label: ImageLabel, box: CameraBox, camera: CameraGeometry, instance: str) -> GroundObject:
    """A box that KITTI states in the camera's axes."""
    rotation = camera.world_from_camera[:3, :3]
    bottom = camera.position + rotation @ box.bottom
    forward = rotation @ np.array([np.cos(box.turn), 0.0, -np.sin(box.turn)])
    centre = bottom + np.array([0.0, 0.0, box.size[2] / 2])
    yaw = float(np.arctan2(forward[1], forward[0]))
    return GroundObject(label.category, instance, centre, box.size, yaw, np.full(2, np.nan))


def _start(box: np.ndarray, camera: CameraGeometry, ground: Ground) -> np.ndarray | None:
    """Where the ray of the middle of a box meets the ground."""
    pixel = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
    ray = camera.world_rays(pixel)
    depth = ground.depth(camera.position, ray)
    return None if not np.isfinite(depth) else np.asarray(camera.position + depth * ray)


def _fit(
    start: np.ndarray, size: np.ndarray, yaw: float, box: np.ndarray, camera: CameraGeometry, ground: Ground
) -> tuple[float, np.ndarray, float]:
    """Place (Gauss-Newton over east and north) a box so that its outline in the image is the labelled one."""
    place = start[:2].copy()
    target, cost, centre = box, np.inf, start
    for _ in range(STEPS):
        outlines = [_outline(place + shift, size, yaw, camera, ground) for shift in ([0, 0], [0.1, 0], [0, 0.1])]
        base, centre = outlines[0]
        error = target - base
        if not np.isfinite(error).all():
            return np.inf, start, yaw
        cost = float(error @ error)
        slopes = np.stack([(outline - base) / 0.1 for outline, _ in outlines[1:]], -1)
        step, *_ = np.linalg.lstsq(slopes, error, rcond=None)
        place = place + np.clip(step, -MAX_STEP_M, MAX_STEP_M)
    return cost, centre, yaw


def _outline(
    place: np.ndarray, size: np.ndarray, yaw: float, camera: CameraGeometry, ground: Ground
) -> tuple[np.ndarray, np.ndarray]:
    """Left, top, right and bottom in pixels of a box that stands at a place, and its centre."""
    below = float(np.nan_to_num(ground.height(place[None])[0]))
    centre = np.array([*place, below + size[2] / 2])
    pixels, _ = camera.project(Boxes(centre[None], size[None], np.array([yaw])).corners()[0])
    return np.concatenate([pixels.min(0), pixels.max(0)]), centre
