import sys
import threading

import numpy as np
import pytest

from skyweave.fleet.link.clocks import ClockExchange, ClockOffsetEstimator

SECOND = 10**9


def exchange(number: int, offset: int, there: int, back: int) -> ClockExchange:
    """Round trip ``number`` with a clock that is ``offset`` ahead and these delays."""
    sent = number * SECOND
    return ClockExchange(sent, sent + there + offset, sent + there + offset + 1000, sent + there + 1000 + back)


def test_the_quickest_exchange_counts() -> None:
    generator, estimate = np.random.default_rng(0), ClockOffsetEstimator()
    for number in range(40):
        there, back = (int(delay) for delay in generator.exponential(0.2 * SECOND, 2) + 0.02 * SECOND)
        estimate.add_exchange(exchange(number, 2 * SECOND, there, back))
    assert estimate.known and estimate.offset == pytest.approx(2 * SECOND, abs=0.05 * SECOND)
    assert abs(estimate.offset - 2 * SECOND) <= estimate.uncertainty < 0.2 * SECOND


def test_a_clock_that_may_as_well_be_right_is_right() -> None:
    estimate = ClockOffsetEstimator()
    estimate.add_exchange(exchange(0, 3_000_000, 6_000_000, 6_000_000))
    assert estimate.known and estimate.offset == 0
    estimate.add_exchange(exchange(1, 3_000_000, 100_000, 100_000))
    assert estimate.offset == 3_000_000


def test_before_any_exchange_only_a_gross_error_is_guessed() -> None:
    estimate = ClockOffsetEstimator()
    estimate.add_one_way(5 * SECOND, 5 * SECOND + 300_000_000)
    assert not estimate.known and estimate.offset == 0
    estimate = ClockOffsetEstimator()
    estimate.add_one_way(5 * SECOND, 8 * SECOND)
    estimate.add_one_way(6 * SECOND, 8 * SECOND + 100_000_000)
    assert estimate.offset == -2 * SECOND - 100_000_000


def test_impossible_exchanges_are_left_out() -> None:
    estimate = ClockOffsetEstimator()
    estimate.add_exchange(ClockExchange(10 * SECOND, 0, 5 * SECOND, 11 * SECOND))
    estimate.add_exchange(ClockExchange(0, 0, 0, 60 * SECOND))
    assert not estimate.known and estimate.offset == 0


def test_it_is_read_while_it_is_written() -> None:
    estimate, stop, faults = ClockOffsetEstimator(), threading.Event(), []

    def read() -> None:
        try:
            while not stop.is_set():
                assert estimate.offset >= 0 and estimate.uncertainty > 0
        except BaseException as error:
            faults.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=read)
    thread.start()
    try:
        for number in range(5_000):
            estimate.add_exchange(exchange(number, 2 * SECOND, 1000, 1000))
    finally:
        stop.set()
        thread.join(20)
        sys.setswitchinterval(interval)
    assert not faults
