"""Images of one place by other sensors: each of its own resolution, all over the same ground."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from skyweave.core.errors import DataError
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.observation import GeoTransform, Observation
from skyweave.core.sensors import get_sensor
from skyweave.downstream.labels.config import ImageSourceConfig
from skyweave.downstream.labels.image_files import ImageFiles
from skyweave.downstream.labels.images import read_cached_image
from skyweave.downstream.labels.tiles import Window
from skyweave.mapping import plan_raster, resample_raster

MAX_MISPLACEMENT = 1e-3  # pixels by which a raster may lie beside another and still be taken to lie on its grid


def read_further(
    images: ImageFiles, source: ImageSourceConfig, path: Path, whole: Observation, window: Window | None
) -> Observation:
    """Return what another sensor shows of the ground of an image, in pixels of about the size that it has.

    Args:
        images: of the first sensor.
        source: the other sensor's, whose ``files`` holds ``{name}``.
        path: of the first sensor's image.
        whole: that image.
        window: the part of it that is asked for; None: all of it.

    Returns:
        Over the same ground. Without a valid pixel where there is no such file, or where it shows other ground.

    Raises:
        DataError: an image of another size or reference system, without a way from one to the other.
    """
    first = whole if window is None else whole.window(*window)
    file = images.other_file("further", source.files, path)
    if not file.is_file():
        return absent_observation(source, first)
    image = read_cached_image(source, file)
    if _is_placed(image) and _is_placed(whole):
        return crop_to_ground(image, first)
    _check_same_pixels(image, whole)
    return image if window is None else image.window(*window)


def absent_observation(source: ImageSourceConfig, first: Observation) -> Observation:
    """Return an image without a valid pixel over the ground of another.

    Args:
        source: of the sensor that saw nothing.
        first: of the ground.
    """
    sensor = get_sensor(source.sensor)
    sensor = sensor.select(source.select) if source.select else sensor
    metres = source.ground_sample_distance or sensor.ground_sample_distance
    grid = ground_grid(first, metres)
    unknown = np.full((len(sensor), *grid.shape), np.nan, np.float32)
    return Observation.from_pixels(unknown, sensor, grid.resolution)


def crop_to_ground(image: Observation, first: Observation) -> Observation:
    """Return the part of an image over the ground of another, resampled unless both lie on one grid.

    Args:
        image: of the place, with a reference system.
        first: of the ground that is asked for, likewise.

    Raises:
        DataError: images in two reference systems.
    """
    here, there = first.geotransform, image.geotransform
    assert here is not None and there is not None  # as the caller found
    if here.crs != there.crs:
        raise DataError(
            f"{image.source} is in {there.crs}, {first.source} in {here.crs}; bring both to one reference system: "
            "`rio warp IN OUT --dst-crs EPSG:...`"
        )
    local = _local_geometry(there, here, first.ground_sample_distance)
    scale, column, row = _pixels_of(local, first.ground_sample_distance)
    if abs(scale - 1) * max(first.shape) < MAX_MISPLACEMENT and max(abs(column % 1), abs(row % 1)) < MAX_MISPLACEMENT:
        top, left = round(-row), round(-column)
        if min(top, left) >= 0 and top + first.shape[0] <= image.shape[0] and left + first.shape[1] <= image.shape[1]:
            return replace(image.window(top, left, *first.shape), geometry=first.geometry)
    return _resampled(image, local, ground_grid(first, image.ground_sample_distance))


def ground_grid(first: Observation, metres: float) -> MapGrid:
    """Return a grid in an image's own frame, metres from its upper left corner, over all of it.

    Args:
        first: the image.
        metres: side of a cell, about: it becomes such that whole cells fill the image's width.
    """
    rows, columns = (side * first.ground_sample_distance for side in first.shape)
    cells = max(1, round(columns / metres))
    resolution = columns / cells
    return MapGrid(0, 0, resolution, max(1, round(rows / resolution)), cells)


def _is_placed(image: Observation) -> bool:
    return image.geotransform is not None and image.geotransform.crs is not None


def _check_same_pixels(image: Observation, first: Observation) -> None:
    """Refuse an image that nothing says the place of, unless it has the pixels of the other."""
    if image.shape != first.shape:
        raise DataError(
            f"{image.source} has {image.shape[0]} x {image.shape[1]} pixels, {first.source} {first.shape[0]} x "
            f"{first.shape[1]}, and not both have a georeference; georeference both, or bring both to one grid"
        )


def _local_geometry(there: GeoTransform, here: GeoTransform, metres: float) -> GeoTransform:
    """Return where an image lies in the frame of another: metres east and north of its upper left corner."""
    to_world, from_world = _matrix(there), np.linalg.inv(_matrix(here))
    pixels = np.diag([metres, -metres, 1.0]) @ from_world @ to_world
    a, b, c, d, e, f = pixels[:2].ravel().tolist()
    return GeoTransform(None, (a, b, c, d, e, f))


def _matrix(geometry: GeoTransform) -> np.ndarray:
    return np.array([*geometry.affine, 0, 0, 1.0]).reshape(3, 3)


def _pixels_of(local: GeoTransform, metres: float) -> tuple[float, float, float]:
    """Return the size of a pixel, and column and row of the upper left corner, in pixels of the first image.

    NaN for an image that is turned or mirrored in it.
    """
    a, b, c, d, e, f = (value / metres for value in local.affine)
    if max(abs(b), abs(d), abs(a + e)) > 1e-6 or a < 0:
        return math.nan, math.nan, math.nan
    return a, c, -f


def _resampled(image: Observation, local: GeoTransform, grid: MapGrid) -> Observation:
    """Return an image on a grid; a cell is valid in the bands in which most of it is."""
    plan = plan_raster(local, image.shape, grid)
    bands = [
        resample_raster(torch.from_numpy(values[None]), plan, torch.from_numpy(valid))
        for values, valid in zip(image.pixels, image.valid, strict=True)
    ]
    pixels = np.concatenate([band.features.numpy() for band in bands]).astype(np.float32)
    valid = np.stack([band.visible.numpy() for band in bands])
    return Observation.from_pixels(
        pixels, image.sensor, grid.resolution, valid, time=image.time, source=image.source, notes=image.notes
    )
