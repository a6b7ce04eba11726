"""What a member with good keys may send under its own name costs that member alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import fabricated_fleet as fleet
from skyweave.fleet.link.certificate_authority import create_keys
from skyweave.fleet.link.credentials import load_credentials
from skyweave.fleet.link.heartbeat import Heartbeat, PeerReport, decode_heartbeat, encode_heartbeat
from skyweave.fleet.link.loopback import LoopbackNetwork
from skyweave.fleet.link.topics import frame_topic, heartbeat_topic
from skyweave.fleet.link.transport import Priority
from skyweave.fleet.node.fused_scene import peer_names
from skyweave.fleet.node.node import Node
from skyweave.fleet.node.rate_control import RateControlConfig, RateController
from skyweave.perception.results import ScenePrediction
from skyweave.wire import BoxList, FrameContent, WireGrid, encode_frame

HEARTBEAT = Heartbeat(1, 9, 0, 500_000, 0, 0.5, fleet.CATEGORIES, fleet.START, (PeerReport(8, 1, 2, 3, 4, 5),))


@pytest.mark.parametrize(
    "change",
    [
        {"interval": 1e-10},
        {"interval": float("inf")},
        {"started": 1 << 63},
        {"started": -1},
        {"categories": ("car",) * 65},
        {"categories": ("c" * 65,)},
        {"fingerprint": 1 << 32},
        {"reports": (PeerReport(8, 1, 2, 3, 4, 10**9),)},
        {"reports": (PeerReport(8, -1, 2, 3, 4, 5),)},
        {"reports": (PeerReport(8, 1, 2, 3, 1 << 62, 5),)},
        {"reports": (PeerReport(8, 1, 2, 3, 4, 5),) * 65},
    ],
    ids=str,
)
def test_every_number_of_a_heartbeat_has_bounds(change: dict[str, Any]) -> None:
    assert decode_heartbeat(encode_heartbeat(HEARTBEAT)) == HEARTBEAT
    assert decode_heartbeat(encode_heartbeat(msgspec.structs.replace(HEARTBEAT, **change))) is None


def test_a_heartbeat_of_a_tiny_interval_does_not_end_a_node() -> None:
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    here, honest = fleet.node("UAV_1", hub.join(), clock), fleet.node("UAV_2", hub.join(), clock)
    for number in range(5):
        clock.now = fleet.START + number * 500_000_000
        honest.send_heartbeat()
        honest.observe_and_send(fleet.frame(number % 4, "UAV_2", time=clock.now))
        topic = heartbeat_topic("test", "UAV_2")
        message = msgspec.structs.replace(HEARTBEAT, interval=1e-10, platform_id=honest.platform_id)
        honest.publish(topic, encode_heartbeat(message), Priority.CONTROL)
        pending = here.observe_and_send(fleet.frame(number % 4, "UAV_1", time=clock.now))
        here.awaited_peers(pending)
        here.deadline(pending)
        assert peer_names(here.fuse(pending).peer_frames) == ["UAV_2"]
    assert here.peers.rejection_counts()["UAV_2"] == {"heartbeat": 5}


def test_what_a_peer_breaks_in_the_work_of_a_node_costs_that_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever gets past the checks and makes fusing fail is left out, counted and charged to who sent it."""
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    here = fleet.node("UAV_1", hub.join(), clock)
    others = [fleet.node(name, hub.join(), clock) for name in ("UAV_2", "UAV_3", "UAV_4")]
    fuse, compensate = here.perceiver.fuse, here.perceiver.compensate
    broken = {"fuse": others[0].platform_id, "compensate": others[1].platform_id}

    def fuse_or_fail(ego: Any, received: Sequence[FrameContent]) -> ScenePrediction:
        if broken["fuse"] in [content.platform for content in received]:
            raise ZeroDivisionError("a number that nobody thought of")
        return fuse(ego, received)

    def compensate_or_fail(content: FrameContent, time: int) -> FrameContent:
        if content.platform == broken["compensate"]:
            raise IndexError("likewise")
        return compensate(content, time)

    monkeypatch.setattr(here.perceiver, "fuse", fuse_or_fail)
    monkeypatch.setattr(here.perceiver, "compensate", compensate_or_fail)
    for other in others:
        other.send_heartbeat()
        other.observe_and_send(fleet.frame(0, other.name))
    scene = here.fuse(here.observe_and_send(fleet.frame(0, "UAV_1")))
    assert peer_names(scene.peer_frames) == ["UAV_4"]
    counts = here.peers.rejection_counts()
    assert counts["UAV_2"] == {"internal": 1} and counts["UAV_3"] == {"internal": 1} and not counts["UAV_4"]

    def broken_itself(ego: Any, received: Sequence[FrameContent]) -> ScenePrediction:
        raise ValueError("the node's fault")

    monkeypatch.setattr(here.perceiver, "fuse", broken_itself)
    with pytest.raises(ValueError, match="the node's fault"):
        here.fuse(here.observe_and_send(fleet.frame(0, "UAV_1")))


@pytest.mark.parametrize("broken", ["frame_deadline", "write_report", "is_alive"])
def test_a_peer_whose_state_is_broken_is_left_out(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    here = fleet.node("UAV_1", hub.join(), clock)
    others = [fleet.node(name, hub.join(), clock) for name in ("UAV_2", "UAV_3")]
    for other in others:
        other.send_heartbeat()
        other.observe_and_send(fleet.frame(0, other.name))
    here.peers.drain()
    hostile = here.peers.all()[0]

    def fail(*arguments: object) -> None:
        raise OverflowError("cannot convert float infinity to integer")

    monkeypatch.setattr(hostile, broken, fail)
    here.send_heartbeat()
    pending = here.observe_and_send(fleet.frame(0, "UAV_1"))
    here.awaited_peers(pending)
    here.fuse(pending)
    counts = here.peers.rejection_counts()
    assert counts["UAV_2"]["internal"] >= 1 and not counts["UAV_3"]


def test_one_lying_receiver_of_two_does_not_hold_the_budget() -> None:
    controller = RateController(RateControlConfig(initial_bytes=5_000))
    for _ in range(40):
        controller.update([1.0, 0.0], [0.0, 60.0])
    assert controller.frame_bytes == controller.config.max_bytes


def send_chunks(node: Node, content: FrameContent) -> None:
    for chunk in encode_frame(content, mtu=1000):
        node.publish(frame_topic("test", node.name), chunk, Priority.FRAMES)


def many_boxes(node: Node, count: int, grid: WireGrid, time: int) -> FrameContent:
    places = np.stack([np.linspace(-10, 10, count), np.zeros(count), np.zeros(count)], 1)
    centres = places + np.array([grid.west * grid.metres + 16, grid.north * grid.metres - 16, 0])
    boxes = BoxList(centres, np.ones((count, 3)), np.zeros(count), np.zeros(count, int), np.linspace(0, 1, count))
    return FrameContent(node.platform_id, 7, time, grid, boxes=boxes)


def test_a_peer_with_thousands_of_boxes_costs_no_more_than_one_with_hundreds() -> None:
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    here, hostile = fleet.node("UAV_1", hub.join(), clock), fleet.node("UAV_2", hub.join(), clock)
    hostile.send_heartbeat()
    send_chunks(hostile, many_boxes(hostile, 4000, WireGrid(-32, 32, 500_000, 64, 64), clock.now))
    scene = here.fuse(here.observe_and_send(fleet.frame(0, "UAV_1")))
    boxes = scene.peer_frames[0].content.boxes
    assert boxes is not None and len(boxes) == 400 and boxes.scores.min() > 0.85


def test_a_map_at_the_end_of_the_world_is_refused() -> None:
    """What is fused from it would be published, and listeners would refuse the honest node's scenes."""
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    here, hostile = fleet.node("UAV_1", hub.join(), clock), fleet.node("UAV_2", hub.join(), clock)
    send_chunks(hostile, many_boxes(hostile, 3, WireGrid(2**31 - 1, 32, 500_000, 64, 64), clock.now))
    assert not here.fuse(here.observe_and_send(fleet.frame(0, "UAV_1"))).peer_frames
    assert here.peers.rejection_counts()["UAV_2"] == {"grid": 1}


def test_a_flood_under_a_members_name_does_not_use_up_what_the_member_may_send(tmp_path: Path) -> None:
    """Through a router anybody may publish under any name: a peer pays only for what its key has signed."""
    create_keys(tmp_path, ["UAV_1", "UAV_2"], relays=["router"])
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    here, honest = (
        fleet.node(name, hub.join(), clock, credentials=load_credentials(tmp_path, name)) for name in ("UAV_1", "UAV_2")
    )
    flood = hub.join()
    for number in range(8):
        clock.now = fleet.START + number * 100_000_000
        for _ in range(100):
            flood.publish(frame_topic("test", "UAV_2"), b"SF\1\1" + bytes(300))
        honest.send_heartbeat()
        here.peers.drain()
    counts = here.peers.rejection_counts()
    assert here.peers.all()[0].messages == 8 and not counts["UAV_2"]["rate"]
    assert sum(counts["UAV_2"].values()) + sum(counts[""].values()) == 800
