"""When a photograph was taken, from EXIF."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from PIL import ExifTags

from skyweave.telemetry.image_metadata.field_values import parse_text


@dataclass(frozen=True)
class CaptureTime:
    """A time by the camera's clock.

    Attributes:
        seconds: since 1970 as the clock showed it, fractions included.
        utc_offset: seconds that the clock was ahead of UTC; None where its zone is not stated.
    """

    seconds: float
    utc_offset: float | None = None


def read_time(camera: Mapping[int, Any], base: Mapping[int, Any]) -> CaptureTime | None:
    """Read when the photograph was taken; None where it does not say.

    Args:
        camera: EXIF's directory of the camera.
        base: EXIF's first directory.
    """
    tag = ExifTags.Base
    original = parse_text(camera.get(tag.DateTimeOriginal))
    text = original or parse_text(base.get(tag.DateTime))
    fraction = parse_text(camera.get(tag.SubsecTimeOriginal if original else tag.SubsecTime))
    zone = parse_text(camera.get(tag.OffsetTimeOriginal if original else tag.OffsetTime))
    seconds = _whole_seconds(text)
    if seconds is None:
        return None
    return CaptureTime(seconds + (float(f"0.{fraction}") if fraction.isdigit() else 0.0), _offset(zone))


def _offset(text: str) -> float | None:
    """Seconds of ``+02:00``, ``Z``."""
    if text.upper() == "Z":
        return 0.0
    match = re.fullmatch(r"([+-])(\d\d):?(\d\d)", text)
    return None if match is None else float(f"{match[1]}1") * (int(match[2]) * 3600 + int(match[3]) * 60)


def _whole_seconds(text: str) -> float | None:
    """Seconds since 1970 of EXIF's time; None where it is none."""
    try:
        # neutral zone: where it is unknown only differences matter, and daylight saving must not reorder a flight
        return (datetime.strptime(text[:19], "%Y:%m:%d %H:%M:%S") - datetime(1970, 1, 1)).total_seconds()
    except ValueError:
        return None


def order_times(times: Sequence[CaptureTime | None]) -> list[float]:
    """Return seconds that order photos: in UTC where every clock says its zone, else as the clocks showed.

    Args:
        times: of the photos; None where unknown: first.
    """
    zones = all(time is not None and time.utc_offset is not None for time in times)
    return [0.0 if t is None else t.seconds - (t.utc_offset or 0.0 if zones else 0.0) for t in times]
