"""What one peer may cost us, whatever it does."""

from collections import Counter, deque
from dataclasses import dataclass


@dataclass(frozen=True)
class PeerLimits:
    """What is taken from one peer.

    Attributes:
        rate: bytes a second on average; what comes on top is dropped unread.
        messages: a second, likewise. One that is the peer's own, but nonsense, counts as ``fine``.
        fine: messages that nonsense counts as.
        burst: seconds of that which may come at once.
        waiting: messages that wait to be read; the oldest are dropped.
        size: bytes of the largest message.
        age: seconds by which a capture may lie behind our clock, offset accounted for.
        ahead: seconds by which it may lie before it.
        clock_offset: seconds by which a peer's clock may be wrong.
    """

    rate: float = 1_000_000.0
    messages: float = 500.0
    fine: float = 20.0
    burst: float = 1.0
    waiting: int = 512
    size: int = 4_096
    age: float = 2.0
    ahead: float = 0.3
    clock_offset: float = 10.0


class TokenBucket:
    """A token bucket (bytes and messages): cheap enough to be asked for every message of a flood."""

    __slots__ = ("_bytes", "_limits", "_messages", "_time")

    def __init__(self, limits: PeerLimits, now: float) -> None:
        self._limits, self._time = limits, now
        self._bytes, self._messages = limits.rate * limits.burst, limits.messages * limits.burst

    def take(self, size: int, now: float) -> bool:
        """Whether a message of that size may come in at a monotonic time, seconds."""
        limits, passed = self._limits, now - self._time
        if passed > 0:
            self._time = now
            self._bytes = min(self._bytes + passed * limits.rate, limits.rate * limits.burst)
            self._messages = min(self._messages + passed * limits.messages, limits.messages * limits.burst)
        if self._bytes < size or self._messages < 1:
            return False
        self._bytes -= size
        self._messages -= 1
        return True

    def punish(self) -> None:
        """The last message was nonsense: fewer are taken for a while."""
        limits = self._limits
        self._messages = max(self._messages - limits.fine, -limits.messages * limits.burst)


class MessageQueue:
    """A bounded queue, newest first where it overflows: the oldest go, and are counted."""

    def __init__(self, size: int) -> None:
        self._queue: deque[tuple[str, bytes, int]] = deque()
        self._size = size

    def put(self, key: str, message: bytes, received: int, drops: Counter[str]) -> None:
        """Append; drop the oldest where it is full."""
        while len(self._queue) >= self._size:
            try:
                self._queue.popleft()
            except IndexError:
                break
            drops["queue"] += 1
        self._queue.append((key, message, received))

    def take(self) -> tuple[str, bytes, int] | None:
        """The next one, if any."""
        try:
            return self._queue.popleft()
        except IndexError:
            return None

    def __len__(self) -> int:
        return len(self._queue)
