"""Heartbeats: which platform this is, that it lives, and how well it receives each peer. MessagePack, an array each."""

import msgspec

VERSION = 1
MAX_REPORTS = 64
MAX_CATEGORIES = 64
MAX_CATEGORY_LENGTH = 64
MAX_RESOLUTION_UM = 10**9
MAX_INTERVAL_S = 3600


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

    platform_id: int
    heartbeat_sent: int
    heartbeat_received: int
    sequence: int
    received_bytes: int
    delay_ms: int


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
    """

    version: int
    platform_id: int
    fingerprint: int
    resolution: int
    epsg: int
    interval: float
    categories: tuple[str, ...]
    started: int
    reports: tuple[PeerReport, ...] = ()


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Heartbeat)


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
        heartbeat = _DECODER.decode(message)
    except (msgspec.DecodeError, ValueError, RecursionError, OverflowError):
        return None
    return heartbeat if _is_valid(heartbeat) else None


def _is_valid(heartbeat: Heartbeat) -> bool:
    return (
        heartbeat.version == VERSION
        and 0 <= heartbeat.platform_id < 1 << 32
        and 0 <= heartbeat.fingerprint < 1 << 32
        and 1 <= heartbeat.resolution <= MAX_RESOLUTION_UM
        and 0 < heartbeat.interval < MAX_INTERVAL_S
        and len(heartbeat.categories) <= MAX_CATEGORIES
        and _have_short_names(heartbeat)
        and len(heartbeat.reports) <= MAX_REPORTS
    )


def _have_short_names(heartbeat: Heartbeat) -> bool:
    """Return whether the names of all categories are short enough."""
    return all(len(name) <= MAX_CATEGORY_LENGTH for name in heartbeat.categories)
