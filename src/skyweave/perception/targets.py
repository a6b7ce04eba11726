"""What the objects of a sample are, as arrays that every head makes its targets from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground


@dataclass(frozen=True)
class ObjectTargets:
    """The objects of one sample at the present and at the future steps.

    Attributes:
        grid: the sample's map; ground: under it.
        boxes: n boxes at the present.
        velocities: (n, 2) metres per second; NaN where unknown.
        labels: (n,) index into the model's categories.
        identities: (n,) int, constant over the scene, from 1.
        future: (n, horizon, 2) world positions of the centres; NaN where an object is gone or unknown.
        future_yaws: (n, horizon); NaN likewise.
        observed: (n,) bool: some platform of the recording saw it in the frames that the model sees.
        seen_by: (n, platforms) bool: this platform of the sample did.
    """

    grid: MapGrid
    ground: Ground
    boxes: Boxes
    velocities: np.ndarray
    labels: np.ndarray
    identities: np.ndarray
    future: np.ndarray
    future_yaws: np.ndarray
    observed: np.ndarray
    seen_by: np.ndarray

    def select(self, which: np.ndarray) -> "ObjectTargets":
        """Some of the objects."""
        return ObjectTargets(
            self.grid,
            self.ground,
            self.boxes.select(which),
            self.velocities[which],
            self.labels[which],
            self.identities[which],
            self.future[which],
            self.future_yaws[which],
            self.observed[which],
            self.seen_by[which],
        )

    def of(self, labels: Sequence[int]) -> "ObjectTargets":
        """Those of some classes."""
        return self.select(np.isin(self.labels, labels))

    def observed_by(self, platforms: np.ndarray) -> "ObjectTargets":
        """The same, observed being what these platforms of the sample, (platforms,) bool or indices, saw."""
        return replace(self, observed=np.asarray(self.seen_by[:, platforms].any(1)))

    def trainable(self) -> "ObjectTargets":
        """Those that were observed and whose centre is on the map."""
        return self.select(self.observed & (self.grid.index(self.boxes.centres) >= 0))

    def footprints_at(self, step: int) -> np.ndarray:
        """(n, 4, 2) corners on the ground at a step, 0 for the present; NaN where an object is not there."""
        if step == 0:
            return self.boxes.footprints()
        shifted = Boxes(
            np.concatenate([np.nan_to_num(self.future[:, step - 1]), self.boxes.centres[:, 2:]], 1),
            self.boxes.sizes,
            np.nan_to_num(self.future_yaws[:, step - 1]),
        ).footprints()
        shifted[np.isnan(self.future[:, step - 1]).any(-1)] = np.nan
        return shifted

    def centres_at(self, step: int) -> np.ndarray:
        """(n, 2) world positions at a step."""
        return self.boxes.centres[:, :2] if step == 0 else self.future[:, step - 1]


def rasterise(footprints: np.ndarray, identities: np.ndarray, grid: MapGrid) -> np.ndarray:
    """(rows, columns) int64: the identity of the object whose footprint covers a cell's centre, 0 for none.

    Where footprints overlap, the later one counts. An object smaller than a cell takes the cell its centre is in.
    """
    result = np.zeros(grid.shape, np.int64)
    corners = grid.cells_from_world(footprints)  # (n, 4, 2) row, column; clockwise in the raster
    low = np.maximum(np.floor(corners.min(1)), 0)
    high = np.minimum(np.ceil(corners.max(1)), grid.shape)
    there = np.flatnonzero((high > low).all(1))  # NaN is not
    corners, low, extent = corners[there], low[there].astype(int), (high - low)[there].astype(int)
    which = np.repeat(np.arange(len(there)), extent.prod(1))  # every cell of every box about a footprint
    number = np.arange(len(which)) - np.repeat(np.cumsum(extent.prod(1)) - extent.prod(1), extent.prod(1))
    cells = low[which] + np.stack(np.divmod(number, extent[which, 1]), 1)
    sides = (np.roll(corners, -1, 1) - corners)[which]
    offset = (cells + 0.5)[:, None] - corners[which]
    cross = sides[..., 0] * offset[..., 1] - sides[..., 1] * offset[..., 0]
    inside = (cross >= 0).all(1) | (cross <= 0).all(1)
    middle = np.floor(corners.mean(1)).astype(int)
    small = np.bincount(which[inside], minlength=len(there)) == 0
    small &= ((middle >= 0) & (middle < grid.shape)).all(1)
    which = np.concatenate([which[inside], np.flatnonzero(small)])
    cells = np.concatenate([cells[inside], middle[small]])[np.argsort(which, kind="stable")]
    result[cells[:, 0], cells[:, 1]] = np.asarray(identities)[there][np.sort(which)]
    return result


def gaussian_heatmap(shape: tuple[int, int], cells: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """(rows, columns) float32 heatmap: a Gaussian of peak 1 at each (row, column) of (n, 2), the largest counts.

    Peaks are moved to the centre of their cell, so that the largest value is 1 (CenterNet, arXiv 1904.07850).
    """
    heat = np.zeros(shape, np.float32)
    for (row, column), deviation in zip(cells, deviations, strict=True):
        r, c = int(row), int(column)
        reach = int(np.ceil(3 * deviation))
        top, left = max(r - reach, 0), max(c - reach, 0)
        rows, columns = np.ogrid[top : min(r + reach + 1, shape[0]), left : min(c + reach + 1, shape[1])]
        part = heat[top : r + reach + 1, left : c + reach + 1]
        np.maximum(part, np.exp(-((rows - r) ** 2 + (columns - c) ** 2) / (2 * deviation**2)), out=part)
    return heat


def stack_arrays(arrays: list[np.ndarray], device: torch.device) -> Tensor:
    """Arrays of one shape as one tensor."""
    return torch.from_numpy(np.stack(arrays)).to(device)
