"""Mean and standard deviation of a sensor's bands, measured on imagery: what normalises a model's input."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.sensors import Sensor
from skyweave.data.raster import BandNames, open_image
from skyweave.data.raster_image import RasterImage, Window

WINDOW_SIDE, MAX_WINDOWS = 512, 64
"""Pixels a side of what is read at once, and how many of a scene are read, evenly spaced."""


@dataclass(frozen=True)
class MeasuredBand:
    """What was measured of one band.

    Attributes:
        mean: in the band's unit.
        std: standard deviation, in the band's unit.
        pixels: valid ones that were read.
    """

    mean: float
    std: float
    pixels: int


def measure_statistics(
    images: Sequence[str | Path],
    sensor: Sensor,
    unit: str,
    bands: BandNames = None,
    progress: Callable[[int, int], None] | None = None,
    note: Callable[[str], None] | None = None,
    **reading: Any,
) -> dict[str, MeasuredBand]:
    """Measure the bands of a sensor on images; invalid pixels do not count, and a few windows of large scenes are read.

    Args:
        images: one or several.
        sensor: whose bands they are; its own statistics are not used.
        unit: how values are stored, as of `skyweave.data.read_observation`.
        bands: the files' bands, as of `skyweave.data.read_observation`.
        progress: called with images done and all.
        note: called with what a user should know of an image.
        reading: ``offset``, ``nodata`` and other arguments of `skyweave.data.read_observation`.

    Returns:
        What was measured, by name of the band, in the sensor's order.

    Raises:
        FileNotFoundError: no such image.
        DataError: an image that cannot be read as declared, a band without a valid pixel or with one value only.
    """
    sums: dict[str, np.ndarray] = {}  # count, sum and sum of squares about a first guess of the mean
    centres: dict[str, float] = {}
    for number, path in enumerate(images, 1):
        image = open_image(path, sensor, unit=unit, bands=bands, **reading)
        for text in (*image.notes, *image.check_sample()):
            if note is not None:
                note(text)
        for window in _windows(image):
            _add(sums, centres, image, window)
        if progress is not None:
            progress(number, len(images))
    measured = {band.name: _finish(band.name, sums, centres) for band in sensor.bands if band.name in sums}
    if not measured:
        raise DataError(f"no image of {sensor.name} was given; name one or more")
    return measured


def _windows(image: RasterImage) -> list[Window]:
    """Return windows of a scene, all of a small one."""
    rows, columns = image.shape
    windows = [
        (top, left, min(WINDOW_SIDE, rows - top), min(WINDOW_SIDE, columns - left))
        for top in range(0, rows, WINDOW_SIDE)
        for left in range(0, columns, WINDOW_SIDE)
    ]
    chosen = np.unique(np.linspace(0, len(windows) - 1, min(MAX_WINDOWS, len(windows))).round().astype(int))
    return [windows[number] for number in chosen.tolist()]


def _add(sums: dict[str, np.ndarray], centres: dict[str, float], image: RasterImage, window: Window) -> None:
    observation = image.read(window)
    for band, values, valid in zip(observation.sensor.bands, observation.pixels, observation.valid, strict=True):
        known = values[valid].astype(np.float64)
        if not known.size:
            continue
        known -= centres.setdefault(band.name, float(known.mean()))  # squares of kelvins would lose their spread
        total = sums.setdefault(band.name, np.zeros(3))
        total += (known.size, known.sum(), np.square(known).sum())


def _finish(name: str, sums: dict[str, np.ndarray], centres: dict[str, float]) -> MeasuredBand:
    count, total, squares = sums[name].tolist()
    std = float(np.sqrt(max(squares / count - (total / count) ** 2, 0.0)))
    if not std > 0:
        raise DataError(f"band {name!r} has one value only ({centres[name]:g}) in these images; give others")
    return MeasuredBand(centres[name] + total / count, std, int(count))
