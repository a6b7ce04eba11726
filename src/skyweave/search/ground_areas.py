"""How much ground the cells of a grid cover: maps of growing scale and grids in degrees show it larger than it is."""

import numpy as np
from pyproj import CRS, Geod

from skyweave.core.errors import DataError
from skyweave.search.places import GridPlaces, unwrap_outlines

SAMPLES_A_SIDE = 33  # cells whose area is measured; between them it changes smoothly


def ground_areas(places: GridPlaces) -> np.ndarray:
    """Return the area of each patch on the WGS84 ellipsoid, (patches,) in square metres.

    A pixel of Web Mercator at 52 degrees north covers 0.38 of what its side says; in a grid in degrees and on large
    maps the areas differ from row to row. Areas of some cells are measured on the ellipsoid and interpolated.

    Args:
        places: cells of one grid.

    Raises:
        DataError: no reference system, or one without a place on the Earth.
    """
    system = CRS.from_user_input(places.known_crs())
    if not (system.is_projected or system.is_geographic):
        raise DataError(f"{system.name} has no known relation to the Earth, so areas on the ground are not known")
    rows, columns = (_positions(count) for count in places.shape)
    cells = (rows[:, None] * places.shape[1] + columns).ravel()
    sampled = GridPlaces(cells, places.shape, places.affine, places.crs)
    outlines = unwrap_outlines(sampled.outlines(np.arange(len(cells))))
    geod = Geod(ellps="WGS84")
    areas = np.array([abs(geod.polygon_area_perimeter(*outline.T)[0]) for outline in outlines])
    table = areas.reshape(len(rows), len(columns))
    row, column = np.divmod(places.cells, places.shape[1])
    return _interpolate(table, _fractions(row, rows), _fractions(column, columns))


def _positions(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, SAMPLES_A_SIDE)).astype(np.int64))


def _fractions(numbers: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the position below each number, and how far on to the next it lies."""
    if len(positions) == 1:
        return np.zeros(len(numbers), np.int64), np.zeros(len(numbers))
    below = np.searchsorted(positions, numbers, side="right").clip(1, len(positions) - 1) - 1
    return below, (numbers - positions[below]) / (positions[below + 1] - positions[below])


def _interpolate(
    table: np.ndarray, rows: tuple[np.ndarray, np.ndarray], columns: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Return a table between its entries, bilinearly."""
    (row, down), (column, across) = rows, columns
    next_row = np.minimum(row + 1, table.shape[0] - 1)
    next_column = np.minimum(column + 1, table.shape[1] - 1)
    upper = table[row, column] * (1 - across) + table[row, next_column] * across
    lower = table[next_row, column] * (1 - across) + table[next_row, next_column] * across
    return np.asarray(upper * (1 - down) + lower * down)
