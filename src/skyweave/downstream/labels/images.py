"""The images of labelled data, read as their source is declared."""

import fnmatch
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.data.header import RasterHeader, read_header
from skyweave.data.raster import open_image, read_observation
from skyweave.data.stored_values import read_stored
from skyweave.downstream.labels.config import ImageSourceConfig, UnitRule

MAX_CACHED_IMAGES = 4
MAX_LOOKED_AT = 8  # images whose notes speak for the others
FileVersion = tuple[int, int]
"""Time of the last change in nanoseconds, and bytes: what is kept of a file counts while both are the same."""
_IMAGES: dict[tuple[str, Path, FileVersion], Observation] = {}


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
        **_reading(source, unit, offset),
    )
    return (observation.select(source.select) if source.select else observation), note


def image_notes(source: ImageSourceConfig, paths: Sequence[Path]) -> list[str]:
    """Return what a user should know of a few images among many: what looks like no data, a place that is not known.

    Args:
        source: how values are stored.
        paths: of the images.

    Raises:
        DataError: see `read_image`.
    """
    chosen = np.unique(np.linspace(0, len(paths) - 1, min(MAX_LOOKED_AT, len(paths))).round().astype(int))
    notes: list[str] = []
    for path in (paths[number] for number in chosen.tolist()):
        unit, offset, _ = _storage(source, path)
        image = open_image(path, get_sensor(source.sensor), **_reading(source, unit, offset))
        notes += [*image.notes, *image.check_sample()]
    if len(notes) < 2:
        return notes
    return [f"{notes[0]} (and {len(notes) - 1} notes more on {len(chosen)} images that were looked at)"]


def _reading(source: ImageSourceConfig, unit: str, offset: float) -> dict[str, Any]:
    """Return arguments of `read_observation`."""
    return {
        "unit": unit,
        "bands": source.bands,
        "offset": offset,
        "nodata": source.nodata,
        "ground_sample_distance": source.ground_sample_distance,
        "ignore_scale_tags": source.ignore_scale_tags,
    }


def read_cached_image(source: ImageSourceConfig, path: Path) -> Observation:
    """Return a whole image; the last few are kept, since their tiles are read one after the other.

    Args:
        source: how values are stored.
        path: of the image.

    Raises:
        DataError: see `read_image`.
    """
    key = (repr(source), path, file_version(path))
    if key not in _IMAGES:
        while len(_IMAGES) >= MAX_CACHED_IMAGES:
            _IMAGES.pop(next(iter(_IMAGES)))
        _IMAGES[key] = read_image(source, path)[0]
    return _IMAGES[key]


def image_header(path: Path) -> RasterHeader:
    """Return the header of an image or a mask; the last few thousand are kept.

    Args:
        path: of the raster.
    """
    return _header(path, file_version(path))


@lru_cache(maxsize=4096)
def _header(path: Path, version: FileVersion) -> RasterHeader:
    return read_header(path)


def file_version(path: Path) -> FileVersion:
    """Return what changes with the content of a file.

    Args:
        path: of the file.
    """
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def _storage(source: ImageSourceConfig, path: Path) -> tuple[str, float, str | None]:
    """Return unit and offset of a file, and a note if the source's rule decided the unit."""
    override = next((one for one in source.overrides if fnmatch.fnmatch(path.name, one.files)), None)
    if override is not None:
        offset = source.offset if override.offset is None else override.offset
        return override.unit or source.unit, offset, None
    return _storage_by_rule(source, path)


def _storage_by_rule(source: ImageSourceConfig, path: Path) -> tuple[str, float, str | None]:
    """Return unit and offset of a file that no override names, and a note if the rule decided the unit."""
    rule = source.unit_rule
    if rule is None or not _catches(rule, path):
        return source.unit, source.offset, None
    note = f"{path.name}: read as {rule.unit}, every band's {rule.percentile:g} % is at least {rule.at_least:g}"
    return rule.unit, source.offset, note


def _catches(rule: UnitRule, path: Path) -> bool:
    header = read_header(path)
    stored, mask = read_stored(header, range(header.count))
    measured = [band[valid] for band, valid in zip(stored, mask, strict=True) if valid.any()]
    return bool(measured) and all(np.percentile(band, rule.percentile) >= rule.at_least for band in measured)
