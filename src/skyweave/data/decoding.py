"""Stored values of a raster file to decoded ones and a mask of what is a measurement."""

import math

import numpy as np

from skyweave.core.errors import DataError
from skyweave.data.fill_values import find_fill_values, possible_values, refuse_fill_value
from skyweave.data.storage import Storage
from skyweave.data.stored_values import PixelWindow, read_stored

Extent = tuple[float, float, float, float]
"""(row, column, rows, columns) of a rectangle in fractional pixels."""

MAX_UNDEFINED_FRACTION = 0.5  # of the valid values; with more, the declared unit cannot be right


def read_decoded(storage: Storage, extent: Extent, margin: int) -> tuple[np.ndarray, np.ndarray, Extent]:
    """Read and decode a part of a file.

    Args:
        storage: of the file.
        extent: of the part in the file's pixels.
        margin: pixels to read around it.

    Returns:
        values (bands, rows, columns) float32, zero where invalid; their mask; and where ``extent`` lies in them.

    Raises:
        DataError: the file cannot be read, holds complex values or a nodata value that it does not declare, or most of
            its values have no meaning in that unit.
    """
    window, inner = _window(storage.header.shape, extent, margin)
    stored, mask = read_stored(storage.header, storage.bands, storage.nodata, window)
    values = decode_stored(storage, stored, mask)
    return values, mask, inner


def decode_stored(storage: Storage, stored: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return decoded values, zero where invalid; what cannot be decoded is taken out of the mask.

    Args:
        storage: of the file.
        stored: (bands, rows, columns).
        mask: (bands, rows, columns) bool, changed in place.

    Raises:
        DataError: a nodata value that the file does not declare, or values without a meaning in the unit.
    """
    values = storage.decode(np.where(mask, stored, 0))
    for value in find_fill_values(stored, mask, values, storage.sensor):
        refuse_fill_value(value, storage)
    decoded = np.isfinite(values)
    if (mask & ~decoded).sum() > MAX_UNDEFINED_FRACTION * max(1, mask.sum()):
        encoding = storage.encoding
        raise DataError(
            f"{storage.header.path}: unit {encoding.name!r} cannot be right: {encoding.formula()} is undefined for "
            f"most of the values ({float(stored[mask].min()):g} to {float(stored[mask].max()):g}); declare the unit "
            f"they are stored in: {', '.join(known.name for known in storage.sensor.encodings)}"
        )
    mask &= decoded & possible_values(values, storage.sensor)
    return np.where(mask, values, np.float32(0))


def _window(shape: tuple[int, int], extent: Extent, margin: int) -> tuple[PixelWindow, Extent]:
    """Return the pixels that hold ``extent`` and a margin around it, and where ``extent`` lies in them."""
    top, left = max(0, math.floor(extent[0]) - margin), max(0, math.floor(extent[1]) - margin)
    bottom = min(shape[0], math.ceil(extent[0] + extent[2]) + margin)
    right = min(shape[1], math.ceil(extent[1] + extent[3]) + margin)
    return ((top, bottom), (left, right)), (extent[0] - top, extent[1] - left, extent[2], extent[3])
