"""Nodes call an object by one name, whoever began to follow it, and keep calling it so when that node is gone."""

from dataclasses import replace

import numpy as np
import pytest

import fabricated_fleet as fleet
from skyweave.core.geometry.boxes import Boxes
from skyweave.fleet.link.heartbeat import SharedTrack, decode_heartbeat, encode_heartbeat
from skyweave.fleet.link.loopback import LoopbackNetwork
from skyweave.fleet.node.node import Node
from skyweave.fleet.sinks.publisher import ScenePublisher
from skyweave.fleet.sinks.scene_content import PublishedScene
from skyweave.perception.results import Detections

STEP = 500_000_000  # nanoseconds


class Member:
    """A node of a small fleet, and what it publishes."""

    def __init__(self, name: str, network: LoopbackNetwork, clock: fleet.HandClock) -> None:
        self.node: Node = fleet.node(name, network.join(), clock)
        self.publisher = ScenePublisher(self.node, [])

    def fly(self, number: int) -> PublishedScene:
        """One frame of the scene, at the clock's time."""
        pending = self.node.observe_and_send(fleet.frame(number, self.node.name, self.node.clock()))
        return self.publisher.publish(self.node.fuse(pending))


def places(published: PublishedScene) -> dict[str, np.ndarray]:
    """By identity, where an object is."""
    centres = published.detections.boxes.centres[:, :2]
    return {name: place for name, place in zip(published.identities, centres, strict=True) if name is not None}


def run(members: list[Member], clock: fleet.HandClock, numbers: range) -> list[PublishedScene]:
    scenes: list[PublishedScene] = []
    for number in numbers:
        clock.now += STEP
        for member in members:
            member.node.send_heartbeat()
        scenes = [member.fly(number) for member in members]
    return scenes


def test_all_nodes_call_an_object_by_the_name_of_its_first_track() -> None:
    network, clock = LoopbackNetwork(), fleet.HandClock()
    first = Member("UAV_1", network, clock)
    [alone] = run([first], clock, range(2))
    names = set(places(alone))
    assert len(names) >= 2 and all(name.startswith("UAV_1-") for name in names)
    second, third = Member("UAV_2", network, clock), Member("UAV_3", network, clock)
    seen = [places(scene) for scene in run([first, second, third], clock, range(2, 5))]
    assert names <= set(seen[0])  # nobody renames what is older
    for others in seen[1:]:
        assert set(others) == set(seen[0])
        assert all(np.linalg.norm(others[name] - place) < 1.0 for name, place in seen[0].items())
    first.node.close()
    clock.now += 2 * STEP
    fourth = Member("UAV_4", network, clock)
    kept = [set(places(scene)) for scene in run([second, third, fourth], clock, range(8, 10))]
    assert kept[0] == kept[1] == kept[2] <= set(seen[0])  # by what the others say of it


def detections_at(east: float, time: int, name: str = "1") -> Detections:
    boxes = Boxes(np.array([[east, 0.0, 0.0]]), np.array([[4.0, 2.0, 1.5]]), np.zeros(1))
    empty = Detections.empty(None, time)
    return replace(
        empty,
        boxes=boxes,
        categories=("car",),
        scores=np.ones(1),
        velocities=np.zeros((1, 2)),
        instances=(name,),
    )


def test_a_track_that_strays_from_its_namer_gets_a_name_of_its_own() -> None:
    network, clock = LoopbackNetwork(), fleet.HandClock()
    one, other = Member("UAV_1", network, clock).node, Member("UAV_2", network, clock).node
    fleet.meet(one, other)
    now = clock()
    [name] = one.identities.identify(detections_at(0.0, now), [])
    one.send_heartbeat()
    other.peers.drain()
    assert other.identities.identify(detections_at(0.5, now), other.alive_peers()) == (name,)
    [renamed] = other.identities.identify(detections_at(30.0, now), other.alive_peers())
    assert renamed is not None and renamed != name and renamed.startswith("UAV_2-")
    far = detections_at(9.0, now)
    assert other.identities.identify(far, [])[0] != other.identities.identify(replace(far, instances=("2",)), [])[0]


@pytest.mark.parametrize(
    "changes", [{"identity": ""}, {"identity": "x" * 97}, {"category": 64}, {"east": 1 << 31}, {"time": -1}]
)
def test_a_heartbeat_with_impossible_tracks_is_none(changes: dict[str, object]) -> None:
    from skyweave.fleet.link.heartbeat import Heartbeat

    track = SharedTrack("UAV_1-a.1", 0, 1, 2, 3, 4, 5, 6)
    heartbeat = Heartbeat(1, 9, 0, 500_000, 0, 0.5, ("car",), 1, (), (track,))
    assert decode_heartbeat(encode_heartbeat(heartbeat)) == heartbeat
    broken = {field: getattr(track, field) for field in track.__struct_fields__} | changes
    assert decode_heartbeat(encode_heartbeat(replace_tracks(heartbeat, SharedTrack(**broken)))) is None  # type: ignore[arg-type]


def replace_tracks(heartbeat: object, track: SharedTrack) -> "object":
    import msgspec

    return msgspec.structs.replace(heartbeat, tracks=(track,))  # type: ignore[type-var]
