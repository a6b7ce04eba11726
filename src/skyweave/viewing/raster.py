"""A raster of any size as one image."""

from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.images.true_color import MAX_WAVELENGTH_OFFSET_NM, RGB_WAVELENGTHS_NM, stretch_to_uint8
from skyweave.data.header import open_raster, read_header

MAX_SIDE_PIXELS = 2048  # larger rasters are read coarser


def render_raster(path: str | Path) -> np.ndarray:
    """Render red, green and blue by wavelength, else the first three bands, else the first.

    8-bit rasters are shown as they are, others between their 2nd and 98th percentile. Large ones are read coarser.

    Args:
        path: any raster that GDAL opens.

    Returns:
        (rows, columns, 3) uint8.

    Raises:
        FileNotFoundError: no such file.
        DataError: no raster, or one of complex values.
    """
    header = read_header(path)
    channels = _bands(header.wavelengths)
    scale = max(1.0, max(header.shape) / MAX_SIDE_PIXELS)
    rows, columns = (max(1, round(side / scale)) for side in header.shape)
    with open_raster(header.path) as source:
        bands = source.read(
            [channel + 1 for channel in channels], out_shape=(len(channels), rows, columns), masked=True
        )
    if np.iscomplexobj(bands):
        raise DataError(f"{path}: values are complex; give intensities, this shows real values only")
    values = np.ma.getdata(bands).astype(np.float64)
    valid = np.all(~np.ma.getmaskarray(bands) & np.isfinite(values), axis=0)
    eight_bit = all(header.dtypes[channel] == "uint8" for channel in channels)
    return stretch_to_uint8(np.where(valid, values, 0.0), valid, eight_bit, min_range=1e-12)


def _nearest(known: list[tuple[float, int]], target: float) -> tuple[float, int]:
    """Return how many nanometres the nearest of (wavelength, channel) is off, and its channel."""
    return min((abs(wavelength - target), channel) for wavelength, channel in known)


def _bands(wavelengths: tuple[float | None, ...]) -> list[int]:
    """Return the channels nearest to red, green and blue, else the first three, else the first."""
    known = [(wavelength, channel) for channel, wavelength in enumerate(wavelengths) if wavelength]
    if known:
        nearest = [_nearest(known, target) for target in RGB_WAVELENGTHS_NM]
        if max(nearest)[0] <= MAX_WAVELENGTH_OFFSET_NM:
            return [channel for _, channel in nearest]
    return [0, 1, 2] if len(wavelengths) >= 3 else [0]
