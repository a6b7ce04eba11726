"""Values that stand for no data although the file does not say so: a constant that the sensor cannot measure."""

from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.sensors import Band, Sensor
from skyweave.data.header import RasterHeader
from skyweave.data.raster_files import open_raster
from skyweave.data.storage import Storage, masks_clouds, nodata_values, uses_file_nodata

# Unit: no measurement lies outside the first range; outside the second lies no usual fill value that is one.
RANGES: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "reflectance": ((-0.5, 10.0), (-0.15, 2.0)),
    "db": ((-100.0, 60.0), (-60.0, 40.0)),
    "kelvin": ((150.0, 1500.0), (180.0, 400.0)),
    "uint8": ((0.0, 255.5), (0.0, 255.5)),
    "metre": ((-500.0, 9000.0), (-500.0, 9000.0)),
}
USUAL_FILL_VALUES = (-9999, -99999, -999, -9998, -99, -32768, -32767, -28672, -3000, -1, 0, 9999, 99999, 65535, 32767)
MIN_REPEATS = 4  # pixels of one value that is none of the usual ones
MIN_SHARE_OF_IMPOSSIBLE = 0.5  # that a constant has of all impossible values; otherwise the unit is wrong
MIN_GAP = 0.5  # of the value itself, to the nearest measurement
MIN_ZERO_GAP = 100.0  # stored units between a fill of 0 and the nearest measurement
MIN_BORDER_SHARE = 0.01  # of the pixels that are 0, or white, in every band before they look like a border
WHITE = 255  # of 8 bits


def find_fill_values(stored: np.ndarray, mask: np.ndarray, values: np.ndarray, sensor: Sensor) -> Iterator[float]:
    """Yield stored values, one a band, that are there as a constant and cannot be measurements.

    Args:
        stored: (bands, rows, columns) as in the file.
        mask: (bands, rows, columns) bool, what the file and the user call valid.
        values: (bands, rows, columns) in the bands' units.
        sensor: its bands are those.
    """
    for band, plane, valid, decoded in zip(sensor.bands, stored, mask, values, strict=True):
        if band.unit in RANGES and (value := _fill_value(band, plane, valid, decoded)) is not None:
            yield value


def possible_values(values: np.ndarray, sensor: Sensor) -> np.ndarray:
    """Return which values can be measurements; all of a band where most cannot, since then its unit is wrong.

    Between a fill value and its neighbours, programs that resample leave numbers that are neither.

    Args:
        values: (bands, rows, columns) in the bands' units, NaN where they have no meaning.
        sensor: its bands are those.
    """
    possible = np.ones(values.shape, bool)
    for band, plane, inside in zip(sensor.bands, values, possible, strict=True):
        if band.unit in RANGES and band.unit != "uint8":
            low, high = RANGES[band.unit][0]
            with np.errstate(invalid="ignore"):
                outside = (plane < low) | (plane > high)
            if outside.mean() < MIN_SHARE_OF_IMPOSSIBLE:
                inside[:] = ~outside
    return possible


def find_usual_fill_value(stored: np.ndarray, mask: np.ndarray) -> float | None:
    """Return a usual fill value among the values of a band whose sensor is not known; None without.

    Only a number far away from all others counts: below all of them and negative, or the largest of its type.

    Args:
        stored: (rows, columns) as in the file.
        mask: (rows, columns) bool.
    """
    measured = stored[mask]
    if not measured.size or measured.dtype.itemsize < 2:
        return None
    for value in (float(measured.min()), float(measured.max())):
        if _is_clear_fill(value, measured.dtype) and _is_isolated(value, measured):
            return value
    return None


def _is_clear_fill(value: float, dtype: np.dtype[Any]) -> bool:
    """Return whether a value is a usual fill value that hardly any sensor measures."""
    if abs(value) >= 1e20:
        return True
    if value > 0 and not _is_extreme(value, dtype):
        return False
    return value in USUAL_FILL_VALUES and value not in (0, -1)


def find_doubtful_note(stored: np.ndarray, mask: np.ndarray, storage: Storage) -> str | None:
    """Return a sentence on values that may stand for no data although they could be measurements; None without.

    Args:
        stored: (bands, rows, columns), some or all pixels of the file.
        mask: (bands, rows, columns) bool.
        storage: of the file.
    """
    for position, (plane, valid) in enumerate(zip(stored, mask, strict=True)):
        if (value := find_usual_fill_value(plane, valid)) is not None:
            text = format_stored(value, storage.header.bands[storage.bands[position]].dtype)
            return (
                f"{storage.header.path}: band {storage.sensor.bands[position].name!r} holds {text}, far from all other "
                f"values; if it stands for no data, declare it: {_declaration(text, storage)}"
            )
    return _border_note(stored, mask, storage)


def _border_note(stored: np.ndarray, mask: np.ndarray, storage: Storage) -> str | None:
    """Return a note where many pixels are 0 in every one of several bands, or white up to a corner of the image."""
    for value in (0, WHITE) if stored.dtype == np.uint8 else (0,):
        same = (mask & (stored == value)).all(axis=0)
        if len(stored) == 1 or same.mean() < MIN_BORDER_SHARE:
            continue
        if value == 0 or same[[0, 0, -1, -1], [0, -1, 0, -1]].any():  # clouds and roofs are white, too
            return (
                f"{storage.header.path}: {same.mean():.0%} of the pixels are {value} in every band, and count as "
                f"measurements; if they are no data, declare it: {_declaration(str(value), storage)}"
            )
    return None


def refuse_fill_value(value: float, storage: Storage) -> NoReturn:
    """Raise the error on an undeclared nodata value, with how many pixels hold it and what to declare.

    Args:
        value: stored.
        storage: of the file.
    """
    header = storage.header
    band, count, total = _count(value, header, storage.bands)
    position = storage.bands.index(band)
    sensed = storage.sensor.bands[position]
    decoded = float(storage.decode(np.full((len(storage.bands), 1, 1), value))[position, 0, 0])
    text = format_stored(value, header.bands[band].dtype)
    overruled = value == header.bands[band].nodata
    stated = (
        "the file declares it as nodata, but you declared otherwise" if overruled else "nobody declares it as nodata"
    )
    raise DataError(
        f"{header.path}: {count} of {total} pixels of band {sensed.name!r} hold {text}, which would be {decoded:g} "
        f"{sensed.unit} (unit {storage.encoding.name!r}): no measurement, and {stated}; "
        f"declare it: {_declaration(text, storage)}"
    )


def _declaration(text: str, storage: Storage) -> str:
    """Return how to declare a value as no data, beside what the file and the user declare already."""
    known = [
        format_stored(value, storage.header.bands[storage.bands[0]].dtype) for value in nodata_values(storage.nodata)
    ]
    words = [*_kept_words(storage), *known, text]
    listed = text if len(words) == 1 else f"[{', '.join(words)}]"
    return f"--nodata={','.join(words)} on the command line, nodata: {listed} in a YAML"


def _kept_words(storage: Storage) -> list[str]:
    """Return the words of a declaration that go on to count beside a value."""
    if masks_clouds(storage.nodata):
        return ["clouds"]
    return ["file"] if _states_nodata(storage) and uses_file_nodata(storage.nodata) else []


def format_stored(value: float, dtype: str) -> str:
    """Return a stored value as text that reads back as the same number.

    Args:
        value: as stored.
        dtype: of the band.
    """
    if float(value).is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(np.asarray(value).astype(dtype))


def _states_nodata(storage: Storage) -> bool:
    """Return whether the file itself has transparency, or a nodata value of one of the bands."""
    header = storage.header
    return header.alpha is not None or any(header.bands[band].nodata is not None for band in storage.bands)


def _fill_value(band: Band, stored: np.ndarray, mask: np.ndarray, decoded: np.ndarray) -> float | None:
    """Return the constant of a band that is no measurement, or None."""
    possible, plausible = RANGES[band.unit]
    with np.errstate(invalid="ignore"):
        odd = mask & ((decoded < plausible[0]) | (decoded > plausible[1]))
    if not odd.any():
        return None
    impossible = odd & ((decoded < possible[0]) | (decoded > possible[1]))
    measured = stored[mask]
    for value, count in _extremes_and_mode(stored[odd]):
        if _is_usual(value, stored.dtype) and _is_isolated(value, measured):
            return value
        is_repeated = MIN_REPEATS <= count < measured.size and count >= MIN_SHARE_OF_IMPOSSIBLE * impossible.sum()
        if is_repeated and bool((impossible & (stored == value)).any()):
            return value
    return None


def _is_usual(value: float, dtype: np.dtype[Any]) -> bool:
    """Return whether a value is one that files are filled with."""
    return value in USUAL_FILL_VALUES or _is_extreme(value, dtype) or abs(value) >= 1e20


def _extremes_and_mode(values: np.ndarray) -> list[tuple[float, int]]:
    """Return the lowest, the highest and the most frequent of (n,) values, with how often each is there."""
    unique, counts = np.unique(values, return_counts=True)
    chosen = dict.fromkeys((0, len(unique) - 1, int(counts.argmax())))
    return [(float(unique[index]), int(counts[index])) for index in chosen]


def _is_extreme(value: float, dtype: np.dtype[Any]) -> bool:
    """Return whether a value is the smallest or largest of its type (except 0, and except 8 bits)."""
    if dtype.kind == "f":
        limits = np.finfo(dtype)
        return value in (float(limits.min), float(limits.max))
    whole = np.iinfo(dtype)
    return whole.bits > 8 and value != 0 and value in (whole.min, whole.max)


def _is_isolated(value: float, measured: np.ndarray) -> bool:
    """Return whether no measurement is near a value: at its scale, nothing lies between it and the others."""
    rest = measured[measured != value]
    if not rest.size:
        return True
    nearest = float(np.abs(rest.astype(np.float64) - value).min())
    if value == 0:
        return nearest >= MIN_ZERO_GAP
    return nearest >= MIN_GAP * abs(value)


def _count(value: float, header: RasterHeader, bands: tuple[int, ...]) -> tuple[int, int, int]:
    """Return the band that holds a value most often, in how many pixels of the whole file, and of how many."""
    counts = np.zeros(len(bands), np.int64)
    with open_raster(header.path) as dataset:
        step = max(1, dataset.block_shapes[0][0])
        height = max(step, 4_000_000 // max(dataset.width * len(bands), 1) // step * step)
        for top in range(0, dataset.height, height):
            window = ((top, min(top + height, dataset.height)), (0, dataset.width))
            stored = dataset.read([band + 1 for band in bands], window=window)
            counts += (stored == np.asarray(value).astype(stored.dtype)).sum(axis=(1, 2))
        total = dataset.width * dataset.height
    largest = int(counts.argmax())
    return bands[largest], int(counts[largest]), total
