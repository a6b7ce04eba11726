"""Pixels and features as pictures."""

from dataclasses import dataclass

import numpy as np

from skyweave.core.images.principal_components import PrincipalComponents
from skyweave.core.observation import Observation
from skyweave.core.sensors import Sensor

RED_GREEN_BLUE = (660.0, 560.0, 480.0)
NEAR = 60.0
"""Nanometres within which a band passes for red, green or blue."""
PAPER = np.array([222, 224, 226], np.uint8)
"""Colour of what is hidden or invalid."""


@dataclass(frozen=True)
class Stretch:
    """How a sensor's values become colours, taken from one image and used for its reconstruction, too.

    Attributes:
        low, high: (3,) values shown as black and as full colour.
    """

    low: np.ndarray
    high: np.ndarray


def composite(pixels: np.ndarray, sensor: Sensor) -> np.ndarray:
    """(bands, rows, columns) to (3, rows, columns): true colour, radar VV/VH/ratio, or the first band in grey."""
    used = bands_shown(sensor)
    if len(used) == 2:
        first, second = pixels[used]
        return np.stack([first, second, first - second])
    return pixels[used] if len(used) == 3 else np.repeat(pixels[used], 3, axis=0)


def bands_shown(sensor: Sensor) -> list[int]:
    """Three channels for red, green and blue; two of a radar; or one."""
    radar = [index for index, band in enumerate(sensor.bands) if band.kind == "radar"]
    if len(radar) >= 2:
        return radar[:2]
    channels = [_nearest(sensor, wavelength) for wavelength in RED_GREEN_BLUE]
    return [0] if None in channels else [channel for channel in channels if channel is not None]


def stretch_of(observation: Observation) -> Stretch:
    """The second to 98th percentile of the valid pixels; cameras that deliver 0 to 255 are shown as they are."""
    if all(band.unit == "uint8" for band in observation.sensor.bands):
        return Stretch(np.zeros(3), np.full(3, 255.0))
    picture = composite(observation.pixels, observation.sensor)
    usable = shown(observation)
    if not usable.any():
        return Stretch(np.zeros(3), np.ones(3))
    low, high = np.percentile(picture[:, usable], [2, 98], axis=1)
    return Stretch(low, np.maximum(high, low + 1e-6))


def shown(observation: Observation) -> np.ndarray:
    """(rows, columns) bool: pixels with a value in every band that the picture needs."""
    return np.logical_and.reduce(observation.valid[bands_shown(observation.sensor)])


def colour(pixels: np.ndarray, sensor: Sensor, stretch: Stretch, visible: np.ndarray | None = None) -> np.ndarray:
    """(bands, rows, columns) to (rows, columns, 3) uint8; what is not ``visible`` is plain grey."""
    picture = composite(pixels, sensor)
    scaled = (picture - stretch.low[:, None, None]) / (stretch.high - stretch.low)[:, None, None]
    image = np.round(scaled.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    if visible is not None:
        image[~visible] = PAPER
    return np.ascontiguousarray(image)


def feature_map(dense: np.ndarray, valid: np.ndarray, colours: PrincipalComponents) -> np.ndarray:
    """Features (channels, rows, columns) to (rows, columns, 3) uint8."""
    image = colours.colours(dense.reshape(len(dense), -1).T).reshape(*valid.shape, 3)
    image[~valid] = PAPER
    return image


def cut(image: np.ndarray, row: int, column: int, patch_size: int, margin: int) -> np.ndarray:
    """A patch with ``margin`` pixels around it, framed; outside the image is plain grey."""
    side = patch_size + 2 * margin
    padded = np.empty((image.shape[0] + 2 * side, image.shape[1] + 2 * side, 3), np.uint8)
    padded[:] = PAPER
    padded[side:-side, side:-side] = image
    top, left = row * patch_size - margin + side, column * patch_size - margin + side
    part = padded[top : top + side, left : left + side].copy()
    start, stop = margin - 1, margin + patch_size
    part[start, start : stop + 1] = part[stop, start : stop + 1] = (255, 96, 0)
    part[start : stop + 1, start] = part[start : stop + 1, stop] = (255, 96, 0)
    return part


def _nearest(sensor: Sensor, wavelength: float) -> int | None:
    optical = [
        (abs(band.wavelength - wavelength), index)
        for index, band in enumerate(sensor.bands)
        if band.kind == "optical" and band.wavelength and (band.width or 0) < 200
    ]
    if not optical or min(optical)[0] > NEAR:
        return None
    return min(optical)[1]
