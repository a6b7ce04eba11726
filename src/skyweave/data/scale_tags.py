"""Scale and offset that a file states against those of the declared unit: a contradiction is refused, never ignored."""

import math
from collections.abc import Sequence

from skyweave.core.errors import DataError, normalise_name
from skyweave.core.sensors import Encoding, Sensor
from skyweave.data.band_header import BandHeader
from skyweave.data.storage import Storage

UNIT_WORDS = {
    "k": "kelvin",
    "kelvin": "kelvin",
    "degc": "celsius",
    "c": "celsius",
    "celsius": "celsius",
    "degreescelsius": "celsius",
    "degreecelsius": "celsius",
    "db": "db",
    "decibel": "db",
    "decibels": "db",
    "power": "power",
    **dict.fromkeys(("radiance", "wm2srum", "wm2sr1um1", "mwcm2srum", "mwcm2sr1um1", "wmsrm", "uwcm2srnm"), "radiance"),
}
"""Words that files write for a unit, and the storage form of a sensor that is in it."""
RELATIVE_TOLERANCE = 1e-3  # tags are written with few digits
Linear = tuple[float, float]
"""Scale and offset of value = scale * stored + offset."""


def check_scale_tags(storage: Storage) -> None:
    """Refuse a unit that turns stored values into others than the file's tags do.

    Tags may lead to any storage form of the sensor that is itself a plain one: celsius of a sensor in kelvin, say.
    Where the file names its unit, they lead to that one.

    Args:
        storage: as declared.

    Raises:
        DataError: they contradict each other; names both, and the unit that agrees with the file.
    """
    for position, number in enumerate(storage.bands):
        band = storage.header.bands[number]
        _check_unit_word(storage, position, band)
        _check_scale(storage, position, band)


def _check_scale(storage: Storage, position: int, band: BandHeader) -> None:
    """Refuse a unit whose scale and offset are others than the file's."""
    declared = _linear(_channel(storage.encoding, position), storage.offset)
    if not band.is_scaled or _agrees(band, declared, storage.sensor, position):
        return
    raise DataError(
        f"{storage.header.path}: the file says of band {storage.sensor.bands[position].name!r} that a value is "
        f"{band.scale:g} * stored {band.offset:+g}; you declared unit {storage.encoding.name!r}, which is "
        f"{declared[0]:g} * stored {declared[1]:+g}: {_remedy(storage.sensor, position, band)}; if the file's tags are "
        "wrong, ignore them with --ignore-scale-tags (ignore_scale_tags: true in a YAML)"
    )


def _remedy(sensor: Sensor, position: int, band: BandHeader) -> str:
    """Return which unit to declare instead, if the sensor has one that does what the tags say."""
    right = ", ".join(encoding_names_of_tags(band, sensor, position))
    return f"declare unit {right}" if right else f"no unit of {sensor.name} does that"


def _check_unit_word(storage: Storage, position: int, band: BandHeader) -> None:
    """Refuse a unit that is another than the one that the file names."""
    sensor, declared = storage.sensor, _channel(storage.encoding, position)
    word = UNIT_WORDS.get(normalise_name(band.unit or ""))
    if word is not None and word not in _encoding_names(sensor):
        raise DataError(
            f"{storage.header.path}: the file says that band {sensor.bands[position].name!r} is in {band.unit!r} "
            f"({word}), and no unit of {sensor.name} is that: give the product in one of "
            f"{', '.join(_encoding_names(sensor))}; if the file's tags are wrong, ignore them with --ignore-scale-tags "
            "(ignore_scale_tags: true in a YAML)"
        )
    if word is None or _is_declared(_channel(sensor.encoding(word), position), band, declared, storage.offset):
        return
    raise DataError(
        f"{storage.header.path}: the file says that band {sensor.bands[position].name!r} is in {band.unit!r}; you "
        f"declared unit {storage.encoding.name!r} ({declared.formula()}): declare unit {word}; if the file's tags are "
        "wrong, ignore them with --ignore-scale-tags (ignore_scale_tags: true in a YAML)"
    )


def _named_unit(sensor: Sensor, band: BandHeader) -> str | None:
    """Return the unit of the sensor that a file names; None where it names none of them."""
    word = UNIT_WORDS.get(normalise_name(band.unit or ""))
    return word if word in _encoding_names(sensor) else None


def _is_declared(after: Encoding, band: BandHeader, declared: Encoding, offset: float) -> bool:
    """Return whether the tags and the storage form after them are what is declared."""
    same_kind = (after.decibel, after.planck) == (declared.decibel, declared.planck)
    return same_kind and _same_line(_composed(after, band), _linear(declared, offset))


def _encoding_names(sensor: Sensor) -> list[str]:
    """Return the names of all units of a sensor."""
    return [encoding.name for encoding in sensor.encodings]


def encoding_names_of_tags(band: BandHeader, sensor: Sensor, channel: int) -> list[str]:
    """Return the units of a sensor that do with stored values what the tags of a band say.

    Args:
        band: of a file.
        sensor: one of whose bands it is.
        channel: of that band.
    """
    lines = {name: _linear(_channel(sensor.encoding(name), channel), 0.0) for name in _encoding_names(sensor)}
    return [name for name, line in lines.items() if _agrees(band, line, sensor, channel)]


def find_unit_of_tags(bands: Sequence[tuple[BandHeader, int]], sensor: Sensor, path: str) -> str:
    """Return the unit of a sensor that a file's own scales, offsets and words for a unit lead to.

    Args:
        bands: of the file, each with its channel of the sensor.
        sensor: whose unit it is.
        path: of the file, for messages.

    Raises:
        DataError: the file says nothing of its values, or no unit of the sensor fits all of its bands.
    """
    fitting = [names for band, channel in bands if (names := _units_of_tags(band, sensor, channel)) is not None]
    if not fitting:
        raise DataError(
            f"{path} says neither scale nor unit of its values, so --unit file has no meaning: declare one of "
            f"{', '.join(_encoding_names(sensor))}"
        )
    common = [name for name in fitting[0] if all(name in names for names in fitting)]
    if not common:
        band = bands[0][0]
        raise DataError(
            f"{path}: no unit of {sensor.name} is what the file says of its bands (of the first: {band.scale:g} * "
            f"stored {band.offset:+g}{f' {band.unit}' if band.unit else ''}); if that is right, add it to the "
            f"encodings of a sensor of yours: {_encoding_of_tags(bands, sensor)}; if it is wrong, declare one of "
            f"{', '.join(_encoding_names(sensor))} with --ignore-scale-tags"
        )
    return common[0]


def _encoding_of_tags(bands: Sequence[tuple[BandHeader, int]], sensor: Sensor) -> str:
    """Return what a file says of its bands as an encoding in the YAML of a sensor."""
    lines = {
        sensor.bands[channel].name: f"scale: {band.scale:.9g}, offset: {band.offset:.9g}" for band, channel in bands
    }
    usual = next(iter(lines.values()))
    others = ", ".join(f"{name}: {{{line}}}" for name, line in lines.items() if line != usual)
    return f"stored: {{{usual}{f', bands: {{{others}}}' if others else ''}}}"


def _units_of_tags(band: BandHeader, sensor: Sensor, channel: int) -> list[str] | None:
    """Return the units that a band's tags lead to; None where it has none."""
    word = _named_unit(sensor, band)
    if not band.is_scaled:
        return None if word is None else [word]
    names = encoding_names_of_tags(band, sensor, channel)
    return names if word is None else [name for name in names if name == word] or names


def agrees_with_unit(band: BandHeader, sensor: Sensor, channel: int, unit: str) -> bool:
    """Return whether a unit does with stored values what the tags of a band say.

    Args:
        band: with scale and offset.
        sensor: whose unit it is.
        channel: of the band in the sensor.
        unit: as declared.
    """
    return _agrees(band, _linear(_channel(sensor.encoding(unit), channel), 0.0), sensor, channel)


def _agrees(band: BandHeader, declared: Linear, sensor: Sensor, channel: int) -> bool:
    """Return whether the tags, and a storage form of the sensor that they may lead to, do what is declared."""
    further = [_channel(sensor.encoding(encoding.name), channel) for encoding in sensor.encodings]
    lines = (_composed(after, band) for after in (Encoding("as the tags say"), *further))
    return any(_same_line(line, declared) for line in lines)


def _composed(after: Encoding, band: BandHeader) -> Linear:
    """Return scale and offset of the tags with those of a storage form after them."""
    return after.scale * band.scale, after.scale * band.offset + after.offset


def _same_line(one: Linear, other: Linear) -> bool:
    largest = max(abs(one[1]), other[0])
    return _close(one[0], other[0], other[0]) and _close(one[1], other[1], largest)


def _channel(encoding: Encoding, channel: int) -> Encoding:
    """Return the storage form of one channel."""
    return encoding.channels[channel] if encoding.channels else encoding


def _linear(encoding: Encoding, offset: float) -> Linear:
    """Return scale and offset, of which a logarithm or Planck's law may be taken after."""
    return encoding.scale, encoding.offset + encoding.scale * offset


def _close(one: float, other: float, scale: float) -> bool:
    return math.isclose(one, other, abs_tol=RELATIVE_TOLERANCE * abs(scale))
