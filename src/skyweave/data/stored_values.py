"""Stored values of a raster and what of them is a measurement: every command sees a file through this one function."""

import contextlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.quiet import ignore_warnings
from skyweave.data.georeference import on_grid
from skyweave.data.header import RasterHeader
from skyweave.data.products.clear_ground import read_clear_ground
from skyweave.data.raster_files import open_raster
from skyweave.data.storage import Nodata, can_hold, masks_clouds, nodata_values, uses_file_nodata

PixelWindow = tuple[tuple[int, int], tuple[int, int]]
"""(first row, row behind the last), and the same of columns."""


def read_stored(
    header: RasterHeader,
    bands: Sequence[int],
    nodata: Nodata = "file",
    window: PixelWindow | None = None,
    shape: tuple[int, int] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Read stored values and what of them is a measurement.

    Args:
        header: of the file.
        bands: 0-based, in the file.
        nodata: what is no measurement; NaN and infinity never are.
        window: on the grid of the header; default: everything.
        shape: (rows, columns) to read the nearest pixels of; default: every pixel.

    Returns:
        stored (bands, rows, columns) as the file's type, and their mask, bool.

    Raises:
        DataError: the file cannot be read, or holds complex values.
    """
    numbers = [band + 1 for band in bands]
    size = {"out_shape": (len(numbers), *shape)} if shape else {}  # of the nearest pixels
    with open_raster(header.path) as dataset, _on_grid(dataset, header) as grid:
        stored = grid.read(numbers, window=window, **size)
        _check_real(stored, header)
        mask = np.isfinite(stored)
        if header.place.warp_crs is not None:
            mask &= grid.read_masks(numbers, window=window, **size) > 0
        if uses_file_nodata(nodata):
            mask &= _declared_mask(grid, header, numbers, window, size)
    if masks_clouds(nodata):
        mask &= read_clear_ground(header.path, window, shape)
    if uses_file_nodata(nodata):
        _mask_declared_values(stored, mask, header, bands)
    _mask_values(stored, mask, nodata_values(nodata))
    return stored, mask


def _mask_values(stored: np.ndarray, mask: np.ndarray, values: Sequence[float]) -> None:
    """Take values out of the mask, in every band."""
    for value in values:
        mask &= stored != np.asarray(value).astype(stored.dtype)


def _check_real(stored: np.ndarray, header: RasterHeader) -> None:
    """Refuse complex values."""
    if np.iscomplexobj(stored):
        raise DataError(f"{header.path}: values are complex; give intensities, this reads real values only")


def _on_grid(dataset: Any, header: RasterHeader) -> Any:
    """Return a context in which the dataset lies on the grid of its header."""
    grid = on_grid(dataset, header.place)
    return contextlib.nullcontext(dataset) if grid is dataset else grid


def _declared_mask(
    grid: Any, header: RasterHeader, numbers: list[int], window: Any, size: dict[str, Any]
) -> np.ndarray:
    """Return what the file itself calls valid: by its nodata value, its mask and its alpha band, whichever it has.

    A band marked as alpha that is read as a measurement (the near infrared of many aerial files) is no mask.
    """
    flags = grid.mask_flag_enums[numbers[0] - 1]
    alpha = _alpha_number(header)
    by_alpha = any(flag.name == "alpha" for flag in flags)
    if alpha in numbers:
        return np.ones((len(numbers), 1, 1), bool) if by_alpha else _file_mask(grid, numbers, window, size)
    valid = _file_mask(grid, numbers, window, size)
    if alpha is not None and not by_alpha and header.alpha is not None:
        valid &= _opaque_pixels(grid, alpha, window, size)
    return valid


def _alpha_number(header: RasterHeader) -> int | None:
    """Return the 1-based band that is tagged as alpha, whatever it is called; None without."""
    return next((band.number for band in header.bands if band.colour == "alpha"), None)


def _file_mask(grid: Any, numbers: list[int], window: Any, size: dict[str, Any]) -> np.ndarray:
    """Return GDAL's own mask of each band; an alpha band that it passes over is read beside it."""
    with ignore_warnings(_shadow_warning()):
        return np.asarray(grid.read_masks(numbers, window=window, **size) > 0)


def _shadow_warning() -> type[Warning]:
    """Return rasterio's warning of alpha beside nodata; without rasterio, files are read by what gives no warning."""
    try:
        from rasterio.errors import NodataShadowWarning
    except ImportError:
        return UserWarning
    return NodataShadowWarning  # type: ignore[no-any-return]


def _opaque_pixels(grid: Any, alpha: int, window: Any, size: dict[str, Any]) -> np.ndarray:
    """Return (1, rows, columns): where the alpha band is not 0."""
    plane = {key: value if key != "out_shape" else value[1:] for key, value in size.items()}
    return np.asarray((grid.read(alpha, window=window, **plane) > 0)[None])


def _mask_declared_values(stored: np.ndarray, mask: np.ndarray, header: RasterHeader, bands: Sequence[int]) -> None:
    """Take declared nodata values out of the mask: a file's mask hides them from GDAL."""
    for plane, valid, band in zip(stored, mask, bands, strict=True):
        nodata = header.bands[band].nodata
        if nodata is not None and math.isfinite(nodata) and can_hold(stored.dtype, nodata):
            valid &= plane != np.asarray(nodata).astype(stored.dtype)
