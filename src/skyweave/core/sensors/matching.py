"""Which band is meant: by name, by alias, or by wavelength. Nothing here is decided by position."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from skyweave.core.errors import DataError, normalise_name
from skyweave.core.sensors.band import Band
from skyweave.core.sensors.names import band_spellings
from skyweave.core.sensors.sensor import Sensor

MIN_WAVELENGTH_TOLERANCE_NM = 1.5  # within which two centres are one band, however narrow the band
MIN_CONTRADICTION_NM = 50.0  # by which a wavelength must miss the band's before it contradicts the name


@dataclass(frozen=True)
class BandMatch:
    """Which bands of a file are which bands of a sensor.

    Attributes:
        sensor: the sensor that was looked for.
        channels: for each sensor band, in its order, the 0-based file band that carries it, or None.
        reasons: for each sensor band, how it was matched (``name``, ``wavelength``), or why it is missing.
        extra: 0-based file bands that are no band of this sensor, in file order.
    """

    sensor: Sensor
    channels: tuple[int | None, ...]
    reasons: tuple[str, ...]
    extra: tuple[int, ...]

    @property
    def matched(self) -> dict[str, int]:
        """Return the 0-based file band of each matched sensor band by name, in file order."""
        pairs = [(c, band.name) for c, band in zip(self.channels, self.sensor.bands, strict=True) if c is not None]
        return {name: channel for channel, name in sorted(pairs)}

    @property
    def missing(self) -> dict[str, str]:
        """Return the reason for each sensor band that the file does not have, by name."""
        rows = zip(self.sensor.bands, self.channels, self.reasons, strict=True)
        return {band.name: reason for band, channel, reason in rows if channel is None}

    @property
    def complete(self) -> bool:
        """Return whether every band of the sensor is in the file."""
        return all(channel is not None for channel in self.channels)

    @property
    def covers_file(self) -> bool:
        """Return whether every band of the file is a band of the sensor."""
        return not self.extra and any(channel is not None for channel in self.channels)

    def file_order(self) -> Sensor:
        """Return the sensor with only the matched bands, in file order.

        Raises:
            DataError: no band matches.
        """
        if not self.matched:
            raise DataError(f"no band of the file matches sensor {self.sensor.name!r}; declare the bands by name")
        return self.sensor.select(list(self.matched))


def match_bands(
    sensor: Sensor,
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

    Raises:
        DataError: the three sequences are not equally long.
    """
    count = len(descriptions)
    texts = [text or "" for text in descriptions]
    given: list[float | None] = list(wavelengths) if wavelengths is not None else [None] * count
    fwhm: list[float | None] = list(widths) if widths is not None else [None] * count
    if len(given) != count or len(fwhm) != count:
        raise DataError(f"{count} descriptions, {len(given)} wavelengths and {len(fwhm)} widths: give one per band")
    centres = [value or parse_wavelength(text) for value, text in zip(given, texts, strict=True)]
    assignment = _Assignment(sensor, texts, centres)
    assignment.by_name()
    assignment.by_wavelength(fwhm)
    return assignment.result()


def parse_wavelength(text: str) -> float | None:
    """Return the centre wavelength in nanometres that a description gives, or None.

    Args:
        text: a band's description, such as ``0.665 um`` or ``red (665 nm)``.
    """
    match = re.search(r"(\d+(?:\.\d+)?)\s*(nanomet(?:er|re)s?|nm|micromet(?:er|re)s?|microns?|um|µm|μm)\b", text, re.I)
    if not match:
        return None
    in_nanometres = match.group(2).casefold().startswith("n")
    return float(match.group(1)) * (1.0 if in_nanometres else 1000.0)


def strip_wavelength(text: str) -> str:
    """Return a band's name without the wavelength that stands behind it.

    Args:
        text: a band's description, such as ``B4 (665 nm)`` or ``B4, central wavelength 665 nm``.
    """
    words = r"(?:(?:central|centre|center)?\s*wavelength\s*)?"
    number = r"\d+(?:\.\d+)?\s*(?:nanomet(?:er|re)s?|nm|micromet(?:er|re)s?|microns?|um|µm|μm)"
    return re.sub(rf"[\s,;:(\[-]+{words}{number}[)\]]?\s*$", "", text, flags=re.I) or text


class _Assignment:
    """Sensor bands and the file bands that they are given, first by name, then by wavelength."""

    def __init__(self, sensor: Sensor, texts: list[str], centres: list[float | None]) -> None:
        self.sensor, self.texts, self.centres = sensor, texts, centres
        self.channels: list[int | None] = [None] * len(sensor)
        self.reasons = [_why_missing(band, texts, centres) for band in sensor.bands]
        self.free = set(range(len(texts)))
        self.ambiguous: set[int] = set()

    def by_name(self) -> None:
        """Give each file band with a known name to its sensor band, unless two have it or the wavelength differs."""
        for index, channel in _name_pairs(self.sensor, self.texts):
            band, taken = self.sensor.bands[index], self.channels[index]
            if contradicts_wavelength(band, self.centres[channel]):
                self.reasons[index] = (
                    f"file band {channel + 1} is called {self.texts[channel]!r} but its wavelength is "
                    f"{self.centres[channel]:g} nm, not about {band.wavelength:g} nm"
                )
                self.free.discard(channel)
                self.ambiguous.discard(index)
            elif taken is not None:
                self.reasons[index] = f"more than one file band is called {band.name!r}; declare the bands by name"
                self.ambiguous.add(index)
                self.free.add(taken)
                self.channels[index] = None
            elif index not in self.ambiguous:
                self._assign(index, channel, "name")

    def by_wavelength(self, widths: list[float | None]) -> None:
        """Give free file bands to the sensor bands that are left, the nearest pair first."""
        for _, index, channel in sorted(_wavelength_pairs(self.sensor, self.centres, widths)):
            if self.channels[index] is None and channel in self.free and index not in self.ambiguous:
                self._assign(index, channel, "wavelength")

    def result(self) -> BandMatch:
        """Return the assignment as it is now."""
        used = {channel for channel in self.channels if channel is not None}
        extra = tuple(channel for channel in range(len(self.texts)) if channel not in used)
        return BandMatch(self.sensor, tuple(self.channels), tuple(self.reasons), extra)

    def _assign(self, index: int, channel: int, reason: str) -> None:
        self.channels[index], self.reasons[index] = channel, reason
        self.free.discard(channel)


def contradicts_wavelength(band: Band, centre: float | None) -> bool:
    """Return whether a centre wavelength is too far from a band's to be its.

    Args:
        band: of a sensor.
        centre: nanometres; None where it is not known.
    """
    if centre is None or not band.wavelength:
        return False
    return abs(centre - band.wavelength) > max(band.width or 0.0, MIN_CONTRADICTION_NM)


def _name_pairs(sensor: Sensor, texts: list[str]) -> list[tuple[int, int]]:
    """Return (sensor band, file band) pairs whose names agree."""
    spellings = band_spellings(sensor.bands)
    keys = [normalise_name(key) for key in map(strip_wavelength, texts)]
    return [(spellings[key], channel) for channel, key in enumerate(keys) if key in spellings]


def _wavelength_pairs(
    sensor: Sensor, centres: list[float | None], widths: list[float | None]
) -> list[tuple[float, int, int]]:
    """Return (distance in nm, sensor band, file band) of every pair near enough to be the same band."""
    pairs = []
    for index, band in enumerate(sensor.bands):
        for channel, (centre, width) in enumerate(zip(centres, widths, strict=True)):
            if centre is not None and band.wavelength is not None and _same_band(band, centre, width):
                pairs.append((abs(centre - band.wavelength), index, channel))
    return pairs


def _same_band(band: Band, centre: float, width: float | None) -> bool:
    tolerance = max(MIN_WAVELENGTH_TOLERANCE_NM, 0.25 * (band.width or 0.0))
    return abs(centre - (band.wavelength or 0.0)) <= tolerance and _is_similar_width(width, band.width)


def _is_similar_width(one: float | None, other: float | None) -> bool:
    """Return whether two widths differ less than twofold, or one is not known."""
    return not (one and other) or 0.5 <= one / other <= 2.0


def _why_missing(band: Band, texts: list[str], centres: list[float | None]) -> str:
    """Return the reason that the user reads of a sensor band that no file band matches."""
    known = [centre for centre in centres if centre is not None]
    if not known and not any(texts):
        return "the file names no bands and gives no wavelengths"
    if band.wavelength is None or not known:
        return f"no file band is called {band.name!r} or an alias of it"
    nearest = min(known, key=lambda centre: abs(centre - (band.wavelength or 0.0)))
    return f"the nearest file band is at {nearest:g} nm, not {band.wavelength:g} nm with the width of {band.name!r}"
