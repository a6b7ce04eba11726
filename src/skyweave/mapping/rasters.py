"""Orthorectified rasters onto the map: resampling as the same sparse product as the lift, with fixed weights."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from skyweave.core.geometry.grid import MapGrid
from skyweave.core.observation import GeoTransform
from skyweave.mapping.plan import PLANS
from skyweave.mapping.pooling import CSRPattern
from skyweave.mapping.reprojection import PointTransform, evaluate_on_lattice, grid_raster_transforms

Resampling = Literal["bilinear", "area"]
MIN_SAMPLES_PER_CELL = 8  # least number of sample points across a cell for area means
MIN_VALID_SHARE = 0.5  # of a cell's weight must be valid pixels


@dataclass(frozen=True, eq=False)
class RasterPlan:
    """How a raster is resampled onto a grid.

    Attributes:
        grid: the map.
        shape: (rows, columns) of the raster.
        pattern: (rows x columns) pixels onto cells.
        values: (values,) float64 weights; they sum to the covered share of each cell, 1 for all of it.
    """

    grid: MapGrid
    shape: tuple[int, int]
    pattern: CSRPattern
    values: Tensor

    @property
    def nbytes(self) -> int:
        """Bytes that the plan holds."""
        return self.pattern.nbytes + self.values.nbytes


def plan_raster(
    geometry: GeoTransform,
    shape: tuple[int, int],
    grid: MapGrid,
    resampling: Resampling | None = None,
    device: torch.device | str = "cpu",
) -> RasterPlan:
    """Return the plan of a resampling, from the cache if it was made for exactly this geometry.

    Args:
        geometry: of a raster of ``shape``; in any reference system that pyproj knows, also degrees.
        shape: (rows, columns) of the raster.
        grid: the map.
        resampling: ``bilinear`` between pixel centres; ``area``: the mean over what a cell covers; default: area
            where pixels are smaller than cells.
        device: of the features.

    Raises:
        DataError: one of raster and grid is in a local frame and the other is not, or an affine that is degenerate.
    """
    key = (geometry, shape, grid, resampling, torch.device(device))
    return PLANS.get(key, lambda: _make(geometry, shape, grid, resampling, device))


def raster_window(
    geometry: GeoTransform, shape: tuple[int, int], grid: MapGrid, margin: int = 0
) -> tuple[int, int, int, int] | None:
    """Return the window (row, column, rows, columns) of a raster that a map needs; None where the two do not meet.

    Args:
        geometry: of the raster.
        shape: (rows, columns) of the raster.
        grid: the map.
        margin: pixels beyond the map on each side.

    Raises:
        DataError: one of raster and grid is in a local frame and the other is not, or an affine that is degenerate.
    """
    to_pixels, _ = grid_raster_transforms(geometry, grid)
    top, left, bottom, right = _window(to_pixels, shape, grid)
    if bottom <= top or right <= left:
        return None
    top, left = max(top - margin, 0), max(left - margin, 0)
    return top, left, min(bottom + margin, shape[0]) - top, min(right + margin, shape[1]) - left


def sample_nearest(values: np.ndarray, geometry: GeoTransform, grid: MapGrid, fill: int) -> np.ndarray:
    """Return (rows, columns): of each cell of a map the pixel that its centre is in, for values that have no mean.

    Args:
        values: (rows, columns) of a raster.
        geometry: of the raster.
        grid: the map.
        fill: value beyond the raster.

    Raises:
        DataError: one of raster and grid is in a local frame and the other is not, or an affine that is degenerate.
    """
    to_pixels, _ = grid_raster_transforms(geometry, grid)
    position = evaluate_on_lattice(to_pixels, np.arange(grid.rows) + 0.5, np.arange(grid.columns) + 0.5)
    with np.errstate(invalid="ignore"):
        inside = np.asarray(((position >= 0) & (position < values.shape)).all(-1))
    row, column = np.where(inside[..., None], position, 0).astype(np.int64).transpose(2, 0, 1)
    return np.where(inside, values[row, column], np.asarray(fill, values.dtype))


def _make(
    geometry: GeoTransform,
    shape: tuple[int, int],
    grid: MapGrid,
    resampling: Resampling | None,
    device: torch.device | str,
) -> RasterPlan:
    to_pixels, to_cells = grid_raster_transforms(geometry, grid)
    if resampling is None:
        resampling = "area" if _pixels_per_cell(to_pixels, grid) > 1.0 else "bilinear"
    if resampling == "bilinear":
        pixel, cell, value = _bilinear(to_pixels, shape, grid)
    else:
        pixel, cell, value = _area(to_pixels, to_cells, shape, grid)
    order = np.argsort(pixel, kind="stable")
    entries = [torch.as_tensor(np.ascontiguousarray(array[order]), device=device) for array in (pixel, cell, value)]
    pattern = CSRPattern.from_entries(entries[0], entries[1], shape[0] * shape[1], grid.rows * grid.columns)
    return RasterPlan(grid, shape, pattern, entries[2])


def _pixels_per_cell(to_pixels: PointTransform, grid: MapGrid) -> float:
    """Number of pixels along a cell's side, at the middle of the grid."""
    middle = np.array([grid.rows / 2, grid.columns / 2])
    ends = to_pixels(middle + np.array([[0, 0], [1, 0], [0, 1.0]]))
    sides = ends[1:] - ends[0]
    return float(np.sqrt(abs(np.linalg.det(sides)))) if np.isfinite(sides).all() else 0.0


def _bilinear(
    to_pixels: PointTransform, shape: tuple[int, int], grid: MapGrid
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels, cells and weights: four pixels around each cell's centre, fewer at the raster's edge."""
    rows, columns = np.arange(grid.rows) + 0.5, np.arange(grid.columns) + 0.5
    position = evaluate_on_lattice(to_pixels, rows, columns).reshape(-1, 2)
    with np.errstate(invalid="ignore"):
        cell = np.flatnonzero(((position >= 0) & (position <= shape)).all(-1))
    position = position[cell] - 0.5
    low = np.floor(position).astype(np.int64)
    share = position - low
    entries = []
    for down in (0, 1):
        for right in (0, 1):
            row, column = (np.clip(low[:, i] + step, 0, shape[i] - 1) for i, step in ((0, down), (1, right)))
            weight = np.abs(1 - down - share[:, 0]) * np.abs(1 - right - share[:, 1])
            entries.append((row * shape[1] + column, cell, weight))
    pixel, cell, value = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    return pixel[value > 0], cell[value > 0], value[value > 0]


def _area(
    to_pixels: PointTransform, to_cells: PointTransform, shape: tuple[int, int], grid: MapGrid
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels, cells and weights: every pixel cut into equal parts, each given to the cell its centre is in."""
    top, left, bottom, right = _window(to_pixels, shape, grid)
    if bottom <= top or right <= left:
        nothing = np.zeros(0, np.int64)
        return nothing, nothing, np.zeros(0)
    parts = max(1, math.ceil(MIN_SAMPLES_PER_CELL / max(_pixels_per_cell(to_pixels, grid), 1e-6)))
    rows = top + (np.arange((bottom - top) * parts) + 0.5) / parts
    columns = left + (np.arange((right - left) * parts) + 0.5) / parts
    position = evaluate_on_lattice(to_cells, rows, columns)
    with np.errstate(invalid="ignore"):
        inside = ((position >= 0) & (position < grid.shape)).all(-1)
    i, j = np.nonzero(inside)
    index = position[i, j].astype(np.int64)
    cell = index[:, 0] * grid.columns + index[:, 1]
    pixel = rows[i].astype(np.int64) * shape[1] + columns[j].astype(np.int64)
    both, count = np.unique(pixel * (grid.rows * grid.columns) + cell, return_counts=True)
    pixel, cell = np.divmod(both, grid.rows * grid.columns)
    total = np.bincount(cell, count, minlength=grid.rows * grid.columns)
    expected = (parts * _pixels_per_cell(to_pixels, grid)) ** 2
    whole = np.where(_wholly_inside(to_pixels, shape, grid), total, np.maximum(total, expected))
    return pixel, cell, count / whole[cell]


def _wholly_inside(to_pixels: PointTransform, shape: tuple[int, int], grid: MapGrid) -> np.ndarray:
    """(rows x columns,) bool: cells with all four corners in the raster."""
    corners = evaluate_on_lattice(to_pixels, np.arange(grid.rows + 1.0), np.arange(grid.columns + 1.0))
    with np.errstate(invalid="ignore"):
        inside = np.asarray(((corners >= -1e-6) & (corners <= np.array(shape) + 1e-6)).all(-1))
    whole: np.ndarray = (inside[1:, 1:] & inside[1:, :-1] & inside[:-1, 1:] & inside[:-1, :-1]).reshape(-1)
    return whole


def _window(to_pixels: PointTransform, shape: tuple[int, int], grid: MapGrid) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) of the raster's pixels that the grid can cover, from points along its edges."""
    rows, columns = np.linspace(0, grid.rows, 21), np.linspace(0, grid.columns, 21)
    position = to_pixels(np.stack(np.meshgrid(rows, columns, indexing="ij"), -1))
    if not np.isfinite(position).any():
        return 0, 0, 0, 0
    low = np.floor(np.nanmin(position, axis=(0, 1))) - 2
    high = np.ceil(np.nanmax(position, axis=(0, 1))) + 2
    (top, left), (bottom, right) = np.clip(low, 0, shape).astype(int), np.clip(high, 0, shape).astype(int)
    return int(top), int(left), int(bottom), int(right)
