"""PX4's flight logs: ULog files, by pyulog.

Attitudes turn the body's forward, right, down axes to north, east, down. A gimbal that reports itself gives the
camera's orientation; without one, the body's is known and the camera's is not.
"""

from collections.abc import Mapping
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.telemetry.angles import ENU_FROM_NED_QUATERNION, multiply_quaternions
from skyweave.telemetry.formats.gimbals import gimbal_orientations
from skyweave.telemetry.poses_over_time import EARLIEST_UTC_S, MissingTopic
from skyweave.telemetry.reading import ReadOptions
from skyweave.telemetry.samples import LogSamples
from skyweave.telemetry.streams import Stream, join_streams, orientations_at

MAGIC = b"ULog\x01\x12\x35"
TOPICS = (
    "vehicle_global_position",
    "vehicle_gps_position",
    "sensor_gps",
    "vehicle_attitude",
    "vehicle_local_position",
    "gimbal_device_attitude_status",
    "home_position",
)
POSITION_TOPICS = ("vehicle_global_position", "vehicle_gps_position", "sensor_gps")  # the best first
MIN_FIX = 2  # fix types from here on are places
INTEGER_DEGREES = 1e7  # of receivers' integer latitudes
MISSING: dict[MissingTopic, str] = {
    "orientation": "the log has no gimbal (gimbal_device_attitude_status): it knows how the vehicle flies, not where "
    "the camera looks",
    "heading": "the log has no vehicle_attitude",
    "position": "the log has no global position and no GPS",
    "utc": "the log has no GPS time",
    "lens": "flight logs say nothing of the lens",
}
Topic = Mapping[str, np.ndarray]


class UlogReader:
    """Reads the flight logs that PX4 writes."""

    description = "PX4 flight logs (.ulg)"

    def recognises(self, path: Path, head: bytes) -> bool:
        """Return whether a file begins as ULog does.

        Args:
            path: file or folder.
            head: its first bytes.
        """
        return head.startswith(MAGIC) or path.suffix.lower() == ".ulg"

    def read(self, path: Path, options: ReadOptions) -> LogSamples:
        """Read a file.

        Args:
            path: of the log.
            options: not used.

        Raises:
            DataError: it is damaged, or has neither position nor attitude.
        """
        topics = _read_topics(path)
        body = _body(topics)
        streams = [*_positions(topics), body, *_gimbal(topics, body), *_ground(topics)]
        if not any(len(stream.times) for stream in streams):
            raise DataError(f"{path.name} has no position, no attitude and no gimbal: it is no log of a flight")
        return join_streams(path.name, "boot", streams, epoch=_epoch(topics), missing=MISSING)


def _read_topics(path: Path) -> dict[str, Topic]:
    """The first instance of each topic that is read."""
    import pyulog

    try:
        with path.open("rb") as file, redirect_stdout(StringIO()):  # pyulog prints what it thinks of a damaged file
            log = pyulog.ULog(file, list(TOPICS), disable_str_exceptions=True)
    except Exception as error:  # pyulog raises whatever its parser stumbles over: struct, index, type and key errors
        raise DataError(f"{path.name} is no ULog, or damaged: {error or type(error).__name__}") from None
    topics: dict[str, Topic] = {}
    for data in sorted(log.data_list, key=lambda data: data.multi_id):
        if len(data.data["timestamp"]):
            topics.setdefault(data.name, data.data)
    return topics


def _times(topic: Topic) -> np.ndarray:
    return np.asarray(topic["timestamp"], np.int64) * 1000


def _positions(topics: dict[str, Topic]) -> list[Stream]:
    """Places and heights of the best topic that has them."""
    name = next((name for name in POSITION_TOPICS if name in topics), None)
    if name is None:
        return []
    topic = topics[name]
    latitude, longitude = _degrees(topic, "lat"), _degrees(topic, "lon")
    if "fix_type" in topic:
        latitude = np.where(topic["fix_type"] >= MIN_FIX, latitude, np.nan)
    latitude = _where_valid(topic, "lat_lon_valid", latitude)
    above_sea, above_ellipsoid = (
        _where_valid(topic, "alt_valid", _metres(topic, name, old))
        for name, old in (("altitude_msl_m", "alt"), ("altitude_ellipsoid_m", "alt_ellipsoid"))
    )
    heights = {"sea_level": above_sea, "ellipsoid": above_ellipsoid}
    if (home := topics.get("home_position")) is not None and "alt" in home:
        heights["takeoff"] = above_sea - float(home["alt"][-1])
    columns = {"latitude": latitude, "longitude": longitude}
    columns |= {
        column: np.asarray(topic[field], np.float64)
        for column, field in (("horizontal_std", "eph"), ("vertical_std", "epv"))
        if field in topic
    }
    return [Stream(_times(topic), columns, heights)]  # type: ignore[arg-type]


def _degrees(topic: Topic, name: str) -> np.ndarray:
    """Latitudes or longitudes, whose name and unit changed over the years."""
    long_name = {"lat": "latitude_deg", "lon": "longitude_deg"}[name]
    if long_name in topic:
        return np.asarray(topic[long_name], np.float64)
    values = np.asarray(topic[name])
    return values / INTEGER_DEGREES if np.issubdtype(values.dtype, np.integer) else values.astype(np.float64)


def _metres(topic: Topic, name: str, old: str) -> np.ndarray:
    """Heights, in metres or in the millimetres of receivers' integers."""
    if name in topic:
        return np.asarray(topic[name], np.float64)
    if old not in topic:
        return np.full(len(topic["timestamp"]), np.nan)
    values = np.asarray(topic[old])
    return values / 1000 if np.issubdtype(values.dtype, np.integer) else values.astype(np.float64)


def _where_valid(topic: Topic, flag: str, values: np.ndarray) -> np.ndarray:
    """Values where the filter says that they hold; newer firmware does."""
    return np.where(np.asarray(topic[flag]) > 0, values, np.nan) if flag in topic else values


def _quaternions(topic: Topic) -> np.ndarray:
    return np.stack([np.asarray(topic[f"q[{k}]"], np.float64) for k in range(4)], -1)


def _body(topics: dict[str, Topic]) -> Stream:
    if "vehicle_attitude" not in topics or "q[0]" not in topics["vehicle_attitude"]:
        return Stream(np.zeros(0, np.int64))
    topic = topics["vehicle_attitude"]
    return Stream(_times(topic), enu_from_body=multiply_quaternions(ENU_FROM_NED_QUATERNION, _quaternions(topic)))


def _gimbal(topics: dict[str, Topic], body: Stream) -> list[Stream]:
    topic = topics.get("gimbal_device_attitude_status")
    if topic is None:
        return []
    times = _times(topic)
    flags = np.asarray(topic.get("device_flags", np.zeros(len(times))), np.int64)
    return [
        Stream(times, enu_from_camera=gimbal_orientations(_quaternions(topic), flags, orientations_at(body, times)))
    ]


def _ground(topics: dict[str, Topic]) -> list[Stream]:
    """Heights of the range finder above the ground."""
    topic = topics.get("vehicle_local_position")
    if topic is None or "dist_bottom_valid" not in topic or not np.any(topic["dist_bottom_valid"]):
        return []
    height = np.where(np.asarray(topic["dist_bottom_valid"]) > 0, topic["dist_bottom"], np.nan)
    return [Stream(_times(topic), heights={"ground": height})]


def _epoch(topics: dict[str, Any]) -> int | None:
    """UTC nanoseconds at which the computer was started, by the receiver's clock."""
    for name in ("sensor_gps", "vehicle_gps_position"):
        stamps = np.asarray(topics.get(name, {}).get("time_utc_usec", ()), np.int64)
        known = stamps >= EARLIEST_UTC_S * 10**6  # receivers without a fix count from 1980
        if known.any():
            return int(np.median((stamps - np.asarray(topics[name]["timestamp"], np.int64))[known])) * 1000
    return None
