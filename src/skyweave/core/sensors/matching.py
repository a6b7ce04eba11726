"""Which band is meant: by name, by alias, or by wavelength. Nothing here is decided by position."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skyweave.core.errors import DataError, UnknownNameError, did_you_mean, normalise_name
from skyweave.core.sensors.band import Band

if TYPE_CHECKING:
    from skyweave.core.sensors.sensor import Sensor


@dataclass(frozen=True)
class BandMatch:
    """How the bands of a file answer to the bands of a sensor.

    Attributes:
        sensor: the sensor that was asked for.
        channels: for each sensor band, in its order, the 0-based file band that carries it, or None.
        reasons: for each sensor band, how it was matched (``name``, ``wavelength``), or why it is missing.
        extra: 0-based file bands that are no band of this sensor, in file order.
    """

    sensor: "Sensor"
    channels: tuple[int | None, ...]
    reasons: tuple[str, ...]
    extra: tuple[int, ...]

    @property
    def matched(self) -> dict[str, int]:
        """Sensor band name to 0-based file band, in file order."""
        pairs = [(c, band.name) for c, band in zip(self.channels, self.sensor.bands, strict=True) if c is not None]
        return {name: channel for channel, name in sorted(pairs)}

    @property
    def missing(self) -> dict[str, str]:
        """Sensor bands that the file does not have, with the reason."""
        rows = zip(self.sensor.bands, self.channels, self.reasons, strict=True)
        return {band.name: reason for band, channel, reason in rows if channel is None}

    @property
    def complete(self) -> bool:
        """Every band of the sensor is in the file."""
        return all(channel is not None for channel in self.channels)

    @property
    def covers_file(self) -> bool:
        """Every band of the file is a band of the sensor: the file is this sensor, or a subset of its bands."""
        return not self.extra and any(channel is not None for channel in self.channels)

    def file_order(self) -> "Sensor":
        """The sensor with only the matched bands, in file order. Raises ``ValueError`` if nothing matches."""
        if not self.matched:
            raise DataError(f"no band of the file matches sensor {self.sensor.name!r}; declare the bands by name")
        return self.sensor.select(list(self.matched))


def find_band(bands: Sequence[Band], name: str, owner: str) -> int:
    """Index of the band called ``name``: canonical name or alias, whatever its case, punctuation and leading zeros.

    Args:
        owner: what to call the owner of the bands in the message (``sensor 'naip'``).

    Raises:
        UnknownNameError: (a ``KeyError``) no band has that name; lists the valid names and the nearest one.
    """
    wanted = normalise_name(name)
    for index, band in enumerate(bands):
        if normalise_name(band.name) == wanted:
            return index
    for index, band in enumerate(bands):
        if any(normalise_name(alias) == wanted for alias in band.aliases):
            return index
    spellings = {spelling: band.name for band in bands for spelling in (*band.aliases, band.name)}
    hint = did_you_mean(name, spellings)
    names = [band.name for band in bands]
    valid = ", ".join(names) if len(names) <= 20 else f"{', '.join(names[:3])} ... {names[-1]} ({len(names)} bands)"
    raise UnknownNameError(f"{owner} has no band {name!r}{hint}; valid names: {valid}")


def match_bands(
    sensor: "Sensor",
    descriptions: Sequence[str | None],
    wavelengths: Sequence[float | None] | None = None,
    widths: Sequence[float | None] | None = None,
) -> BandMatch:
    """Match the bands of a file to a sensor's by what the file says of them, never by their position.

    A name decides first; a band without a known name is matched to the nearest wavelength within a quarter of the
    sensor band's width (at least 1.5 nm). A name that contradicts its own wavelength is reported, not matched, and
    neither is a band whose width differs more than twofold: a 7 nm hyperspectral band is not a 30 nm one.

    Args:
        sensor: the sensor to look for.
        descriptions: one per file band: its name, or a text with its wavelength (``band 1 (418.24 Nanometers)``).
        wavelengths: one per file band, centre in nanometres; None where unknown (then read from the description).
        widths: one per file band, full width at half maximum in nanometres; None where unknown.
    """
    count = len(descriptions)
    texts = [text or "" for text in descriptions]
    given: list[float | None] = list(wavelengths) if wavelengths is not None else [None] * count
    fwhm: list[float | None] = list(widths) if widths is not None else [None] * count
    if len(given) != count or len(fwhm) != count:
        raise DataError(f"{count} descriptions, {len(given)} wavelengths and {len(fwhm)} widths: give one per band")
    centres = [value or parse_wavelength(text) for value, text in zip(given, texts, strict=True)]

    channels: list[int | None] = [None] * len(sensor)
    reasons = [_why_missing(band, texts, centres) for band in sensor.bands]
    free = set(range(count))
    for index, channel in _by_name(sensor, texts):
        band, centre = sensor.bands[index], centres[channel]
        if centre is not None and band.wavelength and abs(centre - band.wavelength) > max(band.width or 0.0, 50.0):
            reasons[index] = (
                f"file band {channel + 1} is called {texts[channel]!r} but its wavelength is {centre:g} nm, "
                f"not about {band.wavelength:g} nm"
            )
            free.discard(channel)
        elif channels[index] is not None:
            reasons[index] = f"more than one file band is called {band.name!r}; declare the bands by name"
            free |= {channels[index]}  # type: ignore[arg-type]
            channels[index] = None
        elif reasons[index].startswith("more than one"):
            continue
        else:
            channels[index], reasons[index] = channel, "name"
            free.discard(channel)
    for _, index, channel in sorted(_by_wavelength(sensor, centres, fwhm)):
        if channels[index] is None and channel in free and not reasons[index].startswith("more than one"):
            channels[index], reasons[index] = channel, "wavelength"
            free.discard(channel)
    used = {channel for channel in channels if channel is not None}
    extra = tuple(channel for channel in range(count) if channel not in used)
    return BandMatch(sensor, tuple(channels), tuple(reasons), extra)


def parse_wavelength(text: str) -> float | None:
    """Centre wavelength in nanometres written in a description, ``0.665 um`` or ``665 nm``; None if there is none."""
    found = re.search(r"(\d+(?:\.\d+)?)\s*(nanomet(?:er|re)s?|nm|micromet(?:er|re)s?|microns?|um|µm|μm)\b", text, re.I)
    if not found:
        return None
    in_nanometres = found.group(2).casefold().startswith("n")
    return float(found.group(1)) * (1.0 if in_nanometres else 1000.0)


def _by_name(sensor: "Sensor", texts: list[str]) -> list[tuple[int, int]]:
    """(sensor band, file band) pairs whose names agree."""
    spelled: dict[str, int] = {}
    for index, band in enumerate(sensor.bands):
        for spelling in (*band.aliases, band.name):
            spelled.setdefault(normalise_name(spelling), index)
    keys = [normalise_name(text) for text in texts]
    return [(spelled[key], channel) for channel, key in enumerate(keys) if key in spelled]


def _by_wavelength(
    sensor: "Sensor", centres: list[float | None], widths: list[float | None]
) -> list[tuple[float, int, int]]:
    """(distance in nm, sensor band, file band) of every pair near enough to be the same band."""
    pairs = []
    for index, band in enumerate(sensor.bands):
        if band.wavelength is None:
            continue
        tolerance = max(1.5, 0.25 * (band.width or 0.0))
        for channel, (centre, width) in enumerate(zip(centres, widths, strict=True)):
            if centre is None or abs(centre - band.wavelength) > tolerance:
                continue
            if width and band.width and not 0.5 <= width / band.width <= 2.0:
                continue
            pairs.append((abs(centre - band.wavelength), index, channel))
    return pairs


def _why_missing(band: Band, texts: list[str], centres: list[float | None]) -> str:
    """What to tell the user about a sensor band that nothing in the file answers to."""
    known = [centre for centre in centres if centre is not None]
    if not known and not any(texts):
        return "the file names no bands and gives no wavelengths"
    if band.wavelength is None or not known:
        return f"no file band is called {band.name!r} or an alias of it"
    nearest = min(known, key=lambda centre: abs(centre - (band.wavelength or 0.0)))
    return f"the nearest file band is at {nearest:g} nm, not {band.wavelength:g} nm with the width of {band.name!r}"
