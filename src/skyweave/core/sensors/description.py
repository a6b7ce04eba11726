"""A sensor in words: the mapping that YAML files, the catalogue and checkpoint cards share."""

import math
from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from skyweave.core.errors import DataError, did_you_mean, normalise_name
from skyweave.core.sensors.band import BAND_KINDS, UNITS, Band, get_band_kind
from skyweave.core.sensors.band_kind import POLARISATIONS
from skyweave.core.sensors.sensor import Encoding, Sensor

_SENSOR_KEYS = ("name", "title", "ground_sample_distance", "unit", "kind", "encodings", "bands")
_BAND_KEYS = tuple(field.name for field in fields(Band))
_BAND_NUMBERS = ("wavelength", "width", "frequency", "mean", "std", "ground_sample_distance")
_ENCODING_KEYS = ("scale", "offset", "decibel", "planck", "bands")
MIN_WIDTH_NM = 0.5  # a smaller number was meant in micrometres


def load_sensor(path: str | Path, with_statistics: bool = True) -> Sensor:
    """Read a sensor from a YAML file (``docs/sensors.md`` explains it).

    Args:
        path: of the file.
        with_statistics: refuse bands without ``mean`` and ``std``, by which models normalise; otherwise they are 0
            and 1.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: not YAML, or not a sensor; the message names the file, the key and the remedy.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"sensor file {path} does not exist; check its name")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text file in UTF-8: {error}; give the YAML of a sensor") from error
    return parse_sensor(text, str(path), with_statistics)


def parse_sensor(text: str, source: str, with_statistics: bool = True) -> Sensor:
    """Parse a sensor from YAML text.

    Args:
        text: YAML of one sensor.
        source: named in errors.
        with_statistics: as of `load_sensor`.

    Raises:
        DataError: not YAML, or not a sensor.
    """
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        content = yaml.load(text, Loader=loader)
    except yaml.YAMLError as error:
        raise DataError(f"{source} is not valid YAML: {error}") from error
    sensor = sensor_from_dict(content, source)
    if with_statistics:
        _check_statistics(content["bands"], source)
    return sensor


def _check_statistics(rows: list[Mapping[str, Any]], source: str) -> None:
    """Refuse bands without statistics: what nobody measured would normalise by 0 and 1, whatever the unit."""
    missing = [str(row["name"]) for row in rows if row.get("mean") is None or row.get("std") is None]
    if missing:
        raise DataError(
            f"{source}: {', '.join(missing)} without mean and std, by which models normalise; measure them on your "
            f"images: skyweave measure IMAGE.. --sensor {source} --unit WORD"
        )


def sensor_from_dict(content: Any, source: str = "sensor") -> Sensor:
    """Build a sensor from its mapping, as ``sensor_to_dict`` writes it or a user does.

    Args:
        content: keys ``name``, ``ground_sample_distance``, ``bands`` and, optionally, ``title``, ``encodings``, and
            ``unit`` and ``kind`` as defaults of the bands.
        source: named in errors.

    Raises:
        DataError: an unknown key (with the nearest valid one), a missing or impossible value.
    """
    _check_keys(content, _SENSOR_KEYS, source, required=("name", "ground_sample_distance", "bands"))
    name = str(content["name"])
    source = source if name in source else f"{source} ({name})"
    if not isinstance(content["bands"], list) or not content["bands"]:
        raise DataError(f"{source}: bands must be a list with at least one band")
    defaults = {key: content[key] for key in ("unit", "kind") if key in content}
    bands = tuple(_band(row, defaults, f"{source}: band {n}") for n, row in enumerate(content["bands"], 1))
    _check_spellings(bands, source)
    try:
        return Sensor(
            name=name,
            title=str(content.get("title") or name),
            bands=bands,
            ground_sample_distance=_number(content["ground_sample_distance"], f"{source}: ground_sample_distance"),
            encodings=_encodings(content.get("encodings") or {bands[0].unit: {}}, bands, source),
        )
    except DataError as error:
        raise DataError(f"{source}: {error}") from error


def sensor_to_dict(sensor: Sensor) -> dict[str, Any]:
    """Return the sensor as plain JSON types; ``sensor_from_dict`` gives the same sensor back.

    Args:
        sensor: any sensor.
    """
    return {
        "name": sensor.name,
        "title": sensor.title,
        "ground_sample_distance": sensor.ground_sample_distance,
        "encodings": {encoding.name: _encoding_to_dict(encoding) for encoding in sensor.encodings},
        "bands": [_plain(band) for band in sensor.bands],
    }


def _band(row: Any, defaults: Mapping[str, Any], source: str) -> Band:
    _check_keys(row, _BAND_KEYS, source, required=("name",))
    values = {**defaults, **row}
    name = str(values["name"])
    source = f"{source} ({name})"
    _check_choice(values.get("kind", "optical"), BAND_KINDS.names(), f"{source}: kind")
    kind = get_band_kind(str(values.get("kind", "optical")))
    _check_choice(values.get("unit", "reflectance"), (*UNITS, *kind.units), f"{source}: unit")
    numbers = {key: _number(values[key], f"{source}: {key}") for key in _BAND_NUMBERS if values.get(key) is not None}
    if values.get("polarisation") is not None:
        _check_choice(values["polarisation"], POLARISATIONS, f"{source}: polarisation")
    values |= numbers | {
        "name": name,
        "aliases": _aliases(values.get("aliases") or (), source),
        "properties": _properties(values.get("properties"), f"{source}: properties"),
    }
    return _checked_band(values, source)


def _checked_band(values: Mapping[str, Any], source: str) -> Band:
    """Return a band of these fields; errors name its place."""
    try:
        band = Band(**values)
    except DataError as error:
        raise DataError(f"{source}: {error}") from error
    _check_width(band, source)
    return band


def _aliases(aliases: Any, source: str) -> tuple[str, ...]:
    if not isinstance(aliases, (list, tuple)):
        raise DataError(f"{source}: aliases is {aliases!r}, must be a list ([B04, RED])")
    return tuple(str(alias) for alias in aliases)


def _properties(content: Any, source: str) -> tuple[tuple[str, float], ...]:
    if not isinstance(content or {}, Mapping):
        raise DataError(f"{source} is {content!r}, must map names to numbers")
    return tuple((str(name), _number(value, f"{source}: {name}")) for name, value in (content or {}).items())


def _check_width(band: Band, source: str) -> None:
    if band.width is not None and band.width < MIN_WIDTH_NM:
        raise DataError(f"{source}: width {band.width:g} is in nanometres; 0.03 micrometres are 30")
    if band.width is not None and band.wavelength is not None and band.width > band.wavelength:
        raise DataError(f"{source}: width {band.width:g} nm does not go with wavelength {band.wavelength:g} nm")


def _encodings(content: Any, bands: tuple[Band, ...], source: str) -> tuple[Encoding, ...]:
    if not isinstance(content, Mapping):
        raise DataError(f"{source}: encodings must map a word (dn) to how it is scaled ({{scale: 0.0001}})")
    return tuple(_encoding(word, entry, bands, f"{source}: encoding {word!r}") for word, entry in content.items())


def _exception(word: str, name: Any, scaling: Any, names: list[str], source: str) -> tuple[str, Encoding]:
    """Return the name of a band that is stored otherwise, and how."""
    _check_keys(scaling, _ENCODING_KEYS[:-1], f"{source}: band {name!r}")
    if name not in names:
        raise DataError(f"{source}: there is no band {name!r}{did_you_mean(str(name), names)}")
    return str(name), _scaling(word, scaling, f"{source}: band {name!r}")


def _encoding(word: Any, entry: Any, bands: tuple[Band, ...], source: str) -> Encoding:
    entry = {} if entry is None else entry
    _check_keys(entry, _ENCODING_KEYS, source)
    by_band = entry.get("bands") or {}
    if not isinstance(by_band, Mapping):
        raise DataError(f"{source}: bands must map a band name to its own scaling, is {by_band!r}")
    names = [band.name for band in bands]
    exceptions = [_exception(str(word), name, scaling, names, source) for name, scaling in by_band.items()]
    scaling = {key: value for key, value in entry.items() if key != "bands"}
    return _scaling(str(word), scaling, source, tuple(exceptions))


def _scaling(
    word: str, entry: Mapping[str, Any], source: str, exceptions: tuple[tuple[str, Encoding], ...] = ()
) -> Encoding:
    scale = _number(entry.get("scale", 1.0), f"{source}: scale")
    if scale == 0:
        raise DataError(f"{source}: scale is 0, which would erase every value")
    return Encoding(
        name=word,
        scale=scale,
        offset=_number(entry.get("offset", 0.0), f"{source}: offset"),
        decibel=bool(entry.get("decibel", False)),
        planck=_planck(entry.get("planck"), source),
        exceptions=exceptions,
    )


def _planck(constants: Any, source: str) -> tuple[float, float] | None:
    if constants is None:
        return None
    if not isinstance(constants, (list, tuple)) or len(constants) != 2:
        raise DataError(f"{source}: planck is {constants!r}, must be the two constants [K1, K2]")
    return _number(constants[0], f"{source}: planck"), _number(constants[1], f"{source}: planck")


def _encoding_to_dict(encoding: Encoding) -> dict[str, Any]:
    plain: dict[str, Any] = {"scale": encoding.scale, "offset": encoding.offset}
    if encoding.decibel:
        plain["decibel"] = True
    if encoding.planck:
        plain["planck"] = list(encoding.planck)
    if encoding.exceptions:
        plain["bands"] = {name: _encoding_to_dict(exception) for name, exception in encoding.exceptions}
    return plain


def _plain(band: Band) -> dict[str, Any]:
    """Return every field that is set, as JSON types."""
    values = {key: getattr(band, key) for key in _BAND_KEYS}
    values |= {"aliases": list(band.aliases), "properties": dict(band.properties)}
    return {key: value for key, value in values.items() if value is not None and value not in ([], {})}


def _refuse_unknown(content: Mapping[Any, Any], valid: Collection[str], source: str) -> None:
    """Refuse a key that there is not, with the one that was probably meant."""
    for key in content:
        if key not in valid:
            hint = did_you_mean(str(key), valid)
            raise DataError(f"{source}: unknown key {key!r}{hint}; valid keys: {', '.join(valid)}")


def _check_keys(content: Any, valid: Collection[str], source: str, required: Collection[str] = ()) -> None:
    if not isinstance(content, Mapping):
        raise DataError(f"{source} must be a mapping with the keys {', '.join(valid)}, is {type(content).__name__}")
    _refuse_unknown(content, valid, source)
    if missing := [key for key in required if content.get(key) is None]:
        raise DataError(f"{source}: {' and '.join(missing)} must be given")


def _check_choice(value: Any, valid: Collection[str], source: str) -> None:
    if value not in valid:
        raise DataError(f"{source} is {value!r}{did_you_mean(str(value), valid)}; valid: {', '.join(valid)}")


def _check_spellings(bands: tuple[Band, ...], source: str) -> None:
    """One spelling must mean one band, or matching would depend on the order of the bands."""
    owners: dict[str, str] = {}
    for band in bands:
        for spelling in (band.name, *band.aliases):
            owner = owners.setdefault(normalise_name(spelling), band.name)
            if owner != band.name:
                raise DataError(f"{source}: {spelling!r} means both {owner!r} and {band.name!r}; remove one alias")


def _number(value: Any, source: str) -> float:
    """Return a finite number; YAML 1.1 reads ``1e-4`` as text, so numbers in text are accepted."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise DataError(f"{source} is {value!r}, must be a number") from None
    if isinstance(value, bool) or not math.isfinite(number):
        raise DataError(f"{source} is {value!r}, must be a finite number")
    return number
