"""Outlines of the areas that cells of one value cover."""

import numpy as np

from skyweave.core.errors import MissingExtraError
from skyweave.core.geometry.grid import MapGrid
from skyweave.perception.results.vector import Rings


def trace_outlines(values: np.ndarray, grid: MapGrid) -> list[tuple[int, Rings]]:
    """Return value and outline of every connected area of cells of one value; cells of value 0 are left out.

    Outer rings run counter-clockwise, holes clockwise.

    Args:
        values: (rows, columns) int32.
        grid: where the cells lie.

    Raises:
        MissingExtraError: rasterio is not installed.
    """
    try:
        import rasterio
        from rasterio.features import shapes
    except ImportError as error:
        raise MissingExtraError("outlines of cells need rasterio; install skyweave[geo]") from error
    outlines = shapes(values, values > 0, transform=rasterio.Affine(*grid.affine))
    return [(int(value), _oriented(outline["coordinates"])) for outline, value in outlines]


def _oriented(rings: list[list[tuple[float, float]]]) -> Rings:
    """Rings as arrays: the first counter-clockwise, the others clockwise."""
    return [_oriented_ring(np.array(ring), outer=not number) for number, ring in enumerate(rings)]


def _oriented_ring(ring: np.ndarray, outer: bool) -> np.ndarray:
    """Counter-clockwise where it is the outer ring, clockwise where it is a hole."""
    return ring if (signed_area(ring) > 0) == outer else ring[::-1]


def signed_area(ring: np.ndarray) -> float:
    """Return the area within a closed ring, below 0 where it runs clockwise.

    Args:
        ring: (points, 2), the first point again at the end.
    """
    x, y = (ring - ring[0]).T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2
