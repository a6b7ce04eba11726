"""Small rasters that say things of themselves."""

import numpy as np
import rasterio
from affine import Affine

from skyweave.data.hints import find_hints
from skyweave.data.inspection import inspect_raster
from skyweave.data.sensor_matching import match_sensors

PLACE = {"crs": "EPSG:32633", "transform": Affine(10, 0, 4e5, 0, -10, 5e6)}


def sixteen_bit_bands():
    """Return four bands as Sentinel-2 stores them."""
    return np.random.default_rng(0).normal(2500, 300, (4, 40, 48)).clip(1100).astype(np.uint16)


def colour_bands():
    """Return red, green and blue of 8 bits."""
    return np.random.default_rng(1).integers(20, 230, (3, 64, 80)).astype(np.uint8)


def write_raster(path, values, names=None, scale=None, **profile):
    """Write a GeoTIFF with names and scale tags; return its path."""
    values = np.asarray(values)
    with rasterio.open(
        path, "w", driver="GTiff", count=len(values), height=values.shape[1], width=values.shape[2], dtype=values.dtype,
        **(PLACE | profile),
    ) as dataset:  # fmt: skip
        dataset.write(values)
        if names:
            dataset.descriptions = names
        if scale:
            dataset.scales, dataset.offsets = (scale[0],) * len(values), (scale[1],) * len(values)
    return path


def hints_of(path, sensor):
    """Return the report on a file, how it matches a sensor, and the hints."""
    report = inspect_raster(path)
    matches = match_sensors(report, [sensor])
    return report, matches, find_hints(report, matches)
