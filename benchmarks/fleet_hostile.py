"""A hostile member of a fleet: it has good keys, and does what it can with them.

    skyweave simulate configs/world/hidden.yaml -o recordings/hidden --scenes 1 --frames 40
    OMP_NUM_THREADS=1 python benchmarks/fleet_hostile.py recordings/hidden
    OMP_NUM_THREADS=1 python benchmarks/fleet_hostile.py --fuzz 1000000

Three honest nodes, mutual TLS and signatures. The fourth member sends as fast as it can: garbage, its own recorded
messages again, mutated ones of every kind (`chaos_mutations.py`), other members' frames under its own name and its own
under theirs, frames from the future. Compared: scenes, latency and processor time of an honest node, before and during.
`--fuzz` sends mutated messages to one unsigned node without a network and reports how they were rejected.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from chaos_mutations import KINDS, Mutator, with_valid_checksum

from skyweave.fleet import FleetClient
from skyweave.fleet.config import FleetConfig
from skyweave.fleet.link.certificate_authority import create_keys
from skyweave.fleet.link.clocks import offset_clock, wall_clock
from skyweave.fleet.link.credentials import load_credentials
from skyweave.fleet.link.envelope import EnvelopeSealer
from skyweave.fleet.link.heartbeat import decode_heartbeat
from skyweave.fleet.link.rate_limit import PeerLimits
from skyweave.fleet.link.topics import frame_topic, heartbeat_topic
from skyweave.fleet.link.zenoh import ZenohConfig, ZenohTransport
from skyweave.fleet.node.peers import Peers
from skyweave.fleet.supervisor.state import fleet_state
from skyweave.fleet.supervisor.supervisor import Supervisor
from skyweave.wire import BoxList, FrameContent, WireGrid, encode_frame

HONEST = ["UAV_1", "UAV_2", "UAV_3"]
HOSTILE = "UAV_4"
SIZE = 1200
ATTACKS = ("garbage",) * 4 + ("structured",) * 4 + ("replay", "mutated", "forged", "foreign", "future", "name")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording", nargs="?")
    parser.add_argument("--rate", type=float, default=50.0, help="MB a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--port", type=int, default=18450)
    parser.add_argument("--fuzz", type=int, metavar="MESSAGES")
    parser.add_argument("--attack", nargs=4, help=argparse.SUPPRESS)  # keys, port, rate, seconds: the hostile process
    args = parser.parse_args()
    if args.attack:
        attack(args.attack[0], int(args.attack[1]), float(args.attack[2]), float(args.attack[3]))
    elif args.fuzz:
        print(json.dumps(fuzz(args.fuzz), indent=1))
    else:
        print(json.dumps(flooded(args.recording, args.rate, args.seconds, args.port), indent=1))


def flooded(recording: str, rate: float, seconds: float, port: int) -> dict[str, Any]:
    """An honest fleet before and during an attack."""
    with tempfile.TemporaryDirectory() as folder:
        keys = f"{folder}/keys"
        create_keys(keys, [*HONEST, HOSTILE], viewers=["viewer"])
        node: dict[str, Any] = {
            "source": {"kind": "recording", "path": str(Path(recording).resolve()), "interval": 0.5},
            "perceiver": {"kind": "ground_truth"},
            "sinks": ["scene"],
            "options": {"max_wait": 0.3},
        }
        supervisor = Supervisor(FleetConfig("hostile", HONEST, node, {}, port, f"{folder}/state", keys))
        stop = threading.Event()
        thread = threading.Thread(target=supervisor.run, args=(stop,))
        thread.start()
        try:
            with FleetClient("hostile", [f"tls/127.0.0.1:{port + i}" for i in range(3)], keys) as client:
                end = time.monotonic() + 90
                while not all(len((client.latest(name) or {}).get("peer_frames", {})) == 2 for name in HONEST):
                    if time.monotonic() > end:
                        raise TimeoutError("the fleet does not come together")
                    time.sleep(0.1)
                time.sleep(3)
                idle = period(client, f"{folder}/state", seconds)
                burner = subprocess.Popen([sys.executable, "-c", "while True: pass"])  # what the attacker itself costs
                try:
                    before = period(client, f"{folder}/state", seconds)
                finally:
                    burner.kill()
                    burner.wait()
                command = [sys.executable, __file__, "--attack", keys, str(port), str(rate), str(seconds + 4)]
                attacker = subprocess.Popen(command, stdout=subprocess.PIPE)
                time.sleep(3)
                during = period(client, f"{folder}/state", seconds)
                report = attacker.communicate()[0]
                time.sleep(1.5)
                status = fleet_state(f"{folder}/state")["nodes"]["UAV_1"]["status"]
        finally:
            stop.set()
            thread.join()
    return {
        "alone": idle,
        "beside a process that only burns the processor": before,
        "during": during,
        "attack": json.loads(report),
        "rejected": {name: peer["rejected"] for name, peer in status["peers"].items()},
        "unknown senders": status["unknown_senders"],
    }


def period(client: FleetClient, state: str, seconds: float) -> dict[str, float]:
    """What an honest node does in so many seconds."""
    process = psutil.Process(fleet_state(state)["nodes"]["UAV_1"]["pid"])
    start, processor = time.monotonic(), sum(process.cpu_times()[:2])
    latencies, peer_counts, seen = [], [], set()
    while time.monotonic() - start < seconds:
        scene = client.latest("UAV_1")
        if scene is not None and scene["sequence"] not in seen:
            seen.add(scene["sequence"])
            latencies.append(scene["latency"])
            peer_counts.append(len(set(scene["peer_frames"]) & set(HONEST)))
        time.sleep(0.01)
    return {
        "scenes a second": round(len(seen) / seconds, 3),
        "latency p50 (s)": round(float(np.median(latencies)), 4),
        "latency p99 (s)": round(float(np.quantile(latencies, 0.99)), 4),
        "honest peers a scene": round(float(np.mean(peer_counts)), 3),
        "processor (s a second)": round((sum(process.cpu_times()[:2]) - processor) / seconds, 3),
        "memory (MB)": round(process.memory_info().rss / 1e6, 1),
    }


def attack(keys: str, port: int, rate: float, seconds: float) -> None:
    """The hostile process."""
    credentials = load_credentials(keys, HOSTILE)
    connect = [f"tls/127.0.0.1:{port + i}" for i in range(3)]
    transport = ZenohTransport(ZenohConfig(["tls/127.0.0.1:0"], connect), credentials.certificates)
    recorded: list[tuple[str, bytes]] = []
    transport.subscribe(
        "skyweave/hostile/**", lambda topic, message: recorded.append((topic, message)) if len(recorded) < 500 else None
    )
    time.sleep(2)
    attacker_topic, generator = frame_topic("hostile", HOSTILE), random.Random(0)
    now = EnvelopeSealer(credentials.signing_key, wall_clock)
    future = EnvelopeSealer(credentials.signing_key, offset_clock(5.0))
    chunks = [now.seal(attacker_topic, chunk) for chunk in frames(credentials.members[HOSTILE].platform_id)]
    later = [
        future.seal(attacker_topic, chunk) for chunk in frames(credentials.members[HOSTILE].platform_id, 5 * 10**9)
    ]
    foreign = [now.seal(attacker_topic, chunk) for chunk in frames(credentials.members["UAV_2"].platform_id)]
    good = [*chunks, *(message for _, message in recorded)] or [b"x" * SIZE]
    garbage = generator.randbytes(SIZE)
    scenes = [message for topic, message in recorded if topic.endswith("/scene")]
    scene = json.loads(scenes[0][12:-64]) if scenes else {"views": [{"position": [0, 0, 0]}]}
    number = credentials.members[HOSTILE].platform_id
    mutator = Mutator("hostile", HOSTILE, number, scene, wall_clock, grid=heartbeat_grid(recorded))
    sent, size, start = Counter[str](), 0, time.monotonic()
    while time.monotonic() - start < seconds:
        for _ in range(25):
            kind = generator.choice(ATTACKS)
            topic, message = attacker_topic, garbage
            if kind == "replay":
                topic, message = (
                    (attacker_topic, generator.choice(chunks)) if not recorded else generator.choice(recorded)
                )
            elif kind == "mutated":
                changed = bytearray(generator.choice(good))
                changed[generator.randrange(len(changed))] ^= 1 << generator.randrange(8)
                message = bytes(changed)
            elif kind == "structured":
                topic, content = mutator.message(generator.choice(KINDS))
                message = now.seal(topic, content)
            elif kind in ("forged", "name"):
                topic = frame_topic("hostile", "UAV_2") if kind == "forged" else heartbeat_topic("hostile", "nobody")
                message = generator.choice(chunks)
            elif kind in ("foreign", "future"):
                message = generator.choice(foreign if kind == "foreign" else later)
            transport.publish(topic, message)
            sent[kind] += 1
            size += len(message)
        ahead = size / (rate * 1e6) - (time.monotonic() - start)
        if ahead > 0:
            time.sleep(ahead)
    took = time.monotonic() - start
    print(json.dumps({"messages": sent, "MB a second": round(size / took / 1e6, 1)}))
    transport.close()


def heartbeat_grid(recorded: list[tuple[str, bytes]]) -> tuple[int, int]:
    """Return (micrometres a cell, EPSG code) of the fleet's maps, from a heartbeat."""
    for topic, envelope in recorded:
        heartbeat = decode_heartbeat(envelope[12:-64]) if "/alive/" in topic else None
        if heartbeat is not None:
            return heartbeat.resolution, heartbeat.epsg
    return 500_000, 0


def fuzz(count: int) -> dict[str, Any]:
    """Mutated messages of an unsigned peer, so that every layer is reached."""
    peers = Peers(1, wall_clock, limits=PeerLimits(bytes_per_second=1e12, messages_per_second=1e12, queue_size=100_000))
    sealer, generator = EnvelopeSealer(None, wall_clock), random.Random(0)
    topic = frame_topic("fuzz", "UAV_2")
    before = psutil.Process(os.getpid()).memory_info().rss
    start = time.perf_counter()
    for done in range(0, count, 1000):
        chunks = frames(2)
        originals = [sealer.seal(topic, chunk) for chunk in chunks]
        for _ in range(min(1000, count - done)):
            if generator.random() < 0.5:  # with lengths and checksums that are right, to get beyond them
                peers.on_message(topic, sealer.seal(topic, with_valid_checksum(generator.choice(chunks), generator)))
                continue
            changed = bytearray(generator.choice(originals))
            for _ in range(generator.randint(1, 3)):
                changed[generator.randrange(4, len(changed))] = generator.randrange(256)
            if generator.random() < 0.2:
                del changed[generator.randrange(4, len(changed)) :]
            if generator.random() < 0.1:
                changed[:8] = sealer.seal(topic, b"")[:8]
            peers.on_message(topic, bytes(changed))
        peers.drain(1 << 30)
        for peer in peers.all():
            peers.frames(peer)
    seconds = time.perf_counter() - start
    (peer,) = peers.all()
    after = psutil.Process(os.getpid()).memory_info().rss
    return {
        "messages": count,
        "taken": peer.messages,
        "rejected": dict(peer.rejection_counts()),
        "seconds": round(seconds, 1),
        "memory grew by (MB)": round((after - before) / 1e6, 1),
    }


def frames(number: int, ahead: int = 0) -> list[bytes]:
    """One frame's chunks."""
    generator = np.random.default_rng(number)
    n = 60
    boxes = BoxList(
        generator.uniform(-10, 10, (n, 3)), np.full((n, 3), 2.0), np.zeros(n), np.zeros(n, int), np.full(n, 0.9),
        np.zeros((n, 2)),
    )  # fmt: skip
    time_now = wall_clock() + ahead
    sequence = time_now // 10**8 % (1 << 32)
    return encode_frame(
        FrameContent(number, sequence, time_now, WireGrid(-40, 40, 500_000, 80, 80), boxes=boxes), mtu=600
    )


if __name__ == "__main__":
    main()
