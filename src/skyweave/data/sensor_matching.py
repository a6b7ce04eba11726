"""Which sensors a file fits, and why the others do not. The user declares the sensor, always: this only advises."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from skyweave.core.sensors.matching import BandMatch, match_bands
from skyweave.core.sensors.sensor import Encoding, Sensor
from skyweave.data.inspection import BandReport, RasterReport
from skyweave.data.scale_tags import encoding_names_of_tags
from skyweave.data.units import PHYSICAL_UNITS, fits_bytes

VERDICTS = ("all", "subset", "more", "count", "no")
"""Best first; `SensorMatch` explains them."""
MAX_LISTED_NAMES = 4  # names of bands in a reason


@dataclass(frozen=True)
class SensorMatch:
    """One sensor against one file.

    Attributes:
        sensor: that was compared.
        verdict: ``all`` bands, a ``subset`` of them, the sensor with ``more`` bands beside it, ``count`` (the file
            does not say which bands it has, only their number agrees), or ``no``.
        reason: the verdict in words.
        match: which file band is which sensor band.
        units: the sensor's declarable units under which the file's values are possible, and which its scale and offset
            tags do not contradict.
    """

    sensor: Sensor
    verdict: str
    reason: str
    match: BandMatch
    units: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Return whether every band of the file is known to be one of the sensor's."""
        return self.verdict in ("all", "subset")


def match_sensors(report: RasterReport, sensors: Iterable[Sensor]) -> list[SensorMatch]:
    """Compare a file with sensors; the best match comes first, equal ones by how near their resolution is.

    Args:
        report: of the file.
        sensors: to compare it with.
    """
    matches = [_match(report, sensor) for sensor in sensors]
    whole = next((match for match in matches if match.verdict == "all"), None)
    if whole is not None:
        matches = [_without_namesakes(match, whole) for match in matches]
    return sorted(matches, key=lambda m: (VERDICTS.index(m.verdict), _resolution_gap(report, m.sensor)))


def _without_namesakes(match: SensorMatch, whole: SensorMatch) -> SensorMatch:
    """Return that a sensor does not fit whose bands only share their names with those of the sensor that fits whole."""
    if match.verdict != "more" or "wavelength" in match.match.reasons:
        return match
    reason = f"its band names are also those of {whole.sensor.name}, which has all of the file's"
    return replace(match, verdict="no", reason=reason, units=())


def possible_units(report: RasterReport, sensor: Sensor) -> tuple[str, ...]:
    """Return the sensor's encodings that turn the file's values into possible ones; all where units are mixed.

    Only what is physically out of the question is left out: several may remain, and the user declares one.

    Args:
        report: of the file.
        sensor: whose encodings are tried.
    """
    if not report.maxima or not _has_limits(sensor):
        return _encoding_names(sensor)
    stored = np.array([min(report.minima), max(report.maxima)])
    return tuple(encoding.name for encoding in sensor.encodings if _possible(sensor, encoding, stored))


def _has_limits(sensor: Sensor) -> bool:
    """Return whether all bands are in one unit, whose possible values are known."""
    return sensor.bands[0].unit in _POSSIBLE and len({band.unit for band in sensor.bands}) == 1


def _encoding_names(sensor: Sensor) -> tuple[str, ...]:
    """Return the names of all units of a sensor."""
    return tuple(encoding.name for encoding in sensor.encodings)


# Unit: lowest value, smallest plausible maximum, highest value. Wide: snow and sun glint exceed reflectance 1.
_POSSIBLE = {
    "reflectance": (-0.5, 0.005, 10.0),
    "db": (-100.0, -100.0, 60.0),
    "kelvin": (150.0, 150.0, 1500.0),
    "uint8": (0.0, 1.5, 255.0),
}


def _possible(sensor: Sensor, encoding: Encoding, stored: np.ndarray) -> bool:
    """Return whether an encoding makes possible values of the smallest and the largest stored one."""
    lowest, min_maximum, highest = _POSSIBLE[sensor.bands[0].unit]
    low, high = sensor.encoding(encoding.name).decode(stored)
    if encoding.decibel and stored[0] >= 0 and not math.isfinite(low):
        low = lowest  # a power of exactly 0 is an invalid pixel, not a wrong unit
    return bool(low >= lowest and min_maximum <= high <= highest)


def units_that_agree(report: RasterReport, match: SensorMatch) -> tuple[str, ...]:
    """Return the units of a match that the file's scale and offset tags do not contradict.

    Args:
        report: of the file.
        match: of the file with a sensor.
    """
    return _agreeing(report, match.sensor, match.match, match.units)


def _agreeing(report: RasterReport, sensor: Sensor, match: BandMatch, units: tuple[str, ...]) -> tuple[str, ...]:
    """Return which of the units the tags of no band contradict."""
    pairs = _matched_bands(report, match)
    named = (set(encoding_names_of_tags(band, sensor, channel)) for band, channel in pairs if band.is_scaled)
    agreeing = set(units).intersection(*named)
    return tuple(name for name in units if name in agreeing)


def _matched_bands(report: RasterReport, match: BandMatch) -> list[tuple[BandReport, int]]:
    """Return (band of the file, channel of the sensor) of those that match."""
    return [(report.measured[file], channel) for channel, file in enumerate(match.channels) if file is not None]


def _match(report: RasterReport, sensor: Sensor) -> SensorMatch:
    """Return one sensor against one file."""
    match = match_bands(sensor, report.names, report.wavelengths, [band.width for band in report.measured])
    units = _likely_units(report, sensor, match)
    verdict, reason = _verdict(report, sensor, match)
    if verdict == "no":
        return SensorMatch(sensor, verdict, reason, match)
    if units:
        return SensorMatch(sensor, verdict, reason, match, units)
    doubt = _value_doubt(report, sensor)
    if verdict == "count":
        return SensorMatch(sensor, "no", doubt, match)
    reason += f"; but {doubt}: is a nodata value undeclared, or the encoding another?"
    return SensorMatch(sensor, verdict, reason, match)


def _likely_units(report: RasterReport, sensor: Sensor, match: BandMatch) -> tuple[str, ...]:
    """Return the possible units that the tags agree with; all possible ones where they agree with none."""
    units = possible_units(report, sensor)
    return _agreeing(report, sensor, match, units) or units


def _value_doubt(report: RasterReport, sensor: Sensor) -> str:
    """Return that none of the sensor's units makes the file's values possible."""
    low, high = min(report.minima), max(report.maxima)
    return f"values {low:g} to {high:g} are impossible in any of its units ({', '.join(_encoding_names(sensor))})"


def _verdict(report: RasterReport, sensor: Sensor, match: BandMatch) -> tuple[str, str]:
    """Return verdict and reason, by the bands and the storage type alone."""
    if doubt := _storage_doubt(report, sensor):
        return "no", doubt
    return _whole_verdict(report, sensor, match) or _partial_verdict(report, sensor, match)


def _storage_doubt(report: RasterReport, sensor: Sensor) -> str | None:
    """Return why the stored values cannot be the sensor's, by their type or their size; None where they can."""
    unit = sensor.bands[0].unit
    if unit in PHYSICAL_UNITS and _is_all_bytes(report) and not any(fits_bytes(sensor, e) for e in sensor.encodings):
        return f"its {unit} is not stored as uint8: this looks like a picture made from it"
    if unit == "uint8" and (highest := max(report.maxima, default=0)) > 255:
        return f"its values lie in 0..255, the file's reach {highest:g}"
    return None


def _is_all_bytes(report: RasterReport) -> bool:
    """Return whether all measured bands are stored in 8 bits."""
    return all(band.dtype == "uint8" for band in report.measured)


def _whole_verdict(report: RasterReport, sensor: Sensor, match: BandMatch) -> tuple[str, str] | None:
    """Return the verdict on a file whose bands are the sensor's, some of them, or more than them."""
    total = _count_bands(len(sensor))
    if match.covers_file:
        if match.complete:
            return "all", f"all {total}"
        return "subset", f"{len(match.matched)} of {total}: {_shorten(list(match.matched))}"
    if match.matched and match.complete:
        extra = _extra_names(report, match)
        return "more", f"all {total}, and {len(extra)} that it does not have: {_shorten(extra)}"
    return None


def _partial_verdict(report: RasterReport, sensor: Sensor, match: BandMatch) -> tuple[str, str]:
    """Return the verdict on a file that lacks a band of the sensor and has others, or names none."""
    count, total = len(match.matched), _count_bands(len(sensor))
    if count:
        extra = _shorten(_extra_names(report, match))
        return "no", f"only {count} of {total}; the file's {extra} are none of its bands"
    if not report.identified and len(report.measured) == len(sensor):
        return "count", f"{total} as the sensor, but the file does not name them"
    name, reason = next(iter(match.missing.items()))
    return "no", f"{name}: {reason}"


def _extra_names(report: RasterReport, match: BandMatch) -> list[str]:
    return [report.names[channel] or f"band {channel + 1}" for channel in match.extra]


def _resolution_gap(report: RasterReport, sensor: Sensor) -> float:
    if report.ground_sample_distance is None:
        return 0.0
    return abs(math.log(report.ground_sample_distance / sensor.ground_sample_distance))


def _shorten(names: list[str]) -> str:
    rest = len(names) - MAX_LISTED_NAMES
    return ", ".join(names) if rest <= 0 else f"{', '.join(names[:MAX_LISTED_NAMES])} and {rest} more"


def _count_bands(count: int) -> str:
    return "1 band" if count == 1 else f"{count} bands"
