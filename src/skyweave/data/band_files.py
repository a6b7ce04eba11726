"""An image whose bands are separate files, given as one pattern: ``S2A_*_{band}_10m.jp2``."""

import glob
import re
from collections.abc import Sequence
from typing import Literal

from skyweave.core.errors import DataError, normalise_name
from skyweave.core.sensors import Sensor
from skyweave.core.sensors.names import band_spellings

PLACEHOLDER = "{band}"


def find_band_files(
    pattern: str, sensor: Sensor | None = None, bands: Sequence[str | None] | Literal["sensor"] | None = None
) -> dict[str, str]:
    """Return the file of each band by the name that stands in the pattern's place.

    Args:
        pattern: path or glob with ``{band}``; of each band, exactly one file may match.
        sensor: whose names and aliases stand for bands; None: whatever stands there does.
        bands: the names; None or ``sensor``: all that are there.

    Returns:
        In the order of ``bands``, else of the sensor's bands, else of the names.

    Raises:
        FileNotFoundError: no file matches, or none for one of ``bands``.
        DataError: several files match for one band.
    """
    if bands is None or bands == "sensor":
        return _whatever_is_there(pattern, sensor)
    files = {}
    for name in (name for name in bands if name):
        files[name] = _only(pattern.replace(PLACEHOLDER, glob.escape(name)), name)
    return files


def _only(pattern: str, name: str) -> str:
    """Return the one file that a pattern without placeholder matches; GDAL looks up what is on no file system."""
    if re.match(r"/vsi|[A-Za-z][A-Za-z0-9+.-]+://", pattern) and not glob.has_magic(pattern):
        return pattern
    matches = sorted(glob.glob(pattern, recursive=True))
    if not matches:
        raise FileNotFoundError(f"no file for band {name!r}: nothing matches {pattern}")
    if len(matches) > 1:
        raise _several(name, matches)
    return matches[0]


def _several(name: str, matches: list[str]) -> DataError:
    return DataError(
        f"band {name!r} has {len(matches)} files, {matches[0]} and {matches[1]}: write the pattern of one image only"
    )


def _nothing(pattern: str, sensor: Sensor | None) -> FileNotFoundError:
    """Return the error on a pattern that no file matches."""
    called = f" with a name of {sensor.name}'s bands" if sensor else ""
    return FileNotFoundError(f"no file matches {pattern}{called}")


def _whatever_is_there(pattern: str, sensor: Sensor | None) -> dict[str, str]:
    """Return the files that match with any name, or with a name of the sensor's, in the place of the band."""
    spellings = band_spellings(sensor.bands) if sensor else None
    files: dict[str, str] = {}
    order: dict[str, int] = {}
    for path in sorted(glob.glob(pattern.replace(PLACEHOLDER, "*"), recursive=True)):
        name = _name_in(pattern, path)
        if name is None or (spellings is not None and normalise_name(name) not in spellings):
            continue
        same = name if spellings is None else _same_band(files, spellings, name)
        if same in files:
            raise _several(same, [files[same], path])
        files[name] = path
        order[name] = spellings[normalise_name(name)] if spellings else len(order)
    if not files:
        raise _nothing(pattern, sensor)
    return {name: files[name] for name in sorted(files, key=order.__getitem__)}


def _same_band(files: dict[str, str], spellings: dict[str, int], name: str) -> str:
    """Return the name under which the same band was found before, else the name itself."""
    index = spellings[normalise_name(name)]
    return next((other for other in files if spellings[normalise_name(other)] == index), name)


def _expression(pattern: str) -> str:
    """Return a glob as a regular expression, in which a group stands for each name of the band."""
    pieces = re.split(r"(\{band\}|\*\*/|\*|\?|\[[^\]]*\])", pattern)
    wild = {PLACEHOLDER: "([A-Za-z0-9]+)", "**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return "".join(wild.get(piece) or (piece if piece.startswith("[") else re.escape(piece)) for piece in pieces)


def _name_in(pattern: str, path: str) -> str | None:
    """Return what stands in the place of the band in a path that the pattern matches."""
    expression = _expression(pattern)
    match = re.fullmatch(expression.replace("([A-Za-z0-9]+)", "(?P<band>[A-Za-z0-9]+)", 1), path)
    return match["band"] if match else None
