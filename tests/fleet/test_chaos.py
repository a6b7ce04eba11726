"""The short form of `benchmarks/chaos_messages.py`: hostile messages of every kind against everything that runs."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("zenoh", reason="needs skyweave[link]")
pytest.importorskip("mcap_protobuf", reason="needs skyweave[record]")
pytest.importorskip("rerun", reason="needs skyweave[view]")
pytest.importorskip("psutil")
sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

from chaos_messages import FLEET, HONEST, HOSTILE, UNLIMITED, attack
from chaos_mutations import KINDS, Mutator

import fabricated_fleet as fleet
from skyweave.fleet.link.clocks import wall_clock
from skyweave.fleet.link.credentials import Credentials
from skyweave.fleet.link.loopback import LoopbackTransport
from skyweave.fleet.link.messages import read_content
from skyweave.fleet.link.topics import parse_topic
from skyweave.fleet.node.node import Node
from skyweave.fleet.node.options import NodeOptions
from skyweave.fleet.sources.base import ImageSource
from skyweave.fleet.sources.recording import RecordingSource
from skyweave.recordings.recording import RecordedScene


def make(name: str, transport: LoopbackTransport, credentials: Credentials) -> tuple[Node, ImageSource]:
    options = NodeOptions(limits=UNLIMITED, max_wait=0.15, heartbeat_interval=0.1)
    perceiver = fleet.truth_perceiver(int(name[-1]))
    node = Node(FLEET, name, perceiver, transport, None, options, credentials=credentials, interval=0.2)
    frames = [fleet.frame(number, name) for number in range(4)]
    return node, RecordingSource(RecordedScene("toy", frames), name, 0.2)


def test_hostile_messages_of_every_kind_end_nothing() -> None:
    report = attack(make, messages=420)
    assert report["sent"] == dict.fromkeys(KINDS, 70)
    assert report["node"]["taken"] > 0 and len(report["node"]["rejected"]) > 5
    assert set(report["listener"]["taken"]) == {"frame", "alive", "result", "camera"}
    assert len(report["listener"]["rejected"]) > 5
    assert report["of these with the other honest one"] > 0
    assert report["replayed of hostile ones"]["refused"] > 80


def test_mutations_reach_every_layer() -> None:
    """Most are refused, some are taken, and no kind is refused for one reason alone."""
    view = {"channel": "UAV_1", "position": [0.0, 0.0, 30.0]}
    mutator = Mutator(FLEET, HOSTILE, 3, {"views": [view], "time": 0.0, "sequence": 0}, wall_clock)
    for kind in ("heartbeat", "frame", "camera"):
        contents = []
        for _ in range(300):
            topic, message = mutator.message(kind)
            address = parse_topic(topic)
            contents.append("topic" if address is None else read_content(address, message))
        refused = [content for content in contents if isinstance(content, str)]
        assert 0 < len(refused) < 300, kind
    assert HONEST
