"""A raster of any size as one picture."""

from pathlib import Path

import numpy as np

from skyweave.core.images.true_color import MAX_WAVELENGTH_OFFSET_NM, NODATA_GREY, RGB_WAVELENGTHS_NM
from skyweave.data.header import open_raster, read_header

MAX_SIDE_PIXELS = 2048  # pixels of the longer side


def render_raster(path: str | Path) -> np.ndarray:
    """(rows, columns, 3) uint8: red, green and blue by wavelength, else the first three bands, else the first.

    8-bit rasters are shown as they are, others between their 2nd and 98th percentile. Large ones are read coarser.

    Raises:
        FileNotFoundError: no such file.
        OSError: no raster.
    """
    header = read_header(path)
    channels = _bands(header.wavelengths)
    scale = max(1.0, max(header.shape) / MAX_SIDE_PIXELS)
    rows, columns = (max(1, round(side / scale)) for side in header.shape)
    with open_raster(header.path) as source:
        bands = source.read(
            [channel + 1 for channel in channels], out_shape=(len(channels), rows, columns), masked=True
        )
    values = np.ma.getdata(bands).astype(np.float64)
    valid = (~np.ma.getmaskarray(bands) & np.isfinite(values)).all(axis=0)
    if all(header.dtypes[channel] == "uint8" for channel in channels):
        low, high = np.zeros(len(channels)), np.full(len(channels), 255.0)
    elif valid.any():
        low, high = np.percentile(values[:, valid], [2, 98], axis=1)
    else:
        low, high = np.zeros(len(channels)), np.ones(len(channels))
    values = np.where(valid, values, 0.0)
    scaled = (values - low[:, None, None]) / np.maximum(high - low, 1e-12)[:, None, None]
    image = np.round(scaled.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    image[~valid] = NODATA_GREY
    return np.ascontiguousarray(image if len(channels) == 3 else np.repeat(image, 3, axis=2))


def _bands(wavelengths: tuple[float | None, ...]) -> list[int]:
    known = [(wavelength, channel) for channel, wavelength in enumerate(wavelengths) if wavelength]
    if known:
        nearest = [min((abs(w - wanted), channel) for w, channel in known) for wanted in RGB_WAVELENGTHS_NM]
        if max(nearest)[0] <= MAX_WAVELENGTH_OFFSET_NM:
            return [channel for _, channel in nearest]
    return [0, 1, 2] if len(wavelengths) >= 3 else [0]
