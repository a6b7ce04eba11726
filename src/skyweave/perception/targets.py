"""The objects of a sample as arrays, from which every head makes its targets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground

MIN_DEVIATION_CELLS = 0.8  # of a Gaussian in a heatmap


@dataclass(frozen=True)
class CoverTargets:
    """What covers the ground of one sample's map.

    Attributes:
        cells: (rows, columns) uint8 index into ``classes``, `skyweave.recordings.recording.UNKNOWN_COVER` for unknown.
        classes: names of the values.
    """

    cells: np.ndarray
    classes: tuple[str, ...]


@dataclass(frozen=True)
class ObjectTargets:
    """The objects of one sample at the present and at the future steps, and the ground that they are on.

    Attributes:
        grid: the sample's map.
        ground: the ground under it.
        boxes: n boxes at the present.
        velocities: (n, 2) metres per second; NaN where unknown.
        labels: (n,) index into the model's categories.
        identities: (n,) int, constant over the scene, from 1.
        future: (n, horizon, 2) world positions of the centres in metres; NaN where an object is gone
            or unknown.
        future_yaws: (n, horizon) radians; NaN likewise.
        observed: (n,) bool: some platform of the recording saw it in the frames that the model sees.
        seen_by: (n, platforms) bool: this platform of the sample did.
        land_cover: of the map; None where it is not known.
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
    land_cover: CoverTargets | None = None

    def select(self, selection: np.ndarray) -> "ObjectTargets":
        """Return some of the objects.

        Args:
            selection: (m,) indices, or (n,) bool.
        """
        return ObjectTargets(
            self.grid,
            self.ground,
            self.boxes.select(selection),
            self.velocities[selection],
            self.labels[selection],
            self.identities[selection],
            self.future[selection],
            self.future_yaws[selection],
            self.observed[selection],
            self.seen_by[selection],
            self.land_cover,
        )

    def with_labels(self, labels: Sequence[int]) -> "ObjectTargets":
        """Return the objects of some classes.

        Args:
            labels: indices into the model's categories.
        """
        return self.select(np.isin(self.labels, labels))

    def observed_by(self, platforms: np.ndarray) -> "ObjectTargets":
        """Return the same objects, of which those count as observed that some of these platforms saw.

        Args:
            platforms: of the sample: (platforms,) bool, or indices.
        """
        return replace(self, observed=np.asarray(self.seen_by[:, platforms].any(1)))

    def trainable(self) -> "ObjectTargets":
        """Return the objects that were observed and whose centre is on the map."""
        return self.select(self.observed & (self.grid.index(self.boxes.centres) >= 0))

    def footprints_at(self, step: int) -> np.ndarray:
        """Return (n, 4, 2) world positions of the corners on the ground; NaN where an object is not there.

        Args:
            step: 0 for the present.
        """
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
        """Return (n, 2) world positions of the centres; NaN where an object is not there.

        Args:
            step: 0 for the present.
        """
        return self.boxes.centres[:, :2] if step == 0 else self.future[:, step - 1]


def heatmap_deviations(objects: ObjectTargets) -> np.ndarray:
    """Return (n,) standard deviations, in cells, of the Gaussians that mark objects in a heatmap.

    Args:
        objects: n objects; a quarter of the shorter side counts, at least `MIN_DEVIATION_CELLS`.
    """
    shorter = objects.boxes.sizes[:, :2].min(1)
    return np.asarray(np.maximum(shorter / objects.grid.resolution / 4, MIN_DEVIATION_CELLS))


def rasterise(footprints: np.ndarray, identities: np.ndarray, grid: MapGrid) -> np.ndarray:
    """Return (rows, columns) int64: the identity of the object whose footprint covers a cell's centre, 0 for none.

    Where footprints overlap, the later one counts. An object smaller than a cell takes the cell its centre is in.

    Args:
        footprints: (n, 4, 2) world positions of the corners; NaN where an object is not there.
        identities: (n,) whole numbers.
        grid: the map.
    """
    result = np.zeros(grid.shape, np.int64)
    corners = grid.cells_from_world(footprints)  # (n, 4, 2) row, column; clockwise in the raster
    low = np.maximum(np.floor(corners.min(1)), 0)
    high = np.minimum(np.ceil(corners.max(1)), grid.shape)
    on_map = np.flatnonzero((high > low).all(1))  # NaN is not
    corners, low, extent = corners[on_map], low[on_map].astype(int), (high - low)[on_map].astype(int)
    box = np.repeat(np.arange(len(on_map)), extent.prod(1))  # every cell of every bounding box of a footprint
    number = np.arange(len(box)) - np.repeat(np.cumsum(extent.prod(1)) - extent.prod(1), extent.prod(1))
    cells = low[box] + np.stack(np.divmod(number, extent[box, 1]), 1)
    sides = (np.roll(corners, -1, 1) - corners)[box]
    offset = (cells + 0.5)[:, None] - corners[box]
    cross = sides[..., 0] * offset[..., 1] - sides[..., 1] * offset[..., 0]
    inside = (cross >= 0).all(1) | (cross <= 0).all(1)
    middle = np.floor(corners.mean(1)).astype(int)
    small = np.bincount(box[inside], minlength=len(on_map)) == 0
    small &= ((middle >= 0) & (middle < grid.shape)).all(1)
    box = np.concatenate([box[inside], np.flatnonzero(small)])
    cells = np.concatenate([cells[inside], middle[small]])[np.argsort(box, kind="stable")]
    result[cells[:, 0], cells[:, 1]] = np.asarray(identities)[on_map][np.sort(box)]
    return result


def gaussian_heatmap(shape: tuple[int, int], cells: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """Return (rows, columns) float32: the maximum of Gaussians of peak 1 (CenterNet, arXiv 1904.07850).

    Peaks are moved to the centre of their cell, so that the maximum is 1.

    Args:
        shape: rows and columns.
        cells: (n, 2) fractional row and column of each peak.
        deviations: (n,) standard deviations, cells.
    """
    heat = np.zeros(shape, np.float32)
    for (row, column), deviation in zip(cells, deviations, strict=True):
        r, c = int(row), int(column)
        radius = int(np.ceil(3 * deviation))
        top, left = max(r - radius, 0), max(c - radius, 0)
        rows, columns = np.ogrid[top : min(r + radius + 1, shape[0]), left : min(c + radius + 1, shape[1])]
        part = heat[top : r + radius + 1, left : c + radius + 1]
        np.maximum(part, np.exp(-((rows - r) ** 2 + (columns - c) ** 2) / (2 * deviation**2)), out=part)
    return heat


def stack_arrays(arrays: list[np.ndarray], device: torch.device) -> Tensor:
    """Return arrays of one shape as one tensor.

    Args:
        arrays: of each sample one.
        device: of the tensor.
    """
    return torch.from_numpy(np.stack(arrays)).to(device)
