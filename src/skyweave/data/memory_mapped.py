"""An image that lies decoded on disk and is mapped, not loaded: workers share it through the page cache."""

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
from skyweave.core.observation import GeoTransform, Observation
from skyweave.core.sensors import Sensor

CACHE_VERSION = 2


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
        """(rows, columns)."""
        return self.pixels.shape[1], self.pixels.shape[2]

    def window(self, row: int, column: int, rows: int, columns: int) -> Observation:
        """A part of the image, loaded; must lie inside it (``ValueError``)."""
        height, width = self.shape
        if min(row, column) < 0 or row + rows > height or column + columns > width:
            raise DataError(
                f"{self.source}: window rows {row}:{row + rows}, columns {column}:{column + columns} leaves the image "
                f"of {height} x {width}"
            )
        part = (slice(None), slice(row, row + rows), slice(column, column + columns))
        geometry = self.geometry
        if geometry is not None:
            a, b, c, d, e, f = geometry.affine
            geometry = GeoTransform(geometry.crs, (a, b, c + a * column + b * row, d, e, f + d * column + e * row))
        pixels = self.pixels[part].astype(np.float32)
        return Observation(
            pixels=pixels,
            sensor=self.sensor,
            valid=np.ones(pixels.shape, bool) if self.valid is None else self.valid[part].astype(bool),
            ground_sample_distance=self.ground_sample_distance,
            geometry=geometry,
            time=self.time,
            source=self.source,
            notes=self.notes,
        )

    def valid_fraction(self, row: int, column: int, rows: int, columns: int) -> float:
        """Share of the window's pixels where any band is valid, looking at no more than about 32 x 32 of them."""
        if self.valid is None:
            return 1.0
        step = max(1, rows // 32), max(1, columns // 32)
        part = self.valid[:, row : row + rows : step[0], column : column + columns : step[1]]
        return float(part.any(axis=0).mean())


def cache_directory(path: str | Path | None = None) -> Path:
    """Where decoded images are kept: ``path``, else ``$SKYWEAVE_CACHE``, else ``skyweave`` in the user's cache."""
    if path is None:
        base = os.environ.get("XDG_CACHE_HOME")
        path = os.environ.get("SKYWEAVE_CACHE") or Path(base or Path.home() / ".cache") / "skyweave"
    return Path(path)


def cache_key(paths: list[Path], declaration: Mapping[str, Any]) -> str:
    """A name for a decoded image: its files (path, size, time of change) and everything that decides its values."""
    facts = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    text = json.dumps([CACHE_VERSION, facts, dict(declaration)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def load_stored_image(directory: Path, key: str, sensor: Sensor, read: Callable[[], Observation]) -> StoredImage:
    """The image of that key, mapped; read and written first if it is not there.

    Processes that meet the same image at once both write it, whole, under the same name: the result is the same.
    """
    stem = directory / key[:2] / key
    card = stem.with_suffix(".json")
    if not card.exists():
        _write(stem, read())
    facts = json.loads(card.read_text())
    return StoredImage(
        pixels=np.load(stem.with_suffix(".npy"), mmap_mode="r"),
        valid=None if facts["all_valid"] else np.load(stem.with_suffix(".valid.npy"), mmap_mode="r"),
        sensor=sensor if [band.name for band in sensor.bands] == facts["bands"] else sensor.select(facts["bands"]),
        **fields_from_metadata(facts),
    )


def image_metadata(observation: Observation) -> dict[str, Any]:
    """What goes beside the pixels on disk, as plain JSON types."""
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


def fields_from_metadata(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a ``StoredImage`` that ``image_metadata`` keeps."""
    geometry = facts["geometry"]
    return {
        "ground_sample_distance": facts["ground_sample_distance"],
        "geometry": GeoTransform(geometry[0], tuple(geometry[1])) if geometry else None,
        "time": facts["time"],
        "source": facts["source"],
        "notes": tuple(facts["notes"]),
    }


def narrow_dtype(pixels: np.ndarray) -> np.ndarray:
    """The same numbers as uint8 where that is exact (8-bit imagery), else as they are."""
    small = pixels.astype(np.uint8, casting="unsafe") if pixels.min() >= 0 and pixels.max() <= 255 else pixels
    return small if small is not pixels and np.array_equal(small, pixels) else pixels


def _write(stem: Path, observation: Observation) -> None:
    """Pixels and mask first, the card last: an image without a card is not there."""
    facts = image_metadata(observation)
    with write_aside(stem.with_suffix(".npy")) as aside:
        np.save(aside, narrow_dtype(observation.pixels))
    if not facts["all_valid"]:
        with write_aside(stem.with_suffix(".valid.npy")) as aside:
            np.save(aside, observation.valid.astype(np.uint8))
    with write_aside(stem.with_suffix(".json")) as aside:
        aside.write_text(json.dumps(facts))
