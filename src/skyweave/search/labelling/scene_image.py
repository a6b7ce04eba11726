"""What lies under the map on the page: the scene on the grid of its embeddings, or their false colours."""

import math
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.images.principal_components import RunningCovariance
from skyweave.data.raster_windows import RasterWindows
from skyweave.search.archive import DECODED_AT_ONCE, PatchArchive
from skyweave.search.places import GridPlaces

MAX_SIDE_PIXELS = 2048
MAX_OFFSET_PIXELS = 0.05  # of the grid's corners from whole pixels of the scene


def render_scene(path: str | Path, places: GridPlaces, bands: list[int] | None = None) -> np.ndarray:
    """Render a scene over exactly the ground of a grid, (rows, columns, 3) uint8.

    Args:
        path: of the scene that the embeddings are of.
        places: of the patches.
        bands: to show as red, green and blue, from 1; default: by wavelength or name.

    Raises:
        DataError: the scene is not what the grid is made of.
    """
    windows = RasterWindows(path, bands)
    _check_same_system(windows, places, path)
    a, b, c, d, e, f = windows.header.affine
    ga, gb, gc, gd, ge, gf = places.affine
    rows, columns = places.shape
    corner = _to_pixels((a, b, c, d, e, f), gc, gf)
    opposite = _to_pixels((a, b, c, d, e, f), gc + ga * columns + gb * rows, gf + gd * columns + ge * rows)
    offset = max(abs(value - round(value)) for value in (*corner, *opposite))
    width, height = round(opposite[0] - corner[0]), round(opposite[1] - corner[1])
    if offset > MAX_OFFSET_PIXELS or width <= 0 or height <= 0:
        raise DataError(f"{path} is on another grid than the embeddings; give the scene that they were made of")
    scale = max(1.0, max(width, height) / MAX_SIDE_PIXELS)
    shape = math.ceil(height / scale), math.ceil(width / scale)
    return windows.render((round(corner[1]), round(corner[0]), height, width), shape)


def render_false_colours(archive: PatchArchive, places: GridPlaces) -> np.ndarray:
    """Render the first three principal components of embeddings, (rows, columns, 3) uint8, black without a patch.

    Args:
        archive: the embeddings.
        places: of the patches.
    """
    covariance = RunningCovariance(archive.space.channels)
    parts = [np.arange(first, min(first + DECODED_AT_ONCE, len(archive.levels)))
             for first in range(0, len(archive.levels), DECODED_AT_ONCE)]  # fmt: skip
    for part in parts:
        covariance.add(archive.decode(part))
    components = covariance.principal_components()
    image = np.zeros((places.shape[0] * places.shape[1], 3), np.uint8)
    for part in parts:
        image[places.cells[part]] = components.colours(archive.decode(part))
    return image.reshape(*places.shape, 3)


def _check_same_system(windows: RasterWindows, places: GridPlaces, path: str | Path) -> None:
    from pyproj import CRS

    scene, grid = (CRS.from_user_input(crs) if crs else None for crs in (windows.header.crs, places.crs))
    if scene != grid:
        raise DataError(f"{path} has another reference system than the embeddings; give the scene that they are of")


def _to_pixels(affine: tuple[float, float, float, float, float, float], x: float, y: float) -> tuple[float, float]:
    a, b, c, d, e, f = affine
    determinant = a * e - b * d
    return (e * (x - c) - b * (y - f)) / determinant, (a * (y - f) - d * (x - c)) / determinant
