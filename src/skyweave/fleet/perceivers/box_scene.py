"""What perceivers that send boxes share: a scene, its message, and boxes of several merged (late fusion)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skyweave.collaboration.box_merging import merge_boxes
from skyweave.collaboration.boxes import box_list_from_detections, detections_from_box_list
from skyweave.collaboration.pose_alignment import PoseError
from skyweave.core.geometry.grid import MapGrid
from skyweave.perception.results import Detections, ScenePrediction, Trajectories
from skyweave.perception.results.scene import DETECTION, TRAJECTORIES
from skyweave.wire import FrameContent, WireGrid

MIN_SENT_SCORE = 0.1  # of a box that is sent
MAX_FORECAST_DISTANCE_M = 1.0  # from a box to the forecast of the same object, after the first step


@dataclass(frozen=True)
class EgoScene:
    """What a platform perceives by itself.

    Attributes:
        time: capture, UTC nanoseconds.
        grid: its map.
        scene: read off it.
    """

    time: int
    grid: MapGrid
    scene: ScenePrediction


def scene_detections(ego: EgoScene) -> Detections:
    """Return what a platform detected by itself; nothing where its model does not detect.

    Args:
        ego: of a platform.
    """
    detections = ego.scene.detections
    return Detections.empty(ego.grid.crs, ego.time) if detections is None else detections


def message_from_scene(ego: EgoScene, categories: Sequence[str]) -> FrameContent:
    """Make a message of the boxes with a score of at least MIN_SENT_SCORE.

    Args:
        ego: of a platform.
        categories: names of the classes, in the order of their numbers on the wire.
    """
    detections = ego.scene.detections
    boxes = None
    if detections is not None:
        sent = detections.select(np.flatnonzero(detections.scores >= MIN_SENT_SCORE))
        boxes = box_list_from_detections(sent, categories)
    return FrameContent(0, 0, ego.time, WireGrid.from_map(ego.grid), boxes=boxes)


def correct_pose_error(content: FrameContent, error: PoseError) -> FrameContent:
    """Move the boxes of a frame to where they belong; none are left from a pose that is not trusted.

    Args:
        content: as received.
        error: of the pose that it was sent with.
    """
    if content.boxes is None or content.pose is None:
        return content
    if not error.trusted:
        return replace(content, boxes=None)
    correction = error.correction(content.pose.position)
    return content if correction is None else replace(content, boxes=correction.correct_boxes(content.boxes))


def fuse_boxes(
    ego: EgoScene, received: Sequence[FrameContent], categories: Sequence[str], seconds: np.ndarray
) -> ScenePrediction:
    """Merge the ego's boxes and forecasts with the boxes that came, whose forecasts are at constant velocity.

    Args:
        ego: of a platform.
        received: what came.
        categories: names of the classes, in the order of their numbers on the wire.
        seconds: (steps,) times of the forecasts, where the ego has none.
    """
    scene = ego.scene
    if scene.detections is None:
        return scene
    boxes = box_list_from_detections(scene.detections, categories)
    others = [content.boxes for content in received if content.boxes is not None and len(content.boxes)]
    detections = detections_from_box_list(merge_boxes(boxes, others), categories, ego.grid.crs, ego.time)
    trajectories = _trajectories(scene.trajectories, detections, seconds)
    return scene.with_results({DETECTION: detections, TRAJECTORIES: trajectories})


def _trajectories(ego: Trajectories | None, detections: Detections, seconds: np.ndarray) -> Trajectories:
    """Return for each box the model's forecast where one starts there, else constant velocity."""
    modes = 1 if ego is None or not len(ego) else ego.modes.shape[1]
    times = seconds if ego is None else ego.times
    centres, velocities = detections.boxes.centres[:, :2], np.nan_to_num(detections.velocities)
    straight = centres[:, None] + velocities[:, None] * times[:, None]
    paths = np.repeat(straight[:, None], modes, 1)
    probabilities = np.full((len(detections), modes), 1 / modes)
    if ego is not None and len(ego) and len(detections):
        _use_forecasts(ego, paths, detections, centres, velocities, times, probabilities)
    return Trajectories(
        paths, probabilities, times, detections.categories, crs=detections.crs, time=detections.time
    )  # fmt: skip


def _use_forecasts(
    ego: Trajectories,
    paths: np.ndarray,
    detections: Detections,
    centres: np.ndarray,
    velocities: Any,
    times: np.ndarray,
    probabilities: np.ndarray,
) -> None:
    """Replace straight paths by the model's forecasts of the nearest boxes."""
    lead = ego.modes[..., 0, :].mean(1)  # where the model has it after the first step
    distance = np.linalg.norm(lead[:, None] - paths[None, :, 0, 0], axis=-1)
    distance[np.array(ego.categories)[:, None] != np.array(detections.categories)[None]] = np.inf
    nearest = distance.argmin(1)
    for forecast in np.flatnonzero(distance.min(1) < MAX_FORECAST_DISTANCE_M):
        box = nearest[forecast]
        offset = centres[box] + velocities[box] * times[0]
        paths[box] = ego.modes[forecast] + (offset - lead[forecast])
        probabilities[box] = ego.probabilities[forecast]
