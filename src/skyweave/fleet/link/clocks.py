"""Clocks: ours, and by how much a peer's differs from it."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

Clock = Callable[[], int]
"""UTC nanoseconds."""

MAX_EXCHANGES = 16  # measurements that are remembered
MIN_OFFSET_NS = 1_000_000  # nanoseconds: a clock that is less off is right
ONE_WAY_UNCERTAINTY_NS = (
    500_000_000  # nanoseconds within which a guess from one-way messages may be delay as well as offset
)


def wall_clock() -> int:
    """The system's."""
    return time.time_ns()


def offset_clock(seconds: float, clock: Clock = wall_clock) -> Clock:
    """A clock that is wrong by so much; for tests and emulation."""
    shift = round(seconds * 1e9)
    return lambda: clock() + shift


@dataclass(frozen=True)
class ClockExchange:
    """Four times of a round trip, nanoseconds (NTP, RFC 5905): ours and theirs.

    Attributes:
        sent: our clock when we sent.
        arrived: theirs when it came.
        answered: theirs when they sent back.
        received: ours when that came.
    """

    sent: int
    arrived: int
    answered: int
    received: int

    @property
    def offset(self) -> int:
        """Their clock minus ours, if both ways took equally long."""
        return ((self.arrived - self.sent) + (self.answered - self.received)) // 2

    @property
    def round_trip(self) -> int:
        """Time on the way, there and back."""
        return (self.received - self.sent) - (self.answered - self.arrived)


class ClockOffsetEstimator:
    """A peer's clock against ours, from the quickest of the latest exchanges: those least delayed err least.

    Before the first exchange it is guessed from one-way messages: the greatest of (their stamp - our clock) is wrong by
    no more than the shortest delay. Written by one thread, read by any.
    """

    def __init__(self) -> None:
        self._exchanges: deque[ClockExchange] = deque(maxlen=MAX_EXCHANGES)
        self._one_way: deque[int] = deque(maxlen=MAX_EXCHANGES)
        self.known = False  # measured rather than guessed
        self.offset = 0  # their clock minus ours, nanoseconds; 0 where it may as well be right
        self.uncertainty = ONE_WAY_UNCERTAINTY_NS  # by how much that may be wrong, nanoseconds

    def add(self, exchange: ClockExchange) -> None:
        """Take a measurement; one that cannot be (it took less than no time) is left out."""
        if not -MIN_OFFSET_NS <= exchange.round_trip < 10 * 10**9:
            return
        self._exchanges.append(exchange)
        quickest = min(self._exchanges, key=lambda e: e.round_trip)
        self.known, self.uncertainty = True, max(quickest.round_trip // 2, MIN_OFFSET_NS)
        self.offset = quickest.offset if abs(quickest.offset) > self.uncertainty else 0

    def heard(self, stamp: int, received: int) -> None:
        """A message that they sent at ``stamp``, by their clock, came at ``received``, by ours."""
        if not self.known:
            self._one_way.append(stamp - received)
            guess = max(self._one_way)
            self.offset = guess if abs(guess) > ONE_WAY_UNCERTAINTY_NS else 0
