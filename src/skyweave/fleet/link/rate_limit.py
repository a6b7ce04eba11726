"""Limits on what one peer may cost a node, whatever the peer does."""

from dataclasses import dataclass

UNPENALIZED_REASONS = {
    *("replay", "too_old", "in_the_future", "duplicate", "full", "clock"),  # a bad network or clock may do this
    "unproven",  # and this does everybody at first
    "version",  # and this other software does
    *("envelope", "unsigned", "signature"),  # and this may be somebody else under the peer's name
    *("rate", "unknown_sender", "role", "peer_limit", "topic", "size"),  # and this costs nothing to refuse
}


@dataclass(frozen=True)
class PeerLimits:
    """What is taken from one peer.

    Attributes:
        bytes_per_second: on average; what comes on top is dropped unread.
        messages_per_second: likewise.
        invalid_cost: messages that one counts as which is the peer's own but malformed.
        burst: seconds of both rates that may come at once.
        queue_size: messages that wait to be read; the oldest are dropped.
        max_message_bytes: of the largest message.
        max_age: seconds by which a capture may lie behind the local clock, offset accounted for.
        max_ahead: seconds by which it may lie before it.
        max_clock_offset: seconds by which a peer's clock may be wrong before the offset is measured.
    """

    bytes_per_second: float = 1_000_000.0
    messages_per_second: float = 500.0
    invalid_cost: float = 20.0
    burst: float = 1.0
    queue_size: int = 512
    max_message_bytes: int = 4_096
    max_age: float = 2.0
    max_ahead: float = 0.3
    max_clock_offset: float = 10.0


class TokenBucket:
    """A token bucket of bytes and one of messages: cheap enough to be asked for every message of a flood.

    Args:
        limits: rates and burst.
        now: seconds by a monotonic clock.
    """

    __slots__ = ("_byte_tokens", "_limits", "_message_tokens", "_time")

    def __init__(self, limits: PeerLimits, now: float) -> None:
        self._limits, self._time = limits, now
        self._byte_tokens = limits.bytes_per_second * limits.burst
        self._message_tokens = limits.messages_per_second * limits.burst

    def take(self, size: int, now: float) -> bool:
        """Return whether a message may come in, and take its tokens.

        Args:
            size: bytes of the message.
            now: seconds by the same clock as before.
        """
        limits, elapsed = self._limits, now - self._time
        if elapsed > 0:
            self._time = now
            max_bytes, max_messages = (
                limits.bytes_per_second * limits.burst,
                limits.messages_per_second * limits.burst,
            )
            self._byte_tokens = min(self._byte_tokens + elapsed * limits.bytes_per_second, max_bytes)
            self._message_tokens = min(self._message_tokens + elapsed * limits.messages_per_second, max_messages)
        if self._byte_tokens < size or self._message_tokens < 1:
            return False
        self._byte_tokens -= size
        self._message_tokens -= 1
        return True

    def penalize(self) -> None:
        """Take tokens for a message that was malformed: fewer are let in for a while."""
        limits = self._limits
        floor = -limits.messages_per_second * limits.burst
        self._message_tokens = max(self._message_tokens - limits.invalid_cost, floor)
