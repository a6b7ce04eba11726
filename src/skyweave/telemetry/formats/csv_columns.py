"""CSV logs with named columns: Airdata's and Litchi's exports, and tables of one's own.

A column is known by its name without case, blanks and punctuation; a unit in parentheses is heeded. What is read, with
the usual other names, is in `NAMES`.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from skyweave.core.csv_table import CsvTable, read_csv
from skyweave.core.errors import DataError
from skyweave.telemetry.poses_over_time import NS_PER_S, ClockName, HeightDatum, MissingTopic
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
LITCHI_MARK = "ascent"  # column by which Litchi's logs are known: their altitude counts from the take-off
TIME_NAMES = ("time", "timestamp", "seconds", "offset", "flytime", "osdflytime", "elapsedtime")
UTC_NAMES = ("datetimeutc", "utc", "gpsdatetime", "datetime", "date")
RECORDING_NAMES = ("isvideo", "istakingvideo", "camerainfoisrecording", "camerarecording")
RAW = "raw"  # end of names of columns in tenths of degrees
METRES: dict[str, float] = {"feet": 0.3048, "ft": 0.3048, "m": 1.0, "meters": 1.0, "metres": 1.0, "meter": 1.0}
SECONDS: dict[str, float] = {
    "millisecond": 1e-3,
    "milliseconds": 1e-3,
    "ms": 1e-3,
    "s": 1.0,
    "sec": 1.0,
    "seconds": 1.0,
    "us": 1e-6,
    "ns": 1e-9,
}
EPOCH_SCALES = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3), (1e8, 1.0))  # numbers from here on are seconds since 1970 by
UNIT = re.compile(r"\(([^)]*)\)|\[([^\]]*)\]")
TIME_FORMATS = ("%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S.%f", "%Y/%m/%d %H:%M:%S")
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
        header = {_plain(column): column for column in reversed(table.columns)}
        columns: dict[Column, np.ndarray] = {}
        for name, spellings in NAMES.items():
            if (column := _match(header, spellings)) is not None:
                columns[name] = _numbers(table, column) * (0.1 if _plain(column).endswith(RAW) else 1.0)
        heights = _heights(table, header)
        if not columns and not heights:
            raise DataError(
                f"{path} has none of the columns that are read ({', '.join(name[0] for name in NAMES.values())}, ...); "
                f"it has {', '.join(table.columns)}"
            )
        times, clock, epoch, notes = _times(table, header)
        known = times != NO_TIME
        return LogSamples(
            source=path.name,
            times=times[known],
            clock=clock,
            columns={name: values[known] for name, values in columns.items()},
            heights={datum: values[known] for datum, values in heights.items()},
            epoch=epoch,
            missing=MISSING,
            notes=tuple(notes),
        )


NO_TIME = np.iinfo(np.int64).min


def _plain(column: str) -> str:
    """A name without its unit, case and punctuation; ``datetime(utc)`` keeps its zone."""
    name = UNIT.sub(lambda match: "utc" if "utc" in match[0].lower() else "", column)
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def _unit(column: str) -> str:
    match = UNIT.search(column)
    return "" if match is None else (match[1] or match[2] or "").strip().casefold()


def _match(header: Mapping[str, str], spellings: tuple[str, ...]) -> str | None:
    return next((header[spelling] for spelling in spellings if spelling in header), None)


def _numbers(table: CsvTable, column: str) -> np.ndarray:
    """Numbers of a column; NaN for cells that hold none."""
    return np.array([_number(row.cells[column]) for row in table.rows], np.float64)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def _heights(table: CsvTable, header: Mapping[str, str]) -> dict[HeightDatum, np.ndarray]:
    heights: dict[HeightDatum, np.ndarray] = {}
    for datum, spellings in HEIGHT_NAMES.items():
        column = _match(header, spellings)
        if column is None:
            continue
        unit = _unit(column)
        if unit and unit not in METRES:
            raise DataError(f"{table.path}: heights of {column!r} in {unit!r} are not read; use metres or feet")
        counts_from: HeightDatum = "takeoff" if datum == "unstated" and LITCHI_MARK in header else datum
        heights.setdefault(counts_from, _numbers(table, column) * METRES.get(unit, 1.0))
    return heights


def _times(table: CsvTable, header: Mapping[str, str]) -> tuple[np.ndarray, ClockName, int | None, list[str]]:
    """Nanoseconds of the rows (`NO_TIME` where a cell has none), their clock, its UTC, and notes."""
    relative, utc = _match(header, TIME_NAMES), _match(header, UTC_NAMES)
    dates = None if utc is None else _dates(table, utc)
    if relative is not None:
        seconds = _numbers(table, relative)
        scale = _epoch_scale(seconds)
        if scale is not None:
            return _nanoseconds(seconds * scale), "utc", 0, []
        if np.isfinite(seconds).any():
            return _relative_times(table, header, seconds * SECONDS.get(_unit(relative), 1.0), dates)
        dates = _dates(table, relative) if dates is None else dates
    if dates is None or not (dates != NO_TIME).any():
        raise DataError(f"{table.path} has no column of times, such as 'time(s)' or 'datetime(utc)'")
    return dates, "utc", 0, []


def _relative_times(
    table: CsvTable, header: Mapping[str, str], seconds: np.ndarray, dates: np.ndarray | None
) -> tuple[np.ndarray, ClockName, int | None, list[str]]:
    """Times that count from the start of the log, or of the one video that was recorded meanwhile."""
    times, notes = _nanoseconds(seconds), []
    starts = _recordings(table, header)
    if len(starts) == 1:
        notes = [
            f"the video begins {seconds[starts[0]] - seconds[0]:.1f} s after the log, when recording was switched on"
        ]
        times = np.where(times == NO_TIME, NO_TIME, times - times[starts[0]])
    elif starts:
        notes = [
            f"{len(starts)} videos were recorded during the log: give the UTC time of the first image with --start"
        ]
    epoch = None
    if dates is not None and (both := (dates != NO_TIME) & (times != NO_TIME)).any():
        epoch = int((dates - times)[both].max())  # dates are in whole seconds, cut off: the greatest is right
    clock: ClockName = "boot" if len(starts) > 1 else "video"
    return times, clock, epoch, notes


def _recordings(table: CsvTable, header: Mapping[str, str]) -> list[int]:
    """Rows at which recording begins."""
    column = _match(header, RECORDING_NAMES)
    if column is None:
        return []
    on = np.array([row.cells[column].strip().casefold() in ("1", "true", "yes", "1.0") for row in table.rows])
    return np.flatnonzero(on & ~np.concatenate([[False], on[:-1]])).tolist()


def _epoch_scale(values: np.ndarray) -> float | None:
    """Seconds a unit, where numbers are so great that they count from 1970."""
    middle = float(np.nanmedian(values)) if np.isfinite(values).any() else 0.0
    return next((scale for lowest, scale in EPOCH_SCALES if middle >= lowest), None)


def _nanoseconds(seconds: np.ndarray) -> np.ndarray:
    known = np.isfinite(seconds) & (np.abs(seconds) < 9e9)
    return np.where(known, np.round(np.where(known, seconds, 0.0) * NS_PER_S), float(NO_TIME)).astype(np.int64)


def _dates(table: CsvTable, column: str) -> np.ndarray:
    return np.array([_date(row.cells[column]) for row in table.rows], np.int64)


def _date(text: str) -> int:
    """Nanoseconds since 1970 of a date in UTC; `NO_TIME` for what is none."""
    parsers: list[Callable[[str], datetime]] = [datetime.fromisoformat]
    parsers += [lambda cell, form=form: datetime.strptime(cell, form) for form in TIME_FORMATS]  # type: ignore[misc]
    for parse in parsers:
        try:
            date = parse(text)
        except ValueError:
            continue
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        delta = date - datetime(1970, 1, 1, tzinfo=UTC)
        return (delta.days * 86_400 + delta.seconds) * NS_PER_S + delta.microseconds * 1000
    return int(NO_TIME)
