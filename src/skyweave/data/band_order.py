"""Which band of which file is which channel: declared, or named by the files themselves, never assumed."""

import re
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from skyweave.core.errors import DataError, UnknownNameError, normalise_name
from skyweave.core.sensors import BandMatch, Sensor, match_bands
from skyweave.core.sensors.matching import contradicts_wavelength, strip_wavelength
from skyweave.core.sensors.names import band_spellings
from skyweave.data.header import RasterHeader
from skyweave.data.stored_values import read_stored

FileChannel = tuple[int, int, int]
"""(file, 0-based band in the file, channel of the sensor)."""
MAX_LISTED_NAMES = 14  # in a message
MAX_SAMPLE_SIDE = 512  # pixels a side that show whether a band holds transparency
MAX_SEMITRANSPARENT_SHARE = 0.02  # of an alpha band, along the edges of what is opaque


def resolve_channels(
    headers: Sequence[RasterHeader], sensor: Sensor, bands: Sequence[str | None] | Literal["sensor"] | None
) -> list[FileChannel]:
    """Return where each channel is read from, in the sensor's order.

    Args:
        headers: one multi-band file, or several files whose bands together are the image.
        sensor: whose channels to find.
        bands: as in ``read_observation``.

    Raises:
        DataError: the bands cannot be identified, are declared twice or contradict the file, or one is missing.
    """
    positions, measured = _positions(headers)
    label = _label(headers)
    descriptions = _descriptions(headers, sensor)
    if bands == "sensor":
        bands = _all_bands(sensor, len(measured), len(positions), label)
    if bands is not None and not any(bands):
        raise DataError(f"{label}: 'bands' names no band of {sensor.name}; {_valid_names(sensor)}")
    for among in (positions, measured):
        if bands is not None and len(bands) == len(among):
            _check_transparency(headers, among, bands, label)
            texts = [None if _is_colour(headers, where) else descriptions[positions.index(where)] for where in among]
            channels = _declared(among, sensor, bands, texts, label)
            _check_wavelengths(headers, sensor, channels, label)
            return channels
    match = _match_headers(headers, sensor, descriptions)
    names = None if bands is None else _without_gaps(bands)
    return _matched(positions, match, names, descriptions, label)


def _positions(headers: Sequence[RasterHeader]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return (file, band) of all bands, and of those that are no transparency."""
    positions = [(file, band) for file, header in enumerate(headers) for band in range(header.count)]
    return positions, [(file, band) for file, band in positions if band != headers[file].alpha]


def _valid_names(sensor: Sensor) -> str:
    """Return which names there are to declare."""
    return f"valid names: {_shorten([band.name for band in sensor.bands])}"


def _is_colour(headers: Sequence[RasterHeader], position: tuple[int, int]) -> bool:
    """Return whether a band's name is only a colour for display, which GDAL gives to any three bands of 8 bits."""
    return headers[position[0]].bands[position[1]].name_from == "colour"


def _check_transparency(
    headers: Sequence[RasterHeader], positions: list[tuple[int, int]], bands: Sequence[str | None], label: str
) -> None:
    """Refuse a band that is declared as a measurement, where the file says that it is transparency and it is."""
    for (file, band), name in zip(positions, bands, strict=True):
        if name and band == headers[file].alpha and _is_transparency(headers[file], band):
            raise DataError(
                f"{label}: band {band + 1} is declared as {name!r}, but the file says that it is transparency (alpha), "
                "and it only says where pixels are opaque; name it null, or leave it out"
            )


def _is_transparency(header: RasterHeader, band: int) -> bool:
    """Return whether a band tagged as alpha is opaque or transparent, with hardly anything in between."""
    shape = min(header.shape[0], MAX_SAMPLE_SIDE), min(header.shape[1], MAX_SAMPLE_SIDE)
    values, _ = read_stored(header, [band], nodata=None, shape=shape)
    opaque = np.iinfo(values.dtype).max if values.dtype.kind in "iu" else 1
    between = (values != 0) & (values != opaque) & (values != 255)
    return bool(between.mean() <= MAX_SEMITRANSPARENT_SHARE)


def _label(headers: Sequence[RasterHeader]) -> str:
    """Return how messages call the files."""
    first = str(headers[0].path)
    return first if len(headers) == 1 else f"{first} and {len(headers) - 1} more"


def _match_headers(headers: Sequence[RasterHeader], sensor: Sensor, descriptions: list[str | None]) -> BandMatch:
    """Match the files' bands to the sensor's by names and wavelengths."""
    wavelengths = [value for header in headers for value in header.wavelengths]
    widths = [value for header in headers for value in header.widths]
    return match_bands(sensor, descriptions, wavelengths, widths)


def _without_gaps(bands: Sequence[str | None]) -> list[str]:
    """Return the declared names without the bands to skip."""
    return [name for name in bands if name]


def _all_bands(sensor: Sensor, measured: int, count: int, label: str) -> list[str | None]:
    """Return the sensor's bands, which are those of a file of ``count`` bands, ``measured`` without transparency."""
    if len(sensor) not in (measured, count):
        alpha = "" if count == measured else " and transparency"
        raise DataError(
            f"{label}: 'bands: sensor' says that it has the {len(sensor)} bands of {sensor.name}, but it has "
            f"{measured}{alpha}; declare their names in file order"
        )
    return [band.name for band in sensor.bands]


def _matched(
    positions: list[tuple[int, int]],
    match: BandMatch,
    names: list[str] | None,
    descriptions: list[str | None],
    label: str,
) -> list[FileChannel]:
    """Return the channels called ``names`` (None: all) where the files themselves name their bands."""
    sensor = match.sensor
    indices = list(range(len(sensor))) if names is None else _indices(sensor, names, label)
    missing = [sensor.bands[index].name for index in indices if match.channels[index] is None]
    if not match.matched or (names is not None and missing):
        raise DataError(_ambiguity_message(sensor, len(positions), missing, descriptions, label))
    if missing:
        raise DataError(_missing_message(match, missing, label))
    return _places_of(match, indices, positions)


def _places_of(match: BandMatch, indices: list[int], positions: list[tuple[int, int]]) -> list[FileChannel]:
    """Return where matched channels are read from, in the sensor's order."""
    pairs = ((index, match.channels[index]) for index in sorted(indices))
    return [(*positions[channel], index) for index, channel in pairs if channel is not None]


def _ambiguity_message(
    sensor: Sensor, count: int, missing: list[str], descriptions: list[str | None], label: str
) -> str:
    """Return the message on files whose bands cannot be identified."""
    known = f"it names {', '.join(map(str, descriptions))}" if any(descriptions) else "it names none of them"
    return (
        f"{label}: cannot tell which of its {count} bands is which ({known}"
        f"{'; not found: ' + ', '.join(missing) if missing else ''}); declare 'bands' with all {count} "
        f"names in file order (null for one to skip), or 'bands: sensor' if they are all {len(sensor)} of "
        f"{sensor.name}"
    )


def _missing_message(match: BandMatch, missing: list[str], label: str) -> str:
    """Return the message on bands of the sensor that the files lack."""
    sensor = match.sensor
    present = [band.name for index, band in enumerate(sensor.bands) if match.channels[index] is not None]
    return (
        f"{label}: {len(missing)} of the {len(sensor)} bands of {sensor.name} are missing: {_shorten(missing)} "
        f"({match.missing[missing[0]]}); to read only what is there declare bands: [{_shorten(present)}]"
    )


def _declared(
    positions: list[tuple[int, int]],
    sensor: Sensor,
    bands: Sequence[str | None],
    descriptions: list[str | None],
    label: str,
) -> list[FileChannel]:
    """Return one channel per declared name; refuse names that the file itself contradicts."""
    indices = _indices(sensor, _without_gaps(bands), label)
    _check_declared(sensor, indices, label)
    spellings = band_spellings(sensor.bands)
    named = [row for row in zip(positions, bands, descriptions, strict=True) if row[1]]
    for index, (position, name, text) in zip(indices, named, strict=True):
        if text and spellings.get(normalise_name(strip_wavelength(text)), index) != index:
            raise DataError(
                f"{label}: band {position[1] + 1} is declared as {name!r}, but the file calls it {text!r}; remove "
                "'bands' to use the file's names, or correct the band descriptions in the file"
            )
    return _in_order([(*row[0], index) for index, row in zip(indices, named, strict=True)])


def _check_wavelengths(
    headers: Sequence[RasterHeader], sensor: Sensor, channels: Sequence[FileChannel], label: str
) -> None:
    """Refuse a declaration that the file's wavelengths contradict."""
    for file, number, channel in channels:
        band, centre = sensor.bands[channel], headers[file].bands[number].wavelength
        if contradicts_wavelength(band, centre):
            raise DataError(
                f"{label}: band {number + 1} is declared as {band.name!r} ({band.wavelength:g} nm), but the file says "
                f"that its wavelength is {centre:g} nm; remove 'bands' to let the wavelengths decide, or correct one "
                "of both"
            )


def _in_order(channels: list[FileChannel]) -> list[FileChannel]:
    """Return channels in the sensor's order."""
    return sorted(channels, key=lambda channel: channel[2])


def _check_declared(sensor: Sensor, indices: list[int], label: str) -> None:
    """Refuse a declaration that names a band twice."""
    if doubled := sorted({sensor.bands[index].name for index in indices if indices.count(index) > 1}):
        raise DataError(f"{label}: 'bands' names {', '.join(doubled)} more than once")


def _indices(sensor: Sensor, names: Sequence[str], label: str) -> list[int]:
    try:
        return [sensor.index(name) for name in names]
    except UnknownNameError as error:
        raise DataError(f"{label}: {error}") from error


def _descriptions(headers: Sequence[RasterHeader], sensor: Sensor) -> list[str | None]:
    """Return the files' band names; of several one-band files, the end of the file name may be one (``_B04.tif``)."""
    spellings = band_spellings(sensor.bands)
    names: list[str | None] = []
    for header in headers:
        single = header.count == 1 and len(headers) > 1
        if single and normalise_name(header.descriptions[0] or "") not in spellings:
            names += _name_ending(header, spellings) or [header.descriptions[0]]
        else:
            names += header.descriptions
    return names


def _name_ending(header: RasterHeader, spellings: Container[str]) -> list[str]:
    """Return the last part of the file's name that is a band's, if there is one."""
    parts = re.split(r"[_\-. ]", Path(header.path).stem)
    return [part for part in parts if normalise_name(part) in spellings][-1:]


def _shorten(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= MAX_LISTED_NAMES else f"{', '.join(names[:6])} ... {names[-1]}"
