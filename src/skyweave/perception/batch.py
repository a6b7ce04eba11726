"""Samples and batches of perception."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground
from skyweave.perception.targets import ObjectTargets
from skyweave.perception.views import RasterView, View, Views


@dataclass(frozen=True)
class PerceptionSample:
    """One sample before it is batched.

    Attributes:
        frames: for each of the model's frames, the oldest first, its views; empty where the frame is missing.
        grid: the map.
        ground: the ground under it.
        objects: all objects with their future.
        scene: name of the scene.
        frame_index: index of the present frame in the scene.
        ego: platform whose map it is.
        platforms: names, the ego first.
        time: UTC nanoseconds of the present frame.
        base_maps: rasters of the place, which join every frame; each counts as a platform of its own.
    """

    frames: list[list[View]]
    grid: MapGrid
    ground: Ground
    objects: ObjectTargets
    scene: str
    frame_index: int
    ego: str
    platforms: tuple[str, ...]
    time: int = 0
    base_maps: list[RasterView] = field(default_factory=list)


@dataclass(frozen=True)
class PerceptionBatch:
    """Samples as one batch.

    Attributes:
        frames: one `Views` a frame, the oldest first.
        present: (samples, frames) bool: which frames there are.
        samples: what they were made from.
        base_maps: rasters of the samples' places; None where no sample has any.
    """

    frames: list[Views]
    present: np.ndarray
    samples: list[PerceptionSample]
    base_maps: Views | None = None

    @property
    def objects(self) -> list[ObjectTargets]:
        """The objects of each sample."""
        return [sample.objects for sample in self.samples]


def collate(samples: Sequence[PerceptionSample]) -> PerceptionBatch:
    """Return a batch of samples.

    Args:
        samples: of one model's configuration.
    """
    platforms = max(len(sample.platforms) for sample in samples)
    grids, grounds = [sample.grid for sample in samples], [sample.ground for sample in samples]
    frames = []
    for number in range(len(samples[0].frames)):
        views = _views_of_frame(samples, number)
        frames.append(Views.from_views(views, grids, platforms, grounds))
    present = _mark_present(samples)
    slots = max(len(sample.base_maps) for sample in samples)
    base_maps = Views.from_views(_number_base_maps(samples), grids, slots, grounds) if slots else None
    return PerceptionBatch(frames, present, list(samples), base_maps)


def _number_base_maps(samples: Sequence[PerceptionSample]) -> list[RasterView]:
    """Return the base maps of all samples, numbered within each."""
    return [
        replace(view, sample=row, platform=number)
        for row, sample in enumerate(samples)
        for number, view in enumerate(sample.base_maps)
    ]


def _views_of_frame(samples: Sequence[PerceptionSample], number: int) -> list[View]:
    """Return the views of all samples in a frame."""
    return [replace(view, sample=row) for row, sample in enumerate(samples) for view in sample.frames[number]]


def _mark_present(samples: Sequence[PerceptionSample]) -> np.ndarray:
    """Return which frames of each sample have views."""
    return np.array([[bool(views) for views in sample.frames] for sample in samples])
