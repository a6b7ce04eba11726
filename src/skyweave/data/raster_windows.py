"""Windows of a raster of any size as images, all with the same colours."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.images.true_color import NODATA_GREY
from skyweave.data.display_bands import choose_bands
from skyweave.data.header import RasterHeader, read_header
from skyweave.data.stored_values import read_stored

MAX_SIDE_PIXELS = 2048  # larger windows are read coarser
STRETCH_SIDE_PIXELS = 512  # of the coarse image that colours are chosen by
STRETCH_PERCENTILES = (2, 98)
MIN_STRETCH_RANGE = 1e-12


class RasterWindows:
    """Renders windows of a raster: red, green and blue by wavelength or name, else its first bands.

    Args:
        path: any raster that GDAL opens.
        bands: 1-based numbers of the bands to show, three or one; default: see above.

    Raises:
        FileNotFoundError: no such file.
        DataError: no raster, one of complex values, or one without such bands.

    Attributes:
        header: of the raster.
    """

    def __init__(self, path: str | Path, bands: Sequence[int] | None = None) -> None:
        self.header = read_header(path)
        self._bands = choose_bands(self.header) if bands is None else _check_bands(self.header, bands)
        self._low, self._high = self._choose_stretch()

    def render(self, window: tuple[int, int, int, int], shape: tuple[int, int] | None = None) -> np.ndarray:
        """Render a window, (rows, columns, 3) uint8; what is no measurement, or beyond the raster, is grey.

        Args:
            window: first row, first column, rows and columns; may reach beyond the raster.
            shape: rows and columns of the image; default: those of the window, up to ``MAX_SIDE_PIXELS``.
        """
        row, column, rows, columns = window
        shape = shape or _bounded(rows, columns)
        image = np.full((*shape, 3), NODATA_GREY, np.uint8)
        first_row, first_column = max(row, 0), max(column, 0)
        stop_row, stop_column = (min(row + rows, self.header.shape[0]), min(column + columns, self.header.shape[1]))
        if stop_row <= first_row or stop_column <= first_column:
            return image
        scale = np.array(shape) / (rows, columns)
        top, left = np.floor((np.array([first_row, first_column]) - (row, column)) * scale).astype(int)
        bottom, right = np.ceil((np.array([stop_row, stop_column]) - (row, column)) * scale).astype(int)
        inside = ((first_row, stop_row), (first_column, stop_column))
        image[top:bottom, left:right] = self._read(inside, (bottom - top, right - left))
        return image

    def _read(self, window: tuple[tuple[int, int], tuple[int, int]], shape: tuple[int, int]) -> np.ndarray:
        stored, mask = read_stored(self.header, self._bands, window=window, shape=shape)
        scaled = (np.where(mask, stored, 0).astype(np.float64) - self._low) / (self._high - self._low)
        image = np.round(scaled.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
        image[~mask.all(0)] = NODATA_GREY
        return image if image.shape[2] == 3 else np.repeat(image, 3, axis=2)

    def _choose_stretch(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the values that become 0 and 255, (bands, 1, 1) each."""
        count = len(self._bands)
        if all(self.header.bands[band].dtype == "uint8" for band in self._bands):
            return np.zeros((count, 1, 1)), np.full((count, 1, 1), 255.0)
        rows, columns = self.header.shape
        step = max(1.0, max(rows, columns) / STRETCH_SIDE_PIXELS)
        shape = (max(1, round(rows / step)), max(1, round(columns / step)))
        stored, mask = read_stored(self.header, self._bands, shape=shape)
        valid = mask.all(0)
        if not valid.any():
            return np.zeros((count, 1, 1)), np.ones((count, 1, 1))
        low, high = np.percentile(stored[:, valid].astype(np.float64), STRETCH_PERCENTILES, axis=1)
        return low[:, None, None], np.maximum(high, low + MIN_STRETCH_RANGE)[:, None, None]


def _check_bands(header: RasterHeader, bands: Sequence[int]) -> list[int]:
    """Return 0-based numbers of bands that the file has."""
    if len(bands) not in (1, 3) or not all(1 <= band <= header.count for band in bands):
        numbers = ",".join(map(str, bands))
        raise DataError(f"{header.path} cannot be shown by bands {numbers}: give one or three of 1 to {header.count}")
    return [band - 1 for band in bands]


def _bounded(rows: int, columns: int) -> tuple[int, int]:
    scale = max(1.0, max(rows, columns) / MAX_SIDE_PIXELS)
    return max(1, round(rows / scale)), max(1, round(columns / scale))
