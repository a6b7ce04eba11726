"""Clocks that are set, drift, or are an hour off, while a fleet flies; and replays to a node that was started again."""

import threading
from pathlib import Path

import pytest

import fabricated_fleet as fleet
from flight_with_clocks import NAMES, Flight
from skyweave.fleet.link.clocks import FOLLOW_NS, NS_PER_S, SteadyClock, to_clock
from skyweave.fleet.link.credentials import load_credentials
from skyweave.fleet.link.loopback import LoopbackNetwork
from skyweave.fleet.node.node import Node
from skyweave.fleet.node.peer import Peer
from skyweave.fleet.sources.base import schedule_ticks


@pytest.mark.parametrize("seconds", [0.4, -0.4, 5.0007, -5.0007, 3600.0007, -3600.0007])
@pytest.mark.parametrize("who", [NAMES[1:2], NAMES])
def test_a_clock_that_is_set_costs_two_frames_at_the_most(seconds: float, who: tuple[str, ...]) -> None:
    def set_clocks(number: int) -> None:
        for name in who if number == 7 else ():
            flight.set_clock(name, seconds)

    flight = Flight()
    flight.fly(14, set_clocks)
    assert all(flight.whole[3:7]) and all(flight.whole[9:]), flight.whole
    if abs(seconds) < 2:
        assert all(flight.whole[3:]), "what is set by a little is not even noticed"
    clock = flight.nodes[who[0]].clock
    assert abs(to_clock(flight.true.now + flight.wall[who[0]], clock) - clock()) < 1_000_000


def test_clocks_an_hour_apart_and_a_fast_quartz_fly_together() -> None:
    flight = Flight({"UAV_1": 3600.0, "UAV_2": -7.0}, {"UAV_2": 1.001})
    flight.fly(30)
    assert all(flight.whole[3:]), flight.whole


def test_a_node_started_again_with_its_clock_set_back_is_whole_again() -> None:
    def set_back(number: int) -> None:
        if number == 7:
            flight.set_clock("UAV_2", -3600.0007)
            flight.restart("UAV_2")

    flight = Flight()
    flight.fly(16, set_back)
    assert all(flight.whole[3:7]) and all(flight.whole[11:]), flight.whole


def test_buckets_and_silence_do_not_stop_while_a_clock_stands() -> None:
    flight = Flight()

    def stand(number: int) -> None:  # set back a little again and again, as a bad time server does
        if number >= 8:
            flight.set_clock("UAV_1", -0.5013)

    flight.fly(28, stand)
    assert sum(flight.whole[8:]) >= 10, "two of four frames, as the clock follows every fourth"
    assert "rate" not in flight.nodes["UAV_1"].peers.rejection_counts()["UAV_2"]


def test_a_steady_clock_ignores_small_steps_and_standing_still() -> None:
    wall, even = fleet.HandClock(), fleet.HandClock(0)
    clock = SteadyClock(wall, even)
    wall.now += FOLLOW_NS
    assert clock() == fleet.START and clock.deviation() == FOLLOW_NS and clock.followed == 0
    wall.now, even.now = wall.now + 60 * NS_PER_S, even.now + 60 * NS_PER_S
    assert clock() == fleet.START + 60 * NS_PER_S, "time that passed for both is no step"
    wall.now -= 3 * FOLLOW_NS
    assert clock() == wall.now and clock.followed == -2 * FOLLOW_NS and clock.deviation() == 0


def test_ticks_go_on_when_a_clock_is_set_back() -> None:
    clock, stop = fleet.HandClock(), threading.Event()
    ticks = schedule_ticks(clock, stop, 0.5)
    threading.Timer(0.1, lambda: setattr(clock, "now", clock.now + NS_PER_S)).start()
    first = next(ticks)
    clock.now -= 3600 * NS_PER_S
    assert next(ticks) == first - 7200


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from skyweave.fleet.link.certificate_authority import create_keys

    folder = tmp_path_factory.mktemp("keys")
    create_keys(folder, NAMES[:2])
    return folder


def test_what_was_recorded_is_not_taken_by_a_node_that_was_started_again(keys: Path) -> None:
    clock, hub = fleet.HandClock(), LoopbackNetwork()

    def start(name: str) -> Node:
        return fleet.node(name, hub.join(), clock, credentials=load_credentials(keys, name))

    def peer_of(node: Node) -> Peer:
        node.peers.drain()
        return node.peers.all()[0]

    here, there = start("UAV_1"), start("UAV_2")
    tape: list[tuple[str, bytes]] = []
    recorder = hub.join()
    recorder.subscribe("**", lambda topic, message: tape.append((topic, message)))
    for number in range(6):
        clock.now += 500_000_000
        here.send_heartbeat()
        there.send_heartbeat()
        there.observe_and_send(fleet.frame(number % 4, "UAV_2", time=clock.now))
    assert peer_of(here).clock.known and here.peers.frames(peer_of(here)), "live it is taken"
    here.close()
    there.close()
    clock.now += NS_PER_S
    again = start("UAV_1")
    again.send_heartbeat()
    for topic, message in tape:
        if "UAV_2" in topic:
            recorder.publish(topic, message)
    peer = peer_of(again)
    assert not peer.clock.known and not again.peers.frames(peer) and peer.last_frame == 0
    assert again.peers.rejection_counts()["UAV_2"]["unproven"] == 6
    there = start("UAV_2")  # the real one
    for number in range(3):
        clock.now += 500_000_000
        again.send_heartbeat()
        there.send_heartbeat()
        there.observe_and_send(fleet.frame(number % 4, "UAV_2", time=clock.now))
    assert peer_of(again).clock.known and again.peers.frames(peer_of(again))


def test_a_heartbeat_that_is_held_back_sets_no_clock(keys: Path) -> None:
    """A relay that keeps a heartbeat for 3 s makes a slow round trip, which proves no step of the clock."""
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    here = fleet.node("UAV_1", hub.join(), clock, credentials=load_credentials(keys, "UAV_1"))
    there = fleet.node("UAV_2", LoopbackNetwork().join(), clock, credentials=load_credentials(keys, "UAV_2"))
    tape: list[tuple[str, bytes]] = []
    there.transport.publish = lambda topic, message, priority=None: tape.append((topic, message))  # type: ignore[method-assign]
    here.transport.publish = lambda topic, message, priority=None: there.peers.on_message(topic, message)  # type: ignore[method-assign]
    for _ in range(4):
        clock.now += 500_000_000
        here.send_heartbeat()
        there.send_heartbeat()
    for topic, message in tape[:2]:
        here.peers.on_message(topic, message)
    here.peers.drain()
    (peer,) = here.peers.all()
    assert peer.clock.known
    held, offset = tape[2], peer.clock.offset
    clock.now += 3 * NS_PER_S
    here.peers.on_message(*held)
    here.peers.drain()
    assert peer.clock.offset == offset
    assert here.peers.rejection_counts()["UAV_2"]["too_old"] == 1
