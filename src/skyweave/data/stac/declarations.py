"""What a catalogue says of an item, held against what is declared: unit, sensor, and what comes of its offset."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.sensors.sensor import Sensor
from skyweave.data.band_header import BandHeader
from skyweave.data.scale_tags import agrees_with_unit, encoding_names_of_tags
from skyweave.data.stac.assets import BandSource
from skyweave.data.units import MAX_NEGATIVE_SHARE, MIN_JUDGED_VALUES, MIN_REFLECTANCE

LEVELS = {"l1c": "L1C", "l2a": "L2A"}
"""Of Sentinel-2, by the end of a sensor's name: measured above the atmosphere, and on the ground."""
SATELLITES = {"sentinel-1": "sentinel1", "sentinel-2": "sentinel2", "landsat": "landsat"}
"""Beginnings of `constellation` and `platform`, and of the names of their sensors."""


def check_item(item: Any, bands: Mapping[str, BandSource], sensor: Sensor, unit: str | None) -> None:
    """Refuse a sensor of another level than the item's, and a unit that contradicts the catalogue's scale and offset.

    Args:
        item: of a catalogue.
        bands: where the bands of the sensor lie in it.
        sensor: as declared.
        unit: as declared; None: as the catalogue says.

    Raises:
        DataError: names both sides.
    """
    stated = str(item.properties.get("processing:level") or "").upper()
    level = LEVELS.get(sensor.name.rpartition("-")[2])
    if level is not None and stated in LEVELS.values() and stated != level:
        right = f"{sensor.name.rpartition('-')[0]}-{stated.lower()}"
        raise DataError(f"{item.id} is of level {stated}, and {sensor.name} of level {level}: give --sensor {right}")
    if unit is None:
        return
    for channel, (name, source) in enumerate(bands.items()):
        header = BandHeader(source.index, "", scale=1.0 if source.scale is None else source.scale, offset=source.offset)
        if header.is_scaled and not agrees_with_unit(header, sensor, channel, unit):
            right = ", ".join(encoding_names_of_tags(header, sensor, channel))
            raise DataError(
                f"the catalogue says of band {name!r} of {item.id} that a value is {header.scale:g} * stored "
                f"{header.offset:+g}; --unit {unit} is {sensor.encoding(unit).formula()}: declare --unit "
                f"{right or 'catalogue'}; if the catalogue is wrong, ignore it with --ignore-scale-tags"
            )


def note_other_satellites(items: Sequence[Any], sensor: Sensor) -> tuple[str, ...]:
    """Return a sentence where items are of another satellite than the sensor, whose bands only have the same names.

    Args:
        items: of a scene.
        sensor: as declared.
    """
    declared = next((name for name, prefix in SATELLITES.items() if sensor.name.startswith(prefix)), None)
    others = {}
    for item in items:
        words = [str(item.properties.get(key) or "").lower() for key in ("constellation", "platform")]
        stated = next((name for name in SATELLITES if any(word.startswith(name) for word in words)), None)
        if declared is not None and stated is not None and stated != declared:
            others[item.id] = next(word for word in reversed(words) if word)
    if not others:
        return ()
    names = ", ".join(f"{name} of {platform}" for name, platform in list(others.items())[:3])
    return (f"{names} is read as {sensor.name}: the bands have the same names, and not the same wavelengths",)


class NegativeReflectances:
    """Counts what lies below any reflectance, by item and band: an offset that the pixels had already."""

    def __init__(self, sensor: Sensor) -> None:
        self._sensor = sensor
        self._counts: dict[tuple[str, int], np.ndarray] = defaultdict(lambda: np.zeros(2, np.int64))

    def add(self, item: Any, values: np.ndarray, seen: np.ndarray) -> None:
        """Count the values of an item on a window.

        Args:
            item: of the scene.
            values: (bands, rows, columns) in the bands' units.
            seen: (rows, columns) where they are used.
        """
        for channel, plane in enumerate(values):
            self._counts[item.id, channel] += [seen.sum(), (plane[seen] < MIN_REFLECTANCE).sum()]

    def check(self, sources: Sequence[tuple[Any, Mapping[str, BandSource]]]) -> None:
        """Refuse items whose offset makes many reflectances negative.

        Args:
            sources: items of the scene, and where their bands lie.

        Raises:
            DataError: names the item, the band, and the unit that leaves the offset out.
        """
        for item, bands in sources:
            for channel, (name, source) in enumerate(bands.items()):
                count, below = self._counts[item.id, channel]
                judged = self._sensor.bands[channel].unit == "reflectance" and count >= MIN_JUDGED_VALUES
                if not judged or source.offset >= 0 or below <= MAX_NEGATIVE_SHARE * count:
                    continue
                plain = BandHeader(source.index, "", scale=source.scale or 1.0)
                units = encoding_names_of_tags(plain, self._sensor, channel)
                remedy = f"--unit {units[0]} --ignore-scale-tags" if units else "a --unit without it"
                raise DataError(
                    f"with the catalogue's offset {source.offset:g} {below / count:.0%} of band {name!r} of {item.id} "
                    f"are reflectances below {MIN_REFLECTANCE}: the pixels have it already; leave it out with {remedy}"
                )
