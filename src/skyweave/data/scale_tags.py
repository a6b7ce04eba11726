"""Scale and offset that a file states against those of the declared unit: a contradiction is refused, never ignored."""

import math

from skyweave.core.errors import DataError
from skyweave.core.sensors import Encoding, Sensor
from skyweave.data.band_header import BandHeader
from skyweave.data.storage import Storage

RELATIVE_TOLERANCE = 1e-3  # tags are written with few digits
Linear = tuple[float, float]
"""Scale and offset of value = scale * stored + offset."""


def check_scale_tags(storage: Storage) -> None:
    """Refuse a unit that turns stored values into others than the file's tags do.

    Tags may lead to any storage form of the sensor that is itself a plain one: celsius of a sensor in kelvin, say.

    Args:
        storage: as declared.

    Raises:
        DataError: they contradict each other; names both, and the unit that agrees with the file.
    """
    for position, number in enumerate(storage.bands):
        band = storage.header.bands[number]
        declared = _linear(_channel(storage.encoding, position), storage.offset)
        if not band.is_scaled or _agrees(band, declared, storage.sensor, position):
            continue
        right = ", ".join(encoding_names_of_tags(band, storage.sensor, position))
        remedy = f"declare unit {right}" if right else f"no unit of {storage.sensor.name} does that"
        raise DataError(
            f"{storage.header.path}: the file says of band {storage.sensor.bands[position].name!r} that a value is "
            f"{band.scale:g} * stored {band.offset:+g}; you declared unit {storage.encoding.name!r}, which is "
            f"{declared[0]:g} * stored {declared[1]:+g}: {remedy}; if the file's tags are wrong, ignore them with "
            "--ignore-scale-tags (ignore_scale_tags: true in a YAML)"
        )


def encoding_names_of_tags(band: BandHeader, sensor: Sensor, channel: int) -> list[str]:
    """Return the units of a sensor that do with stored values what the tags of a band say.

    Args:
        band: of a file.
        sensor: one of whose bands it is.
        channel: of that band.
    """
    names = [encoding.name for encoding in sensor.encodings]
    return [
        name for name in names if _agrees(band, _linear(_channel(sensor.encoding(name), channel), 0.0), sensor, channel)
    ]


def _agrees(band: BandHeader, declared: Linear, sensor: Sensor, channel: int) -> bool:
    """Return whether the tags, and a storage form of the sensor that they may lead to, do what is declared."""
    further = [_channel(sensor.encoding(encoding.name), channel) for encoding in sensor.encodings]
    for after in (Encoding("as the tags say"), *further):
        scale, offset = after.scale * band.scale, after.scale * band.offset + after.offset
        if _close(scale, declared[0], declared[0]) and _close(offset, declared[1], max(abs(offset), declared[0])):
            return True
    return False


def _channel(encoding: Encoding, channel: int) -> Encoding:
    """Return the storage form of one channel."""
    return encoding.channels[channel] if encoding.channels else encoding


def _linear(encoding: Encoding, offset: float) -> Linear:
    """Return scale and offset, of which a logarithm or Planck's law may be taken after."""
    return encoding.scale, encoding.offset + encoding.scale * offset


def _close(one: float, other: float, scale: float) -> bool:
    return math.isclose(one, other, abs_tol=RELATIVE_TOLERANCE * abs(scale))
