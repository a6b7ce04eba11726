"""Heartbeats: which platform this is, that it lives, and how well it receives each peer. MessagePack, an array each.

The types hold the bounds of every number: what is outside is no heartbeat. Within a version fields may be added at the
end, which older software passes over; any other change gets a new version, which is refused by that name.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

VERSION = 1
MAX_REPORTS = 64
MAX_TRACKS = 64
MAX_SENT_TRACKS = 8  # by this software
MAX_IDENTITY_LENGTH = 96  # of an object: a platform's name and a number
MAX_CATEGORIES = 64
MAX_CATEGORY_LENGTH = 64
MAX_RESOLUTION_UM = 10**9
MIN_INTERVAL_S, MAX_INTERVAL_S = 0.001, 3600.0
MAX_TIME_NS = (1 << 63) - 1
MAX_RECEIVED_BYTES = 1 << 53
MAX_DELAY_MS = 60_000

WireNumber = Annotated[int, Meta(ge=0, lt=1 << 32)]
Nanoseconds = Annotated[int, Meta(ge=0, le=MAX_TIME_NS)]
Centimetres = Annotated[int, Meta(ge=-(1 << 31), lt=1 << 31)]
CategoryName = Annotated[str, Meta(max_length=MAX_CATEGORY_LENGTH)]


class PeerReport(msgspec.Struct, array_like=True, frozen=True):
    """How a platform receives one peer.

    Attributes:
        platform_id: number of the peer.
        heartbeat_sent: when the peer sent the last heartbeat that arrived, nanoseconds by the peer's clock.
        heartbeat_received: when that arrived, nanoseconds by the reporting platform's clock.
        sequence: number of the peer's newest frame that is no longer waited for.
        received_bytes: bytes of its frames up to that one that arrived, since it was first received.
        delay_ms: milliseconds that the quickest of its latest messages took beyond the quickest ever: a standing queue.
    """

    platform_id: WireNumber
    heartbeat_sent: Nanoseconds
    heartbeat_received: Nanoseconds
    sequence: WireNumber
    received_bytes: Annotated[int, Meta(ge=0, le=MAX_RECEIVED_BYTES)]
    delay_ms: Annotated[int, Meta(ge=0, le=MAX_DELAY_MS)]


class SharedTrack(msgspec.Struct, array_like=True, frozen=True):
    """What a platform says of a track, so that all call the object by one name.

    Attributes:
        identity: in the whole fleet.
        category: number of its class among the heartbeat's.
        born: when the track began that gave it its name, nanoseconds by the platform's clock.
        time: of the place, nanoseconds by the platform's clock.
        east: centimetres in the fleet's reference system.
        north: likewise.
        east_speed: centimetres a second.
        north_speed: likewise.
    """

    identity: Annotated[str, Meta(min_length=1, max_length=MAX_IDENTITY_LENGTH)]
    category: Annotated[int, Meta(ge=0, lt=MAX_CATEGORIES)]
    born: Nanoseconds
    time: Nanoseconds
    east: Centimetres
    north: Centimetres
    east_speed: Centimetres
    north_speed: Centimetres


class Heartbeat(msgspec.Struct, array_like=True, frozen=True):
    """What a platform publishes about itself at intervals.

    Attributes:
        version: of this record.
        platform_id: number by which its frames are known.
        fingerprint: of its feature space.
        resolution: micrometres a cell of the map.
        epsg: reference system of the map; 0: the fleet's local frame.
        interval: seconds between its frames.
        categories: names of the classes of its boxes, in order.
        started: when it was started, nanoseconds by its clock.
        reports: how it receives its peers.
        tracks: some of its objects.
    """

    version: Annotated[int, Meta(ge=VERSION, le=VERSION)]
    platform_id: WireNumber
    fingerprint: WireNumber
    resolution: Annotated[int, Meta(ge=1, le=MAX_RESOLUTION_UM)]
    epsg: WireNumber
    interval: Annotated[float, Meta(ge=MIN_INTERVAL_S, le=MAX_INTERVAL_S)]
    categories: Annotated[tuple[CategoryName, ...], Meta(max_length=MAX_CATEGORIES)]
    started: Nanoseconds
    reports: Annotated[tuple[PeerReport, ...], Meta(max_length=MAX_REPORTS)] = ()
    tracks: Annotated[tuple[SharedTrack, ...], Meta(max_length=MAX_TRACKS)] = ()


class _AnyHeartbeat(msgspec.Struct, array_like=True):
    """The field that every version begins with."""

    version: Annotated[int, Meta(ge=0)]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Heartbeat)
_VERSION_DECODER = msgspec.msgpack.Decoder(_AnyHeartbeat)


def encode_heartbeat(heartbeat: Heartbeat) -> bytes:
    """Return a heartbeat as MessagePack.

    Args:
        heartbeat: to encode.
    """
    return _ENCODER.encode(heartbeat)


def decode_heartbeat(message: bytes) -> Heartbeat | None:
    """Return the heartbeat that `encode_heartbeat` wrote; None for bytes that are no valid one.

    Args:
        message: MessagePack.
    """
    try:
        return _DECODER.decode(message)
    except (msgspec.DecodeError, ValueError, RecursionError, OverflowError):
        return None


def heartbeat_rejection(message: bytes) -> str:
    """Return why `decode_heartbeat` takes no heartbeat from bytes: ``version`` of other software, or ``heartbeat``.

    Args:
        message: MessagePack.
    """
    try:
        return "heartbeat" if _VERSION_DECODER.decode(message).version == VERSION else "version"
    except (msgspec.DecodeError, ValueError, RecursionError, OverflowError):
        return "heartbeat"
