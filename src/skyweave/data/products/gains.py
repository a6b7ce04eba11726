"""Factors of calibration that vary over an image, as a small raster that GDAL interpolates."""

import hashlib
from dataclasses import dataclass

import numpy as np

MAX_COLUMNS, MAX_ROWS = 256, 64
"""Of the small raster: annotations hold up to some 700 by 40 points of a smooth function."""
FOLDER = "/vsimem/skyweave/gains"  # GDAL's files in memory


@dataclass(frozen=True)
class GainGrid:
    """Factors at points that divide an image evenly, the outer ones at the centres of its outer pixels.

    Attributes:
        values: rows of factors.
    """

    values: tuple[tuple[float, ...], ...]

    @staticmethod
    def columns_of(length: int) -> int:
        """Return how many points there are along the rows of an image.

        Args:
            length: its columns.
        """
        return max(2, min(MAX_COLUMNS, length))

    @classmethod
    def interpolate(cls, lines: np.ndarray, rows: np.ndarray, length: int) -> "GainGrid":
        """Return the factors of an image.

        Args:
            lines: (lines,) of the image at which factors are known, ascending.
            rows: (lines, points) of them, at `columns_of` points.
            length: rows of the image.
        """
        positions = np.linspace(0, length - 1, max(2, min(MAX_ROWS, length)))
        values = np.stack([np.interp(positions, lines, column) for column in rows.T], axis=1)
        return cls(tuple(tuple(map(float, row)) for row in values))

    @property
    def shape(self) -> tuple[int, int]:
        """Return the points as (rows, columns)."""
        return len(self.values), len(self.values[0])

    def extent(self, shape: tuple[int, int]) -> tuple[float, float, float, float]:
        """Return (column, row, columns, rows) of the small raster in the pixels of the image.

        Args:
            shape: (rows, columns) of the image.
        """
        down, across = ((length - 1) / (points - 1) for length, points in zip(shape, self.shape, strict=True))
        return 0.5 - across / 2, 0.5 - down / 2, across * self.shape[1], down * self.shape[0]

    def write(self) -> str:
        """Write the small raster into memory, where GDAL finds it in this process; return its name."""
        import rasterio

        array = np.array(self.values, np.float32)
        name = f"{FOLDER}/{hashlib.sha256(array.tobytes()).hexdigest()[:24]}.tif"
        profile = {"driver": "GTiff", "count": 1, "dtype": "float32", "height": len(array), "width": len(array[0])}
        with rasterio.open(name, "w", **profile, transform=rasterio.Affine.scale(1, -1)) as target:
            target.write(array, 1)
        return name
