"""Groups of files that show one place, so that no split separates them."""

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.quiet import ignore_warnings
from skyweave.downstream.labels.config import SplitConfig
from skyweave.downstream.labels.image_files import ImageFiles
from skyweave.downstream.labels.splits import group_name

EARTH_RADIUS = 6_371_000.0
"""Metres."""


def group_names(split: SplitConfig, paths: Sequence[Path], images: ImageFiles) -> list[str]:
    """Return the name of the group of each file.

    Args:
        split: says what a group is.
        paths: of the images whose groups are asked for.
        images: that they are of.

    Raises:
        DataError: the split's pattern does not match a file name, or there is no companion of an image.
    """
    if split.distance is not None:
        return _near_each_other(paths, images, split.distance)
    if split.companion is not None:
        return [_companion_digest(images.companion(split.companion, path), split) for path in paths]
    return [group_name(split, Path(images.relative(path))) for path in paths]


def _near_each_other(paths: Sequence[Path], images: ImageFiles, distance: float) -> list[str]:
    """Return names of the connected parts of the graph whose edges are pairs nearer than ``distance`` metres."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    centres = [_centre(path) for path in paths]
    placed = [number for number, centre in enumerate(centres) if centre is not None]
    names = [f"file {images.relative(path)}" for path in paths]
    if not placed:
        return names
    pairs = cKDTree(np.array([centres[number] for number in placed])).query_pairs(distance, output_type="ndarray")
    edges = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(placed), len(placed)))
    for number, part in zip(placed, connected_components(edges, directed=False)[1], strict=True):
        names[number] = f"place {part}"
    return names


def _centre(path: Path) -> tuple[float, float, float] | None:
    """Return where on a sphere the centre of a raster lies, in metres; None without a georeference."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    with ignore_warnings(NotGeoreferencedWarning), rasterio.open(path) as raster:
        if raster.crs is None:
            return None
        left, bottom, right, top = raster.bounds
        to_degrees = _to_degrees(raster.crs.to_wkt())
    longitude, latitude = np.radians(to_degrees((left + right) / 2, (bottom + top) / 2))
    flat = EARTH_RADIUS * np.cos(latitude)
    return (
        float(flat * np.cos(longitude)),
        float(flat * np.sin(longitude)),
        float(EARTH_RADIUS * np.sin(latitude)),
    )


@lru_cache(maxsize=256)
def _to_degrees(wkt: str) -> Callable[[float, float], tuple[float, float]]:
    from pyproj import Transformer

    transform: Callable[[float, float], tuple[float, float]] = Transformer.from_crs(
        wkt, "EPSG:4326", always_xy=True
    ).transform
    return transform


def _companion_digest(path: Path, split: SplitConfig) -> str:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    if not path.is_file():
        raise DataError(f"no companion {path}, by which images of one place are known; check split.companion")
    with ignore_warnings(NotGeoreferencedWarning), rasterio.open(path) as raster:
        return hashlib.sha256(raster.read(split.companion_band).tobytes()).hexdigest()[:16]
