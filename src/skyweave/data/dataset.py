"""A dataset over folders of imagery, described by one YAML: every image decoded once, then mapped."""

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.observation import Observation
from skyweave.core.sensors import Sensor, get_sensor
from skyweave.data.dataset_config import DatasetConfig, DatasetSourceConfig, load_dataset_config
from skyweave.data.globbing import find_images
from skyweave.data.memory_mapped import StoredImage, cache_directory, cache_key, load_stored_image
from skyweave.data.raster import read_observation
from skyweave.data.shards import ShardIndex

MAX_OPEN_IMAGES = 128
"""Mapped images that a process keeps open; each costs no memory of its own, but up to two file handles (of 1024)."""


@dataclass(frozen=True)
class SourceIndex:
    """The images of one source.

    Attributes:
        name, weight: as declared.
        sensor: its bands are the channels of the source's images, in order.
        indices: (images,) int64, the images' numbers in the dataset.
    """

    name: str
    sensor: Sensor
    weight: float
    indices: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)


def load_dataset(
    path: str | Path, root: str | Path, *, split: str | None = None, cache: str | Path | None = None
) -> "ImageDataset":
    """The dataset that a YAML describes, on files below ``root``.

    Args:
        path: dataset YAML (``docs/data.md``).
        root: the folder that its globs start in.
        split: only images of this split; default: all.
        cache: folder for decoded images; default: ``$SKYWEAVE_CACHE``, else the user's cache folder.

    Raises:
        FileNotFoundError: no such YAML or folder; a glob without files (pattern and root are named).
        ValueError: a YAML that is wrong (see ``declaration``), a split that no image has.
    """
    path = Path(path)
    return ImageDataset(
        load_dataset_config(path), Path(root), split=split, cache=cache, base=path.parent, label=str(path)
    )


class ImageDataset:
    """Images of several sensors, by number.

    Its memory is a few numpy arrays: copies in worker processes share their pages, and so do the mapped pixels.
    """

    def __init__(
        self,
        declaration: DatasetConfig,
        root: Path,
        *,
        split: str | None = None,
        cache: str | Path | None = None,
        base: Path = Path(),
        label: str = "dataset",
    ) -> None:
        self.root = root
        self._base = base
        self.cache = cache_directory(cache)
        self.sources: list[SourceIndex] = []
        self._declared = declaration.sources
        self._full: list[Sensor] = []  # as declared; the files may hold only some of its bands
        self._present: list[Sensor] = []
        self._shards: dict[int, ShardIndex] = {}
        names: list[bytes] = []
        rows: list[tuple[int, int]] = []  # (source, its override or -1), or (source, position in its shards)
        splits: set[str] = set()
        for number, source in enumerate(declaration.sources):
            where, first = f"{label}: source {source.name!r}", len(rows)
            full = _sensor(source, base, where)
            present = _present(full, source, where)
            if source.shards is not None:
                shards = ShardIndex.open(root, source.shards, full, where)
                present = shards.sensor
                splits.add(source.split)
                if split in (None, source.split):
                    self._shards[number] = shards
                    rows += [(number, position) for position in range(len(shards))]
                    names += [b""] * len(shards)
            else:
                bands = source.bands if isinstance(source.bands, list) else None
                for files in find_images(root, source.files or [], bands, where):
                    relative = [file.relative_to(root).as_posix() for file in files]
                    override = _override(source, relative[0])
                    own = _with_override(source, override).split
                    splits.add(own)
                    if split in (None, own):
                        rows.append((number, override))
                        names.append("\n".join(relative).encode())
            present = next((known for known in self._present if known == present), present)  # one object, equal by id
            self._full.append(full)
            self._present.append(present)
            if len(rows) > first:
                indices = np.arange(first, len(rows), dtype=np.int64)
                self.sources.append(SourceIndex(source.name, present, source.weight, indices))
        if not rows:
            raise DataError(f"{label}: no image has split {split!r}; splits are: {', '.join(sorted(splits))}")
        self._rows = np.array(rows, np.int64)
        self._names = np.frombuffer(b"\0".join(names), np.uint8)
        self._starts = np.cumsum([0] + [len(name) + 1 for name in names]).astype(np.int64)
        self._open = lru_cache(maxsize=MAX_OPEN_IMAGES)(self._load)

    def __len__(self) -> int:
        """Number of images."""
        return len(self._rows)

    def __iter__(self) -> Iterator[Observation]:
        """Every image, loaded, in order."""
        return (self.observation(index) for index in range(len(self)))

    def observation(self, index: int) -> Observation:
        """Image number ``index``, loaded whole. Raises as ``open``."""
        image = self.open(index)
        return image.window(0, 0, *image.shape)

    def open(self, index: int) -> StoredImage:
        """Image number ``index``, mapped. Raises ``IndexError``, or as ``read_observation`` on the first reading."""
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of a dataset of {len(self)}")
        return self._open(int(index))

    def files(self, index: int) -> list[Path]:
        """The files of an image (empty for one in a shard)."""
        start, end = self._starts[index], self._starts[index + 1] - 1
        text = self._names[start:end].tobytes().decode()
        return [self.root / name for name in text.split("\n")] if text else []

    def source_name(self, index: int) -> str:
        """Name of the source that an image belongs to."""
        return self._declared[self._rows[index, 0]].name

    def declared_sensor(self, source: SourceIndex) -> str:
        """The sensor as a dataset YAML elsewhere would declare it: catalogue name, or absolute path of its YAML."""
        name = self._declared[self._rows[source.indices[0], 0]].sensor
        return str((self._base / name).resolve()) if name.endswith((".yaml", ".yml")) else name

    def _load(self, index: int) -> StoredImage:
        number, place = (int(value) for value in self._rows[index])
        if number in self._shards:
            return self._shards[number].image(place)
        source, sensor = _with_override(self._declared[number], place), self._full[number]
        files = self.files(index)

        def read() -> Observation:
            bands = source.bands
            return read_observation(
                files if len(files) > 1 else files[0],
                sensor,
                unit=str(source.unit),
                bands=[name for name in bands if name] if isinstance(bands, list) and len(files) > 1 else bands,
                offset=source.offset,
                nodata=source.nodata,
                resolution=source.resolution,
                ground_sample_distance=source.ground_sample_distance,
            )

        decisive = {
            "bands": source.bands,
            "sensor": [sensor.name, [(band.name, band.aliases, band.wavelength) for band in sensor.bands]],
            "encoding": repr(sensor.encoding(str(source.unit))),
            "values": [source.offset, source.nodata, source.resolution, source.ground_sample_distance],
        }
        return load_stored_image(self.cache, cache_key(files, decisive), self._present[number], read)

    def __getstate__(self) -> dict[str, Any]:
        """Without the open images: a spawned worker opens its own."""
        return {key: value for key, value in self.__dict__.items() if key != "_open"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open = lru_cache(maxsize=MAX_OPEN_IMAGES)(self._load)


def _sensor(source: DatasetSourceConfig, base: Path, where: str) -> Sensor:
    """The declared sensor; the path of a YAML counts from the dataset's."""
    name = source.sensor
    if name.endswith((".yaml", ".yml")) and not Path(name).is_absolute():
        name = str(base / name)
    try:
        sensor = get_sensor(name)
        for unit in [source.unit, *(override.unit for override in source.overrides)]:
            if isinstance(unit, str):
                sensor.encoding(unit)
    except (KeyError, ValueError) as error:
        raise DataError(f"{where}: {error}") from error
    return sensor


def _present(sensor: Sensor, source: DatasetSourceConfig, where: str) -> Sensor:
    """The bands that the source's files have, in the sensor's order."""
    if not isinstance(source.bands, list):
        return sensor
    try:
        channels = sorted(sensor.index(name) for name in source.bands if name)
    except KeyError as error:
        raise DataError(f"{where}: {error}") from error
    if len(channels) == len(sensor):
        return sensor
    return sensor.select([sensor.bands[channel].name for channel in channels])


def _override(source: DatasetSourceConfig, relative: str) -> int:
    """Number of the first override whose pattern fits the path, or -1."""
    fitting = (n for n, override in enumerate(source.overrides) if fnmatch.fnmatch(relative, override.files))
    return next(fitting, -1)


def _with_override(source: DatasetSourceConfig, number: int) -> DatasetSourceConfig:
    """The source as it is declared for files of that override."""
    if number < 0:
        return source
    override = source.overrides[number]
    given = {key: value for key in override.__struct_fields__ if (value := getattr(override, key)) is not msgspec.UNSET}
    given.pop("files")
    return msgspec.structs.replace(source, **given)
