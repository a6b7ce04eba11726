"""A declared unit that cannot be right is refused; nothing is ever guessed or rescaled on its own."""

from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.sensors import Encoding, Sensor

MAX_MEDIAN_DEVIATION_STD = 50.0
"""Standard deviations from a band's typical mean at which the median of an image is no measurement in that unit."""
MIN_JUDGED_VALUES = 1024
"""Valid values below which an image is too small to judge by."""


def check_unit(pixels: np.ndarray, valid: np.ndarray, sensor: Sensor, encoding: Encoding, path: str | Path) -> None:
    """Compare decoded values with what the sensor's bands can measure.

    Args:
        pixels: (bands, rows, columns) in the bands' units.
        valid: (bands, rows, columns) bool.
        encoding: the declared storage form, for the message.

    Raises:
        ValueError: the values cannot be of this unit (reflectances of 3000, 16-bit numbers as ``uint8``, linear radar
            power as decibels); names the file, the range and the units to choose from.
    """
    far = _far_bands(pixels, valid, sensor)
    for number, (band, values, mask) in enumerate(zip(sensor.bands, pixels, valid, strict=True)):
        inside = values[mask]
        if not inside.size:
            continue
        low, high = float(inside.min()), float(inside.max())
        why = None
        if band.unit == "uint8" and (low < 0 or high > 255.5):
            why = "leaves 0 to 255"
        elif band.unit == "uint8" and inside.size >= MIN_JUDGED_VALUES and 0 < high <= 1.0 and (inside % 1 != 0).any():
            why = "are fractions of one"
        elif band.unit == "db" and inside.size >= MIN_JUDGED_VALUES and low >= 0 and high > 0:
            why = "has no negative decibel, as linear power would"
        elif number in far:
            why = f"is far from the {band.mean:g} +- {band.std:g} that is typical"
        elif band.unit == "reflectance" and inside.size >= MIN_JUDGED_VALUES and 0 < high < 1e-3 * max(band.mean, 0.01):
            why = f"is nearly zero where {band.mean:g} is typical"
        if why:
            valid_units = ", ".join(known.name for known in sensor.encodings)
            raise DataError(
                f"{path}: with unit {encoding.name!r} ({encoding.formula()}) band {band.name!r} of {sensor.name} runs "
                f"from {low:g} to {high:g} {band.unit}, which {why}; declare the unit it is stored in: {valid_units}"
            )


def _far_bands(pixels: np.ndarray, valid: np.ndarray, sensor: Sensor) -> set[int]:
    """Bands whose median is far from typical, if most are: a single one may see a cloud, a fire or a lake."""
    measured = [number for number, mask in enumerate(valid) if mask.any() and sensor.bands[number].kind != "elevation"]
    bands = ((number, sensor.bands[number]) for number in measured)
    far = {
        n
        for n, band in bands
        if abs(float(np.median(pixels[n][valid[n]])) - band.mean) > MAX_MEDIAN_DEVIATION_STD * band.std
    }
    return far if 2 * len(far) > len(measured) else set()
