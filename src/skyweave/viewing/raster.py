"""A raster of any size as one image."""

from pathlib import Path

import numpy as np

from skyweave.core.images.true_color import stretch_to_uint8
from skyweave.data.band_files import PLACEHOLDER, find_band_files
from skyweave.data.display_bands import choose_display_bands, measured_bands
from skyweave.data.fill_values import find_usual_fill_value, format_stored
from skyweave.data.header import RasterHeader, read_header
from skyweave.data.stored_values import read_stored

MAX_SIDE_PIXELS = 2048  # larger rasters are read coarser


def render_raster(path: str | Path, notes: list[str] | None = None) -> np.ndarray:
    """Render red, green and blue by wavelength or name, else the first three bands, else the first.

    8-bit rasters are shown as they are, others between their 2nd and 98th percentile. Large ones are read coarser.
    What is no measurement is left blank: by the file itself, or a fill value that it does not declare.

    Args:
        path: any raster that GDAL opens, a name of its, or a path with ``{band}`` where bands are separate files.
        notes: what the user should know is added here.

    Returns:
        (rows, columns, 3) uint8.

    Raises:
        FileNotFoundError: no such file.
        DataError: no raster, or one of complex values.
    """
    text = str(path)
    files = find_band_files(text) if PLACEHOLDER in text and not Path(text).exists() else {"": text}
    headers = {name: read_header(file) for name, file in files.items()}
    bands = _measured_bands(headers)
    names = _band_names(headers)
    finest = min(headers.values(), key=lambda header: header.pixel_area)
    chosen = [bands[index] for index in choose_display_bands([header.bands[band] for header, band in bands], names)]
    scale = max(1.0, max(finest.shape) / MAX_SIDE_PIXELS)
    shape = (max(1, round(finest.shape[0] / scale)), max(1, round(finest.shape[1] / scale)))
    values, valid = _read_planes(chosen, shape, notes)
    eight_bit = _are_eight_bit(chosen)
    return stretch_to_uint8(np.where(valid, values, 0.0), valid, eight_bit, min_range=1e-12)


def _read_planes(
    chosen: list[tuple[RasterHeader, int]], shape: tuple[int, int], notes: list[str] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Read the values and the validity of the chosen bands."""
    planes = [_read(header, band, shape, notes) for header, band in chosen]
    values = np.stack([values for values, _ in planes])
    valid = np.all([mask for _, mask in planes], axis=0)
    return values, valid


def _are_eight_bit(chosen: list[tuple[RasterHeader, int]]) -> bool:
    """Return whether all bands hold 8-bit numbers."""
    return all(header.bands[band].dtype == "uint8" for header, band in chosen)


def _measured_bands(headers: dict[str, RasterHeader]) -> list[tuple[RasterHeader, int]]:
    """Return the bands of all files that hold measurements."""
    return [(header, band) for header in headers.values() for band in measured_bands(header)]


def _band_names(headers: dict[str, RasterHeader]) -> list[str | None]:
    """Return the names of the bands of all files that hold measurements."""
    return [name or header.bands[band].name for name, header in headers.items() for band in measured_bands(header)]


def _read(
    header: RasterHeader, band: int, shape: tuple[int, int], notes: list[str] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of a band and their mask, without a fill value that the file does not declare."""
    stored, mask = read_stored(header, [band], shape=shape)
    fill = find_usual_fill_value(stored[0], mask[0])
    if fill is not None:
        mask[0] &= stored[0] != fill
        if notes is not None:
            text = format_stored(fill, header.bands[band].dtype)
            notes.append(f"{header.path}: band {band + 1} holds {text}, far from all other values: not shown")
    return stored[0].astype(np.float64), mask[0]
