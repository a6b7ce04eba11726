"""Perceivers that tell boxes: one with a trained model, one that reads the simulator's truth, to test networks."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from skyweave.collaboration.boxes import box_list_from_detections, detections_from_box_list, merge_boxes
from skyweave.collaboration.cache import SNAP_CELLS, translate_map
from skyweave.collaboration.pose_alignment import PoseAligners, PoseError
from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.grid import MapGrid
from skyweave.fleet.perceivers.base import WorldFrame, extrapolate_with_decay
from skyweave.perception.dataset import map_centre
from skyweave.perception.metrics import visible_objects
from skyweave.perception.model import PerceptionModel
from skyweave.perception.prediction import ScenePrediction, decode_maps
from skyweave.perception.results import Detections, Trajectories
from skyweave.perception.results.scene import DETECTION, TRAJECTORIES
from skyweave.perception.views import View, Views
from skyweave.recordings.recording import Frame
from skyweave.wire import EntropyTables, FrameContent, WireGrid

MIN_SENT_SCORE = 0.1  # score of a box from which it is sent
MAX_TIME_OFFSET_INTERVALS = 0.25  # of the interval, by which a past frame's time may be off


@dataclass(frozen=True)
class EgoScene:
    """What a platform found alone.

    Attributes:
        time: capture, UTC nanoseconds.
        grid: its map.
        scene: off it.
    """

    time: int
    grid: MapGrid
    scene: ScenePrediction


class LateFusionPerceiver:
    """A perception model whose boxes travel.

    Args:
        model: trained; its own-only fusion is used.
        grid: the map, where it is agreed on; None: around where the platform looks, moving with it.
    """

    fingerprint = 0
    tables: Sequence[EntropyTables] = ()
    interleave = 1

    def __init__(self, model: PerceptionModel, grid: MapGrid | None = None) -> None:
        self.model, self.grid = model.eval(), grid
        config = model.config
        self.categories, self.interval, self.resolution = config.categories, config.interval, config.map.resolution
        self._past: deque[tuple[int, MapGrid, Tensor]] = deque(maxlen=4 * config.history)
        self._aligners = PoseAligners()

    @property
    def pose_errors(self) -> Mapping[int, PoseError]:
        """See `skyweave.fleet.perceivers.base.Perceiver`."""
        return self._aligners.known

    @torch.inference_mode()
    def observe(self, frame: Frame, place: WorldFrame) -> EgoScene:
        """See `skyweave.fleet.perceivers.base.Perceiver`; in bfloat16 where the processor has it, like ``predict``."""
        model, grid = self.model, self._grid(frame, place)
        views = [View(capture.load(), capture.geometry, 0, 0) for capture in frame.captures.values()]
        device = next(model.parameters()).device
        with torch.autocast(device.type, torch.bfloat16):
            maps = model.observe(Views.from_views(views, [grid], 1, [place.ground]).to(device))
            self._past.append((frame.time, grid, model.fuse(maps)))
            moments = [self._at(frame.time, back, grid) for back in range(model.config.history)][::-1]
            present = torch.tensor([[moment is not None for moment in moments]], device=device)
            nothing = torch.zeros_like(self._past[-1][2])
            outputs = model.perceive([nothing if m is None else m for m in moments], present)
        return EgoScene(frame.time, grid, decode_maps(model, outputs, [grid], [place.ground], [frame.time])[0])

    def ego_detections(self, own: EgoScene) -> Detections:
        """See `skyweave.fleet.perceivers.base.Perceiver`."""
        return scene_detections(own)

    def compose(self, own: EgoScene, budget_bytes: int) -> FrameContent:
        """See `skyweave.fleet.perceivers.base.Perceiver`; the budget cuts the list where it is encoded."""
        return message_from_scene(own, self.categories)

    def fuse(self, own: EgoScene, received: Sequence[FrameContent]) -> ScenePrediction:
        """See `skyweave.fleet.perceivers.base.Perceiver`. Instance maps stay the platform's own; what was told from poses
        that are wrong is put right (`skyweave.collaboration.pose_alignment`).
        """
        config = self.model.config
        if own.scene.detections is not None:
            mine = box_list_from_detections(own.scene.detections, self.categories)
            errors = self._aligners.errors(mine, received, own.time)
            received = [correct_pose_error(content, error) for content, error in zip(received, errors, strict=True)]
        seconds = config.interval * np.arange(1, config.horizon + 1)
        return fuse_boxes(own, received, self.categories, seconds)

    def compensate(self, content: FrameContent, time: int) -> FrameContent:
        """See `skyweave.fleet.perceivers.base.Perceiver`."""
        return extrapolate_with_decay(content, time)

    def _grid(self, frame: Frame, place: WorldFrame) -> MapGrid:
        if self.grid is not None:
            return self.grid
        capture = next(iter(frame.captures.values()))
        config = self.model.config.map
        step = SNAP_CELLS * config.resolution
        x, y = np.round(map_centre(capture.geometry, place.ground, config.size) / step) * step
        return MapGrid.around(float(x), float(y), config.size, config.resolution, place.crs)

    def _at(self, time: int, back: int, grid: MapGrid) -> Tensor | None:
        """The map of so many intervals ago, on today's grid."""
        wanted = time - round(back * self.interval * 1e9)
        time, before, fused = min(self._past, key=lambda moment: abs(moment[0] - wanted))
        if abs(time - wanted) > MAX_TIME_OFFSET_INTERVALS * self.interval * 1e9:
            return None
        return translate_map(fused, *before.offset_to(grid), grid.shape)


class GroundTruthPerceiver:
    """A stand-in detector for testing networks: reads the truth about what its cameras see, and adds noise.

    Its accuracy says nothing about any model.

    Args:
        categories: that it tells.
        seed: with the frame's time it decides all noise.
        missed: share of the objects in view that it misses.
        noise: spread of the places, metres.
        size, resolution: metres of the map and of its cells.
        interval: seconds between frames.
    """

    fingerprint = 0
    tables: Sequence[EntropyTables] = ()
    interleave = 1

    def __init__(
        self,
        categories: tuple[str, ...],
        seed: int = 0,
        missed: float = 0.1,
        noise: float = 0.2,
        size: float = 128.0,
        resolution: float = 0.5,
        interval: float = 0.5,
    ) -> None:
        self.categories, self.seed, self.missed, self.noise = categories, seed, missed, noise
        self.size, self.resolution, self.interval = size, resolution, interval
        self.pose_errors: Mapping[int, PoseError] = {}

    def observe(self, frame: Frame, place: WorldFrame) -> EgoScene:
        """See `skyweave.fleet.perceivers.base.Perceiver`."""
        capture = next(iter(frame.captures.values()))
        step = SNAP_CELLS * self.resolution
        x, y = np.round(map_centre(capture.geometry, place.ground, self.size) / step) * step
        grid = MapGrid.around(float(x), float(y), self.size, self.resolution, place.crs)
        if frame.annotations is None:
            return EgoScene(frame.time, grid, ScenePrediction({DETECTION: Detections.empty(place.crs, frame.time)}))
        objects = frame.annotations
        known = np.array([name in self.categories for name in objects.categories], bool)
        there = visible_objects(objects, list(frame.captures)) & known & (grid.index(objects.boxes.centres) >= 0)
        generator = np.random.default_rng([self.seed, frame.time % 2**32])
        there &= generator.random(len(there)) >= self.missed
        shift = generator.normal(0, self.noise, (len(there), 2))
        scores = generator.uniform(0.4, 0.9, len(there))
        chosen = np.flatnonzero(there)
        centres = objects.boxes.centres[chosen].copy()
        centres[:, :2] += shift[chosen]
        found = Detections(
            Boxes(centres, objects.boxes.sizes[chosen], objects.boxes.yaws[chosen]),
            np.nan_to_num(objects.velocities[chosen]),
            tuple(objects.categories[i] for i in chosen),
            scores[chosen],
            place.crs,
            frame.time,
        )
        return EgoScene(frame.time, grid, ScenePrediction({DETECTION: found}))

    def ego_detections(self, own: EgoScene) -> Detections:
        """See `skyweave.fleet.perceivers.base.Perceiver`."""
        return scene_detections(own)

    def compose(self, own: EgoScene, budget_bytes: int) -> FrameContent:
        """See `skyweave.fleet.perceivers.base.Perceiver`."""
        return message_from_scene(own, self.categories)

    def fuse(self, own: EgoScene, received: Sequence[FrameContent]) -> ScenePrediction:
        """See `skyweave.fleet.perceivers.base.Perceiver`."""
        return fuse_boxes(own, received, self.categories, self.interval * np.arange(1, 5))

    def compensate(self, content: FrameContent, time: int) -> FrameContent:
        """See `skyweave.fleet.perceivers.base.Perceiver`."""
        return extrapolate_with_decay(content, time)


def scene_detections(own: EgoScene) -> Detections:
    """What a platform found alone; nothing where its model does not detect."""
    found = own.scene.detections
    return Detections.empty(own.grid.crs, own.time) if found is None else found


def message_from_scene(own: EgoScene, categories: Sequence[str]) -> FrameContent:
    """The boxes worth telling."""
    detections = own.scene.detections
    boxes = None
    if detections is not None:
        boxes = box_list_from_detections(
            detections.select(np.flatnonzero(detections.scores >= MIN_SENT_SCORE)), categories
        )
    return FrameContent(0, 0, own.time, WireGrid.from_map(own.grid), boxes=boxes)


def correct_pose_error(content: FrameContent, error: PoseError) -> FrameContent:
    """Boxes where they belong; none from a pose that is not to be trusted."""
    if content.boxes is None or content.pose is None:
        return content
    if not error.trusted:
        return replace(content, boxes=None)
    correction = error.at(content.pose.position)
    return content if correction is None else replace(content, boxes=correction.boxes(content.boxes))


def fuse_boxes(
    own: EgoScene, received: Sequence[FrameContent], categories: Sequence[str], seconds: np.ndarray
) -> ScenePrediction:
    """Own boxes and forecasts with the boxes that came; those have forecasts at constant velocity."""
    alone = own.scene
    if alone.detections is None:
        return alone
    mine = box_list_from_detections(alone.detections, categories)
    others = [content.boxes for content in received if content.boxes is not None and len(content.boxes)]
    found = detections_from_box_list(merge_boxes(mine, others), categories, own.grid.crs, own.time)
    return alone.with_results({DETECTION: found, TRAJECTORIES: _trajectories(alone.trajectories, found, seconds)})


def _trajectories(own: Trajectories | None, found: Detections, seconds: np.ndarray) -> Trajectories | None:
    """For each fused box: the model's forecast where one of its own starts there, else constant velocity."""
    modes = 1 if own is None or not len(own) else own.modes.shape[1]
    times = seconds if own is None else own.times
    speed = np.nan_to_num(found.velocities)
    straight = found.boxes.centres[:, None, :2] + speed[:, None] * times[:, None]
    paths = np.repeat(straight[:, None], modes, 1)
    shares = np.full((len(found), modes), 1 / modes)
    if own is not None and len(own) and len(found):
        lead = own.modes[..., 0, :].mean(1)  # where the model has it after the first step
        distance = np.linalg.norm(lead[:, None] - paths[None, :, 0, 0], axis=-1)
        distance[np.array(own.categories)[:, None] != np.array(found.categories)[None]] = np.inf
        nearest = distance.argmin(1)
        for mine in np.flatnonzero(distance.min(1) < 1.0):
            offset = found.boxes.centres[nearest[mine], :2] + np.nan_to_num(found.velocities[nearest[mine]]) * times[0]
            paths[nearest[mine]] = own.modes[mine] + (offset - lead[mine])
            shares[nearest[mine]] = own.probabilities[mine]
    return Trajectories(paths, shares, times, found.categories, crs=found.crs, time=found.time)
