"""Coordinates of a grid in a raster and back, through any reference systems, exactly where it matters.

Reference systems are transformed by PROJ on a lattice that is refined until interpolating it errs by less than a
fiftieth of a cell.
"""

from collections.abc import Callable

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.observation import GeoTransform

MAX_LATTICE_ERROR = 0.02  # of a cell or pixel, that interpolating a reprojection may add
MIN_LATTICE_POINTS = 17  # a side

PointTransform = Callable[[np.ndarray], np.ndarray]
"""From (..., 2) fractional row and column to (..., 2); NaN where there is none."""


def grid_raster_transforms(geometry: GeoTransform, grid: MapGrid) -> tuple[PointTransform, PointTransform]:
    """Return the transforms from fractional (row, column) of the grid to those of the raster, and back.

    Args:
        geometry: of the raster.
        grid: the map.

    Raises:
        DataError: a degenerate affine, or one of the two in a local frame and the other not.
    """
    a, b, c, d, e, f = geometry.affine
    determinant = a * e - b * d
    _check_raster(geometry, determinant, grid)
    forth, back = _crs_transforms(grid.crs, geometry.crs)

    def to_pixels(cells: np.ndarray) -> np.ndarray:
        x, y = np.moveaxis(forth(grid.world_from_cells(cells)), -1, 0)
        x, y = x - c, y - f
        return np.stack([(a * y - d * x) / determinant, (e * x - b * y) / determinant], -1)

    def to_cells(pixels: np.ndarray) -> np.ndarray:
        row, column = pixels[..., 0], pixels[..., 1]
        world = np.stack([a * column + b * row + c, d * column + e * row + f], -1)
        return grid.cells_from_world(back(world))

    return to_pixels, to_cells


def _check_raster(geometry: GeoTransform, determinant: float, grid: MapGrid) -> None:
    """Check that a raster has pixels and a way to the grid."""
    if not (np.isfinite(geometry.affine).all() and abs(determinant) > 0):
        raise DataError(f"the affine {geometry.affine} is degenerate; a raster needs pixels of some size")
    if (geometry.crs is None) != (grid.crs is None):
        raise DataError(
            f"the raster is in {geometry.crs or 'a local frame'}, the grid in {grid.crs or 'a local frame'}: there is "
            "no way between them"
        )


def evaluate_on_lattice(transform: PointTransform, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return (rows, columns, 2) a smooth transform at all pairs, computed on a lattice and interpolated between.

    Args:
        transform: to be evaluated.
        rows: fractional rows, rising evenly.
        columns: fractional columns, rising evenly.
    """
    size = MIN_LATTICE_POINTS
    while size < max(len(rows), len(columns)):
        knots = [np.linspace(axis[0], axis[-1], min(size, len(axis))) for axis in (rows, columns)]
        exact = transform(np.stack(np.meshgrid(*knots, indexing="ij"), -1))
        between = [(axis[1:] + axis[:-1]) / 2 for axis in knots]
        if all(len(axis) for axis in between):
            truth = transform(np.stack(np.meshgrid(*between, indexing="ij"), -1))
            guess = (exact[1:, 1:] + exact[1:, :-1] + exact[:-1, 1:] + exact[:-1, :-1]) / 4
            if _is_close(exact, truth, guess):
                return _interpolate(exact, knots, rows, columns)
        size = size * 2 - 1
    return transform(np.stack(np.meshgrid(rows, columns, indexing="ij"), -1))


def _is_close(exact: np.ndarray, truth: np.ndarray, guess: np.ndarray) -> bool:
    """Return whether interpolated points are near to the true ones."""
    return bool(np.isfinite(exact).all() and np.abs(truth - guess).max() < MAX_LATTICE_ERROR)


def _crs_transforms(grid_crs: str | None, crs: str | None) -> tuple[PointTransform, PointTransform]:
    """World coordinates of the grid to those of the raster, and back."""
    if crs == grid_crs:
        return (lambda points: points), (lambda points: points)
    from pyproj import CRS, Transformer

    if CRS.from_user_input(crs) == CRS.from_user_input(grid_crs):
        return (lambda points: points), (lambda points: points)

    def mapping(source: str | None, target: str | None) -> PointTransform:
        transformer = Transformer.from_crs(source, target, always_xy=True)

        def transform(points: np.ndarray) -> np.ndarray:
            moved = np.stack(transformer.transform(points[..., 0], points[..., 1]), -1)
            return np.where(np.isfinite(moved), moved, np.nan)

        return transform

    return mapping(grid_crs, crs), mapping(crs, grid_crs)


def _interpolate(values: np.ndarray, knots: list[np.ndarray], rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Bilinear, on a regular lattice."""
    low, share = [], []
    for axis, positions in zip(knots, (rows, columns), strict=True):
        fraction = (positions - axis[0]) / (axis[1] - axis[0])
        index = np.clip(fraction.astype(np.int64), 0, len(axis) - 2)
        low.append(index)
        share.append(fraction - index)
    down = values[low[0]] * (1 - share[0])[:, None, None] + values[low[0] + 1] * share[0][:, None, None]
    right = share[1][:, None]
    across: np.ndarray = down[:, low[1]] * (1 - right) + down[:, low[1] + 1] * right
    return across
