"""The images of one source of a dataset: its files or shards, their splits and the declarations that hold for each."""

import fnmatch
import re
from dataclasses import dataclass
from pathlib import Path

import msgspec

from skyweave.core.errors import DataError, SkyweaveError
from skyweave.core.sensors import Sensor, get_sensor
from skyweave.data.dataset_config import DatasetSourceConfig
from skyweave.data.globbing import find_images
from skyweave.data.shards import ShardIndex


@dataclass(frozen=True)
class ListedImage:
    """An image of a source.

    Attributes:
        entry: number of the source's override that holds for it, -1 for none; of one in a shard, its position there.
        split: what it is for.
        files: its files, relative to the root; none in a shard.
        place: that it shows, where the source names places.
    """

    entry: int
    split: str
    files: tuple[str, ...] = ()
    place: str | None = None


@dataclass(frozen=True)
class SourceImages:
    """All images of a source.

    Attributes:
        declared_sensor: with all its bands.
        sensor: with the bands that the files have.
        images: in the order of their names.
        shards: that hold them, where the source is shards.
    """

    declared_sensor: Sensor
    sensor: Sensor
    images: list[ListedImage]
    shards: ShardIndex | None = None


def list_images(source: DatasetSourceConfig, root: Path, base: Path, label: str) -> SourceImages:
    """Find the images of a source.

    Args:
        source: as declared.
        root: folder that its globs start in.
        base: folder that the path of a sensor YAML starts in.
        label: of the source, for messages.

    Raises:
        FileNotFoundError: no such folder, or a glob without files.
        DataError: a sensor, unit or band that does not exist.
    """
    declared = _declared_sensor(source, base, label)
    sensor = _with_bands(declared, source, label)
    if source.shards is not None:
        return _list_shards(source, ShardIndex.open(root, source.shards, declared, label), declared)
    bands = source.bands if isinstance(source.bands, list) else None
    images = [_listed(source, files, root) for files in find_images(root, source.files or [], bands, label)]
    return SourceImages(declared, sensor, images)


def _listed(source: DatasetSourceConfig, files: list[Path], root: Path) -> ListedImage:
    """Return the image of these files, with the override that holds for it."""
    relative = tuple(file.relative_to(root).as_posix() for file in files)
    entry = _override_number(source, relative[0])
    place = re.search(source.place, relative[0]) if source.place else None
    name = place.group(1) if place else None
    return ListedImage(entry, apply_source_override(source, entry).split, relative, name)


def _list_shards(source: DatasetSourceConfig, shards: ShardIndex, declared: Sensor) -> SourceImages:
    """Return the images of a source in shards."""
    images = [ListedImage(position, source.split) for position in range(len(shards))]
    return SourceImages(declared, shards.sensor, images, shards)


def apply_source_override(source: DatasetSourceConfig, number: int) -> DatasetSourceConfig:
    """Return the source as it is declared for the files of an override.

    Args:
        source: as declared.
        number: of the override; -1 for none.
    """
    if number < 0:
        return source
    override = source.overrides[number]
    values = {key: getattr(override, key) for key in override.__struct_fields__ if key != "files"}
    return msgspec.structs.replace(source, **{k: value for k, value in values.items() if value is not msgspec.UNSET})


def _override_number(source: DatasetSourceConfig, relative: str) -> int:
    """Return the number of the first override whose pattern fits the path, or -1."""
    matching = (n for n, override in enumerate(source.overrides) if fnmatch.fnmatch(relative, override.files))
    return next(matching, -1)


def _declared_sensor(source: DatasetSourceConfig, base: Path, label: str) -> Sensor:
    """Return the sensor of the catalogue or of a YAML, whose path starts in ``base``; its units are checked."""
    name = source.sensor
    if name.endswith((".yaml", ".yml")) and not Path(name).is_absolute():
        name = str(base / name)
    try:
        sensor = get_sensor(name)
        _check_units(source, sensor)
    except SkyweaveError as error:
        raise DataError(f"{label}: {error}") from error
    return sensor


def _check_units(source: DatasetSourceConfig, sensor: Sensor) -> None:
    """Refuse units that the sensor does not have."""
    for unit in [source.unit, *(override.unit for override in source.overrides)]:
        if isinstance(unit, str):
            sensor.encoding(unit)


def _with_bands(sensor: Sensor, source: DatasetSourceConfig, label: str) -> Sensor:
    """Return the sensor with the bands that the source declares, in the sensor's order."""
    if not isinstance(source.bands, list):
        return sensor
    channels = _channels(sensor, source.bands, label)
    if len(channels) == len(sensor):
        return sensor
    return sensor.select([sensor.bands[channel].name for channel in channels])


def _channels(sensor: Sensor, names: list[str | None], label: str) -> list[int]:
    """Return the channels of the declared bands, ascending."""
    try:
        return sorted(sensor.index(name) for name in names if name)
    except SkyweaveError as error:
        raise DataError(f"{label}: {error}") from error
