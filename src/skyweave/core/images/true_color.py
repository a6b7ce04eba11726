"""Observations as pictures for people: true colour where the sensor has it, grey where not."""

import numpy as np

from skyweave.core.observation import Observation
from skyweave.core.sensors import Sensor

RGB_WAVELENGTHS_NM = (660.0, 560.0, 480.0)
MAX_WAVELENGTH_OFFSET_NM = 60.0  # nanometres within which a band passes for red, green or blue
NODATA_GREY = 222  # grey of pixels without a value


def true_color_image(observation: Observation) -> np.ndarray:
    """(rows, columns, 3) uint8: 8-bit cameras as they are, others between their 2nd and 98th percentile."""
    channels = display_bands(observation.sensor)
    pixels, valid = observation.pixels[channels], observation.valid[channels].all(axis=0)
    if all(observation.sensor.bands[channel].unit == "uint8" for channel in channels):
        low, high = np.zeros(len(channels)), np.full(len(channels), 255.0)
    elif valid.any():
        low, high = np.percentile(pixels[:, valid], [2, 98], axis=1)
    else:
        low, high = np.zeros(len(channels)), np.ones(len(channels))
    scaled = (pixels - low[:, None, None]) / np.maximum(high - low, 1e-6)[:, None, None]
    image = np.round(scaled.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    image[~valid] = NODATA_GREY
    return np.ascontiguousarray(image if image.shape[2] == 3 else np.repeat(image, 3, axis=2))


def display_bands(sensor: Sensor) -> list[int]:
    """The channels nearest to red, green and blue, or the first channel alone."""
    nearest = []
    for wanted in RGB_WAVELENGTHS_NM:
        distances = [
            (abs(band.wavelength - wanted), channel)
            for channel, band in enumerate(sensor.bands)
            if band.kind == "optical" and band.wavelength and (band.width or 0) < 200
        ]
        if not distances or min(distances)[0] > MAX_WAVELENGTH_OFFSET_NM:
            return [0]
        nearest.append(min(distances)[1])
    return nearest
