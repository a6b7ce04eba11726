"""Observations as images for people: true colour where the sensor has it, grey where not."""

import math

import numpy as np

from skyweave.core.observation import Observation
from skyweave.core.sensors import Sensor

RGB_WAVELENGTHS_NM = (660.0, 560.0, 480.0)
MAX_WAVELENGTH_OFFSET_NM = 60.0  # within which a band passes for red, green or blue
MAX_DISPLAY_WIDTH_NM = 200.0  # wider bands are panchromatic
NODATA_GREY = 222  # grey of pixels without a value


def true_color_image(observation: Observation) -> np.ndarray:
    """Render an observation: 8-bit cameras as they are, others between their 2nd and 98th percentile.

    Args:
        observation: of any sensor.

    Returns:
        (rows, columns, 3) uint8; pixels without a value are grey.
    """
    channels = display_bands(observation.sensor)
    pixels, valid = observation.pixels[channels], np.all(observation.valid[channels], axis=0)
    eight_bit = all(observation.sensor.bands[channel].unit == "uint8" for channel in channels)
    return stretch_to_uint8(pixels, valid, eight_bit, min_range=1e-6)


def stretch_to_uint8(pixels: np.ndarray, valid: np.ndarray, eight_bit: bool, min_range: float) -> np.ndarray:
    """Stretch values linearly to 0..255: 8-bit bands as they are, others between their 2nd and 98th percentile.

    Args:
        pixels: (bands, rows, columns), finite.
        valid: (rows, columns) bool: which pixels have a value in every band.
        eight_bit: whether the bands hold 0..255 already.
        min_range: smallest difference between the percentiles, against division by zero.

    Returns:
        (rows, columns, 3) uint8, grey where not valid; one band is repeated.
    """
    low, high = np.zeros(len(pixels)), np.ones(len(pixels))
    if eight_bit:
        high = np.full(len(pixels), 255.0)
    elif valid.any():
        low, high = np.percentile(pixels[:, valid], [2, 98], axis=1)
    scaled = (pixels - low[:, None, None]) / np.maximum(high - low, min_range)[:, None, None]
    image = np.round(scaled.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    image[~valid] = NODATA_GREY
    return np.ascontiguousarray(image if image.shape[2] == 3 else np.repeat(image, 3, axis=2))


def display_bands(sensor: Sensor) -> list[int]:
    """Return the channels nearest to red, green and blue, or the first channel alone.

    Args:
        sensor: whose bands to choose from.
    """
    nearest = [channel for wavelength in RGB_WAVELENGTHS_NM if (channel := _nearest(sensor, wavelength)) is not None]
    return nearest if len(nearest) == len(RGB_WAVELENGTHS_NM) else [0]


def _nearest(sensor: Sensor, wavelength: float) -> int | None:
    """Return the channel nearest to a wavelength in nanometres; None where none is near enough."""
    distances = [
        (abs(band.wavelength - wavelength), channel)
        for channel, band in enumerate(sensor.bands)
        if band.kind == "optical" and band.wavelength and (band.width or 0) < MAX_DISPLAY_WIDTH_NM
    ]
    distance, channel = min(distances, default=(math.inf, 0))
    return channel if distance <= MAX_WAVELENGTH_OFFSET_NM else None
