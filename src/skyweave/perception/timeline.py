"""One scene over time: which frames are a sample's past, and what its objects do in the future."""

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.observation import GeoTransform
from skyweave.mapping import sample_nearest
from skyweave.perception.config import PerceptionConfig
from skyweave.perception.metrics import visible_objects
from skyweave.perception.targets import CoverTargets, ObjectTargets
from skyweave.recordings.recording import UNKNOWN_COVER, Annotations, RecordedScene

MAX_TIME_OFFSET = 0.25  # of the interval between frames, by which a frame's time may be off


class SceneTimeline:
    """The frames and objects of a scene at a model's interval.

    Args:
        scene: of a recording.
        config: of the model: interval, history, horizon and categories.
    """

    def __init__(self, scene: RecordedScene, config: PerceptionConfig) -> None:
        self.scene, self.config = scene, config
        self.times = np.array([frame.time for frame in scene.frames], np.int64)
        self._identities: dict[str, int] | None = None

    def frame_at(self, time: int) -> int | None:
        """Return the index of the frame at a time, if one is near enough.

        Args:
            time: UTC nanoseconds.
        """
        nearest = int(np.abs(self.times - time).argmin())
        is_near = abs(int(self.times[nearest]) - time) <= MAX_TIME_OFFSET * 1e9 * self.config.interval
        return nearest if is_near else None

    def past_frames(self, time: int) -> list[int | None]:
        """Return the indices of the frames that a model sees, the oldest first; None where one is missing.

        Args:
            time: of the present frame, UTC nanoseconds.
        """
        ages = range(self.config.history)
        return [self.frame_at(time - round(1e9 * self.config.interval * age)) for age in ages][::-1]

    def objects_at(
        self,
        frame_index: int,
        grid: MapGrid,
        platforms: Sequence[str],
        place: Callable[[GeoTransform], GeoTransform] | None = None,
    ) -> ObjectTargets:
        """Return the objects of a frame with their future and who saw them.

        Args:
            frame_index: of an annotated frame.
            grid: the sample's map.
            platforms: names of the sample's platforms.
            place: where rasters of the scene come to lie under the map; None: where they are.

        Raises:
            DataError: the frame is not annotated.
        """
        frame = self.scene.frames[frame_index]
        annotations = frame.annotations
        if annotations is None:
            raise DataError(f"frame {frame_index} of scene {self.scene.name} has no annotations")
        categories = self.config.categories
        rows = [row for row, category in enumerate(annotations.categories) if category in categories]
        names = [annotations.instances[row] for row in rows]
        identities = self.identities()
        future, future_yaws = self._future(frame.time, names)
        observed = self._observed(frame.time, annotations.instances, platforms)[rows]
        return ObjectTargets(
            grid=grid,
            ground=self.scene.ground,
            boxes=annotations.boxes.select(np.array(rows, int)),
            velocities=annotations.velocities[rows],
            labels=np.array([categories.index(annotations.categories[row]) for row in rows], int),
            identities=np.array([identities[name] for name in names], int),
            future=future,
            future_yaws=future_yaws,
            observed=observed[:, 0],
            seen_by=observed[:, 1:],
            land_cover=self._land_cover_at(grid, place),
        )

    def _land_cover_at(
        self, grid: MapGrid, place: Callable[[GeoTransform], GeoTransform] | None
    ) -> CoverTargets | None:
        """What covers the ground of a map, where that is known."""
        cover, raster = self.scene.land_cover, self._cover_raster
        if cover is None or raster is None:
            return None
        geometry = cover.geometry if place is None else place(cover.geometry)
        return CoverTargets(sample_nearest(raster, geometry, grid, UNKNOWN_COVER), cover.classes)

    @cached_property
    def _cover_raster(self) -> np.ndarray | None:
        """(rows, columns) uint8 of the scene."""
        return None if self.scene.land_cover is None else self.scene.land_cover.load()

    def identities(self) -> dict[str, int]:
        """Return the number of each object of the scene, from 1, by its name."""
        if self._identities is None:
            self._identities = self._number_identities()
        return self._identities

    def _number_identities(self) -> dict[str, int]:
        """Number the objects of the scene in order of appearance."""
        annotated = [frame.annotations for frame in self.scene.frames if frame.annotations is not None]
        names = dict.fromkeys(name for annotations in annotated for name in annotations.instances)
        return {name: number for number, name in enumerate(names, start=1)}

    def _observed(self, time: int, names: Sequence[str], platforms: Sequence[str]) -> np.ndarray:
        """(objects, 1 + platforms) bool: seen by any platform, then by each, in the frames that a model sees."""
        row_of = {name: row for row, name in enumerate(names)}
        observed = np.zeros((len(names), 1 + len(platforms)), bool)
        for past in self.past_frames(time):
            if past is None or (annotations := self.scene.frames[past].annotations) is None:
                continue
            self._mark_observed(past, annotations, platforms, row_of, observed)
        return observed

    def _mark_observed(
        self,
        past: int,
        annotations: Annotations,
        platforms: Sequence[str],
        row_of: dict[str, int],
        observed: np.ndarray,
    ) -> None:
        """Mark the objects that somebody sees in a frame."""
        frame = self.scene.frames[past]
        masks = [visible_objects(annotations)]
        masks += [visible_objects(annotations, frame.channels(platform)) for platform in platforms]
        for name, mask in zip(annotations.instances, np.stack(masks, 1), strict=True):
            if name in row_of:
                observed[row_of[name]] |= mask

    def _future(self, time: int, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Positions (n, horizon, 2) and yaws (n, horizon) of objects; NaN where one is gone or unknown."""
        horizon = self.config.horizon
        positions, yaws = np.full((len(names), horizon, 2), np.nan), np.full((len(names), horizon), np.nan)
        for step in range(horizon):
            index = self.frame_at(time + round(1e9 * self.config.interval * (step + 1)))
            annotations = None if index is None else self.scene.frames[index].annotations
            if annotations is None:
                continue
            _fill_future(annotations, names, positions, step, yaws)
        return positions, yaws


def _fill_future(
    annotations: Annotations, names: Sequence[str], positions: np.ndarray, step: int, yaws: np.ndarray
) -> None:
    """Fill in where objects are in one step."""
    row_of = {name: row for row, name in enumerate(annotations.instances)}
    for number, name in enumerate(names):
        if name in row_of:
            positions[number, step] = annotations.boxes.centres[row_of[name], :2]
            yaws[number, step] = annotations.boxes.yaws[row_of[name]]
