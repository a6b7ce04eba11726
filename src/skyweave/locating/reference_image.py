"""An orthorectified image of a place, with which views are matched."""

from dataclasses import dataclass

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.observation import Observation
from skyweave.locating.placed_view import grey_values, sample_bilinear


@dataclass(frozen=True)
class Reference:
    """An orthorectified image to be matched with.

    Attributes:
        grey: (rows, columns), NaN where unknown.
        grid: of it.
        std: standard deviation of its place, metres.
    """

    grey: np.ndarray
    grid: MapGrid
    std: float = 0.0

    @classmethod
    def from_observation(cls, observation: Observation, std: float = 0.0) -> "Reference":
        """Return the reference that an orthorectified image makes: north up, in cells of half a pixel.

        Args:
            observation: with a geotransform in metres, along the axes.
            std: standard deviation of its place, metres.

        Raises:
            DataError: an image without a geotransform, or one whose axes are turned.
        """
        geometry = observation.geotransform
        if geometry is None:
            raise DataError(f"{observation.source} has no geotransform, so no pose can be found on it; georeference it")
        a, b, c, d, e, f = geometry.affine
        if b or d or a < 0 or e > 0:
            raise DataError(f"{observation.source} is not north up; resample it: `gdalwarp IN OUT`")
        rows, columns = observation.shape
        grid = MapGrid.covering((c, f + e * rows, c + a * columns, f), abs(a) / 2, geometry.crs)
        grey = grey_values(observation)
        centres = grid.cell_centres()
        pixels = np.stack([(centres[..., 1] - f) / e, (centres[..., 0] - c) / a], -1)
        return cls(sample_bilinear(grey, pixels), grid, std)

    def coarser(self, factor: int) -> "Reference":
        """Return it in larger cells, each the mean of what is known of it.

        Args:
            factor: of the cells' side.
        """
        if factor == 1:
            return self
        grid = self.grid.coarser(factor)
        top, left = grid.north * factor - self.grid.north, self.grid.west - grid.west * factor
        shape = grid.rows * factor, grid.columns * factor
        padded = np.full(shape, np.nan)
        padded[top : top + self.grid.rows, left : left + self.grid.columns] = self.grey
        parts = padded.reshape(grid.rows, factor, grid.columns, factor)
        count = np.isfinite(parts).sum((1, 3))
        mean = np.nansum(parts, (1, 3)) / np.maximum(count, 1)
        return Reference(np.where(count * 2 >= factor**2, mean, np.nan), grid, self.std)

    def crop(self, grid: MapGrid, radius: int) -> np.ndarray:
        """Return it on a grid that is larger by a radius on each side, NaN where it shows nothing.

        Args:
            grid: of the same resolution.
            radius: cells.
        """
        large = grid.subgrid(-radius, -radius, grid.rows + 2 * radius, grid.columns + 2 * radius)
        row, column = large.offset_to(self.grid)
        rows, columns = _overlap(row, large.rows, self.grid.rows), _overlap(column, large.columns, self.grid.columns)
        result = np.full(large.shape, np.nan)
        result[rows[0], columns[0]] = self.grey[rows[1], columns[1]]
        return result


def _overlap(start: int, length: int, limit: int) -> tuple[slice, slice]:
    """Return where a span of a length from ``start`` overlaps 0 to ``limit``: in the span, and in the whole."""
    low, high = max(start, 0), max(min(start + length, limit), max(start, 0))
    return slice(low - start, high - start), slice(low, high)
