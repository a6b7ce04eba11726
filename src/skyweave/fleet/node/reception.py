"""How the frames of one peer arrive: bytes by frame, latencies and delays, for its report and for waiting."""

from collections import deque
from dataclasses import dataclass, field

from skyweave.fleet.link.heartbeat import MAX_DELAY_MS

MAX_LATENCIES = 8  # frames whose latency is remembered
MIN_LATENCIES = 3  # from which on they are believed
MAX_DELAYS = 64
MAX_OPEN_FRAMES = 64
NEVER_NS = 1 << 62
NS_PER_MS = 10**6


@dataclass
class FrameReception:
    """What arrived of one peer's frames. Changed only by the thread that reads.

    Attributes:
        latencies: of its latest frames: sequence number, and nanoseconds from capture until the last of it arrived.
        closed_sequence: number of the newest frame that is no longer waited for; -1: none.
        closed_bytes: of the frames up to that one.
    """

    latencies: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=MAX_LATENCIES))
    closed_sequence: int = -1
    closed_bytes: int = 0
    _open_bytes: dict[int, int] = field(default_factory=dict)  # by sequence number, of the newest frames
    _delays: deque[int] = field(default_factory=lambda: deque(maxlen=MAX_DELAYS))
    _min_delay: int = NEVER_NS

    def add_chunk(self, sequence: int, size: int, latency: int) -> None:
        """Note that a chunk of a frame arrived.

        Args:
            sequence: number of the frame.
            size: bytes of the chunk.
            latency: nanoseconds from the frame's capture to the chunk's arrival.
        """
        self._note_latency(sequence, latency)
        if sequence > self.closed_sequence:
            self._count_open_bytes(sequence, size)

    def _note_latency(self, sequence: int, latency: int) -> None:
        """Note the latency of the newest frame."""
        newest = self.latencies[-1][0] if self.latencies else -1
        if sequence == newest:
            self.latencies.pop()
        if sequence >= newest:
            self.latencies.append((sequence, latency))

    def _count_open_bytes(self, sequence: int, size: int) -> None:
        """Count the bytes of a frame that is still open."""
        self._open_bytes[sequence] = self._open_bytes.get(sequence, 0) + size
        while len(self._open_bytes) > MAX_OPEN_FRAMES:
            self.closed_bytes += self._open_bytes.pop(min(self._open_bytes))

    def add_delay(self, delay: int) -> None:
        """Note how long a message was on its way.

        Args:
            delay: nanoseconds, clock offset accounted for.
        """
        self._delays.append(delay)
        self._min_delay = min(self._min_delay, delay)

    def max_latency(self) -> int | None:
        """Return the largest of the latest latencies, nanoseconds; None where too few are known."""
        latencies = [latency for _, latency in list(self.latencies)]
        return max(latencies) if len(latencies) >= MIN_LATENCIES else None

    def close_frames(self) -> tuple[int, int, int]:
        """Close all frames but the newest, and return what a report says of them.

        Returns:
            The number of the newest frame that is closed, the bytes of all closed ones, and the milliseconds that the
            quickest message since the last call took beyond the quickest ever.
        """
        if self._open_bytes:  # one frame is not waited for any longer when the next has begun
            self.closed_sequence = max(self.closed_sequence, max(self._open_bytes) - 1)
        closed = [sequence for sequence in self._open_bytes if sequence <= self.closed_sequence]
        self.closed_bytes += sum(self._open_bytes.pop(sequence) for sequence in closed)
        delay_ms = max(min(self._delays) - self._min_delay, 0) // NS_PER_MS if self._delays else 0
        self._delays.clear()
        return max(self.closed_sequence, 0), self.closed_bytes, min(delay_ms, MAX_DELAY_MS)

    def restart(self) -> None:
        """Forget the frames: the peer was started again and counts anew."""
        self._open_bytes.clear()
        self.latencies.clear()
        self.closed_bytes, self.closed_sequence = 0, -1
