"""Heartbeats: who we are, that we live, and how well we hear each of the others. MessagePack, an array a record."""

import msgspec

VERSION = 1
MAX_PEERS = 64


class PeerReport(msgspec.Struct, array_like=True, frozen=True):
    """How we hear one peer.

    Attributes:
        platform: its number.
        beat: when it sent the last heartbeat that we heard, nanoseconds by its clock.
        heard: when that came, by ours.
        sequence: number of its newest frame that we no longer wait for.
        received: bytes of its frames up to that one that came, since we first heard it.
        delay: milliseconds that the quickest of its latest messages took beyond the quickest ever: a queue that stands.
    """

    platform: int
    beat: int
    heard: int
    sequence: int
    received: int
    delay: int


class Heartbeat(msgspec.Struct, array_like=True, frozen=True):
    """What a platform says of itself every so often.

    Attributes:
        version: of this record.
        platform: number by which its frames are known.
        fingerprint: of its feature space.
        resolution: micrometres a cell of the map.
        epsg: reference system of the map; 0: the fleet's local frame.
        interval: seconds between its frames.
        categories: names of the classes of its boxes, in order.
        started: when it was started, nanoseconds by its clock.
        peers: how it hears others.
    """

    version: int
    platform: int
    fingerprint: int
    resolution: int
    epsg: int
    interval: float
    categories: tuple[str, ...]
    started: int
    peers: tuple[PeerReport, ...] = ()


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Heartbeat)


def encode_heartbeat(heartbeat: Heartbeat) -> bytes:
    """As bytes."""
    return _ENCODER.encode(heartbeat)


def decode_heartbeat(message: bytes) -> Heartbeat | None:
    """Back from ``encode_heartbeat``; None for anything that is none."""
    try:
        found = _DECODER.decode(message)
    except (msgspec.DecodeError, ValueError, RecursionError, OverflowError):
        return None
    sound = (
        found.version == VERSION
        and 0 <= found.platform < 1 << 32
        and 0 <= found.fingerprint < 1 << 32
        and 1 <= found.resolution <= 10**9
        and 0 < found.interval < 3600
        and len(found.categories) <= 64
        and all(len(name) <= 64 for name in found.categories)
        and len(found.peers) <= MAX_PEERS
    )
    return found if sound else None
