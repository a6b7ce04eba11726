"""Mutations of every kind of message against what reads them, without threads and network: a million in minutes.

    OMP_NUM_THREADS=1 python benchmarks/chaos_readers.py recordings/hidden --messages 1000000

Signed by a member with good keys, and given to a node's checks and fusion, and to those who only listen: page, client
and recorder in turns. Exit status 1 where something raises, a fault of this program's own is counted, a message is
neither taken nor counted as refused, or what is shown is no JSON. `benchmarks/chaos_messages.py` does the same to all
of them as they run.
"""

import argparse
import io
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
from chaos_invariants import Violation, demand, strict_json
from chaos_messages import (
    FLEET,
    HONEST,
    HOSTILE,
    SINKS,
    UNLIMITED,
    seal,
    unlimited_listeners,
)
from chaos_mutations import KINDS, Mutator
from mcap.writer import Writer

from skyweave.fleet.dashboard.state import DashboardState
from skyweave.fleet.link.certificate_authority import create_keys
from skyweave.fleet.link.clocks import wall_clock
from skyweave.fleet.link.credentials import load_credentials
from skyweave.fleet.link.envelope import EnvelopeSealer
from skyweave.fleet.link.loopback import LoopbackNetwork
from skyweave.fleet.link.messages import CameraImage
from skyweave.fleet.link.scene_message import SceneMessage
from skyweave.fleet.link.topics import heartbeat_topic
from skyweave.fleet.node.node import Node
from skyweave.fleet.node.options import NodeOptions
from skyweave.fleet.perceivers.ground_truth import GroundTruthPerceiver
from skyweave.fleet.sinks.mcap import McapRecorder
from skyweave.fleet.sinks.publisher import ScenePublisher
from skyweave.fleet.sinks.subscriber import FleetSubscriber
from skyweave.fleet.sources.base import SourceContext
from skyweave.fleet.sources.recording import RecordingSourceConfig
from skyweave.recordings.recording import Frame

TURN = 200  # messages between two frames of the node
RECORDING_BYTES = 1 << 26  # after which a recording in memory is begun anew


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording", help="folder of a recording with UAV_1")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="after which it ends, whatever is left")
    args = parser.parse_args()
    source = RecordingSourceConfig(args.recording).build(SourceContext(HONEST[0]))
    stop = threading.Event()
    frame = next(iter(source.frames(wall_clock, stop)))
    stop.set()
    try:
        with tempfile.TemporaryDirectory() as folder, unlimited_listeners():
            print(
                json.dumps(
                    read_all(frame, source.world_frame, Path(folder), args.messages, args.seed, args.seconds), indent=1
                )
            )
    except Violation as violation:
        print(f"VIOLATED: {violation}", file=sys.stderr)
        sys.exit(1)


def read_all(frame: Frame, world_frame: Any, folder: Path, messages: int, seed: int, seconds: float) -> dict[str, Any]:
    """Give mutated messages to all readers; return what came of them."""
    keys = folder / "keys"
    create_keys(keys, [*HONEST, HOSTILE], viewers=["viewer"])
    credentials = {name: load_credentials(keys, name) for name in (HONEST[0], HOSTILE)}
    network = LoopbackNetwork()
    perceiver = GroundTruthPerceiver(("car", "truck", "bus", "bicycle", "pedestrian"))
    node = Node(
        FLEET, HONEST[0], perceiver, network.join(), world_frame, NodeOptions(limits=UNLIMITED),
        credentials=credentials[HONEST[0]],
    )  # fmt: skip
    publisher = ScenePublisher(node, SINKS)
    scene = publisher.publish(node.fuse(node.observe_and_send(frame))).json_content
    number = credentials[HOSTILE].members[HOSTILE].platform_id
    mutator = Mutator(FLEET, HOSTILE, number, json.loads(json.dumps(scene)), wall_clock, seed, node.grid)
    network.join().subscribe(
        heartbeat_topic(FLEET, node.name), lambda _, envelope: mutator.on_heartbeat(node.platform_id, envelope)
    )
    node.send_heartbeat()
    sealer = EnvelopeSealer(credentials[HOSTILE].signing_key, wall_clock)
    listener, state = FleetSubscriber(FLEET, network.join(), str(keys)), DashboardState(FLEET)
    recorder, stream = _recorder()
    undrawn = 0
    sent, taken, given, fused = Counter[str](), 0, 0, 0
    memory, started = psutil.Process().memory_info().rss, time.monotonic()
    for index in range(messages):
        kind = KINDS[index % len(KINDS)]
        topic, message = mutator.message(kind)
        envelope = seal(sealer, topic, message, mutator)
        sent[kind] += 1
        received = listener.read(topic, envelope)
        if received is not None:
            taken += 1
            if isinstance(received.content, SceneMessage):
                state.on_scene(received.content, received.age)
            elif isinstance(received.content, CameraImage):
                state.on_camera(received.content)
            recorder.write(received, index)
        if kind in ("heartbeat", "frame"):
            given += 1
            node.peers.on_message(topic, envelope)
        if index % TURN == TURN - 1:
            node.peers.drain(1 << 30)
            node.send_heartbeat()
            pending = node.observe_and_send(Frame(wall_clock(), frame.captures, frame.annotations))
            node.awaited_peers(pending)
            fused += len(node.fuse(pending).peer_frames)
            strict_json(state.to_json())
            if time.monotonic() - started > seconds:
                break
            if stream.tell() > RECORDING_BYTES:
                undrawn += recorder.undrawn
                recorder, stream = _recorder()
    node.peers.drain(1 << 30)
    (peer,) = node.peers.all()
    rejected, unknown = peer.rejection_counts(), node.peers.rejection_counts()[""]
    demand(
        not rejected["internal"] and not listener.rejected["internal"], f"own faults: {rejected}, {listener.rejected}"
    )
    counted = peer.messages + sum(rejected.values()) - rejected["fingerprint"] + sum(unknown.values())
    demand(counted >= given, f"a node was given {given} messages, and counted {counted}")
    demand(taken + sum(listener.rejected.values()) == sum(sent.values()), f"{taken} taken, {listener.rejected}")
    return {
        "messages": sum(sent.values()),
        "seconds": round(time.monotonic() - started, 1),
        "sent": dict(sent),
        "node": {"given": given, "taken": peer.messages, "rejected": dict(rejected), "unknown": dict(unknown)},
        "hostile frames fused": fused,
        "listener": {"taken": taken, "rejected": dict(listener.rejected)},
        "recorded, and not drawn": undrawn + recorder.undrawn,
        "memory grew by (MB)": round((psutil.Process().memory_info().rss - memory) / 1e6, 1),
    }


def _recorder() -> tuple[McapRecorder, io.BytesIO]:
    """Return what records, and the memory that it records into."""
    stream = io.BytesIO()
    writer: Any = Writer(stream)
    writer.start()
    return McapRecorder(writer), stream


if __name__ == "__main__":
    main()
