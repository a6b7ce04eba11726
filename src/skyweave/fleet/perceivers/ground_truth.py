"""A stand-in perceiver that reads the simulator's truth, to test networks without a model."""

from collections.abc import Mapping, Sequence

import numpy as np

from skyweave.collaboration.observer import ego_grid
from skyweave.collaboration.pose_alignment import PoseError
from skyweave.core.geometry.boxes import Boxes
from skyweave.fleet.perceivers.base import WorldFrame, extrapolate_with_decay
from skyweave.fleet.perceivers.late_fusion import EgoScene, fuse_boxes, message_from_scene, scene_detections
from skyweave.perception.metrics import visible_objects
from skyweave.perception.results import Detections, ScenePrediction
from skyweave.perception.results.scene import DETECTION
from skyweave.recordings.recording import Annotations, Frame
from skyweave.wire import EntropyTables, FrameContent

SCORE_RANGE = (0.4, 0.9)  # of its boxes, uniform
FORECAST_STEPS = 4


class GroundTruthPerceiver:
    """A stand-in detector: the truth about what its cameras see, with noise. Its accuracy says nothing of any model.

    Args:
        categories: of the objects that it detects.
        seed: with the frame's time it decides all noise.
        missed: share of the objects in view that it misses.
        noise: standard deviation of the centres, metres.
        size: of the map, metres.
        resolution: metres a cell.
        interval: seconds between frames.
    """

    fingerprint = 0
    tables: Sequence[EntropyTables] = ()
    sort_window = 1

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
        """Return the objects in view of the platform's cameras, with noise.

        Args:
            frame: with the platform's own captures only.
            place: where the fleet works.
        """
        geometry = next(iter(frame.captures.values())).geometry
        grid = ego_grid(geometry, place.ground, place.crs, self.size, self.resolution)
        detections = Detections.empty(place.crs, frame.time)
        if frame.annotations is not None:
            in_view = visible_objects(frame.annotations, list(frame.captures))
            in_view &= grid.index(frame.annotations.boxes.centres) >= 0
            detections = self._detect(frame.annotations, in_view, place.crs, frame.time)
        return EgoScene(frame.time, grid, ScenePrediction({DETECTION: detections}))

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
        """Merge boxes.

        Args:
            ego: of `observe`.
            received: what came, moved to the ego's time.
        """
        return fuse_boxes(ego, received, self.categories, self.interval * np.arange(1, FORECAST_STEPS + 1))

    def compensate(self, content: FrameContent, time: int) -> FrameContent:
        """Move the boxes of a frame on, with lower scores the farther they are moved.

        Args:
            content: as received.
            time: UTC nanoseconds.
        """
        return extrapolate_with_decay(content, time)

    def _detect(self, objects: Annotations, in_view: np.ndarray, crs: str | None, time: int) -> Detections:
        known = np.array([name in self.categories for name in objects.categories], bool)
        generator = np.random.default_rng([self.seed, time % 2**32])
        detected = in_view & known & (generator.random(len(known)) >= self.missed)
        shift = generator.normal(0, self.noise, (len(known), 2))
        scores = generator.uniform(*SCORE_RANGE, len(known))
        chosen = np.flatnonzero(detected)
        centres = objects.boxes.centres[chosen].copy()
        centres[:, :2] += shift[chosen]
        return Detections(
            Boxes(centres, objects.boxes.sizes[chosen], objects.boxes.yaws[chosen]),
            np.nan_to_num(objects.velocities[chosen]),
            tuple(objects.categories[i] for i in chosen),
            scores[chosen],
            crs,
            time,
        )
