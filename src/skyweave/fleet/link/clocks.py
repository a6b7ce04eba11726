"""Clocks: the local one, which does not jump when the system's time is set, and the offset of a peer's clock."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

Clock = Callable[[], int]
"""Returns UTC nanoseconds."""

NS_PER_S = 10**9
MAX_EXCHANGES = 16  # measurements that are remembered
MIN_OFFSET_NS = 1_000_000  # a clock that is less off is taken to be right
ONE_WAY_UNCERTAINTY_NS = 500_000_000  # below this, an offset guessed from one-way messages may be their delay
MAX_ROUND_TRIP_NS = 10 * NS_PER_S
MIN_STEP_NS = 20_000_000  # by which exchanges must contradict each other, beyond their uncertainty, to show a step
FOLLOW_NS = 2 * NS_PER_S  # by which the system's time is set before a steady clock follows
MIN_DEVIATION_NS = 5_000_000  # below which the system's time counts as not set
MAX_READING_NS = 1_000_000  # that reading the two clocks of a steady one may take
READING_ATTEMPTS = 10


def wall_clock() -> int:
    """Return the system's time in UTC nanoseconds."""
    return time.time_ns()


class SteadyClock:
    """UTC nanoseconds that go on evenly when the system's time is set by a little.

    Time is counted from one reading of the system's time with a clock that nobody sets. A fleet needs its members'
    clocks to be even, not to be right: what lies between them is measured. Only where the system's time has been set by
    more than two seconds does the clock follow, at once and for all that read it.

    Args:
        wall: the system's time, UTC nanoseconds.
        monotonic: nanoseconds of a clock that nobody sets.

    Attributes:
        monotonic: that clock.
        followed: nanoseconds by which this clock has followed in all.
    """

    def __init__(self, wall: Clock = wall_clock, monotonic: Clock = time.monotonic_ns) -> None:
        self.monotonic = monotonic
        self.followed = 0
        self._wall = wall
        self._lock = threading.Lock()
        self._base = self._measure_base()

    def __call__(self) -> int:
        """Return the time, UTC nanoseconds."""
        now = self.monotonic()
        if abs(self._wall() - now - self._base) > FOLLOW_NS:
            self._follow()
        return now + self._base

    def deviation(self) -> int:
        """Return by how many nanoseconds the system's time is ahead of this clock; 0 where that may be the reading."""
        deviation = self._measure_base() - self._base
        return deviation if abs(deviation) > MIN_DEVIATION_NS else 0

    def _follow(self) -> None:
        with self._lock:
            base = self._measure_base()
            if abs(base - self._base) > FOLLOW_NS:  # it may be that this process only stood still between two readings
                self.followed += base - self._base
                self._base = base

    def _measure_base(self) -> int:
        """Return the system's time minus the monotonic clock, both read at once as far as that can be had."""
        readings = []
        for _ in range(READING_ATTEMPTS):
            before, wall, after = self.monotonic(), self._wall(), self.monotonic()
            readings.append((after - before, wall - (before + after) // 2))
            if after - before <= MAX_READING_NS:
                break
        return min(readings)[1]


def to_clock(time: int, clock: Clock) -> int:
    """Return a time of the system's clock by another clock; as it is for a clock of which no difference is known.

    Args:
        time: UTC nanoseconds.
        clock: any.
    """
    return time - clock.deviation() if isinstance(clock, SteadyClock) else time


def followed_steps(clock: Clock) -> int:
    """Return the nanoseconds by which a clock has been set in all; 0 for one of which that is not known.

    Args:
        clock: any.
    """
    return clock.followed if isinstance(clock, SteadyClock) else 0


def monotonic_clock(clock: Clock) -> Clock:
    """Return what measures durations beside a clock: the clock nobody sets of a steady one, else the clock itself.

    Args:
        clock: any.
    """
    return clock.monotonic if isinstance(clock, SteadyClock) else clock


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

    @property
    def is_possible(self) -> bool:
        """Whether it took no less than no time, and was not under way for too long."""
        return -MIN_OFFSET_NS <= self.round_trip_delay < MAX_ROUND_TRIP_NS


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
        if not exchange.is_possible:
            return
        if self.is_contradicted(exchange):
            self._exchanges.clear()
        self._exchanges.append(exchange)
        quickest = min(self._exchanges, key=lambda candidate: candidate.round_trip_delay)
        self.known, self.uncertainty = True, max(quickest.round_trip_delay // 2, MIN_OFFSET_NS)
        self.offset = quickest.offset if abs(quickest.offset) > self.uncertainty else 0

    def is_contradicted(self, exchange: ClockExchange) -> bool:
        """Return whether an exchange shows that the peer's clock was set since those before.

        The true offset differs from that of an exchange by no more than half of its round trip, however unevenly the
        ways took: two exchanges that are further apart cannot both be of the same clock.

        Args:
            exchange: the four timestamps.
        """
        if not self._exchanges:
            return False
        quickest = min(self._exchanges, key=lambda candidate: candidate.round_trip_delay)
        possible = (quickest.round_trip_delay + exchange.round_trip_delay) // 2 + MIN_STEP_NS
        return abs(exchange.offset - quickest.offset) > possible

    def shift(self, step: int) -> None:
        """Take account of a step of the local clock.

        Args:
            step: nanoseconds by which the local clock was set.
        """
        moved = [
            replace(exchange, originate=exchange.originate + step, destination=exchange.destination + step)
            for exchange in self._exchanges
        ]
        self._exchanges = deque(moved, maxlen=MAX_EXCHANGES)
        self._one_way = deque((lead - step for lead in self._one_way), maxlen=MAX_EXCHANGES)
        self.offset -= step

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
