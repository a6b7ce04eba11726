"""Pixels and features as pictures."""

from dataclasses import dataclass

import numpy as np

from skyweave.core.images.principal_components import PrincipalComponents
from skyweave.core.observation import Observation
from skyweave.core.sensors import Sensor

RED_GREEN_BLUE = (660.0, 560.0, 480.0)
MAX_WAVELENGTH_OFFSET_NM = 60.0
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


def composite_bands(pixels: np.ndarray, sensor: Sensor) -> np.ndarray:
    """Return the bands that are shown as red, green and blue: true colour, radar VV/VH/ratio, or the first band in
    grey.

    Args:
        pixels: (bands, rows, columns).
        sensor: its bands.

    Returns:
        (3, rows, columns).
    """
    used = composite_channels(sensor)
    if len(used) == 2:
        first, second = pixels[used]
        return np.stack([first, second, first - second])
    return pixels[used] if len(used) == 3 else np.repeat(pixels[used], 3, axis=0)


def composite_channels(sensor: Sensor) -> list[int]:
    """Return the channels for red, green and blue; two of a radar; or one.

    Args:
        sensor: its bands.
    """
    radar = _radar_channels(sensor)
    if len(radar) >= 2:
        return radar[:2]
    channels = [_nearest(sensor, wavelength) for wavelength in RED_GREEN_BLUE]
    return [0] if None in channels else [channel for channel in channels if channel is not None]


def percentile_stretch(observation: Observation) -> Stretch:
    """Return the second to 98th percentile of the valid pixels; cameras that deliver 0 to 255 are shown as they are.

    Args:
        observation: whose values are stretched.
    """
    if all(band.unit == "uint8" for band in observation.sensor.bands):
        return Stretch(np.zeros(3), np.full(3, 255.0))
    image = composite_bands(observation.pixels, observation.sensor)
    usable = valid_pixels(observation)
    if not usable.any():
        return Stretch(np.zeros(3), np.ones(3))
    low, high = np.percentile(image[:, usable], [2, 98], axis=1)
    return Stretch(low, np.maximum(high, low + 1e-6))


def valid_pixels(observation: Observation) -> np.ndarray:
    """Return where every band that is shown has a value.

    Args:
        observation: to be shown.

    Returns:
        (rows, columns) bool.
    """
    return np.asarray(np.logical_and.reduce(observation.valid[composite_channels(observation.sensor)]))


def render_colour(
    pixels: np.ndarray, sensor: Sensor, stretch: Stretch, visible: np.ndarray | None = None
) -> np.ndarray:
    """Render pixels as an image; what is not ``visible`` is plain grey.

    Args:
        pixels: (bands, rows, columns).
        sensor: its bands.
        stretch: of the values.
        visible: (rows, columns) bool; None: all.

    Returns:
        (rows, columns, 3) uint8.
    """
    image = composite_bands(pixels, sensor)
    scaled = (image - stretch.low[:, None, None]) / (stretch.high - stretch.low)[:, None, None]
    image = np.round(scaled.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    if visible is not None:
        image[~visible] = PAPER
    return np.ascontiguousarray(image)


def feature_map(dense: np.ndarray, valid: np.ndarray, colours: PrincipalComponents) -> np.ndarray:
    """Render features as an image.

    Args:
        dense: (channels, rows, columns).
        valid: (rows, columns) bool.
        colours: principal components.

    Returns:
        (rows, columns, 3) uint8.
    """
    image = colours.colours(dense.reshape(len(dense), -1).T).reshape(*valid.shape, 3)
    image[~valid] = PAPER
    return image


def crop_patch(image: np.ndarray, row: int, column: int, patch_size: int, margin: int) -> np.ndarray:
    """Return a patch with a margin around it, framed; outside the image is plain grey.

    Args:
        image: (rows, columns, 3) uint8.
        row: of the patch in its grid.
        column: of the patch in its grid.
        patch_size: pixels.
        margin: pixels.
    """
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


def _radar_channels(sensor: Sensor) -> list[int]:
    """Return the channels of radar bands."""
    return [index for index, band in enumerate(sensor.bands) if band.kind == "radar"]


def _nearest(sensor: Sensor, wavelength: float) -> int | None:
    optical = _offsets(sensor, wavelength)
    if not optical or min(optical)[0] > MAX_WAVELENGTH_OFFSET_NM:
        return None
    return min(optical)[1]


def _offsets(sensor: Sensor, wavelength: float) -> list[tuple[float, int]]:
    """Return how many nanometres each narrow optical band is off, with its channel."""
    return [
        (abs(band.wavelength - wavelength), index)
        for index, band in enumerate(sensor.bands)
        if band.kind == "optical" and band.wavelength and (band.width or 0) < 200
    ]
