"""The images of labelled data: finding and reading them as their source is declared."""

import fnmatch
import re
from functools import lru_cache
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.data.header import read_header
from skyweave.data.raster import read_observation
from skyweave.downstream.labels.config import ImageSourceConfig, UnitRule

MAX_CACHED_IMAGES = 4
_IMAGES: dict[tuple[str, Path], Observation] = {}


def find_images(source: ImageSourceConfig, root: Path) -> list[Path]:
    """Return the source's files in name order.

    Args:
        source: with the glob.
        root: data folder.

    Raises:
        FileNotFoundError: no folder, or no file that matches; names pattern and folder.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"data directory {root} does not exist")
    paths = sorted(path for path in root.glob(source.files) if path.is_file())
    paths = [path for path in paths if not any(fnmatch.fnmatch(path.name, pattern) for pattern in source.exclude)]
    if not paths:
        raise FileNotFoundError(f"no file matches {source.files!r} in {root}")
    return paths


def read_image(source: ImageSourceConfig, path: Path) -> tuple[Observation, str | None]:
    """Read an image as the source declares it.

    Args:
        source: how values are stored.
        path: of the image.

    Returns:
        The observation, and a note if the source's rule decided its unit.

    Raises:
        DataError: a file that does not fit the sensor or the unit.
    """
    unit, offset, note = _storage(source, path)
    observation = read_observation(
        path,
        get_sensor(source.sensor),
        unit=unit,
        bands=source.bands,
        offset=offset,
        nodata=source.nodata,
        ground_sample_distance=source.ground_sample_distance,
    )
    return (observation.select(source.select) if source.select else observation), note


def read_cached_image(source: ImageSourceConfig, path: Path) -> Observation:
    """Return a whole image; the last few are kept, since their tiles are read one after the other.

    Args:
        source: how values are stored.
        path: of the image.

    Raises:
        FileNotFoundError: no such image.
        DataError: see `read_image`.
    """
    key = (repr(source), path)
    if key not in _IMAGES:
        if not path.is_file():
            raise FileNotFoundError(f"no image {path}; check `second` and `name`")
        while len(_IMAGES) >= MAX_CACHED_IMAGES:
            _IMAGES.pop(next(iter(_IMAGES)))
        _IMAGES[key] = read_image(source, path)[0]
    return _IMAGES[key]


@lru_cache(maxsize=4096)
def image_shape(path: Path) -> tuple[int, int]:
    """Return (rows, columns) of an image from its header.

    Args:
        path: of the image.
    """
    return read_header(path).shape


def image_name(path: Path, pattern: str | None) -> str:
    """Return an image's name, by which masks and second dates are found.

    Args:
        path: of the image.
        pattern: regular expression whose group is the name; None: the file name without suffix.

    Raises:
        DataError: the pattern does not match the file name.
    """
    if pattern is None:
        return path.stem
    match = re.search(pattern, path.name)
    if match is None:
        raise DataError(f"name {pattern!r} does not match the file name {path.name!r}; correct it")
    return match.group(1) if match.groups() else match.group(0)


def _storage(source: ImageSourceConfig, path: Path) -> tuple[str, float, str | None]:
    """Return unit and offset of a file, and a note if the source's rule decided the unit."""
    for override in source.overrides:
        if fnmatch.fnmatch(path.name, override.files):
            offset = source.offset if override.offset is None else override.offset
            return override.unit or source.unit, offset, None
    rule = source.unit_rule
    if rule is None or not _catches(rule, path):
        return source.unit, source.offset, None
    note = f"{path.name}: read as {rule.unit}, every band's {rule.percentile:g} % is at least {rule.at_least:g}"
    return rule.unit, source.offset, note


def _catches(rule: UnitRule, path: Path) -> bool:
    import rasterio

    with rasterio.open(path) as dataset:
        stored = dataset.read()
    return bool((np.percentile(stored, rule.percentile, axis=(1, 2)) >= rule.at_least).all())
