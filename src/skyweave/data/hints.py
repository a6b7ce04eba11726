"""What deserves a second look in a raster, each with what to declare. Nothing is decided here."""

from collections.abc import Iterable, Mapping

from skyweave.data.fill_values import format_stored
from skyweave.data.header import PRODUCT_DRIVER, describe_orientation
from skyweave.data.inspection import BandReport, RasterReport
from skyweave.data.scale_tags import encoding_names_of_tags
from skyweave.data.sensor_matching import SensorMatch, units_that_agree

MIN_OFFSET_DN = 900  # digital numbers; the +1000 of baseline 04.00 less what noise may take away
MIN_OFFSET_BANDS = 6  # without the cirrus band, so many bands must show the offset


def find_hints(report: RasterReport, matches: Iterable[SensorMatch]) -> list[str]:
    """Return sentences about what looks unusual in a file.

    Args:
        report: of the file.
        matches: of the file with sensors, best first.
    """
    matches = list(matches)
    return [
        *_empty_hints(report),
        *_georeference_hints(report),
        *_page_hints(report),
        *filter(None, [describe_orientation(report.orientation)]),
        *_nodata_hints(report),
        *_fill_hints(report),
        *_sentinel2_hints(report, matches),
        *_name_hints(report),
        *_scale_hints(report, matches),
        *_alpha_hints(report),
    ]


def command_that_works(report: RasterReport, matches: Iterable[SensorMatch], files: Mapping[str, str]) -> str | None:
    """Return how to embed the file as the sensor that fits best; None where no sensor fits.

    UNIT stands in it where several units are possible, METRES where the pixel size is not known.

    Args:
        report: of the file.
        matches: of the file with sensors, best first.
        files: of sensors that are not in the catalogue, by their name.
    """
    for match in matches:
        units = units_that_agree(report, match)
        if match.verdict == "no" or not units:
            continue
        path = _quoted(report.path)
        sensor = files.get(match.sensor.name, match.sensor.name)
        unit = units[0] if len(units) == 1 else "UNIT"
        return f"skyweave embed {path} -o OUT.tif --sensor {sensor} --unit {unit}{_options(report, match)}"
    return None


def _options(report: RasterReport, match: SensorMatch) -> str:
    """Return the options that declare what the file does not say, or says otherwise."""
    bands = {"subset": ",".join(match.match.matched), "count": "sensor"}.get(match.verdict)
    named = f" --bands {bands}" if bands else ""
    distance = "" if report.ground_sample_distance else " --gsd METRES"
    return f"{named}{_nodata_option(report)}{distance}"


def _quoted(path: str) -> str:
    """Return a path as a shell takes it."""
    return f"'{path}'" if set(path) & set(" {}*?'()[]&;") else path


def _states_nodata(band: BandReport) -> bool:
    """Return whether the file says which pixels of a band are no measurements."""
    return band.nodata is not None or band.is_alpha


def _nodata_option(report: RasterReport) -> str:
    """Return the option that declares fill values beside what the file itself declares."""
    fills = dict.fromkeys(format_stored(b.fill, b.dtype) for b in report.measured if b.fill is not None)
    if not fills:
        return ""
    stated = any(map(_states_nodata, report.bands))
    return f" --nodata={','.join([*(['file'] if stated else []), *fills])}"


def _empty_hints(report: RasterReport) -> list[str]:
    empty = [band for band in report.bands if band.empty]
    if not empty:
        return []
    if len(empty) == len(report.bands):
        return ["every pixel of every band is nodata: there is nothing to learn from this file"]
    numbers = _ranges(_numbers(empty))
    plural = "bands" if len(empty) > 1 else "band"
    return [f"{plural} {numbers} hold nodata only: they are read as invalid pixels; leave them out to save time"]


def _georeference_hints(report: RasterReport) -> list[str]:
    if report.remedy:
        return [report.remedy]
    if report.crs is not None and report.ground_sample_distance is not None:
        return []
    return ["no CRS or geotransform: declare ground_sample_distance in metres, and results are on a plain pixel grid"]


def _page_hints(report: RasterReport) -> list[str]:
    if not report.pages:
        return []
    return [f"holds further rasters, which are not read; give one by its name: {'; '.join(report.pages[:4])}"]


def _nodata_hints(report: RasterReport) -> list[str]:
    hints = _hole_hints(report)
    # 0 is a plausible fill in an 8-bit image; 255 is what a saturated pixel holds.
    if any(band.dtype == "uint8" and band.nodata == 255 for band in report.bands):
        hints.append(
            "nodata is 255 in an 8-bit image: saturated (white) pixels count as missing, band by band; "
            "if that is not meant, declare nodata: null"
        )
    return hints


def _hole_hints(report: RasterReport) -> list[str]:
    """Return a note on bands that hold NaN or infinity beside measurements."""
    holes = [band for band in report.bands if band.nan_share > 0 and not band.empty]
    if not holes:
        return []
    share = max(band.nan_share for band in holes)
    return [f"NaN or infinity in band {_ranges(_numbers(holes))} (up to {share:.2%}): masked"]


def _fill_hints(report: RasterReport) -> list[str]:
    fills = dict.fromkeys(band.fill for band in report.bands if band.fill is not None)
    return [_fill_hint(report, [band for band in report.bands if band.fill == fill], fill) for fill in fills]


def _fill_hint(report: RasterReport, bands: list[BandReport], fill: float) -> str:
    """Return a note on the bands that hold a value which looks like no measurement."""
    text, count = format_stored(fill, bands[0].dtype), max(band.fill_count for band in bands)
    pixels = "some" if report.sampled else f"{count} of {report.rows * report.columns}"
    return (
        f"{pixels} pixels of band {_ranges(_numbers(bands))} hold {text}, far from all others: is "
        f"it an undeclared nodata value? Then declare it: --nodata={text}"
    )


def _numbers(bands: list[BandReport]) -> list[int]:
    """Return the numbers of bands, as GDAL counts."""
    return [band.number for band in bands]


def _sentinel2_hints(report: RasterReport, matches: Iterable[SensorMatch]) -> list[str]:
    """Return the hint on the offset of the first Sentinel-2 sensor that a file may be of; a product states it."""
    if report.driver == PRODUCT_DRIVER:
        return []
    candidates = (m for m in matches if m.verdict != "no" and m.sensor.name.startswith("sentinel2"))
    return [hint for match in candidates if (hint := _offset_hint(report, match))][:1]


def _is_whole_numbers(bands: Iterable[BandReport]) -> bool:
    """Return whether all bands are stored as integers."""
    return all(band.dtype.startswith(("int", "uint")) for band in bands)


def _offset_hint(report: RasterReport, match: SensorMatch) -> str | None:
    """Return whether the values hold an offset: baseline 04.00 and later store reflectance * 10000 + 1000."""
    minima = report.minima
    if not minima or not _is_whole_numbers(report.measured):
        return None
    if hint := _cirrus_hint(report, match):
        return hint
    if len(minima) >= MIN_OFFSET_BANDS and min(minima) >= MIN_OFFSET_DN:
        return (
            f"no value below {min(minima):g} in any of {len(minima)} bands: looks like processing baseline >= 04.00; "
            "check the product's metadata, then declare unit dn_offset1000"
        )
    return None


def _cirrus_hint(report: RasterReport, match: SensorMatch) -> str | None:
    """Return what the cirrus band shows: it is dark, so that its minimum is the offset."""
    names = [band.name for band in match.sensor.bands]
    if "cirrus" not in names:
        return None
    by_order = len(report.measured) == len(names) and match.verdict == "count"
    channel = names.index("cirrus") if by_order else match.match.matched.get("cirrus")
    if channel is None:
        return None
    order = " if in canonical order" if by_order else ""
    band = report.measured[channel]
    return _dark_band_hint(band, f"minimum of the cirrus band (B10, band {band.number}{order})")


def _dark_band_hint(band: BandReport, subject: str) -> str | None:
    if band.minimum is None or band.maximum is None:
        return None
    if band.minimum >= MIN_OFFSET_DN:
        return f"{subject} is {band.minimum:g}: looks like processing baseline >= 04.00; declare unit dn_offset1000"
    if band.minimum > 0 or band.maximum < MIN_OFFSET_DN:  # 0 may be nodata that the file does not declare
        return f"{subject} is {band.minimum:g}: looks like no +1000 offset (baseline before 04.00); declare unit dn"
    return None


def _name_hints(report: RasterReport) -> list[str]:
    if any(report.names) or any(report.wavelengths):
        return []
    return [
        "the file does not say which bands it has: declare them in file order (bands: [B02, B03, ...]); "
        "the number alone is never taken for the order"
    ]


def _describe_tags(scaled: list[BandReport]) -> str:
    """Return what the tags of bands say of their values."""
    pairs = sorted({(band.scale, band.offset) for band in scaled})
    scale, offset = pairs[0]
    rest = "" if len(pairs) == 1 else f" (and {len(pairs) - 1} other pairs)"
    return f"tags say value = {scale:g} * stored {offset:+g}{rest}"


def _scale_hints(report: RasterReport, matches: list[SensorMatch]) -> list[str]:
    scaled = [band for band in report.bands if band.is_scaled]
    if not scaled:
        return []
    stated = _describe_tags(scaled)
    for match in matches:
        if match.verdict != "no":
            return [f"{stated}: {_unit_of_tags(report, match)}"]
    return [f"{stated}: declare a unit that does this"]


def _unit_of_tags(report: RasterReport, match: SensorMatch) -> str:
    """Return which unit of a sensor does what the tags of its bands say."""
    named = _units_by_band(report, match)
    common = [name for name in (named[0] if named else []) if all(name in names for names in named)]
    if common:
        return f"declare unit {' or '.join(common)} of {match.sensor.name}, which does this"
    return f"no unit of {match.sensor.name} does this; add one to a sensor YAML (encodings: NAME: {{scale, offset}})"


def _units_by_band(report: RasterReport, match: SensorMatch) -> list[list[str]]:
    """Return for each band with tags the units of the sensor that do what they say."""
    channels = range(len(match.sensor)) if match.verdict == "count" else match.match.channels
    return [
        encoding_names_of_tags(report.measured[file], match.sensor, channel)
        for channel, file in enumerate(channels)
        if file is not None and report.measured[file].is_scaled
    ]


def _alpha_hints(report: RasterReport) -> list[str]:
    return [
        f"band {band.number} is called {band.name!r} but tagged as alpha (transparency): "
        "viewers may hide pixels by it; it is read as a band here"
        for band in report.bands
        if band.colour == "alpha" and not band.is_alpha
    ] + [
        f"band {band.number} is transparency (alpha): it masks the others, and is no band of a sensor"
        for band in report.bands
        if band.is_alpha
    ]


def _ranges(numbers: list[int]) -> str:
    """Return ``1-3, 7`` for ``[1, 2, 3, 7]``."""
    groups: list[list[int]] = []
    for number in numbers:
        if groups and number == groups[-1][-1] + 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    return ", ".join(map(_range, groups))


def _range(numbers: list[int]) -> str:
    """Return consecutive numbers as text."""
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}"
