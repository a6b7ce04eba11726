"""CSV logs with named columns: Airdata's and Litchi's exports, and tables of one's own.

A column is known by its name without case, blanks and punctuation; a unit in parentheses is heeded. What is read, with
the usual other names, is in `NAMES`. Where two columns have one name, the first that holds numbers counts; a column
whose cells are no numbers (degrees and minutes, letters) is an error and not an absent one. How rows are timed is in
`csv_times`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from skyweave.core.csv_table import read_csv
from skyweave.core.errors import DataError
from skyweave.telemetry.formats.csv_times import order_rows, read_times
from skyweave.telemetry.formats.named_columns import NamedColumns, plain_name, unit_of
from skyweave.telemetry.poses_over_time import HeightDatum, MissingTopic
from skyweave.telemetry.reading import ReadOptions
from skyweave.telemetry.samples import Column, LogSamples

NAMES: dict[Column, tuple[str, ...]] = {
    "latitude": ("latitude", "lat", "gpslatitude", "osdlatitude"),
    "longitude": ("longitude", "lon", "lng", "long", "gpslongitude", "osdlongitude"),
    "camera_yaw": ("gimbalheading", "gimbalyaw", "gimbalyawraw", "camerayaw", "cameraheading", "gimbalyaw360"),
    "camera_pitch": ("gimbalpitch", "gimbalpitchraw", "camerapitch"),
    "camera_roll": ("gimbalroll", "gimbalrollraw", "cameraroll"),
    "body_yaw": ("compassheading", "heading", "yaw", "yawraw", "osdyaw", "flightyaw", "bodyyaw"),
    "body_pitch": ("pitch", "pitchraw", "osdpitch", "flightpitch", "bodypitch"),
    "body_roll": ("roll", "rollraw", "osdroll", "flightroll", "bodyroll"),
    "horizontal_fov": ("horizontalfov", "hfov", "fov", "fieldofview"),
    "vertical_fov": ("verticalfov", "vfov"),
    "horizontal_std": ("horizontalstd", "horizontalaccuracy", "hacc", "eph"),
    "vertical_std": ("verticalstd", "verticalaccuracy", "vacc", "epv"),
    "heading_std": ("headingstd", "yawstd"),
    "tilt_std": ("tiltstd", "pitchstd"),
}
HEIGHT_NAMES: dict[HeightDatum, tuple[str, ...]] = {
    "takeoff": ("heightabovetakeoff", "relativealtitude", "relalt", "height", "osdheight"),
    "ground": ("heightabovegroundatdronelocation", "heightaboveground", "agl", "sonarheight"),
    "sea_level": ("altitudeabovesealevel", "altitudeabovesealevelamsl", "altitudemsl", "amsl", "absalt", "osdaltitude"),
    "ellipsoid": ("ellipsoidheight", "heightaboveellipsoid", "hae", "altitudeellipsoid"),
    "unstated": ("altitude", "alt"),
}
ASCENT = "ascent"  # of Litchi and Flytrex, above the take-off; where it stays 0, their altitude is
ANGLES: tuple[tuple[Column, Column], ...] = (("camera_yaw", "camera_pitch"), ("body_yaw", "body_pitch"))
SURELY_ANGLES = 1.0  # by which a heading changes or a camera is tilted, before radians are suspected
RAW = "raw"  # end of names of columns in tenths of degrees
METRES: dict[str, float] = {
    "m": 1.0,
    "metre": 1.0,
    "metres": 1.0,
    "meter": 1.0,
    "meters": 1.0,
    "feet": 0.3048,
    "ft": 0.3048,
    "km": 1000.0,
    "cm": 0.01,
    "mm": 0.001,
}
DEGREES: dict[str, float] = {
    "": 1.0,
    "deg": 1.0,
    "degree": 1.0,
    "degrees": 1.0,
    "°": 1.0,
    "360": 1.0,
    "dd": 1.0,
    "wgs84": 1.0,
    "rad": 180 / np.pi,
    "radian": 180 / np.pi,
    "radians": 180 / np.pi,
    "mrad": 0.18 / np.pi,
    "gon": 0.9,
    "grad": 0.9,
}
LENGTHS: tuple[Column, ...] = ("horizontal_std", "vertical_std")
MISSING: dict[MissingTopic, str] = {
    "position": "it has no columns 'latitude' and 'longitude'",
    "height": "it has no column of a height, such as 'height_above_takeoff(m)'",
    "orientation": "it has no columns 'gimbal_pitch' and 'gimbal_heading'",
    "heading": "it has no column 'compass_heading'",
    "utc": "it has no column 'datetime(utc)'",
    "lens": "it has no column 'fov'",
}


class CsvReader:
    """Reads tables whose first row names their columns."""

    description = "CSV with named columns (Airdata, Litchi, one's own)"

    def recognises(self, path: Path, head: bytes) -> bool:
        """Return whether a file is a table by its name.

        Args:
            path: file or folder.
            head: its first bytes.
        """
        return path.is_file() and path.suffix.lower() in (".csv", ".tsv")

    def read(self, path: Path, options: ReadOptions) -> LogSamples:
        """Read a table.

        Args:
            path: of the table.
            options: not used.

        Raises:
            DataError: it has no time, or none of the columns that are read; names those it has.
        """
        table = read_csv(path)
        if not table.rows:
            raise DataError(f"{path} has a header and no rows: it holds no telemetry")
        named = NamedColumns(table)
        columns: dict[Column, np.ndarray] = {}
        for name, spellings in NAMES.items():
            if (column := named.find(spellings)) is not None:
                columns[name] = named.numbers(column) * _scale(path, column, METRES if name in LENGTHS else DEGREES)
        heights = _heights(named)
        if not columns and not heights:
            raise DataError(
                f"{path} has none of the columns that are read ({', '.join(name[0] for name in NAMES.values())}, ...); "
                f"it has {', '.join(table.columns)}"
            )
        _refuse_radians(named, columns)
        known, rows = order_rows(named, read_times(named))
        return LogSamples(
            source=path.name,
            times=rows.times,
            clock=rows.clock,
            columns={name: values[known] for name, values in columns.items()},
            heights={datum: values[known] for datum, values in heights.items()},
            epoch=rows.epoch,
            missing=MISSING,
            notes=rows.notes,
        )


def _refuse_radians(named: NamedColumns, columns: Mapping[Column, np.ndarray]) -> None:
    """Refuse angles without a unit that are a circle in radians and next to nothing in degrees."""
    for pair in ANGLES:
        if columns.keys() >= set(pair):
            _check_unit(named, pair, [columns[name][np.isfinite(columns[name])] for name in pair])


def _check_unit(named: NamedColumns, pair: Sequence[Column], values: Sequence[np.ndarray]) -> None:
    heading, pitch = (named.find(NAMES[name]) or "" for name in pair)
    if _has_no_unit(heading) and _has_no_unit(pitch) and _look_like_radians(values):
        largest, lowest = np.abs(values[0]).max(), np.abs(values[1]).max()
        raise DataError(
            f"{named.path}: columns {heading!r} and {pitch!r} stay within {largest:.2f} and {lowest:.2f}: degrees or "
            f"radians? call them '{heading}(rad)' and '{pitch}(rad)', or '{heading}(deg)' and '{pitch}(deg)'"
        )


def _has_no_unit(column: str) -> bool:
    return bool(column) and not unit_of(column) and not plain_name(column).endswith(RAW)


def _look_like_radians(angles: Sequence[np.ndarray]) -> bool:
    """Whether headings and pitches fill circles of radians."""
    if not all(map(len, angles)):
        return False
    largest = np.array([np.abs(values).max() for values in angles])
    return bool((largest <= [2 * np.pi, np.pi / 2]).all() and max(np.ptp(angles[0]), largest[1]) > SURELY_ANGLES)


def _scale(path: Path, column: str, units: Mapping[str, float]) -> float:
    """What a column's numbers are multiplied with to be degrees or metres."""
    unit = unit_of(column)
    if unit and unit not in units:
        read = ", ".join(name for name in units if name.isalpha())
        raise DataError(f"{path}: column {column!r} in {unit!r} is not read; convert it and write one of {read}")
    return units.get(unit, 1.0) * (0.1 if plain_name(column).endswith(RAW) else 1.0)


def _heights(named: NamedColumns) -> dict[HeightDatum, np.ndarray]:
    heights: dict[HeightDatum, np.ndarray] = {}
    for datum, spellings in HEIGHT_NAMES.items():
        if (column := named.find(spellings)) is not None:
            heights[datum] = named.numbers(column) * _scale(named.path, column, METRES)
    if ASCENT in named and (column := named.find((ASCENT,))) is not None:
        ascent = named.numbers(column) * _scale(named.path, column, METRES)
        if np.nan_to_num(ascent).any():
            heights.setdefault("takeoff", ascent)
        elif "unstated" in heights:
            heights.setdefault("takeoff", heights.pop("unstated"))
    return heights
