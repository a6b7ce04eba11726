"""Which band of which file is which channel: declared, or told by the files themselves, never assumed."""

import re
from collections.abc import Sequence
from typing import Literal

from skyweave.core.errors import DataError, UnknownNameError, normalise_name
from skyweave.core.sensors import Sensor, match_bands
from skyweave.data.header import RasterHeader

FileChannel = tuple[int, int, int]
"""(file, 0-based band in the file, channel of the sensor)."""


def resolve_channels(
    headers: Sequence[RasterHeader], sensor: Sensor, bands: Sequence[str | None] | Literal["sensor"] | None
) -> list[FileChannel]:
    """Where each channel is read from, in the sensor's order.

    Args:
        headers: one multi-band file, or several files whose bands together are the image.
        bands: as in ``read_observation``.

    Raises:
        ValueError: the bands cannot be told, are declared twice or contradict the file, or one is missing.
    """
    places = [(file, band) for file, header in enumerate(headers) for band in range(header.count)]
    where = str(headers[0].path) if len(headers) == 1 else f"{headers[0].path} and {len(headers) - 1} more"
    descriptions = _descriptions(headers, sensor)
    wavelengths = [value for header in headers for value in header.wavelengths]
    widths = [value for header in headers for value in header.widths]

    if bands == "sensor":
        if len(places) != len(sensor):
            raise DataError(
                f"{where}: 'bands: sensor' says that it has the {len(sensor)} bands of {sensor.name}, but it has "
                f"{len(places)}; declare their names in file order"
            )
        bands = [band.name for band in sensor.bands]
    if bands is not None and len(bands) == len(places):
        return _declared(places, sensor, bands, descriptions, where)

    match = match_bands(sensor, descriptions, wavelengths, widths)
    wanted = range(len(sensor)) if bands is None else _indices(sensor, [name for name in bands if name], where)
    missing = [sensor.bands[index].name for index in wanted if match.channels[index] is None]
    if not match.matched or (bands is not None and missing):
        known = f"it names {', '.join(map(str, descriptions))}" if any(descriptions) else "it names none of them"
        raise DataError(
            f"{where}: cannot tell which of its {len(places)} bands is which ({known}"
            f"{'; not found: ' + ', '.join(missing) if missing else ''}); declare 'bands' with all {len(places)} names "
            f"in file order (null for one to skip), or 'bands: sensor' if they are all {len(sensor)} of {sensor.name}"
        )
    if missing:
        found = [band.name for index, band in enumerate(sensor.bands) if match.channels[index] is not None]
        reason = match.missing[missing[0]]
        raise DataError(
            f"{where}: {len(missing)} of the {len(sensor)} bands of {sensor.name} are missing: {_short(missing)} "
            f"({reason}); to read only what is there declare bands: [{_short(found)}]"
        )
    return [(*places[match.channels[index]], index) for index in sorted(wanted)]  # type: ignore[index]


def _declared(
    places: list[tuple[int, int]],
    sensor: Sensor,
    bands: Sequence[str | None],
    descriptions: list[str | None],
    where: str,
) -> list[FileChannel]:
    """One name per file band: look each up, and refuse names that the file itself contradicts."""
    indices = _indices(sensor, [name for name in bands if name], where)
    if doubled := sorted({sensor.bands[index].name for index in indices if indices.count(index) > 1}):
        raise DataError(f"{where}: 'bands' names {', '.join(doubled)} more than once")
    remaining = iter(indices)
    channels = []
    spelled = {normalise_name(text): n for n, band in enumerate(sensor.bands) for text in (*band.aliases, band.name)}
    for place, name, text in zip(places, bands, descriptions, strict=True):
        if not name:
            continue
        index = next(remaining)
        own = spelled.get(normalise_name(text)) if text else None
        if own is not None and own != index:
            raise DataError(
                f"{where}: band {place[1] + 1} is declared as {name!r}, but the file calls it {text!r}; remove 'bands' "
                "to use the file's names, or correct the band descriptions in the file"
            )
        channels.append((*place, index))
    if not channels:
        raise DataError(f"{where}: 'bands' names no band of {sensor.name}")
    return sorted(channels, key=lambda channel: channel[2])


def _indices(sensor: Sensor, names: Sequence[str], where: str) -> list[int]:
    try:
        return [sensor.index(name) for name in names]
    except UnknownNameError as error:
        raise DataError(f"{where}: {error}") from error


def _descriptions(headers: Sequence[RasterHeader], sensor: Sensor) -> list[str | None]:
    """Band names from the files; a single-band file without one may carry it at the end of its name (``_B04.tif``)."""
    spelled = {normalise_name(text) for band in sensor.bands for text in (*band.aliases, band.name)}
    names: list[str | None] = []
    for header in headers:
        own = [text or None for text in header.descriptions]
        if header.count == 1 and len(headers) > 1 and normalise_name(own[0] or "") not in spelled:
            ending = [part for part in re.split(r"[_\-. ]", header.path.stem) if normalise_name(part) in spelled]
            own = [ending[-1]] if ending else own
        names += own
    return names


def _short(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 14 else f"{', '.join(names[:6])} ... {names[-1]}"
