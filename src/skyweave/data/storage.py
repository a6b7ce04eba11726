"""How a file stores values: which bands, in which unit, and which numbers stand for no data."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.sensors import Encoding, Sensor
from skyweave.data.header import RasterHeader

NodataWord = Literal["file", "clouds"]
Nodata = float | NodataWord | None | Sequence[float | NodataWord]
"""What is no measurement: what the file declares (``file``), that and what its product calls no clear ground
(``clouds``), a stored value, several of them, or nothing."""


@dataclass(frozen=True)
class Storage:
    """How a file stores the values of some of its bands.

    Attributes:
        header: of the file.
        bands: 0-based, in the file.
        sensor: its bands are those, in that order.
        encoding: of the values.
        offset: added to stored values first.
        nodata: what is no measurement.
    """

    header: RasterHeader
    bands: tuple[int, ...]
    sensor: Sensor
    encoding: Encoding
    offset: float
    nodata: Nodata

    def __post_init__(self) -> None:
        for value in nodata_values(self.nodata):
            _check_nodata(value, self.header, self.bands)

    def decode(self, stored: np.ndarray) -> np.ndarray:
        """Return values in the bands' units, float32; NaN where the encoding is undefined.

        Args:
            stored: (bands, rows, columns).
        """
        return self.encoding.decode(stored.astype(np.float32) + np.float32(self.offset))


def nodata_values(nodata: Nodata) -> tuple[float, ...]:
    """Return the stored values that a declaration calls no data, without NaN, which never counts.

    Args:
        nodata: as declared.
    """
    several = [] if nodata is None else [nodata] if isinstance(nodata, str | int | float) else list(nodata)
    return tuple(float(value) for value in several if not isinstance(value, str) and not math.isnan(value))


def uses_file_nodata(nodata: Nodata) -> bool:
    """Return whether what the file itself declares counts.

    Args:
        nodata: as declared.
    """
    return _names(nodata, "file") or masks_clouds(nodata)


def masks_clouds(nodata: Nodata) -> bool:
    """Return whether clouds, their shadows and damaged pixels are no measurements, as the file's product classes them.

    Args:
        nodata: as declared.
    """
    return _names(nodata, "clouds")


def nodata_of_sensor(nodata: Nodata, sensor: Sensor) -> Nodata:
    """Return a declaration without clouds where the sensor sees through them or sees none: radar, elevation.

    Args:
        nodata: as declared.
        sensor: that took the image.
    """
    if not masks_clouds(nodata) or any(band.kind in ("optical", "thermal") for band in sensor.bands):
        return nodata
    return ["file", *nodata_values(nodata)]


def _names(nodata: Nodata, word: NodataWord) -> bool:
    """Return whether a declaration is a word, or holds it."""
    if nodata is None or isinstance(nodata, int | float):
        return False
    return nodata == word or (not isinstance(nodata, str) and word in nodata)


def _check_nodata(nodata: float, header: RasterHeader, bands: Sequence[int]) -> None:
    """Refuse a nodata value that the stored type cannot hold: it would silently mask nothing."""
    for band in bands:
        dtype = np.dtype(header.bands[band].dtype)
        if not can_hold(dtype, nodata):
            raise DataError(
                f"{header.path}: nodata {nodata:g} cannot occur in {dtype} values; declare the value the file uses, "
                "'file' for what it says itself, or null for none"
            )


def can_hold(dtype: np.dtype[Any], value: float) -> bool:
    """Return whether a value can occur among stored ones.

    Args:
        dtype: of the stored values.
        value: finite.
    """
    if dtype.kind not in "iu":
        return True
    limits = np.iinfo(dtype)
    return float(value).is_integer() and limits.min <= value <= limits.max
