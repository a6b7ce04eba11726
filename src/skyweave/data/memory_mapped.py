"""Decoded images on disk that are mapped, not loaded: workers share them through the page cache."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import DataError
from skyweave.core.observation import GeoTransform, Observation, check_window
from skyweave.core.sensors import Sensor

CACHE_VERSION = 3  # of the files below; another one is decoded anew


@dataclass(frozen=True)
class StoredImage:
    """A decoded image whose pixels are read from disk only where a window asks for them.

    Attributes:
        pixels: (bands, rows, columns) in the bands' units, memory-mapped; uint8 where that holds them exactly.
        valid: (bands, rows, columns) uint8 0 or 1, memory-mapped; None if every pixel is valid.
        sensor, ground_sample_distance, geometry, time, source, notes: as in ``Observation``.
    """

    pixels: np.ndarray
    valid: np.ndarray | None
    sensor: Sensor
    ground_sample_distance: float
    geometry: GeoTransform | None
    time: int | None
    source: str
    notes: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Return the size as (rows, columns)."""
        return self.pixels.shape[1], self.pixels.shape[2]

    def window(self, row: int, column: int, rows: int, columns: int) -> Observation:
        """Load a part of the image.

        Args:
            row: of the upper left pixel.
            column: of the upper left pixel.
            rows: height in pixels.
            columns: width in pixels.

        Raises:
            DataError: the window does not lie inside the image.
        """
        check_window(self.source, (row, column, rows, columns), self.shape)
        part = (slice(None), slice(row, row + rows), slice(column, column + columns))
        pixels = self.pixels[part].astype(np.float32)
        return Observation(
            pixels=pixels,
            sensor=self.sensor,
            valid=np.ones(pixels.shape, bool) if self.valid is None else self.valid[part].astype(bool),
            ground_sample_distance=self.ground_sample_distance,
            geometry=self.geometry.window(row, column) if self.geometry else None,
            time=self.time,
            source=self.source,
            notes=self.notes,
        )

    def valid_fraction(self, row: int, column: int, rows: int, columns: int) -> float:
        """Return the share of a window's pixels where any band is valid, from no more than about 32 x 32 of them.

        Args:
            row: of the window's upper left pixel.
            column: of the window's upper left pixel.
            rows: height in pixels.
            columns: width in pixels.
        """
        if self.valid is None:
            return 1.0
        step = max(1, rows // 32), max(1, columns // 32)
        part = self.valid[:, row : row + rows : step[0], column : column + columns : step[1]]
        return float(part.any(axis=0).mean())


def cache_directory(path: str | Path | None = None) -> Path:
    """Return the folder of decoded images.

    Args:
        path: default: ``$SKYWEAVE_CACHE``, else ``skyweave`` in the user's cache folder.
    """
    if path is None:
        base = os.environ.get("XDG_CACHE_HOME")
        path = os.environ.get("SKYWEAVE_CACHE") or Path(base or Path.home() / ".cache") / "skyweave"
    return Path(path)


def cache_key(paths: list[Path], declaration: Mapping[str, Any]) -> str:
    """Return a name for a decoded image, from its files (path, size, time of change) and all that decides its values.

    Args:
        paths: of all files that it is made of, headers, masks and sources of virtual rasters included.
        declaration: what decides its values, as JSON types.
    """
    files = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    text = json.dumps([CACHE_VERSION, files, dict(declaration)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _keep(directory: Path, stem: Path, observation: Observation) -> None:
    """Write a decoded image; an error names the folder, and how to choose another."""
    try:
        _write(stem, observation)
    except OSError as error:
        raise OSError(
            f"decoded images cannot be kept in {directory} ({error.strerror or error}); set SKYWEAVE_CACHE to "
            "another folder"
        ) from error


def load_stored_image(directory: Path, key: str, sensor: Sensor, read: Callable[[], Observation]) -> StoredImage:
    """Map a decoded image; it is read and written first if it is not there.

    Processes that need the same image at once both write it, whole, under the same name: the result is the same.

    Args:
        directory: of decoded images.
        key: of this one.
        sensor: whose bands, or some of them, are its channels.
        read: returns the image where it is not there.

    Raises:
        DataError: the files of the cache are damaged.
    """
    stem = directory / key[:2] / key
    metadata_file = stem.with_suffix(".json")
    if not metadata_file.is_file():
        _keep(directory, stem, read())
    try:
        metadata = json.loads(metadata_file.read_text(encoding="utf-8"))
        same = [band.name for band in sensor.bands] == metadata["bands"]
        return StoredImage(
            pixels=np.load(stem.with_suffix(".npy"), mmap_mode="r"),
            valid=None if metadata["all_valid"] else np.load(stem.with_suffix(".valid.npy"), mmap_mode="r"),
            sensor=sensor if same else sensor.select(metadata["bands"]),
            **fields_from_metadata(metadata),
        )
    except (ValueError, KeyError, TypeError, EOFError, RecursionError) as error:
        raise DataError(f"{stem}.*: damaged decoded image; delete these files, and it is read again") from error


def image_metadata(observation: Observation) -> dict[str, Any]:
    """Return what is stored beside the pixels, as plain JSON types.

    Args:
        observation: to be stored.
    """
    geometry = observation.geotransform
    return {
        "sensor": observation.sensor.name,
        "bands": [band.name for band in observation.sensor.bands],
        "ground_sample_distance": observation.ground_sample_distance,
        "geometry": [geometry.crs, geometry.affine] if geometry else None,
        "time": observation.time,
        "source": observation.source,
        "notes": observation.notes,
        "all_valid": bool(observation.valid.all()),
    }


def fields_from_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a `StoredImage` that `image_metadata` keeps.

    Args:
        metadata: as read.
    """
    geometry = metadata["geometry"]
    return {
        "ground_sample_distance": metadata["ground_sample_distance"],
        "geometry": GeoTransform(geometry[0], tuple(geometry[1])) if geometry else None,
        "time": metadata["time"],
        "source": metadata["source"],
        "notes": tuple(metadata["notes"]),
    }


def narrow_dtype(pixels: np.ndarray) -> np.ndarray:
    """Return the same numbers as uint8 where that is exact (8-bit imagery), else as they are.

    Args:
        pixels: any shape.
    """
    small = pixels.astype(np.uint8, casting="unsafe") if pixels.min() >= 0 and pixels.max() <= 255 else pixels
    return small if small is not pixels and np.array_equal(small, pixels) else pixels


def _write(stem: Path, observation: Observation) -> None:
    """Write pixels and mask first, the metadata last: an image without them is not there."""
    metadata = image_metadata(observation)
    with write_aside(stem.with_suffix(".npy")) as aside:
        np.save(aside, narrow_dtype(observation.pixels))
    if not metadata["all_valid"]:
        with write_aside(stem.with_suffix(".valid.npy")) as aside:
            np.save(aside, observation.valid.astype(np.uint8))
    with write_aside(stem.with_suffix(".json")) as aside:
        aside.write_text(json.dumps(metadata))
