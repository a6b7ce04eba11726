"""A perceiver that sends the boxes of a perception model, and merges those that come (late fusion)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from skyweave.collaboration.boxes import box_list_from_detections, detections_from_box_list, merge_boxes
from skyweave.collaboration.map_memory import MapMemory
from skyweave.collaboration.observer import ego_grid
from skyweave.collaboration.pose_alignment import PoseAligners, PoseError
from skyweave.collaboration.precision import inference_autocast, module_device
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.grid import MapGrid
from skyweave.fleet.perceivers.base import WorldFrame, extrapolate_with_decay
from skyweave.fleet.perceivers.image_reduction import ImageReducer
from skyweave.perception.model import PerceptionModel
from skyweave.perception.prediction import decode_maps
from skyweave.perception.results import Detections, ScenePrediction, Trajectories
from skyweave.perception.results.scene import DETECTION, TRAJECTORIES
from skyweave.perception.views import Views
from skyweave.recordings.recording import Frame
from skyweave.wire import EntropyTables, FrameContent, WireGrid

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


class LateFusionPerceiver:
    """A perception model whose boxes travel.

    Args:
        model: trained; its fusion sees the ego only.
        grid: the map, where it is agreed on; None: around where the platform looks, moving with it.
        full_resolution: read images as they are, however large they are.
    """

    fingerprint = 0
    tables: Sequence[EntropyTables] = ()
    sort_window = 1

    def __init__(self, model: PerceptionModel, grid: MapGrid | None = None, full_resolution: bool = False) -> None:
        self.model, self.grid = model.eval(), grid
        config = model.config
        self.categories, self.interval, self.resolution = config.categories, config.interval, config.map.resolution
        self._memory = MapMemory(config.history, config.interval)
        self._reducer = ImageReducer(self.resolution, not full_resolution)
        self._aligners = PoseAligners()

    @property
    def pose_errors(self) -> Mapping[int, PoseError]:
        """Return the errors of peers' poses, by platform number, as far as they are estimated."""
        return self._aligners.known

    @torch.inference_mode()
    def observe(self, frame: Frame, place: WorldFrame) -> EgoScene:
        """Map the images of one frame and read the scene off it; in bfloat16 where the processor has it.

        Args:
            frame: with the platform's own captures only.
            place: where the fleet works.
        """
        model, first = self.model, next(iter(frame.captures.values()))
        grid = self.grid or self._ego_grid(first.geometry, place)
        views = self._reducer.views(frame, place.ground)
        device = module_device(model)
        with inference_autocast(device):
            maps = model.observe(Views.from_views(views, [grid], 1, [place.ground]).to(device))
            self._memory.push(frame.time, grid, model.fuse(maps))
            outputs = model.perceive(*self._memory.recall(frame.time, grid))
        scene = decode_maps(model, outputs, [grid], [place.ground], [frame.time])[0]
        novelty = None if maps.novelty is None else float(maps.novelty[0, 0])
        return EgoScene(frame.time, grid, replace(scene, novelty=novelty))

    def _ego_grid(self, geometry: CameraGeometry, place: WorldFrame) -> MapGrid:
        config = self.model.config.map
        return ego_grid(geometry, place.ground, place.crs, config.size, config.resolution)

    def ego_detections(self, ego: EgoScene) -> Detections:
        """Return what the platform detected by itself.

        Args:
            ego: of `observe`.
        """
        return scene_detections(ego)

    def compose(self, ego: EgoScene, budget_bytes: int) -> FrameContent:
        """Compose the message of one frame; the budget cuts the list of boxes where it is encoded.

        Args:
            ego: of `observe`.
            budget_bytes: of the frame on the wire.
        """
        return message_from_scene(ego, self.categories)

    def fuse(self, ego: EgoScene, received: Sequence[FrameContent]) -> ScenePrediction:
        """Merge boxes, errors of peers' poses undone; instance maps stay the platform's.

        Args:
            ego: of `observe`.
            received: what came, moved to the ego's time.
        """
        config = self.model.config
        if ego.scene.detections is not None:
            boxes = box_list_from_detections(ego.scene.detections, self.categories)
            self._aligners.update(boxes, received, ego.time)
            errors = self._aligners.estimate([content.platform for content in received])
            received = [correct_pose_error(content, error) for content, error in zip(received, errors, strict=True)]
        seconds = config.interval * np.arange(1, config.horizon + 1)
        return fuse_boxes(ego, received, self.categories, seconds)

    def compensate(self, content: FrameContent, time: int) -> FrameContent:
        """Move the boxes of a frame on, with lower scores the farther they are moved.

        Args:
            content: as received.
            time: UTC nanoseconds.
        """
        return extrapolate_with_decay(content, time)


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
