"""When the rows of a table were logged: UTC, a local clock, or seconds since the log or its one video began."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from skyweave.core.errors import DataError
from skyweave.telemetry.formats.named_columns import NamedColumns, parse_number, unit_of
from skyweave.telemetry.poses_over_time import EARLIEST_UTC_S, NS_PER_S, ClockName

TIME_NAMES = ("time", "timestamp", "seconds", "offset", "flytime", "osdflytime", "elapsedtime")
UTC_NAMES = ("datetimeutc", "utc", "gpsdatetime", "gpsdatetimeutc", "datetime", "date")
LOCAL_NAMES = ("datetimelocal", "timelocal", "datelocal")
RECORDING_NAMES = ("isvideo", "istakingvideo", "camerainfoisrecording", "camerarecording")
SECONDS: dict[str, float] = {
    "millisecond": 1e-3,
    "milliseconds": 1e-3,
    "ms": 1e-3,
    "s": 1.0,
    "sec": 1.0,
    "seconds": 1.0,
    "us": 1e-6,
    "ns": 1e-9,
    "min": 60.0,
    "minutes": 60.0,
    "second": 1.0,
    "": 1.0,
    "hh:mm:ss": 1.0,
    "mm:ss": 1.0,
}
EPOCH_SCALES = tuple((EARLIEST_UTC_S / scale, scale) for scale in (1e-9, 1e-6, 1e-3, 1.0))
MAX_STEP_S = 10.0  # between rows of a log in seconds, before one asks whether they are seconds
MINUTE_NS = 60 * NS_PER_S
MAX_BACKWARD = 0.05  # share of rows whose time goes back, of a table that is in order but for a restarted clock
TIME_OF_DAY = re.compile(r"(\d{1,3}):(\d{2})(?::(\d{2}(?:[.,]\d+)?))?$")
TIME_FORMATS = ("%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S.%f", "%Y/%m/%d %H:%M:%S")
NO_TIME = int(np.iinfo(np.int64).min)


@dataclass(frozen=True)
class RowTimes:
    """Times of the rows of a table.

    Attributes:
        times: (n,) nanoseconds on ``clock``; `NO_TIME` where a cell has none.
        clock: what they count from.
        epoch: UTC nanoseconds at which they are 0; None where unknown.
        notes: what was assumed.
    """

    times: np.ndarray
    clock: ClockName
    epoch: int | None = None
    notes: tuple[str, ...] = ()


def read_times(columns: NamedColumns) -> RowTimes:
    """Return when the rows were logged.

    Args:
        columns: of the table.

    Raises:
        DataError: no column says it, or one in words that are not read, or with one day for all rows.
    """
    relative, utc, local = (columns.find(names) for names in (TIME_NAMES, UTC_NAMES, LOCAL_NAMES))
    if relative is not None:
        seconds = _seconds(columns.texts(relative))
        if (scale := _epoch_scale(seconds)) is not None:
            return RowTimes(_nanoseconds(seconds * scale), "utc", 0)
        joined = _day_and_time(columns, utc, relative)
        if joined is not None:
            return _stamped(joined, "utc", (f"{utc!r} and {relative!r} are taken as one time in UTC",))
        if np.isfinite(seconds).any():
            dates = None if utc is None else _dates(columns.texts(utc))
            return _relative(columns, seconds * _unit_seconds(columns, relative, seconds), dates)
    if (stamped := _dated(columns, utc or relative, "utc") or _dated(columns, local, "local")) is not None:
        return stamped
    raise DataError(_describe_none(columns, next((name for name in (relative, utc, local) if name is not None), None)))


def _dated(columns: NamedColumns, column: str | None, clock: ClockName) -> RowTimes | None:
    """Times of a column of dates; None where it holds none."""
    dates = np.zeros(0, np.int64) if column is None else _dates(columns.texts(column))
    if column is None or not (dates != NO_TIME).any():
        return None
    _refuse_days(columns, column, dates)
    return _stamped(dates, clock, _zone_notes(columns.texts(column), column) if clock == "utc" else ())


def _describe_none(columns: NamedColumns, column: str | None) -> str:
    if column is None:
        return f"{columns.path} has no column of times, such as 'time(s)' or 'datetime(utc)'"
    cell = next(iter(filter(None, columns.texts(column))), "")
    return (
        f"{columns.path}: column {column!r} holds {cell!r}, and no times; write seconds, or dates and times such as "
        "2026-11-30 14:02:00.5"
    )


def _unit_seconds(columns: NamedColumns, column: str, values: np.ndarray) -> float:
    """Seconds a unit of a column; refuses units that are not known, and steps that hardly are seconds."""
    unit = unit_of(column)
    if unit not in SECONDS:
        raise DataError(f"{columns.path}: column {column!r} in {unit!r} is not read; convert it and call it 'time(s)'")
    steps = np.abs(np.diff(values[np.isfinite(values)]))
    if not unit and len(steps) and np.median(steps) > MAX_STEP_S and ":" not in columns.texts(column)[0]:
        raise DataError(
            f"{columns.path}: column {column!r} grows by {np.median(steps):g} from row to row, which are hardly "
            f"seconds; write its unit into its name: '{column}(ms)', '{column}(us)', or '{column}(s)' if they are"
        )
    return SECONDS[unit]


def order_rows(columns: NamedColumns, rows: RowTimes) -> tuple[np.ndarray, RowTimes]:
    """Return the rows (k,) that have a time, the oldest first, and their times.

    Args:
        columns: of the table.
        rows: as read.

    Raises:
        DataError: times go back again and again, or many rows share one minute; says what to do about it.
    """
    known = np.flatnonzero(rows.times != NO_TIME)
    back = np.diff(rows.times[known]) < 0
    share = float(back.mean()) if len(back) > 1 else 0.0
    notes = rows.notes
    if share > 1 - MAX_BACKWARD:
        known, notes = known[::-1], (*notes, "the table begins with its last row: it is read from its end")
    elif share > MAX_BACKWARD:
        raise DataError(
            f"{columns.path}: times go back in {back.sum()} of {len(known)} rows; sort the rows by their time, or give "
            "each flight a table of its own"
        )
    times, more = _distribute(columns, rows.times[known])
    return known, replace(rows, times=times, notes=(*notes, *more))


def _distribute(columns: NamedColumns, times: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Times of rows that share whole seconds, evenly over these."""
    stamps, groups, counts = np.unique(times, return_inverse=True, return_counts=True)
    usual = int(np.median(counts)) if len(counts) else 0
    if usual < 2 or (times % NS_PER_S).any() or (np.diff(times) < 0).any():
        return times, ()
    if np.diff(stamps).min(initial=MINUTE_NS) >= MINUTE_NS:
        raise DataError(
            f"{columns.path}: up to {counts.max()} rows share one time, and no two times are nearer than a minute; "
            "export it with seconds, which spreadsheets drop when they save a CSV"
        )
    within = np.arange(len(times)) - np.searchsorted(times, times)
    within[groups == 0] += max(usual - counts[0], 0)  # the first second was cut off at its beginning
    note = f"{usual} rows share each whole second: they are spread over it"
    return times + within * NS_PER_S // np.maximum(counts[groups], usual), (note,)


def _stamped(dates: np.ndarray, clock: ClockName, notes: tuple[str, ...]) -> RowTimes:
    return RowTimes(dates, clock, 0 if clock == "utc" else None, notes)


def _zone_notes(texts: Sequence[str], column: str) -> tuple[str, ...]:
    """What to say of times that state no zone, in a column that states none."""
    states = "utc" in column.casefold() or any(re.search(r"(Z|[+-]\d\d:?\d\d)$", text) for text in texts)
    return () if states else (f"times in column {column!r} state no zone and are taken as UTC",)


def _refuse_days(columns: NamedColumns, column: str, dates: np.ndarray) -> None:
    """Refuse rows of one day without a time of day."""
    known = dates[dates != NO_TIME]
    if len(known) > 1 and (known == known[0]).all() and known[0] % (86_400 * NS_PER_S) == 0:
        raise DataError(
            f"{columns.path}: column {column!r} has the same day in all rows and no time of day; name the column of "
            "seconds 'time(s)', or that of the times of day 'time'"
        )


def _day_and_time(columns: NamedColumns, day: str | None, time: str) -> np.ndarray | None:
    """Times of tables that have the day in one column and the time of day in another; None for other tables."""
    if day is None:
        return None
    days, times = columns.texts(day), columns.texts(time)
    pairs = [(date, clock) for date, clock in zip(days, times, strict=True) if date and clock]
    if not pairs or not all(":" not in date and TIME_OF_DAY.match(clock) for date, clock in pairs):
        return None
    return _dates([f"{date} {clock}" if date and clock else "" for date, clock in zip(days, times, strict=True)])


def _relative(columns: NamedColumns, seconds: np.ndarray, dates: np.ndarray | None) -> RowTimes:
    """Times that count from the start of the log, or of the one video that was recorded meanwhile."""
    times = _nanoseconds(seconds)
    notes: tuple[str, ...] = ()
    starts = _recordings(columns)
    if len(starts) == 1:
        note = f"the video begins {seconds[starts[0]] - seconds[0]:.1f} s after the log, when recording was switched on"
        notes = (note,)
        times = np.where(times == NO_TIME, NO_TIME, times - times[starts[0]])
    elif starts:
        note = f"{len(starts)} videos were recorded during the log: give the UTC time of the first image with --start"
        notes = (note,)
    epoch = None
    if dates is not None and (both := (dates != NO_TIME) & (times != NO_TIME)).any():
        epoch = int((dates - times)[both].max())  # dates are in whole seconds, cut off: the greatest is right
    return RowTimes(times, "boot" if len(starts) > 1 else "video", epoch, notes)


def _recordings(columns: NamedColumns) -> list[int]:
    """Rows at which recording begins."""
    column = columns.find(RECORDING_NAMES)
    if column is None:
        return []
    on = np.array([cell.casefold() in ("1", "true", "yes", "1.0") for cell in columns.texts(column)])
    return np.flatnonzero(on & ~np.concatenate([[False], on[:-1]])).tolist()


def _seconds(texts: Sequence[str]) -> np.ndarray:
    """Numbers, or hours, minutes and seconds as numbers; NaN for others."""
    return np.array([_seconds_of(text) for text in texts], np.float64)


def _seconds_of(text: str) -> float:
    match = TIME_OF_DAY.match(text)
    if match is None:
        return parse_number(text)
    first, second, third = match.groups()
    if third is None:
        return int(first) * 60.0 + int(second)
    return int(first) * 3600.0 + int(second) * 60.0 + float(third.replace(",", "."))


def _epoch_scale(values: np.ndarray) -> float | None:
    """Seconds a unit, where numbers are so great that they count from 1970."""
    middle = float(np.nanmedian(values)) if np.isfinite(values).any() else 0.0
    return next((scale for lowest, scale in EPOCH_SCALES if middle >= lowest), None)


def _nanoseconds(seconds: np.ndarray) -> np.ndarray:
    known = np.isfinite(seconds) & (np.abs(seconds) < 9e9)
    return np.where(known, np.round(np.where(known, seconds, 0.0) * NS_PER_S), float(NO_TIME)).astype(np.int64)


def _dates(texts: Sequence[str]) -> np.ndarray:
    return np.array([_date(text) for text in texts], np.int64)


def _date(text: str) -> int:
    """Nanoseconds since 1970 of a date, in UTC unless it states a zone; `NO_TIME` for what is none."""
    date = _parse_date(text)
    if date is None:
        return NO_TIME
    delta = (date if date.tzinfo else date.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * NS_PER_S + delta.microseconds * 1000


def _parse_date(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    for form in TIME_FORMATS:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None
