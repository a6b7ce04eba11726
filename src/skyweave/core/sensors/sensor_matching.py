"""Which sensors a file fits and why not, and what deserves a second look. Hints only: the user declares, always."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from skyweave.core.errors import normalise_name
from skyweave.core.sensors.inspection import RasterReport
from skyweave.core.sensors.matching import BandMatch, match_bands
from skyweave.core.sensors.sensor import Sensor

MIN_OFFSET_DN = 900  # digital numbers; the +1000 of baseline 04.00 less what noise may take away


@dataclass(frozen=True)
class SensorMatch:
    """One sensor against one file.

    Attributes:
        verdict: ``all`` bands, a ``subset`` of them, the sensor with ``more`` bands beside it, ``count`` (the file
            does not say which bands it has, only their number agrees), or ``no``.
        reason: the verdict in words.
        match: which file band is which sensor band.
        units: the sensor's declarable units under which the file's values are possible.
    """

    sensor: Sensor
    verdict: str
    reason: str
    match: BandMatch
    units: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Every band of the file is known to be one of the sensor's."""
        return self.verdict in ("all", "subset")


def match_sensors(report: RasterReport, sensors: Iterable[Sensor]) -> list[SensorMatch]:
    """Every sensor with a verdict, the best first: whole before part, then by how near the resolution is."""
    fits = [_fit(report, sensor) for sensor in sensors]
    order = ("all", "subset", "more", "count", "no")
    return sorted(fits, key=lambda fit: (order.index(fit.verdict), _resolution_gap(report, fit.sensor)))


def find_hints(report: RasterReport, fits: Iterable[SensorMatch]) -> list[str]:
    """Sentences about what looks unusual, each with what to declare. Nothing is decided here."""
    fits = list(fits)
    found = [*_empty_hints(report), *_georeference_hints(report), *_nodata_hints(report)]
    for fit in fits:
        if fit.verdict != "no" and fit.sensor.name.startswith("sentinel2") and (hint := _offset_hint(report, fit)):
            found.append(hint)
            break
    if not any(report.names) and not any(report.wavelengths):
        found.append(
            "the file does not say which bands it has: declare them in file order (bands: [B02, B03, ...]); "
            "the number alone is never taken for the order"
        )
    if any(band.scale not in (0.0, 1.0) or band.offset != 0.0 for band in report.bands):
        scales = sorted({(band.scale, band.offset) for band in report.bands})
        scale, offset = scales[0]
        rest = "" if len(scales) == 1 else f" (and {len(scales) - 1} other pairs)"
        found.append(f"tags say value = {scale:g} * stored + {offset:g}{rest}: declare the unit that does this (dn)")
    for band in report.bands:
        if band.colour == "alpha" and band.name is not None and normalise_name(band.name) != "alpha":
            found.append(
                f"band {band.number} is called {band.name!r} but tagged as alpha (transparency): "
                "viewers may hide pixels by it; it is read as a band here"
            )
    return found


def possible_units(report: RasterReport, sensor: Sensor) -> tuple[str, ...]:
    """The sensor's encodings that turn the file's values into possible ones; all of them where units are mixed.

    Only what is physically out of the question is left out: several may remain, and the user declares one.
    """
    highs = [band.maximum for band in report.bands if band.maximum is not None]
    lows = [band.minimum for band in report.bands if band.minimum is not None]
    unit = sensor.bands[0].unit
    if not highs or unit not in _POSSIBLE or len({band.unit for band in sensor.bands}) > 1:
        return tuple(encoding.name for encoding in sensor.encodings)
    lowest, least_maximum, highest = _POSSIBLE[unit]
    stored = np.array([min(lows), max(highs)])
    possible = []
    for encoding in sensor.encodings:
        low, high = sensor.encoding(encoding.name).decode(stored)
        if encoding.decibel and stored[0] >= 0 and not math.isfinite(low):
            low = lowest  # a power of exactly 0 is an invalid pixel, not a wrong unit
        if low >= lowest and least_maximum <= high <= highest:
            possible.append(encoding.name)
    return tuple(possible)


# Unit: lowest value, smallest plausible maximum, highest value. Wide: snow and sun glint exceed reflectance 1.
_POSSIBLE = {
    "reflectance": (-0.5, 0.005, 10.0),
    "db": (-100.0, -100.0, 60.0),
    "kelvin": (150.0, 150.0, 1500.0),
    "uint8": (0.0, 1.5, 255.0),
}


def _fit(report: RasterReport, sensor: Sensor) -> SensorMatch:
    match = match_bands(sensor, report.names, report.wavelengths, [band.width for band in report.bands])
    units = possible_units(report, sensor)
    verdict, reason = _verdict(report, sensor, match)
    lows = [band.minimum for band in report.bands if band.minimum is not None]
    if verdict != "no" and not units:
        high = max(band.maximum for band in report.bands if band.maximum is not None)
        declared = ", ".join(encoding.name for encoding in sensor.encodings)
        doubt = f"values {min(lows):g} to {high:g} are impossible in any of its units ({declared})"
        if verdict == "count":
            verdict, reason = "no", doubt
        else:
            reason += f"; but {doubt}: is a nodata value undeclared, or the encoding another?"
    return SensorMatch(sensor, verdict, reason, match, units if verdict != "no" else ())


def _verdict(report: RasterReport, sensor: Sensor, match: BandMatch) -> tuple[str, str]:
    """Verdict and reason, by the bands and the storage type alone."""
    unit, count, total = sensor.bands[0].unit, len(match.matched), len(sensor)
    if unit in ("reflectance", "db", "kelvin") and all(band.dtype == "uint8" for band in report.bands):
        return "no", f"its {unit} is not stored as uint8: this looks like a picture made from it"
    highs = [band.maximum for band in report.bands if band.maximum is not None]
    if unit == "uint8" and highs and max(highs) > 255:
        return "no", f"its values lie in 0..255, the file's reach {max(highs):g}"
    if count and match.covers_file and match.complete:
        return "all", f"all {_bands(total)}"
    if match.covers_file:
        return "subset", f"{count} of {_bands(total)}: {_some(list(match.matched))}"
    extra = [report.names[channel] or f"band {channel + 1}" for channel in match.extra]
    if count and match.complete:
        return "more", f"all {_bands(total)}, and {len(extra)} that it does not have: {_some(extra)}"
    named = any(report.wavelengths) or any(band.name_from in ("file name", "colour") for band in report.bands)
    if not named and not count and len(report.bands) == total:
        return "count", f"{_bands(total)} as the sensor, but the file does not name them"
    if count:
        return "no", f"only {count} of {_bands(total)}; the file's {_some(extra)} are none of its bands"
    name, reason = next(iter(match.missing.items()))
    return "no", f"{name}: {reason}"


def _offset_hint(report: RasterReport, fit: SensorMatch) -> str | None:
    """Sentinel-2 processing baseline 04.00 and later stores reflectance * 10000 + 1000."""
    lows = [band.minimum for band in report.bands if band.minimum is not None]
    if not lows or not all(band.dtype.startswith(("int", "uint")) for band in report.bands):
        return None
    names = [band.name for band in fit.sensor.bands]
    if "cirrus" in names:
        by_order = len(report.bands) == len(names) and fit.verdict == "count"
        channel = names.index("cirrus") if by_order else fit.match.matched.get("cirrus")
        low = None if channel is None else report.bands[channel].minimum
        high = None if channel is None else report.bands[channel].maximum
        if low is not None and high is not None and channel is not None:
            where = (
                f"minimum of the cirrus band (B10, band {channel + 1}{' if in canonical order' if by_order else ''})"
            )
            if low >= MIN_OFFSET_DN:
                return f"{where} is {low:g}: looks like processing baseline >= 04.00; declare unit dn_offset1000"
            if low > 0 or high < MIN_OFFSET_DN:  # a minimum of 0 may be nodata that the file does not declare
                return f"{where} is {low:g}: looks like no +1000 offset (baseline before 04.00); declare unit dn"
    if len(lows) >= 6 and min(lows) >= MIN_OFFSET_DN:
        return (
            f"no value below {min(lows):g} in any of {len(lows)} bands: looks like processing baseline >= 04.00; "
            "check the product's metadata, then declare unit dn_offset1000"
        )
    return None


def _empty_hints(report: RasterReport) -> list[str]:
    empty = [band for band in report.bands if band.empty]
    if not empty:
        return []
    if len(empty) == len(report.bands):
        return ["every pixel of every band is nodata: there is nothing to learn from this file"]
    numbers = _ranges([band.number for band in empty])
    plural = "bands" if len(empty) > 1 else "band"
    return [f"{plural} {numbers} hold nodata only: they are read as invalid pixels; leave them out to save time"]


def _georeference_hints(report: RasterReport) -> list[str]:
    if report.crs is not None and report.ground_sample_distance is not None:
        return []
    return ["no CRS or geotransform: declare ground_sample_distance in metres, and results are on a plain pixel grid"]


def _nodata_hints(report: RasterReport) -> list[str]:
    found = []
    holes = [band for band in report.bands if band.nan_share > 0 and not band.empty]
    if holes:
        share = max(band.nan_share for band in holes)
        found.append(f"NaN or infinity in band {_ranges([band.number for band in holes])} (up to {share:.2%}): masked")
    # 0 is a plausible fill in an 8-bit picture; 255 is what a saturated pixel holds.
    if any(band.dtype == "uint8" and band.nodata == 255 for band in report.bands):
        found.append(
            "nodata is 255 in an 8-bit image: saturated (white) pixels count as missing, band by band; "
            "if that is not meant, declare nodata: null"
        )
    return found


def _resolution_gap(report: RasterReport, sensor: Sensor) -> float:
    if report.ground_sample_distance is None:
        return 0.0
    return abs(math.log(report.ground_sample_distance / sensor.ground_sample_distance))


def _some(names: list[str], most: int = 4) -> str:
    return ", ".join(names) if len(names) <= most else f"{', '.join(names[:most])} and {len(names) - most} more"


def _bands(count: int) -> str:
    return "1 band" if count == 1 else f"{count} bands"


def _ranges(numbers: list[int]) -> str:
    """``[1, 2, 3, 7]`` as ``1-3, 7``."""
    groups: list[list[int]] = []
    for number in numbers:
        if groups and number == groups[-1][-1] + 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    return ", ".join(str(group[0]) if len(group) == 1 else f"{group[0]}-{group[-1]}" for group in groups)
