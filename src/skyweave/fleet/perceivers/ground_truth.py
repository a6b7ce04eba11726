"""A stand-in perceiver that reads the simulator's truth, to test networks without a model."""

import numpy as np

from skyweave.collaboration.observer import ego_grid
from skyweave.core.geometry.boxes import Boxes
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.fleet.perceivers.box_messages import BoxMessages
from skyweave.fleet.perceivers.box_scene import EgoScene
from skyweave.perception.metrics import visible_objects
from skyweave.perception.results import Detections, ScenePrediction
from skyweave.perception.results.scene import DETECTION
from skyweave.recordings.recording import Annotations, Frame

SCORE_RANGE = (0.4, 0.9)  # of its boxes, uniform


class GroundTruthPerceiver(BoxMessages):
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
        super().__init__(categories, interval)
        self.seed, self.missed, self.noise = seed, missed, noise
        self.size, self.resolution = size, resolution

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
