"""Clocks: the local one, and the offset of a peer's clock."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

Clock = Callable[[], int]
"""Returns UTC nanoseconds."""

NS_PER_S = 10**9
MAX_EXCHANGES = 16  # measurements that are remembered
MIN_OFFSET_NS = 1_000_000  # a clock that is less off is taken to be right
ONE_WAY_UNCERTAINTY_NS = 500_000_000  # below this, an offset guessed from one-way messages may be their delay
MAX_ROUND_TRIP_NS = 10 * NS_PER_S


def wall_clock() -> int:
    """Return the system's time in UTC nanoseconds."""
    return time.time_ns()


def offset_clock(seconds: float, clock: Clock = wall_clock) -> Clock:
    """Return a clock that is wrong by a constant, for tests and emulation.

    Args:
        seconds: by which the clock is ahead; negative: behind.
        clock: the right one.
    """
    shift = round(seconds * NS_PER_S)
    return lambda: clock() + shift


@dataclass(frozen=True)
class ClockExchange:
    """The four timestamps of a round trip, nanoseconds, named as in NTP (RFC 5905, figure 1).

    Attributes:
        originate: local clock when the request was sent.
        receive: the peer's clock when the request arrived.
        transmit: the peer's clock when the reply was sent.
        destination: local clock when the reply arrived.
    """

    originate: int
    receive: int
    transmit: int
    destination: int

    @property
    def offset(self) -> int:
        """The peer's clock minus the local one, nanoseconds, if both ways took equally long."""
        return ((self.receive - self.originate) + (self.transmit - self.destination)) // 2

    @property
    def round_trip_delay(self) -> int:
        """Nanoseconds on the way, there and back."""
        return (self.destination - self.originate) - (self.transmit - self.receive)


class ClockOffsetEstimator:
    """Estimates a peer's clock offset from the quickest of the latest exchanges: those least delayed err least.

    Before the first exchange it is guessed from one-way messages: the greatest of (remote stamp - local arrival) is
    wrong by no more than the shortest delay. Written by one thread, read by any.

    Attributes:
        offset: the peer's clock minus the local one, nanoseconds; 0 where the clock may as well be right.
        uncertainty: nanoseconds by which ``offset`` may be wrong.
        known: measured by an exchange rather than guessed.
    """

    def __init__(self) -> None:
        self._exchanges: deque[ClockExchange] = deque(maxlen=MAX_EXCHANGES)
        self._one_way: deque[int] = deque(maxlen=MAX_EXCHANGES)
        self.known = False
        self.offset = 0
        self.uncertainty = ONE_WAY_UNCERTAINTY_NS

    def add_exchange(self, exchange: ClockExchange) -> None:
        """Update the estimate with a round trip; one that cannot be (it took less than no time) is left out.

        Args:
            exchange: the four timestamps.
        """
        if not -MIN_OFFSET_NS <= exchange.round_trip_delay < MAX_ROUND_TRIP_NS:
            return
        self._exchanges.append(exchange)
        quickest = min(self._exchanges, key=lambda candidate: candidate.round_trip_delay)
        self.known, self.uncertainty = True, max(quickest.round_trip_delay // 2, MIN_OFFSET_NS)
        self.offset = quickest.offset if abs(quickest.offset) > self.uncertainty else 0

    def add_one_way(self, sent: int, received: int) -> None:
        """Update the guess with a message; without effect once an exchange was measured.

        Args:
            sent: nanoseconds by the peer's clock.
            received: nanoseconds by the local clock.
        """
        if not self.known:
            self._one_way.append(sent - received)
            guess = max(self._one_way)
            self.offset = guess if abs(guess) > ONE_WAY_UNCERTAINTY_NS else 0
