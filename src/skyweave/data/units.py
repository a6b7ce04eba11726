"""A declared unit that cannot be right is refused; nothing is ever guessed or rescaled on its own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.sensors import Band, Encoding, Sensor

PHYSICAL_UNITS = ("reflectance", "db", "kelvin")  # that 8 bits rarely hold
MAX_MEDIAN_DEVIATION_STD = 50.0  # typical standard deviations; a median farther off is no measurement in that unit
KELVIN = (150.0, 450.0)  # of which most of an image is: the highest clouds, and ground beside a fire
MIN_JUDGED_VALUES = 1024  # valid values; an image with fewer is too small to judge by
MIN_REFLECTANCE = -0.05  # noise and dark water with a good correction lie above it
MAX_NEGATIVE_SHARE = 0.1  # of a band's values below it
MIN_OFFSET_BANDS = 6  # in which no value may lie below the offset before it looks left out
MIN_OFFSET_FRACTION = 0.9  # of the offset, less what noise may take away
MIN_MEAN_FRACTION = 1e-3  # of the typical mean; a maximum below it is no reflectance


def check_unit(pixels: np.ndarray, valid: np.ndarray, sensor: Sensor, encoding: Encoding, path: str | Path) -> None:
    """Refuse decoded values that the sensor's bands cannot measure.

    Args:
        pixels: (bands, rows, columns) in the bands' units.
        valid: (bands, rows, columns) bool.
        sensor: its bands are the channels.
        encoding: the declared storage form, for the message.
        path: of the file, for the message.

    Raises:
        DataError: the values cannot be of this unit (reflectances of 3000, 16-bit numbers as ``uint8``, linear radar
            power as decibels); names the file, the range and the units to choose from.
    """
    _check_offset(pixels, valid, sensor, encoding, path)
    far = _far_bands(pixels, valid, sensor)
    for number, (band, plane, mask) in enumerate(zip(sensor.bands, pixels, valid, strict=True)):
        values = plane[mask]
        if not values.size:
            continue
        if reason := _misfit(band, values, number in far):
            valid_units = ", ".join(known.name for known in sensor.encodings)
            raise DataError(
                f"{path}: with unit {encoding.name!r} ({encoding.formula()}) band {band.name!r} of {sensor.name} runs "
                f"from {float(values.min()):g} to {float(values.max()):g} {band.unit}, which {reason}; declare the "
                f"unit it is stored in: {valid_units}"
            )


def fits_bytes(sensor: Sensor, encoding: Encoding) -> bool:
    """Return whether numbers of 8 bits reach what is typical of the sensor, in steps smaller than that.

    Args:
        sensor: its bands are judged.
        encoding: the storage form of the values.
    """
    numbers = (0, 1, 255)
    low, second, high = (
        encoding.decode(np.full((len(sensor), 1, 1), number, np.float32)).ravel() for number in numbers
    )
    known = np.array([band.unit not in ("db", "kelvin") for band in sensor.bands])
    means = np.array([band.mean for band in sensor.bands])
    return bool((known & (low <= means) & (means <= high) & (second - low <= means)).any())


def check_bytes(sensor: Sensor, encoding: Encoding, path: str | Path) -> None:
    """Refuse values of 8 bits in a unit that would make next to nothing of them.

    Args:
        sensor: its bands are all stored in 8 bits.
        encoding: the declared storage form.
        path: of the file, for the message.

    Raises:
        DataError: no band reaches what is typical of it.
    """
    band = sensor.bands[0]
    if band.unit in PHYSICAL_UNITS and not fits_bytes(sensor, encoding):
        highest = float(encoding.decode(np.full((len(sensor), 1, 1), 255, np.float32)).max())
        raise DataError(
            f"{path}: its values have 8 bits, and are at most {highest:g} {band.unit} with unit {encoding.name!r} "
            f"({encoding.formula()}), where {band.mean:g} is typical: this looks like a picture made from "
            f"{sensor.name}; give the file with the measurements, or read the picture as a sensor of 8 bits (--sensor "
            "rgb --unit uint8)"
        )


def find_offset_note(
    pixels: np.ndarray, valid: np.ndarray, sensor: Sensor, encoding: Encoding, path: str | Path
) -> str | None:
    """Return a sentence where values look as if an offset were left out: nothing in any band is dark.

    Args:
        pixels: (bands, rows, columns) in the bands' units.
        valid: (bands, rows, columns) bool.
        sensor: its bands are the channels.
        encoding: the declared storage form.
        path: of the file, for the sentence.
    """
    minima = _minima(pixels, valid)
    for other in _same_but_offset(sensor, encoding):
        left_out = encoding.offset - other.offset
        if len(minima) >= MIN_OFFSET_BANDS and left_out > 0 and min(minima) >= MIN_OFFSET_FRACTION * left_out:
            return (
                f"{path}: no {sensor.bands[0].unit} below {min(minima):.2g} in any of {len(minima)} bands: is the unit "
                f"{other.name!r}? The product's metadata say (of Sentinel-2, baseline 04.00 and later have an offset)"
            )
    return None


def _check_offset(pixels: np.ndarray, valid: np.ndarray, sensor: Sensor, encoding: Encoding, path: str | Path) -> None:
    """Refuse a unit whose offset makes many reflectances negative."""
    if encoding.offset >= 0 or encoding.channels or not _is_linear(encoding):
        return
    others = [other for other in _same_but_offset(sensor, encoding) if other.offset > encoding.offset]
    for band, plane, mask in zip(sensor.bands, pixels, valid, strict=True):
        values = plane[mask]
        if band.unit != "reflectance" or values.size < MIN_JUDGED_VALUES:
            continue
        negative = values < MIN_REFLECTANCE
        share = float(negative.mean())
        if share <= MAX_NEGATIVE_SHARE:
            continue
        if np.isclose(values, encoding.offset, atol=1e-6).sum() > negative.sum() / 2:
            raise DataError(
                f"{path}: with unit {encoding.name!r} ({encoding.formula()}) {share:.0%} of band {band.name!r} of "
                f"{sensor.name} hold 0, which would be {encoding.offset:g}: that stands for no data, and the file does "
                "not declare it; declare it: --nodata=0 on the command line, nodata: 0 in a YAML"
            )
        raise DataError(
            f"{path}: with unit {encoding.name!r} ({encoding.formula()}) {share:.0%} of band {band.name!r} of "
            f"{sensor.name} are reflectances below {MIN_REFLECTANCE} (to {float(values.min()):g}): the file has no "
            f"such offset; {_other_units(sensor, others)}"
        )


def _other_units(sensor: Sensor, others: list[Encoding]) -> str:
    """Return what to declare instead of a unit with an offset."""
    if others:
        return f"declare the unit it is stored in: {', '.join(other.name for other in others)}"
    return (
        f"declare the unit it is stored in, of {', '.join(known.name for known in sensor.encodings)}; if it is of an "
        "older collection, write its scale into a sensor of your own (encodings: NAME: {scale, offset} in a YAML file)"
    )


def _minima(pixels: np.ndarray, valid: np.ndarray) -> list[float]:
    """Return the smallest value of each band that has one."""
    return [float(plane[mask].min()) for plane, mask in zip(pixels, valid, strict=True) if mask.any()]


def _is_linear(encoding: Encoding) -> bool:
    """Return whether a storage form is a scale and an offset alone."""
    return not (encoding.decibel or encoding.planck)


def _same_but_offset(sensor: Sensor, encoding: Encoding) -> list[Encoding]:
    """Return the sensor's storage forms that differ from a plain one in the offset alone."""
    if encoding.channels or not _is_linear(encoding):
        return []
    plain = [other for other in sensor.encodings if _is_linear(other) and not other.exceptions]
    return [other for other in plain if other.scale == encoding.scale and other.offset != encoding.offset]


def _misfit(band: Band, values: np.ndarray, far: bool) -> str | None:
    """Return why (n,) values, far from typical or not, are no measurement of the band, or None."""
    reason = IMPOSSIBLE[band.unit](values) if band.unit in IMPOSSIBLE else None
    if reason is None and far:
        reason = f"is far from the {band.mean:g} +- {band.std:g} that is typical"
    return reason or _implausible(band, values)


def _no_decibels(values: np.ndarray) -> str | None:
    """Return why (n,) values cannot be decibels, or None."""
    judged = values.size >= MIN_JUDGED_VALUES
    linear = judged and float(values.min()) >= 0 and float(values.max()) > 0
    return "has no negative decibel, as linear power would" if linear else None


def _no_bytes(values: np.ndarray) -> str | None:
    """Return why (n,) values cannot be numbers of 8 bits, or None."""
    low, high, judged = float(values.min()), float(values.max()), values.size >= MIN_JUDGED_VALUES
    if low < 0 or high > 255.5:
        return "leaves 0 to 255"
    fractions = judged and 0 < high <= 1.0 and bool((values % 1 != 0).any())
    return "are fractions of one" if fractions else None


def _no_kelvin(values: np.ndarray) -> str | None:
    """Return why (n,) values cannot be temperatures of the ground or of clouds, or None."""
    low, high = KELVIN
    middle = float(np.median(values))
    plausible = values.size < MIN_JUDGED_VALUES or low <= middle <= high
    return None if plausible else f"is {middle:g} in the median, and ground and clouds have {low:g} to {high:g}"


IMPOSSIBLE: dict[str, Callable[[np.ndarray], str | None]] = {
    "db": _no_decibels,
    "uint8": _no_bytes,
    "kelvin": _no_kelvin,
}


def _implausible(band: Band, values: np.ndarray) -> str | None:
    """Return why (n,) values are no reflectances of the band, or None."""
    if band.unit != "reflectance" or values.size < MIN_JUDGED_VALUES:
        return None
    if 0 < float(values.max()) < MIN_MEAN_FRACTION * max(band.mean, 0.01):
        return f"is nearly zero where {band.mean:g} is typical"
    return None


def _far_bands(pixels: np.ndarray, valid: np.ndarray, sensor: Sensor) -> set[int]:
    """Return the bands whose median is far from typical, if most are: a single one may see a cloud or a fire."""
    measured = [number for number, mask in enumerate(valid) if mask.any() and sensor.bands[number].kind != "elevation"]
    far = {number for number in measured if _is_far(sensor.bands[number], pixels[number][valid[number]])}
    return far if 2 * len(far) > len(measured) else set()


def _is_far(band: Band, values: np.ndarray) -> bool:
    """Say whether the median of (n,) values is far from typical of the band."""
    return abs(float(np.median(values)) - band.mean) > MAX_MEDIAN_DEVIATION_STD * band.std
