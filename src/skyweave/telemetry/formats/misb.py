"""MISB ST 0601, the UAS datalink local set: what full motion video of aircraft carries beside its images.

The camera's orientation is the platform's (heading, pitch, roll) followed by the sensor's relative azimuth, elevation
and roll (ST 0601.17, 8.5 to 8.20). Altitudes are above mean sea level (tag 15) or the WGS84 ellipsoid (75, 104).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.conventions import FRD_FROM_CAMERA
from skyweave.telemetry.angles import NED_FROM_ENU_QUATERNION, body_orientations, mount_camera, multiply_quaternions
from skyweave.telemetry.formats.klv import checksum_holds, find_sets, imapb, parse_local_set, signed, unsigned
from skyweave.telemetry.formats.misb_frame_centre import frame_centre_notes
from skyweave.telemetry.poses_over_time import EARLIEST_UTC_S, NS_PER_S, HeightDatum, MissingTopic
from skyweave.telemetry.reading import ReadOptions
from skyweave.telemetry.samples import Column, LogSamples

UAS_KEY = bytes.fromhex("060e2b34020b01010e01030101000000")
VMTI_KEY = bytes.fromhex("060e2b34020b01010e01030306000000")
KEY_VERSION_BYTE = 7  # which registries count up
TIME_TAG = 2
PLATFORM_TAGS = (10, 4)  # designation, tail number
SUFFIXES = (".klv", ".bin", ".mpk")
Decode = Callable[[bytes], float]
TimedSet = tuple[int | None, dict[int, bytes]]

LATITUDE: Decode = partial(signed, limit=90.0)
LONGITUDE: Decode = partial(signed, limit=180.0)
CIRCLE: Decode = partial(unsigned, low=0.0, high=360.0)
ALTITUDE: Decode = partial(unsigned, low=-900.0, high=19_000.0)
ITEMS: dict[str, tuple[tuple[int, Decode], ...]] = {  # the first that is there counts
    "latitude": ((13, LATITUDE),),
    "longitude": ((14, LONGITUDE),),
    "body_yaw": ((5, CIRCLE),),
    "body_pitch": ((90, LATITUDE), (6, partial(signed, limit=20.0))),
    "body_roll": ((91, LATITUDE), (7, partial(signed, limit=50.0))),
    "sensor_azimuth": ((18, CIRCLE),),
    "sensor_elevation": ((19, LONGITUDE),),
    "sensor_roll": ((20, CIRCLE),),
    "horizontal_fov": ((16, partial(unsigned, low=0.0, high=180.0)),),
    "vertical_fov": ((17, partial(unsigned, low=0.0, high=180.0)),),
    "sea_level": ((15, ALTITUDE),),
    "centre_latitude": ((23, LATITUDE),),
    "centre_longitude": ((24, LONGITUDE),),
    "centre_elevation": ((25, ALTITUDE),),
    "ellipsoid": ((104, partial(imapb, low=-900.0, high=40_000.0)), (75, ALTITUDE)),
}
COLUMNS: tuple[Column, ...] = (
    "latitude",
    "longitude",
    "body_yaw",
    "body_pitch",
    "body_roll",
    "horizontal_fov",
    "vertical_fov",
)
DATUMS: tuple[HeightDatum, ...] = ("sea_level", "ellipsoid")
ASSUMED_LEVEL = {
    "body_pitch": "pitch of the platform",
    "body_roll": "roll of the platform",
    "sensor_azimuth": "azimuth of the sensor on the platform",
    "sensor_roll": "roll of the sensor on the platform",
}
SEA_LEVEL_BIAS_STD_M = 5.0  # of aircraft, whose receivers know the geoid
MISSING: dict[MissingTopic, str] = {
    "orientation": "the KLV lacks the heading of the platform or the elevation of its sensor (tags 5, 19)",
    "position": "the KLV has no sensor latitude and longitude (tags 13, 14)",
    "height": "the KLV has no sensor altitude (tags 15, 75, 104)",
    "lens": "the KLV has no field of view (tag 16)",
    "utc": "the KLV has no time stamp since 1970 in microseconds (tag 2)",
}


@dataclass(frozen=True)
class KlvPacket:
    """Bytes of one packet of a stream.

    Attributes:
        time: nanoseconds since the video's first image; None in a file without a video.
        content: any number of sets.
    """

    time: int | None
    content: bytes


class MisbReader:
    """Files of KLV sets, as demultiplexers write them."""

    description = "MISB ST 0601 KLV (.klv)"

    def recognises(self, path: Path, head: bytes) -> bool:
        """Return whether a file begins with a set of ST 0601 or ST 0903.

        Args:
            path: file or folder.
            head: its first bytes.
        """
        return head.startswith(UAS_KEY[:KEY_VERSION_BYTE]) or (path.suffix.lower() in SUFFIXES and UAS_KEY in head)

    def read(self, path: Path, options: ReadOptions) -> LogSamples:
        """Read a file.

        Args:
            path: of KLV sets one after the other.
            options: ``platform`` is the designation or the tail number, where sets of several are in the file.

        Raises:
            DataError: it has no set of ST 0601, or those of several platforms.
        """
        return misb_samples([KlvPacket(None, path.read_bytes())], path.name, options.platform)


def misb_samples(packets: Iterable[KlvPacket], source: str, platform: str = "") -> LogSamples:
    """Return the telemetry in packets of KLV.

    Args:
        packets: in the order of the stream.
        source: of them, for messages.
        platform: its designation or tail number; empty: the only one.

    Raises:
        DataError: none holds a set of ST 0601 with a time.
    """
    sound, unsound, others = _read_sets(packets)
    sets, notes = _choose_sets(sound, unsound)
    sets = _choose_platform(sets, platform, source)
    on_video = any(time is not None for time, _ in sets)
    rows = [(time if on_video else _stamp(items), items) for time, items in sets]
    timed = [(time, items) for time, items in rows if time is not None]
    if not timed:
        raise DataError(_nothing(source, len(sets), others))
    values = {name: np.array([_decode(items, name) for _, items in timed]) for name in ITEMS}
    times = np.array([time for time, _ in timed], np.int64)
    orientations = _orientations(values, notes)
    notes += frame_centre_notes(values, orientations)
    return LogSamples(
        source=source,
        times=times,
        clock="video" if on_video else "utc" if times[0] >= EARLIEST_UTC_S * NS_PER_S else "boot",
        columns={name: values[name] for name in COLUMNS},
        heights={datum: values[datum] for datum in DATUMS},
        height_bias_std={"sea_level": SEA_LEVEL_BIAS_STD_M},
        enu_from_camera=orientations,
        interleaved=_come_in_turns(values),
        epoch=_epoch(timed) if on_video else None,
        time_std=_time_std(times),
        platform=_platform(sets),
        missing=MISSING,
        notes=tuple(notes),
    )


def _read_sets(packets: Iterable[KlvPacket]) -> tuple[list[TimedSet], list[TimedSet], int]:
    """Sets with their times; those whose checksum is wrong; and how many are of ST 0903."""
    sets: list[TimedSet] = []
    unsound: list[TimedSet] = []
    others = 0
    for packet in packets:
        for key, value, whole in find_sets(packet.content):
            if not _is_uas(key):
                others += key[:KEY_VERSION_BYTE] == VMTI_KEY[:KEY_VERSION_BYTE] and key[8:] == VMTI_KEY[8:]
            else:
                (sets if checksum_holds(whole) else unsound).append((packet.time, parse_local_set(value)))
    return sets, unsound, others


def _choose_sets(sound: list[TimedSet], unsound: list[TimedSet]) -> tuple[list[TimedSet], list[str]]:
    """Return the sets that are used, and what to note on their checksums."""
    if not sound and unsound:  # of an encoder that counts otherwise, not of a damaged file
        return unsound, [f"the checksums of all {len(unsound)} sets of KLV are wrong: they are used all the same"]
    return sound, [f"{len(unsound)} sets of KLV with a wrong checksum are left out"] if unsound else []


def _is_uas(key: bytes) -> bool:
    """Whether a key is that of ST 0601, of any version of the registry."""
    return key[:KEY_VERSION_BYTE] + key[KEY_VERSION_BYTE + 1 :] == UAS_KEY[:KEY_VERSION_BYTE] + UAS_KEY[8:]


def _stamp(items: dict[int, bytes]) -> int | None:
    """UTC nanoseconds of a set: microseconds since 1970 (MISB ST 0603)."""
    return int.from_bytes(items[TIME_TAG], "big") * 1000 if len(items.get(TIME_TAG, b"")) == 8 else None


def _epoch(timed: list[tuple[int, dict[int, bytes]]]) -> int | None:
    """UTC of the video's first image, by the sets that have a stamp."""
    offsets = [stamp - time for time, items in timed if (stamp := _stamp(items) or 0) >= EARLIEST_UTC_S * NS_PER_S]
    return int(np.median(np.array(offsets, np.int64))) if offsets else None


def _decode(items: dict[int, bytes], name: str) -> float:
    values = (decode(items[tag]) for tag, decode in ITEMS[name] if tag in items)
    return next((value for value in values if np.isfinite(value)), np.nan)


def _orientations(values: dict[str, np.ndarray], notes: list[str]) -> np.ndarray:
    """Orientations of the camera (n, 4); NaN where heading or elevation is missing."""
    for name, what in ASSUMED_LEVEL.items():
        if np.isnan(values[name]).all():
            notes.append(f"the {what} is not stated and taken as 0")
            values[name] = np.zeros_like(values[name])
    body = body_orientations(values["body_yaw"], values["body_pitch"], values["body_roll"])
    azimuth, roll = values["sensor_azimuth"], values["sensor_roll"]
    # the sensor turns in the body's axes as a body turns in north, east, down
    turned = multiply_quaternions(NED_FROM_ENU_QUATERNION, body_orientations(azimuth, values["sensor_elevation"], roll))
    return mount_camera(multiply_quaternions(body, turned), FRD_FROM_CAMERA)


def _come_in_turns(values: dict[str, np.ndarray]) -> bool:
    """Whether an item is in some sets and not in all: what a set does not say, its neighbours do."""
    stated = (column for name, column in values.items() if not name.startswith("centre"))
    return any(np.isfinite(column).any() and np.isnan(column).any() for column in stated)


def _time_std(times: np.ndarray) -> float:
    """Seconds: a set says that it holds for an image between it and the one before."""
    return float(np.median(np.diff(times)) / 1e9 / np.sqrt(12)) if len(times) > 1 else 0.0


def _choose_platform(sets: list[TimedSet], platform: str, source: str) -> list[TimedSet]:
    """The sets of one platform; an error where there are several and none is chosen."""
    names = sorted({name for one in sets if (name := _platform([one]))})
    if platform and platform not in names:
        raise DataError(f"{source} has no platform {platform!r}; it has {', '.join(names) or 'none with a name'}")
    if len(names) > 1 and not platform:
        raise DataError(f"{source} is of several platforms, {', '.join(names)}; choose with --system")
    return [one for one in sets if _platform([one]) == platform] if len(names) > 1 else sets


def _platform(sets: list[TimedSet]) -> str:
    names = (items[tag] for _, items in sets for tag in PLATFORM_TAGS if tag in items)
    return next(names, b"").decode("utf-8", "replace").strip("\0 ")


def _nothing(source: str, sets: int, others: int) -> str:
    if sets:
        return f"{source}: none of its {sets} sets of KLV has a time stamp (tag 2)"
    if others:
        return f"{source} holds detections (MISB ST 0903) and no poses; give the stream that has ST 0601"
    return f"{source} holds no KLV of MISB ST 0601"
