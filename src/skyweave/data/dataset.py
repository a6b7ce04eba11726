"""A dataset over folders of imagery, described by one YAML: every image decoded once, then mapped."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.observation import Observation
from skyweave.core.sensors import Sensor
from skyweave.data.dataset_config import DatasetConfig, DatasetSourceConfig, load_dataset_config
from skyweave.data.memory_mapped import StoredImage, cache_directory, cache_key, load_stored_image
from skyweave.data.raster import read_observation
from skyweave.data.raster_files import list_dataset_files
from skyweave.data.source_images import ListedImage, SourceImages, apply_source_override, list_images

MAX_OPEN_IMAGES = 128  # mapped images that a process keeps open; each costs up to two file handles (of 1024)


@dataclass(frozen=True)
class SourceIndex:
    """The images of one source.

    Attributes:
        name: as declared.
        sensor: its bands are the channels of the source's images, in order.
        weight: as declared.
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
    """Open the dataset that a YAML describes, on files below ``root``.

    Args:
        path: dataset YAML (``docs/data.md``).
        root: the folder that its globs start in.
        split: only images of this split; default: all.
        cache: folder for decoded images; default: ``$SKYWEAVE_CACHE``, else the user's cache folder.

    Raises:
        FileNotFoundError: no such YAML or folder; a glob without files (pattern and root are named).
        ConfigError: a YAML that is wrong (see `load_dataset_config`).
        DataError: a sensor, unit or band that does not exist, or a split that no image has.
    """
    path = Path(path)
    config = load_dataset_config(path)
    return ImageDataset(config, Path(root), split=split, cache=cache, base=path.parent, label=str(path))


class ImageDataset:
    """Images of several sensors, by number.

    Its memory is a few numpy arrays: copies in worker processes share their pages, and so do the mapped pixels.

    Args:
        config: the sources.
        root: the folder that their globs start in.
        split: only images of this split; default: all.
        cache: folder for decoded images; default: ``$SKYWEAVE_CACHE``, else the user's cache folder.
        base: folder that paths of sensor YAMLs start in.
        label: of the dataset, for messages.

    Attributes:
        root: as given.
        cache: folder for decoded images.
        sources: those that have images of the split.

    Raises:
        FileNotFoundError: no such folder, or a glob without files.
        DataError: a sensor, unit or band that does not exist, or a split that no image has.
    """

    def __init__(
        self,
        config: DatasetConfig,
        root: Path,
        *,
        split: str | None = None,
        cache: str | Path | None = None,
        base: Path = Path(),
        label: str = "dataset",
    ) -> None:
        self.root = root
        self.cache = cache_directory(cache)
        self._base = base
        self._configs = config.sources
        listings = [list_images(source, root, base, f"{label}: source {source.name!r}") for source in config.sources]
        chosen = _images_of_split(listings, split, label)
        self._full = [listing.declared_sensor for listing in listings]  # the files may hold only some of its bands
        self._present = _shared([listing.sensor for listing in listings])
        self._shards = {n: listing.shards for n, listing in enumerate(listings) if listing.shards is not None}
        self.sources = _source_indices(config, self._present, [len(images) for images in chosen])
        self._rows = _entry_table(chosen)
        self._names, self._starts = _joined_names(chosen)
        self._places, self._images_by_place = _index_places(chosen)
        self._open = lru_cache(maxsize=MAX_OPEN_IMAGES)(self._load)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._rows)

    def __iter__(self) -> Iterator[Observation]:
        """Iterate over all images, loaded, in order."""
        return (self.observation(index) for index in range(len(self)))

    def observation(self, index: int) -> Observation:
        """Load an image.

        Args:
            index: its number.

        Raises:
            IndexError: no such number.
            FileNotFoundError: its file is gone.
            DataError: its file cannot be read as declared.
        """
        image = self.open(index)
        return image.window(0, 0, *image.shape)

    def open(self, index: int) -> StoredImage:
        """Map an image, which is decoded first where it is not in the cache.

        Args:
            index: its number.

        Raises:
            IndexError: no such number.
            FileNotFoundError: its file is gone.
            DataError: its file cannot be read as declared.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of a dataset of {len(self)}")
        image: StoredImage = self._open(int(index))
        return image

    def files(self, index: int) -> list[Path]:
        """Return the files of an image (none for one in a shard).

        Args:
            index: its number.
        """
        start, end = self._starts[index], self._starts[index + 1] - 1
        text = self._names[start:end].tobytes().decode()
        return [self.root / name for name in text.split("\n")] if text else []

    def paired(self, index: int) -> list[int]:
        """Return the images of other sources that show the same place (see `DatasetSourceConfig`).

        Args:
            index: number of an image.
        """
        place = self._places.get(int(index))
        others = self._images_by_place.get(place, []) if place is not None else []
        return [other for other in others if self._rows[other, 0] != self._rows[index, 0]]

    def source_name(self, index: int) -> str:
        """Return the name of the source that an image belongs to.

        Args:
            index: its number.
        """
        return self._configs[int(self._rows[index, 0])].name

    def declared_sensor(self, source: SourceIndex) -> str:
        """Return a sensor as a dataset YAML elsewhere declares it: catalogue name, or absolute path of its YAML.

        Args:
            source: whose sensor.
        """
        name = self._configs[int(self._rows[source.indices[0], 0])].sensor
        return str((self._base / name).resolve()) if name.endswith((".yaml", ".yml")) else name

    def _load(self, index: int) -> StoredImage:
        number, entry = (int(value) for value in self._rows[index])
        if number in self._shards:
            return self._shards[number].image(entry)
        source, sensor = apply_source_override(self._configs[number], entry), self._full[number]
        files = self.files(index)

        parts = list(dict.fromkeys(part for file in files for part in list_dataset_files(file)))
        key = cache_key(parts, _decisive_values(source, sensor))
        return load_stored_image(
            self.cache, key, self._present[number], partial(_read_as_declared, files, source, sensor)
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the open images: a spawned worker opens its own."""
        return {key: value for key, value in self.__dict__.items() if key != "_open"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open = lru_cache(maxsize=MAX_OPEN_IMAGES)(self._load)


def _images_of_split(listings: list[SourceImages], split: str | None, label: str) -> list[list[ListedImage]]:
    """Return the images of the split (None: all) by source; there is at least one."""
    chosen = [[image for image in listing.images if split in (None, image.split)] for listing in listings]
    if not any(chosen):
        raise DataError(f"{label}: no image has split {split!r}; splits are: {', '.join(_splits(listings))}")
    return chosen


def _splits(listings: list[SourceImages]) -> list[str]:
    """Return the names of the splits that images are in."""
    return sorted({image.split for listing in listings for image in listing.images})


def _entry_table(chosen: list[list[ListedImage]]) -> np.ndarray:
    """Return (images, 2) int64: the source, and its override (-1: none) or the position in its shards."""
    rows = [(number, image.entry) for number, images in enumerate(chosen) for image in images]
    return np.array(rows, np.int64)


def _joined_names(chosen: list[list[ListedImage]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the files' names as bytes (uint8), and (images + 1,) int64 where each image's begin."""
    names = ["\n".join(image.files).encode() for images in chosen for image in images]
    starts = np.cumsum([0] + [len(name) + 1 for name in names]).astype(np.int64)
    return np.frombuffer(b"\0".join(names), np.uint8), starts


def _index_places(chosen: list[list[ListedImage]]) -> tuple[dict[int, str], dict[str, list[int]]]:
    """Return the place of each image that names one, and the images of each place, by number."""
    images = [image for images in chosen for image in images]
    places = {number: image.place for number, image in enumerate(images) if image.place is not None}
    return places, _group_by_place(places)


def _group_by_place(places: dict[int, str]) -> dict[str, list[int]]:
    """Return the images of each place."""
    by_place: dict[str, list[int]] = {}
    for number, place in places.items():
        by_place.setdefault(place, []).append(number)
    return by_place


def _read_as_declared(files: list[Path], source: DatasetSourceConfig, sensor: Sensor) -> Observation:
    """Read one image of a source."""
    bands = source.bands
    if isinstance(bands, list) and len(files) > 1:
        bands = list(filter(None, bands))
    return read_observation(
        files if len(files) > 1 else files[0],
        sensor,
        unit=str(source.unit),
        bands=bands,
        offset=source.offset,
        nodata=source.nodata,
        resolution=source.resolution,
        ground_sample_distance=source.ground_sample_distance,
        ignore_scale_tags=source.ignore_scale_tags,
    )


def _decisive_values(source: DatasetSourceConfig, sensor: Sensor) -> dict[str, Any]:
    """Return all that decides how an image is decoded: what its place in the cache depends on."""
    return {
        "bands": source.bands,
        "sensor": [sensor.name, [(band.name, band.aliases, band.wavelength) for band in sensor.bands]],
        "encoding": repr(sensor.encoding(str(source.unit))),
        "values": [
            source.offset,
            source.nodata,
            source.ignore_scale_tags,
            source.resolution,
            source.ground_sample_distance,
        ],
    }


def _source_indices(config: DatasetConfig, sensors: list[Sensor], counts: list[int]) -> list[SourceIndex]:
    """Return the sources that have images; their images are numbered in the order of the sources."""
    ends = np.cumsum(counts).tolist()
    return [
        SourceIndex(source.name, sensor, source.weight, np.arange(end - count, end, dtype=np.int64))
        for source, sensor, count, end in zip(config.sources, sensors, counts, ends, strict=True)
        if count
    ]


def _shared(sensors: list[Sensor]) -> list[Sensor]:
    """Return the first of equal sensors for each, so that they can be compared by identity."""
    return [sensors[sensors.index(sensor)] for sensor in sensors]
