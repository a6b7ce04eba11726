"""Flight logs of ArduPilot, as its boards write them (DataFlash): binary ``.bin``, or the text of ground stations.

pymavlink decodes them and turns the receiver's week and milliseconds to UTC, leap seconds taken off. Where the camera
looks is known where a gimbal reports itself (MNT), else how the vehicle flies (ATT).
"""

from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.telemetry.angles import body_orientations, camera_orientations, compass_headings
from skyweave.telemetry.poses_over_time import EARLIEST_UTC_S, NS_PER_S, MissingTopic
from skyweave.telemetry.reading import ReadOptions
from skyweave.telemetry.samples import LogSamples
from skyweave.telemetry.streams import Stream, join_streams, orientations_at

BINARY_MAGIC, TEXT_BEGINNING = b"\xa3\x95\x80\x80", b"FMT, "
FILTER, RECEIVER, ATTITUDES, MOUNT = "POS", "GPS", "ATT", "MNT"
KINDS = (FILTER, RECEIVER, ATTITUDES, MOUNT)
MIN_FIX = 2
MISSING: dict[MissingTopic, str] = {
    "orientation": "the log has no gimbal (MNT): it knows how the vehicle flies, not where the camera looks",
    "heading": "the log has no ATT",
    "position": "the log has no POS and no GPS with a fix",
    "utc": "no receiver in it had a fix, so its stamps count from the start of the board",
    "lens": "the log knows nothing of the camera's lens",
}


class DataflashReader:
    """Reads the flight logs of ArduPilot."""

    description = "ArduPilot flight logs (.bin, .log)"

    def recognises(self, path: Path, head: bytes) -> bool:
        """Return whether a file begins with a description of its messages.

        Args:
            path: file or folder.
            head: its first bytes.
        """
        return head.startswith((BINARY_MAGIC, TEXT_BEGINNING))

    def read(self, path: Path, options: ReadOptions) -> LogSamples:
        """Read a file.

        Args:
            path: of the log.
            options: ``camera`` is the instance of the gimbal, where several are in the log.

        Raises:
            DataError: it is damaged, or several gimbals report themselves and none is chosen.
        """
        messages = _read_messages(path)
        body = _body(messages[ATTITUDES])
        streams = [*_positions(messages), body, *_gimbal(messages[MOUNT], body, options.camera, path.name)]
        first = min((int(stream.times[0]) for stream in streams if len(stream.times)), default=0)
        return join_streams(
            path.name,
            "utc" if first >= EARLIEST_UTC_S * NS_PER_S else "boot",
            streams,
            platform=options.platform,
            missing=MISSING,
        )


def _read_messages(path: Path) -> dict[str, list[Any]]:
    """Messages by kind."""
    from pymavlink.DFReader import DFReader_binary, DFReader_text

    messages: dict[str, list[Any]] = defaultdict(list)
    with path.open("rb") as file:
        is_binary = file.read(len(BINARY_MAGIC)) == BINARY_MAGIC
    try:
        with closing((DFReader_binary if is_binary else DFReader_text)(str(path))) as log:
            while (message := log.recv_match(type=list(KINDS))) is not None:
                messages[message.get_type()].append(message)
    except Exception as error:  # pymavlink raises what its parsers stumble over: struct, index, value and key errors
        raise DataError(
            f"{path.name} is a damaged log of ArduPilot ({error or type(error).__name__}); download it once more from "
            "the board"
        ) from None
    if not messages:
        raise DataError(f"{path.name} has no POS, GPS, ATT or MNT; it is no log of a flight of ArduPilot")
    return messages


def _times(messages: list[Any]) -> np.ndarray:
    return np.array([round(message._timestamp * NS_PER_S) for message in messages], np.int64)


def _field(messages: list[Any], name: str) -> np.ndarray:
    return np.array([getattr(message, name, np.nan) for message in messages], np.float64)


def _first_instance(messages: list[Any]) -> list[Any]:
    """Messages of the first of several sensors; without a number in logs of earlier years."""
    return [message for message in messages if getattr(message, "I", 0) == 0]


def _positions(messages: dict[str, list[Any]]) -> list[Stream]:
    """Places and heights by the vehicle's filter once the receiver had a fix, else by the receiver."""
    received = [m for m in _first_instance(messages[RECEIVER]) if getattr(m, "Status", MIN_FIX) >= MIN_FIX]
    filtered = messages[FILTER]
    if not filtered:
        columns = {"latitude": _field(received, "Lat"), "longitude": _field(received, "Lng")}
        return [Stream(_times(received), columns, {"sea_level": _field(received, "Alt")})]  # type: ignore[arg-type]
    times = _times(filtered)
    before = times < (_times(received)[0] if received else (np.iinfo(np.int64).max if messages[RECEIVER] else 0))
    latitude = np.where(before, np.nan, _field(filtered, "Lat"))
    heights = {"sea_level": _field(filtered, "Alt"), "takeoff": _field(filtered, "RelHomeAlt")}
    return [Stream(times, {"latitude": latitude, "longitude": _field(filtered, "Lng")}, heights)]  # type: ignore[arg-type]


def _body(messages: list[Any]) -> Stream:
    yaw, pitch, roll = (_field(messages, name) for name in ("Yaw", "Pitch", "Roll"))
    return Stream(_times(messages), enu_from_body=body_orientations(yaw, pitch, roll).reshape(-1, 4))


def _gimbal(messages: list[Any], body: Stream, chosen: str, source: str) -> list[Stream]:
    """Orientations of the camera of one gimbal, by its heading, or by its yaw to the vehicle's."""
    instances = sorted({int(getattr(message, "I", 0)) for message in messages})
    if chosen.isdecimal() and int(chosen) in instances:
        instances = [int(chosen)]
    if len(instances) > 1:
        raise DataError(f"{source} has the gimbals {', '.join(map(str, instances))}; choose one with --channel")
    mount = [message for message in messages if int(getattr(message, "I", 0)) in instances]
    if not mount:
        return []
    times = _times(mount)
    heading = compass_headings(orientations_at(body, times)) + _field(mount, "YawB")
    yaw = np.where(np.isnan(_field(mount, "YawE")), heading, _field(mount, "YawE"))
    return [Stream(times, enu_from_camera=camera_orientations(yaw, _field(mount, "Pitch"), _field(mount, "Roll")))]
