import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyweave.fleet.link.emulated import EmulatedNetwork
from skyweave.fleet.link.emulated_link import EmulatedLink, EmulatedLinkConfig
from skyweave.fleet.link.loopback import LoopbackNetwork
from skyweave.fleet.link.topics import matches_pattern

SECOND = 10**9
words = st.sampled_from(["a", "b", "skyweave", "x1"])


@given(st.lists(st.one_of(words, st.sampled_from(["*", "**"])), min_size=1, max_size=5), st.lists(words, min_size=1))
def test_patterns_match_as_their_regular_expression_does(pattern: list[str], key: list[str]) -> None:
    expression = "".join({"*": "/[^/]+", "**": "(/[^/]+)*"}.get(word, "/" + re.escape(word)) for word in pattern)
    assert matches_pattern("/".join(pattern), "/".join(key)) == bool(re.fullmatch(expression, "/" + "/".join(key)))


def test_loopback_delivers_to_others_only_and_until_they_leave() -> None:
    hub, heard = LoopbackNetwork(), []
    a, b = hub.join(), hub.join()
    a.subscribe("f/*", lambda key, message: heard.append(("a", key, message)))
    end = b.subscribe("f/**", lambda key, message: heard.append(("b", key, message)))
    a.publish("f/1", b"x")
    end()
    a.publish("f/1", b"y")
    b.publish("f/2", b"z")
    b.publish("g/2", b"z")
    a.close()
    b.publish("f/2", b"w")
    assert heard == [("b", "f/1", b"x"), ("a", "f/2", b"z")]


def run(
    config: EmulatedLinkConfig, seed: int = 0, messages: int = 2000, size: int = 1000, period: int = 10**7
) -> list[list[int]]:
    link = EmulatedLink(config, seed)
    return [link.transmit(size, i * period) for i in range(messages)]


def test_the_same_seed_is_the_same_run() -> None:
    config = EmulatedLinkConfig(rate=1e6, delay=0.05, jitter=0.02, loss=0.2, burst=4, reorder=0.1, duplicate=0.1)
    assert run(config, 5) == run(config, 5) != run(config, 6)


@pytest.mark.parametrize(("loss", "burst"), [(0.1, 1.0), (0.3, 1.0), (0.3, 5.0), (0.5, 10.0)])
def test_losses_come_as_often_and_in_runs_as_long_as_said(loss: float, burst: float) -> None:
    lost = np.array([not arrivals for arrivals in run(EmulatedLinkConfig(loss=loss, burst=burst), messages=40_000)])
    assert lost.mean() == pytest.approx(loss, rel=0.1)
    starts = np.flatnonzero(np.diff(lost.astype(int), prepend=0) == 1)
    expected = burst if burst > 1 else 1 / (1 - loss)
    assert lost.sum() / len(starts) == pytest.approx(expected, rel=0.1)


def test_order_is_kept_unless_reordering_is_asked_for() -> None:
    first = [times[0] for times in run(EmulatedLinkConfig(delay=0.02, jitter=0.05))]
    assert first == sorted(first)
    mixed = [times[0] for times in run(EmulatedLinkConfig(delay=0.02, jitter=0.05, reorder=0.3))]
    assert mixed != sorted(mixed)
    delays = np.array(mixed) - np.arange(len(mixed)) * 10**7
    assert delays.min() >= 0.02 * SECOND and delays.max() <= 0.13 * SECOND


def test_rate_and_queue_bound_what_a_link_carries() -> None:
    config = EmulatedLinkConfig(rate=50_000, queue=10_000, overhead=60)
    link = EmulatedLink(config, 0)
    arrivals = [time for i in range(2000) for time in link.transmit(940, i * 10**7)]  # 100 kB/s offered for 20 s
    assert len(arrivals) * 1000 == pytest.approx(50_000 * 20, rel=0.02)
    assert link.dropped == 2000 - len(arrivals)
    assert max(np.diff(arrivals)) <= 0.0201 * SECOND


def test_duplicates_come_twice_and_a_cut_link_carries_nothing() -> None:
    assert sum(len(times) for times in run(EmulatedLinkConfig(duplicate=0.25))) == pytest.approx(2500, rel=0.05)
    assert not any(run(EmulatedLinkConfig(loss=1.0)))
    with pytest.raises(ValueError, match="loss"):
        EmulatedLinkConfig(loss=1.5)


def test_an_emulated_network_delivers_when_time_has_passed() -> None:
    network, heard = EmulatedNetwork(EmulatedLinkConfig(delay=0.1)), []
    a, b = network.join("a"), network.join("b")
    b.subscribe("k", lambda key, message: heard.append((network.now, message)))
    a.publish("k", b"1")
    network.advance(SECOND // 20)
    assert heard == [] and network.next_arrival() == SECOND // 10
    network.advance(SECOND)
    assert heard == [(SECOND // 10, b"1")]
    network.set_link_quality(EmulatedLinkConfig(loss=1.0), "a", "b")
    a.publish("k", b"2")
    network.advance(2 * SECOND)
    assert len(heard) == 1
