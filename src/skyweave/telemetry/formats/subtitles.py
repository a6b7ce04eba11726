"""Subtitles in which DJI's and Autel's drones write telemetry beside a video: SubRip and SubStation Alpha files.

There is no standard; firmware write whatever their programs show. What is read, in any order and mixture:

- ``[latitude: 41.4] [longtitude : 2.1] [rel_alt: 1.0 abs_alt: 100.0] [focal_len: 24.00]``, pairs in brackets;
- ``[gb_yaw: -93.4 gb_pitch: -20.4 gb_roll: 0.0]``, the gimbal of enterprise drones;
- ``GPS (2.1, 41.4, 15)``, longitude first, then satellites; ``GPS(W: 122.3, N: 47.6, 52.6m)``, Autel;
- ``HOME (...)``, ``BAROMETER:20.1``, ``Hb:1.9``, ``ReH:12``, ``H 200.70m`` above the take-off;
- ``Hs:1.9`` above the ground;
- ``F.PRY (2.7°, -7.0°, 110.1°)`` and ``G.PRY``, pitch, roll and yaw of the aircraft and its gimbal;
- ``2020-04-02 15:19:58,720,764``, the drone's local time.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.telemetry.assembly import HORIZONTAL_STD_M
from skyweave.telemetry.poses_over_time import NS_PER_S, HeightDatum, MissingTopic
from skyweave.telemetry.reading import ReadOptions
from skyweave.telemetry.samples import Column, LogSamples

NUMBER = r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
LENGTH_UNIT = r"(?:\s*(m|ft|feet)\b)?"
CUE = re.compile(
    r"(?:^Dialogue:[^,\n]*,\s*)?(\d+):(\d+):(\d+)[,.](\d+)"
    r"(?:\s*-->\s*\d+:\d+:\d+[,.]\d+[^\n]*\n|,\s*\d+:\d\d:\d\d\.\d+,)",
    re.MULTILINE,
)
"""Times of a subtitle: of SubRip, on a line of their own, or of SubStation Alpha, before the text on the same line."""
SUFFIXES = (".srt", ".ass", ".ssa")
SPLIT_SIGN = re.compile(r"(?<=\d\.)-(?=\d)")  # of longitudes such as -117.-9605, as some firmware writes them
TAG = re.compile(r"<[^>]*>")
PAIR = re.compile(
    r"(\w+)\s*:\s*(?:([NSEW])\s*)?([-+]?\d+(?:[.,]\d+)?(?:e[-+]?\d+)?)(?:\s*(m|ft|feet|[NSEW])(?![\w:]))?", re.I
)
BRACKETS = re.compile(r"\[([^\[\]]*)\]")
GPS = re.compile(
    rf"(?<![.\w])GPS\s*\(\s*([WE]:)?\s*({NUMBER})\s*,\s*([NS]:)?\s*({NUMBER})\s*(?:,\s*({NUMBER}){LENGTH_UNIT})?", re.I
)
HEIGHT = re.compile(rf"(?:BAROMETER\s*:|\b(?:Hb|ReH)\s*:|(?<![.\w])H\s+)\s*({NUMBER}){LENGTH_UNIT}", re.I)
SONAR = re.compile(rf"\bHs\s*:\s*({NUMBER}){LENGTH_UNIT}", re.I)
ANGLES = re.compile(rf"\b([FG])\.PRY\s*\(\s*({NUMBER})°?\s*,\s*({NUMBER})°?\s*,\s*({NUMBER})°?\s*\)")
MINUS_SIGN = "\u2212"  # that programs with fine typography write
LOCAL_TIME = re.compile(r"(\d{4})[-./](\d{1,2})[-./](\d{1,2})\s+(\d{1,2}):(\d{2}):(\d{2})(?:[.,](\d+)(?:[.,](\d+))?)?")
"""Fractions of a second are thousandths, and millionths after another comma."""
FIELDS: dict[str, Column] = {
    "latitude": "latitude",
    "longitude": "longitude",
    "longtitude": "longitude",  # as DJI misspelt it for years
    "gb_yaw": "camera_yaw",
    "gb_pitch": "camera_pitch",
    "gb_roll": "camera_roll",
}
HEIGHT_FIELDS: dict[str, HeightDatum] = {"rel_alt": "takeoff", "abs_alt": "sea_level", "altitude": "unstated"}
EQUIVALENT_WIDTH_MM = 34.61  # of a 4:3 image with the diagonal of a 36 x 24 mm one, to which equivalents refer
TENTHS_FROM = 100  # focal lengths that are whole numbers from here on are tenths of millimetres
SUBTITLE_DELAY_STD_S = 0.1  # between the telemetry in a subtitle and its image
METRES_PER_DEGREE = 111_320.0
METRES_PER_FOOT, FEET = 0.3048, ("ft", "feet")
MAX_GPS_COMMAS = 3  # in GPS(...); more are decimal commas, which cannot be told from those between numbers
LATITUDE_FIRST = "dji-srt-latitude-first"  # name of the format
MAX_ZOOM = 1000.0
ZOOM_UNIT = 10_000.0  # of zoom ratios that are whole numbers
EQUIVALENT_LENS = (
    "the field of view is that of the equivalent focal length over the full width of the sensor; video modes that crop "
    "see less: give --fov or --camera"
)
MISSING: dict[MissingTopic, str] = {
    "orientation": "the subtitles hold no gimbal angles",
    "heading": "the subtitles hold no heading",
    "utc": "the subtitles have the drone's local time, whose zone they do not say",
    "position": "the subtitles hold no position",
}


@dataclass
class Cue:
    """What one subtitle says.

    Attributes:
        time: nanoseconds since the first image.
        values: by column.
        heights: metres by what they count from.
        local_time: nanoseconds since 1970 by the drone's clock; None if it does not say.
        decimals: digits after the point of its latitude.
        order_assumed: whether its place is two numbers that could be exchanged, taken as longitude and latitude.
    """

    time: int
    values: dict[Column, float] = field(default_factory=dict)
    heights: dict[HeightDatum, float] = field(default_factory=dict)
    local_time: int | None = None
    decimals: int = 6
    order_assumed: bool = False


class SubtitleReader:
    """Reads the subtitles that drones write beside videos.

    Attributes:
        description: of the format.
        latitude_first: whether two numbers of a place of which nothing says what they are begin with the latitude.
    """

    description = "subtitles of DJI and Autel drones (.srt, .ass)"
    latitude_first = False

    def recognises(self, path: Path, head: bytes) -> bool:
        """Return whether a file holds timed subtitles.

        Args:
            path: file or folder.
            head: its first bytes.
        """
        return path.suffix.lower() in SUFFIXES or CUE.search(_decode(head)) is not None

    def read(self, path: Path, options: ReadOptions) -> LogSamples:
        """Read a file.

        Args:
            path: SubRip or SubStation Alpha file.
            options: not used: such a file is of one camera.

        Raises:
            DataError: it has no subtitles with telemetry.
        """
        cues = list(parse_subtitles(_decode(path.read_bytes())))
        for cue in (cue for cue in cues if self.latitude_first and cue.order_assumed):
            cue.values |= {"latitude": cue.values["longitude"], "longitude": cue.values["latitude"]}
            cue.order_assumed = False
        return subtitle_samples(cues, path.name)


class LatitudeFirstReader(SubtitleReader):
    """Reads files of firmware that write ``GPS(latitude, longitude)``; nothing in them says so, so users do."""

    description = "subtitles that write the latitude first (by name only)"
    latitude_first = True

    def recognises(self, path: Path, head: bytes) -> bool:
        """Return False: it is never guessed.

        Args:
            path: file or folder.
            head: its first bytes.
        """
        return False


def parse_subtitles(text: str) -> Iterator[Cue]:
    """Yield what each subtitle of a file says; what is cut off or damaged says less.

    Args:
        text: of the file.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    marks = list(CUE.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    for mark, end in zip(marks, ends[: len(marks)], strict=True):
        hours, minutes, seconds, fraction = mark.groups()
        time = (int(hours) * 3600 + int(minutes) * 60 + int(seconds)) * NS_PER_S + _fraction_ns(fraction)
        yield parse_cue(text[mark.end() : end], time)


def parse_cue(text: str, time: int) -> Cue:
    """Return what the text of a subtitle says.

    Args:
        text: of one subtitle, with or without tags.
        time: nanoseconds since the first image.
    """
    cue, text = Cue(time), SPLIT_SIGN.sub("", TAG.sub("", text).replace(MINUS_SIGN, "-").replace(r"\N", "\n"))
    for brackets in BRACKETS.findall(text):
        _read_pairs(cue, {name: _in_plain_units(*value) for name, *value in PAIR.findall(brackets)})
    _read_gps(cue, text)
    if (height := HEIGHT.search(text)) is not None:
        cue.heights.setdefault("takeoff", _metres(height[1], height[2]))
    if (sonar := SONAR.search(text)) is not None and float(sonar[1]) > 0:
        cue.heights["ground"] = _metres(sonar[1], sonar[2])
    for which, pitch, roll, yaw in ANGLES.findall(text):
        _read_angles(cue, which, float(yaw), float(pitch), float(roll))
    cue.local_time = _local_time(text)
    return cue


def subtitle_samples(cues: Sequence[Cue], source: str) -> LogSamples:
    """Return the telemetry of subtitles.

    Args:
        cues: as parsed.
        source: of them, for messages.

    Raises:
        DataError: none says anything of a pose.
    """
    if not any(cue.values or cue.heights for cue in cues):
        raise DataError(
            f"{source} holds {len(cues)} subtitles and no telemetry in them; take those that the drone wrote"
        )
    columns = {name: np.array([cue.values.get(name, np.nan) for cue in cues]) for name in _names(cues)}
    times = np.array([cue.time for cue in cues], np.int64)
    rounding = 10.0 ** -min(cue.decimals for cue in cues) * METRES_PER_DEGREE / np.sqrt(12)
    columns["horizontal_std"] = np.full(len(cues), np.hypot(HORIZONTAL_STD_M, rounding))
    interval = float(np.median(np.diff(times))) / NS_PER_S if len(times) > 1 else 1.0
    notes = [EQUIVALENT_LENS] if "horizontal_fov" in columns else []
    notes += _order_notes(cues)
    return LogSamples(
        source=source,
        times=times,
        clock="video",
        columns=columns,
        heights=_heights(cues),
        time_std=float(max(interval, 0.0) / np.sqrt(12) + SUBTITLE_DELAY_STD_S),
        missing=MISSING | _missing_utc(cues),
        notes=tuple(notes),
    )


def _order_notes(cues: Sequence[Cue]) -> list[str]:
    """What to note where nothing says which number of a place is the latitude."""
    place = next((cue.values for cue in cues if cue.order_assumed), None)
    if place is None:
        return []
    return [
        f"GPS(...) is read as longitude and latitude, in the order in which most drones write them: latitude "
        f"{place['latitude']:.4f}, longitude {place['longitude']:.4f}; if the flight was not there, read it with "
        f"--telemetry-format {LATITUDE_FIRST}"
    ]


def _heights(cues: Sequence[Cue]) -> dict[HeightDatum, np.ndarray]:
    datums: set[HeightDatum] = {datum for cue in cues for datum in cue.heights}
    return {datum: np.array([cue.heights.get(datum, np.nan) for cue in cues]) for datum in datums}


def _names(cues: Sequence[Cue]) -> list[Column]:
    return list(dict.fromkeys(name for cue in cues for name in cue.values))


def _missing_utc(cues: Sequence[Cue]) -> dict[MissingTopic, str]:
    """Why the time is not UTC, with the local time from which whoever knows the zone can tell it."""
    first = next((cue for cue in cues if cue.local_time is not None), None)
    if first is None or first.local_time is None:
        return {"utc": "the subtitles hold no date"}
    start = datetime(1970, 1, 1) + timedelta(microseconds=(first.local_time - first.time) / 1000)
    return {"utc": f"{MISSING['utc']} (it was {start.isoformat(' ', 'milliseconds')} at the first image)"}


def _read_pairs(cue: Cue, pairs: dict[str, str]) -> None:
    """Take what pairs in brackets say."""
    for name, text in pairs.items():
        key = name.lower()
        if key in FIELDS:
            cue.values[FIELDS[key]] = float(text)
        elif key in HEIGHT_FIELDS:
            cue.heights[HEIGHT_FIELDS[key]] = float(text)
        if key == "latitude":
            cue.decimals = len(text.partition(".")[2])
    if "focal_len" in pairs:
        cue.values["horizontal_fov"] = _field_of_view(pairs["focal_len"], pairs.get("dzoom_ratio", "1.0"))
    elif "dzoom_ratio" in pairs and "horizontal_fov" in cue.values:
        half = np.tan(np.radians(cue.values["horizontal_fov"]) / 2) / _zoom(pairs["dzoom_ratio"])
        cue.values["horizontal_fov"] = float(np.degrees(2 * np.arctan(half)))


def _in_plain_units(before: str, number: str, after: str) -> str:
    """A number in brackets with its point, in metres and degrees north and east, whatever stands beside it."""
    text = number.replace(",", ".")
    if after.lower() in FEET:
        return repr(float(text) * METRES_PER_FOOT)
    return f"-{text.lstrip('+-')}" if (before or after).upper() in ("S", "W") else text


def _metres(number: str, unit: str | None) -> float:
    return float(number) * (METRES_PER_FOOT if unit is not None and unit.lower() in FEET else 1.0)


def _field_of_view(focal_length: str, zoom: str) -> float:
    """Horizontal degrees of an equivalent focal length in millimetres, or in tenths of them."""
    millimetres = float(focal_length) * _zoom(zoom)
    if "." not in focal_length and millimetres >= TENTHS_FROM:
        millimetres /= 10
    return float(np.degrees(2 * np.arctan(EQUIVALENT_WIDTH_MM / 2 / millimetres))) if millimetres > 0 else np.nan


def _zoom(text: str) -> float:
    ratio = float(text) / (1.0 if "." in text or float(text) < ZOOM_UNIT / 10 else ZOOM_UNIT)
    return ratio if 1.0 <= ratio <= MAX_ZOOM else 1.0


def _read_gps(cue: Cue, text: str) -> None:
    """Take the place in ``GPS(...)``."""
    match = GPS.search(text)
    if match is None or text[match.start() :].partition(")")[0].count(",") > MAX_GPS_COMMAS:
        return
    east, longitude, north, latitude, altitude, unit = match.groups()
    places = [_signed(longitude, east, "W"), _signed(latitude, north, "S")]
    if abs(places[1]) > 90 >= abs(places[0]):  # some write the latitude first
        places.reverse()
    cue.order_assumed = east is None and north is None and 0 < max(map(abs, places)) <= 90
    cue.values["longitude"], cue.values["latitude"] = places
    cue.decimals = len(latitude.partition(".")[2])
    if unit is not None and altitude is not None:  # without a unit it is the number of satellites
        cue.heights["unstated"] = _metres(altitude, unit)


def _signed(text: str, hemisphere: str | None, negative: str) -> float:
    if hemisphere is None:
        return float(text)
    return -abs(float(text)) if hemisphere[0].upper() == negative else abs(float(text))


def _read_angles(cue: Cue, which: str, yaw: float, pitch: float, roll: float) -> None:
    """Take the angles of the aircraft (F) or the gimbal (G)."""
    if which == "G":
        cue.values |= {"camera_yaw": yaw, "camera_pitch": pitch, "camera_roll": roll}
    else:
        cue.values |= {"body_yaw": yaw, "body_pitch": pitch, "body_roll": roll}


def _local_time(text: str) -> int | None:
    """Nanoseconds since 1970 by the drone's clock."""
    match = LOCAL_TIME.search(text)
    if match is None:
        return None
    try:
        year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
        seconds = (datetime(year, month, day, hour, minute, second) - datetime(1970, 1, 1)).total_seconds()
    except ValueError:
        return None
    return int(seconds) * NS_PER_S + _fraction_ns((match[7] or "") + (match[8] or ""))


def _fraction_ns(digits: str) -> int:
    """Nanoseconds of the digits after a decimal point."""
    return int(digits.ljust(9, "0")[:9]) if digits else 0


def _decode(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    return content.decode("utf-8-sig", "replace")
