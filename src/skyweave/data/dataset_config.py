"""The dataset YAML: which files are which sensor, in which unit. Checked here, so that a typing error is named."""

import re
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from skyweave.core.errors import ConfigError, did_you_mean
from skyweave.core.yaml_text import parse_yaml

NodataConfig = list[float | Literal["file", "clouds"]] | float | Literal["file", "clouds"] | None


class SourceOverrideConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Other declarations for some files of a source; the first override whose pattern fits a file's path counts.

    Attributes:
        files: glob on the path below the root, ``*282D*``.
        unit, offset, nodata, ignore_scale_tags, ground_sample_distance, split: as in `DatasetSourceConfig`; what is
            not given stays.
    """

    files: str
    unit: str | msgspec.UnsetType = msgspec.UNSET
    offset: float | msgspec.UnsetType = msgspec.UNSET
    nodata: NodataConfig | msgspec.UnsetType = msgspec.UNSET
    ignore_scale_tags: bool | msgspec.UnsetType = msgspec.UNSET
    ground_sample_distance: float | msgspec.UnsetType = msgspec.UNSET
    split: str | msgspec.UnsetType = msgspec.UNSET


class DatasetSourceConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Files of one sensor that are stored alike.

    Attributes:
        name: unique in the dataset.
        sensor: catalogue name, or path of a sensor YAML (relative to the dataset's YAML).
        files: glob or globs below the root; ``{band}`` stands for each of ``bands`` where bands are separate files.
        shards: glob of tar shards written by ``skyweave shards``, instead of ``files``.
        bands: names of the file's bands in file order (null: skip one); ``sensor``: exactly the sensor's; absent: the
            files name their bands.
        unit: how the values are stored, one of the sensor's encodings; shards hold decoded values and need none.
        offset: added to stored values first, in stored units.
        nodata: ``file`` (what the file declares), ``clouds`` (that, and what its product calls no clear ground), null
            (nothing is nodata), a stored value, or a list of these.
        ignore_scale_tags: use ``unit`` although scale and offset tags of a file contradict it.
        ground_sample_distance: metres per pixel, where the files do not know it.
        resolution: metres per pixel to resample to.
        split: what the images are for.
        weight: how often the source is drawn, relative to the others of its group.
        place: regular expression whose first group, in the path of an image below the root, names the place that it
            shows. Images of several sources that show one place, on one grid of pixels and at about one time, are
            pairs: a pretraining can learn that they show the same.
        overrides: for some of the files.
    """

    name: str
    sensor: str
    files: str | list[str] | None = None
    shards: str | list[str] | None = None
    bands: list[str | None] | Literal["sensor"] | None = None
    unit: str | None = None
    offset: float = 0.0
    nodata: NodataConfig = "file"
    ignore_scale_tags: bool = False
    ground_sample_distance: float | None = None
    resolution: float | None = None
    split: str = "train"
    weight: float = 1.0
    place: str | None = None
    overrides: list[SourceOverrideConfig] = []


class DatasetConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A whole dataset.

    Attributes:
        sources: at least one.
        title: one line for people.
    """

    sources: list[DatasetSourceConfig]
    title: str = ""


def load_dataset_config(path: str | Path) -> DatasetConfig:
    """Read and check a dataset YAML.

    Args:
        path: of the file.

    Raises:
        FileNotFoundError: no such file.
        ConfigError: no YAML, an unknown key (the nearest valid one is named), a value of the wrong kind, a source named
            twice; the message names file, source and key.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no such dataset file: {path}")
    try:
        content = parse_yaml(path.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}; write it as UTF-8 text") from error
    return parse_dataset_config(content, str(path))


def parse_dataset_config(content: Any, label: str) -> DatasetConfig:
    """Check the plain YAML content of a dataset.

    Args:
        content: as the YAML parser gives it.
        label: of the file, for messages.

    Raises:
        ConfigError: as `load_dataset_config`.
    """
    _check_layout(content, label)
    try:
        config = msgspec.convert(content, DatasetConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{label}: {error}") from error
    names = [source.name for source in config.sources]
    for source in config.sources:
        _check_source(source, names.count(source.name), f"{label}: source {source.name!r}")
    return config


def _check_layout(content: Any, label: str) -> None:
    """Refuse content without sources, and keys that a dataset does not have."""
    if not isinstance(content, dict) or not isinstance(content.get("sources"), list) or not content["sources"]:
        raise ConfigError(f"{label}: a dataset needs a list 'sources' with at least one source")
    _check_keys(content, DatasetConfig, label)
    for number, entry in enumerate(content["sources"], 1):
        _check_source_keys(entry, number, label)


def _check_source_keys(entry: Any, number: int, label: str) -> None:
    if not isinstance(entry, dict):
        raise ConfigError(f"{label}: source {number} must be a mapping with name, sensor, files and unit, is {entry!r}")
    label = f"{label}: source {entry.get('name', number)!r}"
    _check_keys(entry, DatasetSourceConfig, label)
    _check_override_keys(entry.get("overrides"), label)


def _check_override_keys(overrides: Any, label: str) -> None:
    """Refuse unknown keys of the overrides; what is no list of mappings is refused later."""
    for override in overrides if isinstance(overrides, list) else []:
        if isinstance(override, dict):
            _check_keys(override, SourceOverrideConfig, f"{label}, overrides")


def _check_source(source: DatasetSourceConfig, namesakes: int, label: str) -> None:
    """Refuse a source that contradicts itself."""
    _check_name(source.name, namesakes, label)
    _check_location(source, label)
    _check_place(source, label)
    _check_numbers(source, label)


def _check_name(name: str, namesakes: int, label: str) -> None:
    """Refuse a name that is given twice, or that shards cannot be called after."""
    if namesakes > 1:
        raise ConfigError(f"{label}: {namesakes} sources have this name; names must be unique")
    if "/" in name or not name:
        raise ConfigError(f"{label}: a name must not be empty or hold '/': its shards are called after it")


def _check_location(source: DatasetSourceConfig, label: str) -> None:
    """Refuse a source without files or shards, or with both."""
    if (source.files is None) == (source.shards is None):
        raise ConfigError(f"{label}: give either 'files' (rasters) or 'shards' (tar files)")
    if source.files is not None:
        _check_files(source, [source.files] if isinstance(source.files, str) else source.files, label)


def _check_expression(place: str, label: str) -> None:
    """Refuse what is no regular expression with a group."""
    try:
        groups = re.compile(place).groups
    except re.error as error:
        raise ConfigError(f"{label}: place {place!r} is no regular expression: {error}") from error
    if groups < 1:
        raise ConfigError(f"{label}: place {place!r} has no group; put what names the place in parentheses")


def _check_place(source: DatasetSourceConfig, label: str) -> None:
    """Refuse a place that is no regular expression with a group, or that has no paths to look in."""
    if source.place is None:
        return
    _check_expression(source.place, label)
    if source.shards is not None:
        raise ConfigError(f"{label}: 'place' needs 'files': shards have no paths to look in")


def _check_numbers(source: DatasetSourceConfig, label: str) -> None:
    """Refuse a negative weight and distances that are not positive."""
    if source.weight < 0:
        raise ConfigError(f"{label}: weight {source.weight:g} is negative")
    for key in ("ground_sample_distance", "resolution"):
        value = getattr(source, key)
        if value is not None and not value > 0:
            raise ConfigError(f"{label}: {key} {value:g} must be positive metres")


def _check_files(source: DatasetSourceConfig, patterns: list[str], label: str) -> None:
    if source.unit is None:
        raise ConfigError(f"{label}: 'unit' is missing; declare how the values are stored (dn, reflectance, db, uint8)")
    if any("{band}" in pattern for pattern in patterns) and not isinstance(source.bands, list):
        raise ConfigError(f"{label}: 'files' holds {{band}}, so 'bands' must list what it stands for")


def _check_keys(content: dict[str, Any], kind: type[msgspec.Struct], label: str) -> None:
    valid = [field.name for field in msgspec.structs.fields(kind)]
    for key in content:
        if key not in valid:
            hint = did_you_mean(str(key), valid)
            raise ConfigError(f"{label}: unknown key {key!r}{hint}; valid keys: {', '.join(valid)}")
