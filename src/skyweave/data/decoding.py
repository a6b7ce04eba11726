"""Stored values of a raster file to decoded ones and a mask of what is a measurement."""

import math
import warnings
from typing import Any, Literal

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.sensors import Encoding, Sensor
from skyweave.data.header import RasterHeader, open_raster

Nodata = float | Literal["file"] | None
Extent = tuple[float, float, float, float]
"""(row, column, rows, columns) of a rectangle in fractional pixels."""

MAX_UNDEFINED_FRACTION = 0.5  # of the valid values; with more, the declared unit cannot be right


def read_decoded(
    header: RasterHeader,
    sensor: Sensor,
    bands: list[int],
    encoding: Encoding,
    offset: float,
    nodata: Nodata,
    extent: Extent,
    margin: int,
) -> tuple[np.ndarray, np.ndarray, Extent]:
    """Read and decode a part of a file.

    Args:
        header: of the file.
        sensor: its bands are the file's ``bands``, in that order.
        bands: 0-based, in the file.
        encoding: how the file stores the values.
        offset: added to the stored values first.
        nodata: ``file`` (what the file declares), None (nothing), or a stored value.
        extent: of the part in the file's pixels.
        margin: pixels to read around it.

    Returns:
        values (bands, rows, columns) float32, zero where invalid; their mask; and where ``extent`` lies in them.

    Raises:
        DataError: the file cannot be read, holds complex values, cannot hold ``nodata``, or most of its values have no
            meaning in that unit.
    """
    if isinstance(nodata, int | float):
        _check_nodata(nodata, header, bands)
    stored, mask, inner = _read_stored(header, [band + 1 for band in bands], nodata, extent, margin)
    values = encoding.decode(np.where(mask, stored, 0).astype(np.float32) + np.float32(offset))
    decoded = np.isfinite(values)
    if (mask & ~decoded).sum() > MAX_UNDEFINED_FRACTION * max(1, mask.sum()):
        raise DataError(
            f"{header.path}: unit {encoding.name!r} cannot be right: {encoding.formula()} is undefined for most of the "
            f"values ({float(stored[mask].min()):g} to {float(stored[mask].max()):g}); declare the unit they are "
            f"stored in: {', '.join(known.name for known in sensor.encodings)}"
        )
    mask &= decoded
    return np.where(mask, values, np.float32(0)), mask, inner


def _read_stored(
    header: RasterHeader, numbers: list[int], nodata: Nodata, extent: Extent, margin: int
) -> tuple[np.ndarray, np.ndarray, Extent]:
    """Return stored values of ``extent`` and a margin around it, their mask, and where ``extent`` lies in them."""
    top, left = max(0, math.floor(extent[0]) - margin), max(0, math.floor(extent[1]) - margin)
    bottom = min(header.shape[0], math.ceil(extent[0] + extent[2]) + margin)
    right = min(header.shape[1], math.ceil(extent[1] + extent[3]) + margin)
    window = ((top, bottom), (left, right))
    with open_raster(header.path) as dataset:
        stored = dataset.read(numbers, window=window)
        mask = np.ones(stored.shape, bool)
        if nodata == "file":
            mask = _declared_mask(dataset, numbers, window, mask)
    if np.iscomplexobj(stored):
        raise DataError(f"{header.path}: values are complex; give intensities, this reads real values only")
    if isinstance(nodata, int | float) and not math.isnan(nodata):
        mask &= stored != np.asarray(nodata).astype(stored.dtype)
    mask &= np.isfinite(stored)
    return stored, mask, (extent[0] - top, extent[1] - left, extent[2], extent[3])


def _declared_mask(dataset: Any, numbers: list[int], window: Any, everything: np.ndarray) -> np.ndarray:
    """Return what the file itself calls valid: by its nodata value, mask or alpha band.

    A fourth band marked as alpha that is read as a measurement (the near infrared of many aerial files) is no mask.
    """
    from rasterio.enums import ColorInterp, MaskFlags
    from rasterio.errors import NodataShadowWarning

    alpha = [number for number, kind in enumerate(dataset.colorinterp, 1) if kind == ColorInterp.alpha]
    if MaskFlags.alpha in dataset.mask_flag_enums[numbers[0] - 1] and set(alpha) & set(numbers):
        return everything
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NodataShadowWarning)  # nodata wins over alpha, which is what is meant
        return np.asarray(dataset.read_masks(numbers, window=window)) > 0


def _check_nodata(nodata: float, header: RasterHeader, bands: list[int]) -> None:
    """Refuse a nodata value that the stored type cannot hold: it would silently mask nothing."""
    for band in bands:
        dtype = np.dtype(header.dtypes[band])
        if not _can_hold(dtype, nodata):
            raise DataError(
                f"{header.path}: nodata {nodata:g} cannot occur in {dtype} values; declare the value the file uses, "
                "'file' for what it says itself, or null for none"
            )


def _can_hold(dtype: np.dtype[Any], value: float) -> bool:
    if dtype.kind not in "iu":
        return True
    limits = np.iinfo(dtype)
    return float(value).is_integer() and limits.min <= value <= limits.max
