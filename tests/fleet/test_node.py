import numpy as np
import pytest

import fabricated_fleet as fleet
from skyweave.fleet.link.emulated import EmulatedNetwork
from skyweave.fleet.link.emulated_link import EmulatedLinkConfig
from skyweave.fleet.link.loopback import LoopbackNetwork
from skyweave.fleet.node.fused_scene import peer_names
from skyweave.fleet.node.node import Node
from skyweave.fleet.node.options import NodeOptions
from skyweave.fleet.node.statistics import Histogram
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.fleet.perceivers.offline import perceive_together
from skyweave.perception.prediction import ScenePrediction

NAMES = ("UAV_1", "UAV_2", "UAV_3", "UAV_4")


def same(one: ScenePrediction, other: ScenePrediction) -> None:
    a, b = one.detections, other.detections
    assert a is not None and b is not None and len(a) == len(b)
    assert a.categories == b.categories
    for name in ("centres", "sizes", "yaws"):
        assert np.array_equal(getattr(a.boxes, name), getattr(b.boxes, name)), name
    assert np.array_equal(a.scores, b.scores) and np.array_equal(a.velocities, b.velocities)
    assert one.trajectories is not None and other.trajectories is not None
    assert np.array_equal(one.trajectories.modes, other.trajectories.modes)


@pytest.mark.parametrize("kind", ["truth", "model"])
def test_networked_and_batch_results_are_equal(kind: str) -> None:
    def perceiver(name: str) -> object:
        return fleet.truth_perceiver(int(name[-1])) if kind == "truth" else fleet.model_perceiver()

    clock, hub = fleet.HandClock(), LoopbackNetwork()
    nodes = {name: fleet.node(name, hub.join(), clock, perceiver=perceiver(name)) for name in NAMES}
    offline = {name: perceiver(name) for name in NAMES}
    for number in range(3):
        frames = {name: fleet.frame(number, name) for name in NAMES}
        clock.now = frames["UAV_1"].time + 10_000_000
        for node in nodes.values():
            node.send_heartbeat()
        sent = {name: nodes[name].observe_and_send(frames[name]) for name in NAMES}
        assert not any(nodes[name].awaited_peers(sent[name]) for name in NAMES)
        scenes = {name: nodes[name].fuse(sent[name]) for name in NAMES}
        wanted = perceive_together(offline, frames, WorldFrame(), 20_000, 1188)  # type: ignore[arg-type]
        for name in NAMES:
            assert peer_names(scenes[name].peer_frames) == [other for other in NAMES if other != name]
            same(scenes[name].prediction, wanted[name])
    found = scenes["UAV_1"].prediction.detections
    assert found is not None
    if kind == "truth":
        assert len(found) == 7  # alone it sees its half
        alone = sent["UAV_1"].observation.scene.detections
        assert 0 < len(alone) < 7
    for node in nodes.values():
        assert not any(sum(counts.values()) for counts in node.peers.rejection_counts().values()), (
            node.peers.rejection_counts()
        )
        node.close()


def test_a_node_alone_gives_its_own_view_and_waits_for_nobody() -> None:
    clock = fleet.HandClock()
    node = fleet.node("UAV_1", LoopbackNetwork().join(), clock)
    sent = node.observe_and_send(fleet.frame(0, "UAV_1"))
    assert node.awaited_peers(sent) == []
    fused = node.fuse(sent)
    assert fused.peer_frames == () and fused.prediction.detections is not None and len(fused.prediction.detections) > 0


def test_clocks_that_are_wrong_are_found_out_and_frames_still_meet() -> None:
    """A peer's clock is 2 s ahead; the link delays by 80 ms and 40 ms jitter."""
    network = EmulatedNetwork(EmulatedLinkConfig(delay=0.04, jitter=0.04), seed=3)
    true = fleet.HandClock()
    clocks = {"UAV_1": true, "UAV_2": lambda: true.now + 2_000_000_000}
    nodes = {name: fleet.node(name, network.join(name), clocks[name]) for name in clocks}
    for number in range(12):
        start = fleet.START + number * 500_000_000
        for name, node in nodes.items():
            frame = fleet.frame(number % 4, name, time=start + clocks[name]() - true.now)
            true.now = max(true.now, start)
            node.send_heartbeat()
            sent = node.observe_and_send(frame)
            if name == "UAV_1":
                first = sent
        for step in range(20):
            true.now = start + step * 20_000_000
            network.advance(true.now)
        fused = nodes["UAV_1"].fuse(first)
    (peer,) = nodes["UAV_1"].peers.all()
    assert peer.clock.known and peer.clock.offset == pytest.approx(2e9, abs=0.04e9)
    assert peer_names(fused.peer_frames) == ["UAV_2"]
    assert abs(fused.peer_frames[0].time_offset) < 0.05
    assert not peer.rejection_counts()


def test_what_is_stale_or_from_the_future_is_refused_by_reason() -> None:
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    here, there = (fleet.node(name, hub.join(), clock) for name in ("UAV_1", "UAV_2"))
    for _ in range(3):
        clock.now += 1_000_000
        here.send_heartbeat()
        there.send_heartbeat()
    here.peers.drain()
    there.observe_and_send(fleet.frame(0, "UAV_2", time=clock.now - 3_000_000_000))
    there.observe_and_send(fleet.frame(0, "UAV_2", time=clock.now + 3_000_000_000))
    here.peers.drain()
    assert here.peers.rejection_counts()["UAV_2"] == {"too_old": 1, "in_the_future": 1}


def test_a_restarted_peer_is_back_at_once() -> None:
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    here, there = (fleet.node(name, hub.join(), clock) for name in ("UAV_1", "UAV_2"))
    for number in range(6):
        clock.now = fleet.START + number * 500_000_000
        if number == 3:
            there.close()
            there = fleet.node("UAV_2", hub.join(), clock)
        there.send_heartbeat()
        there.observe_and_send(fleet.frame(number, "UAV_2"))
        fused = here.fuse(here.observe_and_send(fleet.frame(number, "UAV_1")))
        assert peer_names(fused.peer_frames) == ["UAV_2"], number
    assert not here.peers.rejection_counts()["UAV_2"]


def test_budget_falls_to_what_a_slow_link_carries_and_recovers() -> None:
    """250 kbit/s shared by two frames a second leaves 15 kB each; the perceiver would send more."""
    from dataclasses import replace as changed

    from skyweave.fleet.node.rate_control import RateControlConfig
    from skyweave.wire import BoxList, FrameContent

    class Talker:
        """Has as much to say as fits."""

        def __init__(self) -> None:
            self.base = fleet.truth_perceiver()

        def __getattr__(self, name: str) -> object:
            return getattr(self.base, name)

        def compose(self, own: object, budget: int) -> FrameContent:
            n = 1800
            generator = np.random.default_rng(0)
            boxes = BoxList(
                generator.uniform(-10, 10, (n, 3)), np.ones((n, 3)), np.zeros(n), np.zeros(n, int), np.ones(n)
            )
            return changed(self.base.compose(own, budget), boxes=boxes)  # type: ignore[arg-type]

    network = EmulatedNetwork(EmulatedLinkConfig(rate=10_000, queue=6_000), seed=1)
    clock = fleet.HandClock()
    options = NodeOptions(budget=RateControlConfig(min_bytes=400, max_bytes=20_000))
    talker = fleet.node("UAV_1", network.join("UAV_1"), clock, options, perceiver=Talker())
    listener = fleet.node("UAV_2", network.join("UAV_2"), clock, options)
    budgets = []
    for number in range(80):
        start = fleet.START + number * 500_000_000
        if number == 50:
            network.set_link_quality(EmulatedLinkConfig(), "UAV_1", "UAV_2")
        clock.now = start
        talker.send_heartbeat()
        listener.send_heartbeat()
        talker.observe_and_send(fleet.frame(0, "UAV_1", time=start))
        listener.observe_and_send(fleet.frame(0, "UAV_2", time=start))
        for step in range(24):
            clock.now = start + step * 20_000_000
            network.advance(clock.now)
        budgets.append(talker.rate_controller.frame_bytes)
    assert budgets[0] == 20_000
    assert 2_000 < np.mean(budgets[30:50]) < 6_500  # the link carries 5 kB in half a second
    assert budgets[-1] > 15_000


@pytest.mark.parametrize(
    "link",
    [
        EmulatedLinkConfig(loss=0.5, burst=3),
        EmulatedLinkConfig(jitter=0.5, reorder=0.5),
        EmulatedLinkConfig(loss=0.5, jitter=0.5),
        EmulatedLinkConfig(loss=1.0),
    ],
)
def test_bad_links_never_take_anything_from_the_own_view(link: EmulatedLinkConfig) -> None:
    """Clocks are 2 s apart as well. Everything that a platform finds alone it still has, however little comes."""
    network, true = EmulatedNetwork(link, seed=5), fleet.HandClock()
    ahead = {name: number * 2_000_000_000 for number, name in enumerate(("UAV_1", "UAV_4"))}
    clocks = {name: lambda shift=shift: true.now + shift for name, shift in ahead.items()}
    nodes = {name: fleet.node(name, network.join(name), clocks[name]) for name in ahead}
    more = 0
    for number in range(12):
        start = true.now = fleet.START + number * 500_000_000
        sent = {}
        for name, node in nodes.items():
            node.send_heartbeat()
            sent[name] = node.observe_and_send(fleet.frame(number % 4, name, time=start + ahead[name]))
        for step in range(1, 13):
            true.now = start + step * 20_000_000
            network.advance(true.now)
            for node in nodes.values():
                node.peers.drain()
        for name, node in nodes.items():
            alone, found = sent[name].observation.scene.detections, node.fuse(sent[name]).prediction.detections
            assert found is not None
            for centre in alone.boxes.centres:
                assert np.hypot(*(found.boxes.centres - centre)[:, :2].T).min() < 0.7
            more += len(found) - len(alone)
    assert (more > 0) == (link.loss < 1)


def talk(here: Node, there: Node, clock: fleet.HandClock, number: int, late: float) -> list[str]:
    """A moment in which the peer's frame comes so many seconds after its capture; who is missing before it comes."""
    clock.now = fleet.START + number * 500_000_000
    there.send_heartbeat()
    sent = here.observe_and_send(fleet.frame(number % 4, "UAV_1", time=clock.now))
    missing = here.awaited_peers(sent)
    told = fleet.frame(number % 4, there.name, time=clock.now)
    clock.now += round(late * 1e9)
    there.observe_and_send(told)
    assert here.awaited_peers(sent) == []
    return missing


def test_who_froze_is_waited_for_no_longer_than_it_used_to_take_and_a_little() -> None:
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    options = NodeOptions(max_wait=0.45, grace=0.1)
    here = fleet.node("UAV_1", hub.join(), clock, options)
    there = fleet.node("UAV_2", hub.join(), clock)
    for number in range(6):
        expected = ["UAV_2"] if number else []  # before its first frame nobody knows that it has any
        assert talk(here, there, clock, number, 0.02 + 0.01 * (number % 2)) == expected
    clock.now = start = fleet.START + 6 * 500_000_000
    sent = here.observe_and_send(fleet.frame(2, "UAV_1", time=clock.now))
    assert here.awaited_peers(sent) == ["UAV_2"]
    assert (here.deadline(sent) - start) / 1e9 == pytest.approx(0.03 + 0.1 * 0.5, abs=0.002)
    clock.now = here.deadline(sent) + 1
    assert here.awaited_peers(sent) == []
    clock.now = start + 500_000_000  # and not at all in the next moment
    assert here.awaited_peers(here.observe_and_send(fleet.frame(3, "UAV_1", time=clock.now))) == []


def test_who_is_often_late_is_waited_for_longer_but_never_beyond_the_limit() -> None:
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    here = fleet.node("UAV_1", hub.join(), clock, NodeOptions(max_wait=0.3))
    there = fleet.node("UAV_2", hub.join(), clock)
    for number in range(6):
        talk(here, there, clock, number, 0.28)
    clock.now = start = fleet.START + 6 * 500_000_000
    assert here.deadline(here.observe_and_send(fleet.frame(2, "UAV_1", time=clock.now))) == start + 300_000_000


def test_who_died_is_not_waited_for_and_is_again_when_it_is_back() -> None:
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    here, there = (fleet.node(name, hub.join(), clock) for name in ("UAV_1", "UAV_2"))
    for number in range(4):
        talk(here, there, clock, number, 0.02)
    clock.now = fleet.START + 4 * 500_000_000
    sent = here.observe_and_send(fleet.frame(0, "UAV_1", time=clock.now))
    assert here.awaited_peers(sent) == ["UAV_2"]
    there.close()  # the network tells
    assert here.awaited_peers(sent) == []
    there = fleet.node("UAV_2", hub.join(), clock)
    assert talk(here, there, clock, 5, 0.02) == []
    assert talk(here, there, clock, 6, 0.02) == ["UAV_2"]


def test_frames_as_seldom_as_the_source_gives_them_are_waited_for() -> None:
    """The model expects a frame every half second; the source gives one every two."""
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    here, there = (fleet.node(name, hub.join(), clock, interval=2.0) for name in ("UAV_1", "UAV_2"))
    for number in (0, 4, 8):
        missing = talk(here, there, clock, number, 0.02)
    assert missing == ["UAV_2"]


def test_a_quantile_is_not_the_edge_of_its_bucket() -> None:
    histogram = Histogram()
    for seconds in (1.9, 2.0, 2.1, 2.2):
        histogram.observe(seconds)
    assert 1.5 <= histogram.quantile(0.5) <= 2.2
    assert histogram.quantile(1.0) == 2.2
    histogram.observe(60.0)
    assert histogram.quantile(1.0) == 60.0 and Histogram().quantile(0.5) == 0.0
