"""Software of another version is refused by that name, whichever layer changed; what is only added is passed over."""

import logging
import zlib

import msgspec
import pytest

import fabricated_fleet as fleet
from skyweave.fleet.link.heartbeat import decode_heartbeat, encode_heartbeat
from skyweave.fleet.link.loopback import LoopbackNetwork
from skyweave.fleet.link.messages import read_content
from skyweave.fleet.link.topics import frame_topic, heartbeat_topic, parse_topic
from skyweave.fleet.link.transport import Priority
from skyweave.fleet.node.node import Node


def sent_by(sender: Node) -> dict[str, bytes]:
    """One heartbeat and one chunk, without envelopes."""
    messages: dict[str, bytes] = {}
    publish = sender.publish
    sender.publish = lambda topic, message, priority: messages.update({topic: message}) or 0  # type: ignore[func-returns-value, method-assign]
    sender.send_heartbeat()
    sender.observe_and_send(fleet.frame(0, sender.name, sender.clock()))
    sender.publish = publish  # type: ignore[method-assign]
    return messages


def test_another_version_is_refused_by_name(caplog: pytest.LogCaptureFixture) -> None:
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    here, there = (fleet.node(name, hub.join(), clock) for name in ("UAV_1", "UAV_2"))
    heartbeat, frame = heartbeat_topic("test", "UAV_2"), frame_topic("test", "UAV_2")
    messages = sent_by(there)
    newer = msgspec.msgpack.encode([2, "something else", *msgspec.msgpack.decode(messages[heartbeat])[1:]])
    chunk = bytearray(messages[frame])
    chunk[2] = 2
    newer_chunk = bytes(chunk[:-4]) + zlib.crc32(chunk[:-4]).to_bytes(4, "little")
    there.publish(heartbeat, newer, Priority.CONTROL)
    there.publish(frame, newer_chunk, Priority.FRAMES)
    envelope = bytearray(there.sealer.seal(heartbeat, messages[heartbeat]))
    envelope[2] = 2
    there.transport.publish(heartbeat, bytes(envelope))
    with caplog.at_level(logging.WARNING, "skyweave.fleet"):
        here.peers.drain()
    assert here.peers.rejection_counts()["UAV_2"] == {"version": 3}
    assert [record.getMessage() for record in caplog.records if "another version" in record.getMessage()] == [
        "UAV_2 runs software of another version, and is not understood: update the older one"
    ]
    for topic, message in ((heartbeat, newer), (frame, newer_chunk)):
        address = parse_topic(topic)
        assert address is not None and read_content(address, message) == "version"


def test_what_a_newer_heartbeat_adds_is_passed_over() -> None:
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    here, there = (fleet.node(name, hub.join(), clock) for name in ("UAV_1", "UAV_2"))
    topic = heartbeat_topic("test", "UAV_2")
    known = sent_by(there)[topic]
    longer = msgspec.msgpack.encode([*msgspec.msgpack.decode(known), {"new": 1}, "more"])
    assert decode_heartbeat(longer) == decode_heartbeat(known) is not None
    there.publish(topic, longer, Priority.CONTROL)
    here.peers.drain()
    assert here.peers.all()[0].heartbeat is not None and not here.peers.rejection_counts()["UAV_2"]
    assert encode_heartbeat(here.peers.all()[0].heartbeat) == known
