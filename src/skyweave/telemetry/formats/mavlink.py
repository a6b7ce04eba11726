"""Telemetry logs of ground stations (QGroundControl, Mission Planner): MAVLink packets with the time they arrived.

A ``.tlog`` holds, for each packet, its time in microseconds since 1970 (eight bytes, big-endian) and its bytes, of
version 1 or 2; pymavlink decodes them. Cameras are placed by CAMERA_FOV_STATUS where a camera reports it, else by the
gimbal, and where there is none only the vehicle's attitude is known.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.conventions import FRD_FROM_CAMERA
from skyweave.telemetry.angles import (
    ENU_FROM_NED_QUATERNION,
    body_orientations,
    camera_orientations,
    compass_headings,
    mount_camera,
    multiply_quaternions,
)
from skyweave.telemetry.formats.gimbals import gimbal_orientations
from skyweave.telemetry.poses_over_time import EARLIEST_UTC_S, MissingTopic
from skyweave.telemetry.reading import ReadOptions
from skyweave.telemetry.samples import LogSamples
from skyweave.telemetry.streams import Stream, join_streams, orientations_at

STAMP_BYTES = 8
VERSION_1, VERSION_2 = 0xFE, 0xFD
OVERHEAD_BYTES = {VERSION_1: 8, VERSION_2: 12}  # of a packet beside its content
SIGNATURE_BYTES = 13
SIGNED = 0x01  # incompatibility flag of version 2
LATEST_STAMP_US = 9_000_000_000_000_000  # 2255; what is greater is no stamp
LINK_DELAY_STD_S = 0.1  # from the vehicle to the ground station
MIN_FIX = 2
AUTOPILOT = 1  # number of its component
UNKNOWN_HEADING = 65_535
ATTITUDES, POSITIONS, RECEIVER = "ATTITUDE", "GLOBAL_POSITION_INT", "GPS_RAW_INT"
GIMBAL, MOUNT, MOUNT_OLD, VIEW = (
    "GIMBAL_DEVICE_ATTITUDE_STATUS",
    "MOUNT_ORIENTATION",
    "MOUNT_STATUS",
    "CAMERA_FOV_STATUS",
)
MESSAGE_NAMES = {33: POSITIONS, 24: RECEIVER, 30: ATTITUDES, 285: GIMBAL, 265: MOUNT, 158: MOUNT_OLD, 271: VIEW}
MISSING: dict[MissingTopic, str] = {
    "orientation": "the log has no gimbal and no camera that reports itself: it knows how the vehicle flies, not where "
    "the camera looks",
    "heading": "the log has no ATTITUDE",
    "position": "the log has no GLOBAL_POSITION_INT and no GPS_RAW_INT",
    "utc": "its stamps count from the start of a computer",
    "lens": "the log has no CAMERA_FOV_STATUS",
}
Message = tuple[int, Any]  # nanoseconds and the decoded packet


class MavlinkReader:
    """Reads the telemetry logs of ground stations."""

    description = "MAVLink telemetry logs (.tlog)"

    def recognises(self, path: Path, head: bytes) -> bool:
        """Return whether a file begins with a stamp and a packet.

        Args:
            path: file or folder.
            head: its first bytes.
        """
        begins = len(head) > STAMP_BYTES and _packet_length(head, STAMP_BYTES) > 0 and head[:2] == b"\0\x05"
        return path.suffix.lower() == ".tlog" or begins

    def read(self, path: Path, options: ReadOptions) -> LogSamples:
        """Read a file.

        Args:
            path: of the log.
            options: ``platform`` is the system number, where several vehicles are in the log, ``camera`` the number of
                the component, where a vehicle has several gimbals or cameras.

        Raises:
            DataError: no packets, several vehicles or gimbals and no choice among them, or none that says where it is.
        """
        systems = _read_messages(path.read_bytes())
        system = _choose_system(systems, options.platform, path.name)
        messages = _of_one_component(systems[system], options.camera, path.name)
        body = _body(messages[ATTITUDES])
        streams = [*_positions(messages), body, *_gimbals(messages, body), *_views(messages[VIEW])]
        first = min(time for kind in messages.values() for time, _ in kind)
        is_utc = first >= EARLIEST_UTC_S * 10**9
        return join_streams(
            path.name,
            "utc" if is_utc else "boot",
            streams,
            time_std=LINK_DELAY_STD_S,
            platform=f"system {system}",
            missing=MISSING,
        )


def read_packets(content: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield the packets of a log; bytes that are none are passed over.

    Args:
        content: of the file.

    Yields:
        Nanoseconds of the stamp, number of the message, and the packet.
    """
    position = 0
    while position + STAMP_BYTES < len(content):
        start = position + STAMP_BYTES
        length = _packet_length(content, start)
        stamp = int.from_bytes(content[position:start], "big")
        whole = length and start + length <= len(content) and _follows(content, start + length)
        if not whole or stamp > LATEST_STAMP_US:
            position += 1
            continue
        packet = content[start : start + length]
        number = packet[5] if packet[0] == VERSION_1 else int.from_bytes(packet[7:10], "little")
        yield stamp * 1000, number, packet
        position = start + length


def _packet_length(content: bytes, start: int) -> int:
    """Bytes of the packet that begins there; 0 where none does."""
    magic = content[start]
    if magic not in OVERHEAD_BYTES or start + 3 > len(content):
        return 0
    signed = magic == VERSION_2 and content[start + 2] & SIGNED
    return content[start + 1] + OVERHEAD_BYTES[magic] + SIGNATURE_BYTES * bool(signed)


def _follows(content: bytes, end: int) -> bool:
    """Whether another packet, or the end of the file, comes after a packet."""
    following = end + STAMP_BYTES
    return following >= len(content) or content[following] in OVERHEAD_BYTES


def _read_messages(content: bytes) -> dict[int, dict[str, list[Message]]]:
    """Messages by vehicle and kind."""
    from pymavlink.dialects.v20 import ardupilotmega as mavlink

    decoder = mavlink.MAVLink(None)
    systems: dict[int, dict[str, list[Message]]] = defaultdict(lambda: defaultdict(list))
    for time, number, packet in read_packets(content):
        if number not in MESSAGE_NAMES:
            continue
        try:
            message = decoder.decode(bytearray(packet))
        except mavlink.MAVError:
            continue  # its checksum is wrong
        systems[message.get_srcSystem()][MESSAGE_NAMES[number]].append((time, message))
    return systems


def _choose_system(systems: Mapping[int, Mapping[str, list[Message]]], platform: str, source: str) -> int:
    placed = [system for system, messages in systems.items() if messages.get(POSITIONS) or messages.get(RECEIVER)]
    if platform.isdecimal() and int(platform) in systems:
        return int(platform)
    if platform:
        raise DataError(
            f"{source} has no vehicle {platform!r}; it has {', '.join(map(str, sorted(systems))) or 'none'}"
        )
    if len(placed) > 1:
        raise DataError(f"{source} is of several vehicles, {', '.join(map(str, sorted(placed)))}; choose with --system")
    if not systems:
        raise DataError(f"{source} holds no MAVLink packets of a vehicle that says where it is")
    return placed[0] if placed else next(iter(systems))


def _of_one_component(messages: Mapping[str, list[Message]], camera: str, source: str) -> dict[str, list[Message]]:
    """Messages of the autopilot, and of one gimbal: others of a vehicle say how they are turned by the same messages.

    A gimbal that the autopilot speaks for has a number of its own in the message.
    """
    chosen: dict[str, list[Message]] = defaultdict(list)
    for kind in (POSITIONS, RECEIVER, ATTITUDES):
        components = {message.get_srcComponent() for _, message in messages.get(kind, ())}
        autopilot = AUTOPILOT if AUTOPILOT in components else min(components, default=AUTOPILOT)
        chosen[kind] = [entry for entry in messages.get(kind, ()) if entry[1].get_srcComponent() == autopilot]
    for kind in (GIMBAL, MOUNT, MOUNT_OLD, VIEW):
        entries = messages.get(kind, ())
        devices = sorted({_device(message) for _, message in entries})
        chosen_devices = [device for device in devices if str(device) == camera] or devices
        if len(chosen_devices) > 1:
            raise DataError(
                f"{source} has {kind} of the components {', '.join(map(str, devices))}; choose one with --channel"
            )
        chosen[kind] = [entry for entry in entries if _device(entry[1]) in chosen_devices]
    return chosen


def _device(message: Any) -> int:
    """Number of a gimbal or camera: of its component, or that by which its autopilot knows it."""
    return int(getattr(message, "gimbal_device_id", 0) or message.get_srcComponent())


def _times(messages: Sequence[Message]) -> np.ndarray:
    return np.array([time for time, _ in messages], np.int64)


def _field(messages: Sequence[Message], name: str, scale: float = 1.0) -> np.ndarray:
    return np.array([getattr(message, name, np.nan) for _, message in messages], np.float64) * scale


def _body(messages: Sequence[Message]) -> Stream:
    yaw, pitch, roll = (np.degrees(_field(messages, name)) for name in ("yaw", "pitch", "roll"))
    return Stream(_times(messages), enu_from_body=body_orientations(yaw, pitch, roll).reshape(-1, 4))


def _positions(messages: Mapping[str, list[Message]]) -> list[Stream]:
    """Places and heights by the vehicle's filter, else by its receiver."""
    if filtered := messages[POSITIONS]:
        columns = {"latitude": _field(filtered, "lat", 1e-7), "longitude": _field(filtered, "lon", 1e-7)}
        fixed = [time for time, message in messages[RECEIVER] if message.fix_type >= MIN_FIX]
        if messages[RECEIVER] and messages[RECEIVER][0][1].fix_type < MIN_FIX:  # until then the filter drifts
            columns["latitude"][_times(filtered) < min(fixed, default=np.iinfo(np.int64).max)] = np.nan
        heights = {"sea_level": _field(filtered, "alt", 1e-3), "takeoff": _field(filtered, "relative_alt", 1e-3)}
        return [Stream(_times(filtered), columns, heights)]  # type: ignore[arg-type]
    received = [message for message in messages[RECEIVER] if message[1].fix_type >= MIN_FIX]
    columns = {"latitude": _field(received, "lat", 1e-7), "longitude": _field(received, "lon", 1e-7)}
    for column, name in (("horizontal_std", "h_acc"), ("vertical_std", "v_acc")):
        columns[column] = _field(received, name, 1e-3)
    heights = {"sea_level": _field(received, "alt", 1e-3)}
    ellipsoid = _field(received, "alt_ellipsoid", 1e-3)
    if ellipsoid.any():  # 0 in packets of version 1
        heights["ellipsoid"] = ellipsoid
    return [Stream(_times(received), columns, heights)]  # type: ignore[arg-type]


def _gimbals(messages: Mapping[str, list[Message]], body: Stream) -> list[Stream]:
    """Orientations of the camera by the newest protocol that is in the log."""
    if gimbal := messages[GIMBAL]:
        times = _times(gimbal)
        quaternions = np.array([message.q for _, message in gimbal], np.float64)
        flags = _field(gimbal, "flags").astype(np.int64)
        return [Stream(times, enu_from_camera=gimbal_orientations(quaternions, flags, orientations_at(body, times)))]
    if mount := messages[MOUNT]:
        pitch, roll, yaw = (_field(mount, name) for name in ("pitch", "roll", "yaw_absolute"))
        heading = compass_headings(orientations_at(body, _times(mount)))
        unknown = np.isnan(yaw) | (yaw == 0).all()  # a field of later years: 0 throughout from who does not know it
        yaw = np.where(unknown, heading + _field(mount, "yaw"), yaw)
        return [Stream(_times(mount), enu_from_camera=camera_orientations(yaw, pitch, roll))]
    if old := messages[MOUNT_OLD]:
        pitch, roll, yaw = (_field(old, f"pointing_{name}", 1e-2) for name in "abc")
        heading = compass_headings(orientations_at(body, _times(old)))
        return [Stream(_times(old), enu_from_camera=camera_orientations(heading + yaw, pitch, roll))]
    return []


def _views(messages: Sequence[Message]) -> list[Stream]:
    """What a camera reports of its field of view, and its orientation where it reports one."""
    if not messages:
        return []
    columns = {"horizontal_fov": _field(messages, "hfov"), "vertical_fov": _field(messages, "vfov")}
    quaternions = np.array([message.q for _, message in messages], np.float64)
    quaternions[~(np.abs(quaternions) > 0).any(1)] = np.nan
    forward = multiply_quaternions(ENU_FROM_NED_QUATERNION, quaternions)
    return [Stream(_times(messages), columns, enu_from_camera=mount_camera(forward, FRD_FROM_CAMERA))]  # type: ignore[arg-type]
