"""A member with good keys sends mutations of every kind of message to a node, the page, a client, recorders and replay.

    skyweave simulate configs/world/hidden.yaml -o recordings/hidden --scenes 1 --frames 8
    OMP_NUM_THREADS=1 python benchmarks/chaos_messages.py recordings/hidden --messages 1000000

All of them run in this process over a loopback network, with signatures. Limits on rates are lifted for them, so that
every message is read and not just refused for being one too many; `benchmarks/fleet_hostile.py` floods a fleet of
processes that has its limits. Exit status 1 where an invariant does not hold: nothing ends, a recording is readable and
holds valid messages only, nobody is taken for another, what the page and the client get of honest platforms stays
fresh, honest platforms are still fused, and every message is taken or counted as refused.
"""

import argparse
import asyncio
import dataclasses
import importlib
import json
import math
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from aiohttp import ClientSession
from chaos_mutations import KINDS, Mutator

from skyweave.fleet import FleetClient
from skyweave.fleet.dashboard.page_server import serve_in_background
from skyweave.fleet.dashboard.state import watch_fleet
from skyweave.fleet.link.certificate_authority import create_keys
from skyweave.fleet.link.clocks import wall_clock
from skyweave.fleet.link.credentials import Credentials, load_credentials
from skyweave.fleet.link.envelope import EnvelopeSealer
from skyweave.fleet.link.loopback import LoopbackNetwork, LoopbackTransport
from skyweave.fleet.link.rate_limit import PeerLimits
from skyweave.fleet.link.topics import heartbeat_topic
from skyweave.fleet.node.node import Node
from skyweave.fleet.node.options import NodeOptions
from skyweave.fleet.perceivers.ground_truth import GroundTruthPerceiver
from skyweave.fleet.sinks import sender as sender_module
from skyweave.fleet.sinks.base import SinkConfig
from skyweave.fleet.sinks.cameras import CameraSinkConfig
from skyweave.fleet.sinks.messages import RosSinkConfig, SceneSinkConfig
from skyweave.fleet.sinks.publisher import ScenePublisher
from skyweave.fleet.sinks.recorder import RecordingSession, get_recorder
from skyweave.fleet.sinks.replay import replay
from skyweave.fleet.sinks.subscriber import FleetSubscriber, ReceivedMessage
from skyweave.fleet.sources.base import ImageSource, SourceContext
from skyweave.fleet.sources.recording import RecordingSourceConfig
from skyweave.fleet.supervisor.runtime import run_node

FLEET, HONEST, HOSTILE = "chaos", ("UAV_1", "UAV_2"), "UAV_3"
UNLIMITED = PeerLimits(
    bytes_per_second=1e12, messages_per_second=1e12, invalid_cost=0.0, queue_size=100_000, max_message_bytes=1 << 20
)
SINKS: list[SinkConfig] = [SceneSinkConfig(), RosSinkConfig(), CameraSinkConfig(interval=0.5)]
MAX_AGE_S = 10.0  # of what page and client have of an honest platform: this process may be slow
MAX_REPLAYED = 50_000  # hostile messages that are put into a recording

NodeMaker = Callable[[str, LoopbackTransport, Credentials], tuple[Node, ImageSource]]


class Violation(AssertionError):
    """An invariant that does not hold."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording", help="folder of a recording with UAV_1 and UAV_2")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--interval", type=float, default=0.5, help="seconds between two frames of a node")
    parser.add_argument("--chromium", help="program of a browser that shows the page meanwhile")
    args = parser.parse_args()

    def make(name: str, transport: LoopbackTransport, credentials: Credentials) -> tuple[Node, ImageSource]:
        source = RecordingSourceConfig(args.recording, interval=args.interval).build(SourceContext(name))
        perceiver = GroundTruthPerceiver(("car", "truck", "bus", "bicycle", "pedestrian"), interval=args.interval)
        options = NodeOptions(limits=UNLIMITED, max_wait=0.2)
        node = Node(FLEET, name, perceiver, transport, source.world_frame, options, credentials=credentials)
        return node, source

    try:
        print(json.dumps(attack(make, args.messages, args.seed, args.chromium), indent=1))
    except Violation as violation:
        print(f"VIOLATED: {violation}", file=sys.stderr)
        sys.exit(1)


def attack(make: NodeMaker, messages: int, seed: int = 0, chromium: str | None = None) -> dict[str, Any]:
    """Send mutated messages; return what came of them. Raises `Violation` where an invariant does not hold."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, unlimited_listeners(), ExitStack() as stack:
        keys = Path(folder) / "keys"
        create_keys(keys, [*HONEST, HOSTILE], viewers=["viewer"])
        targets = Targets(stack, make, Path(folder), keys)
        targets.await_scenes()
        memory = psutil.Process().memory_info().rss
        browser = stack.enter_context(shown_page(chromium, Path(folder), targets.address)) if chromium else None
        sent, seconds = send_mutations(targets, messages, seed)
        report = {"messages": messages, "seconds": round(seconds, 1), "sent": dict(sent), **targets.check(seconds)}
        report["memory grew by (MB)"] = round((psutil.Process().memory_info().rss - memory) / 1e6, 1)
        if browser is not None:
            report["browser"] = browser()
        report |= targets.finish()
    return report


@contextmanager
def unlimited_listeners() -> Iterator[None]:
    """Lift the limits on rates of those who only listen."""
    before = sender_module.LISTENER_LIMITS
    sender_module.LISTENER_LIMITS = dataclasses.replace(
        before, bytes_per_second=1e12, messages_per_second=1e12, invalid_cost=0.0
    )
    try:
        yield
    finally:
        sender_module.LISTENER_LIMITS = before


class Targets:
    """Everything that is attacked."""

    def __init__(self, stack: ExitStack, make: NodeMaker, folder: Path, keys: Path) -> None:
        self.network, self.stop, self.folder = LoopbackNetwork(), threading.Event(), folder
        self.faults: list[str] = []
        self.nodes: dict[str, Node] = {}
        self.fused: dict[str, list[tuple[float, set[str]]]] = {name: [] for name in HONEST}
        self.counts: dict[str, int] = {}
        self.credentials = {name: load_credentials(keys, name) for name in (*HONEST, HOSTILE)}
        self.taken: Counter[str] = Counter()
        self.delivered, self.counting = 0, threading.Lock()
        stack.callback(self.stop.set)
        self.auditor = FleetSubscriber(FLEET, self.network.join(), str(keys))
        self.auditor.transport.subscribe(f"skyweave/{FLEET}/**", self._count_delivered)
        self.auditor.subscribe_all(self._audit)
        self.state, close = watch_fleet(FLEET, self.network.join(), str(keys))
        stack.callback(close)
        self.address = stack.enter_context(serve_in_background(self.state))
        self.client = stack.enter_context(FleetClient(FLEET, transport=self.network.join(), keys=str(keys)))
        self.threads = [self._thread(self._read_scenes, "client"), self._thread(self._ask_page, "page")]
        for suffix in ("mcap", "rrd"):
            self.threads.append(self._thread(partial(self._record, suffix, str(keys)), suffix))
        for name in HONEST:
            node, source = make(name, self.network.join(), self.credentials[name])
            self.nodes[name] = node
            self.threads.append(self._thread(partial(self._run, node, source), name))

    def await_scenes(self) -> None:
        """Wait until both honest nodes fuse each other."""
        deadline = time.monotonic() + 60
        while not all(fused and fused[-1][1] for fused in self.fused.values()):
            self._raise_faults()
            if time.monotonic() > deadline:
                raise Violation("the honest nodes do not come together")
            time.sleep(0.05)

    def check(self, seconds: float) -> dict[str, Any]:
        """Check the invariants while everything runs; return figures."""
        self._raise_faults()
        node = self.nodes[HONEST[0]]
        deadline = time.monotonic() + 30
        while any(len(peer.queue) for peer in node.peers.all()) and time.monotonic() < deadline:
            time.sleep(0.05)
        peer = next(peer for peer in node.peers.all() if peer.name == HOSTILE)
        rejected = peer.rejection_counts()
        demand(not rejected["internal"], f"faults of this program's own: {rejected}")
        demand(not self.auditor.rejected["internal"], f"faults of this program's own: {self.auditor.rejected}")
        latest = self.client.latest(HONEST[0])
        demand(latest is not None and time.time() - latest["time"] < MAX_AGE_S, "the client's honest scene is old")
        page = strict_json(self.state.to_json())
        demand(page["age"].get(HONEST[0], math.inf) < MAX_AGE_S, f"the page's honest scene is old: {page['age']}")
        recent = [peers for at, peers in self.fused[HONEST[0]] if at > time.monotonic() - seconds]
        return {
            "node": {"taken": peer.messages, "rejected": dict(rejected), "unknown": dict(node.peers.unknown_senders)},
            "listener": {"taken": dict(self.taken), "rejected": dict(self.auditor.rejected)},
            "scenes fused by an honest node": len(recent),
            "of these with the other honest one": sum(HONEST[1] in peers for peers in recent),
            "faults in the log": self.faults,
        }

    def finish(self) -> dict[str, Any]:
        """End everything; check and replay the recording."""
        self.stop.set()
        for thread in self.threads:
            thread.join(60)
            demand(not thread.is_alive(), f"{thread.name} does not end")
        self._raise_faults()
        counted = sum(self.auditor.rejected.values()) + sum(self.taken.values())
        demand(counted == self.delivered, f"{self.delivered} messages came, {counted} were taken or counted as refused")
        demand(self.counts["mcap"] > 0 and self.counts["rrd"] > 0, f"nothing was recorded: {self.counts}")
        played = replay(self.folder / "chaos.mcap", LoopbackNetwork().join(), threading.Event(), speed=1e6)
        demand(played.played == self.counts["mcap"] and not played.refused, f"{played} of {self.counts}")
        hostile = replay(self.folder / "hostile.mcap", LoopbackNetwork().join(), threading.Event(), speed=1e6)
        return {"recorded": self.counts, "replayed": vars(played), "replayed of hostile ones": vars(hostile)}

    def _thread(self, work: Callable[[], None], name: str) -> threading.Thread:
        def guarded() -> None:
            try:
                work()
                if not self.stop.is_set():
                    self.faults.append(f"{name} has ended")
            except BaseException as error:
                self.faults.append(f"{name}: {type(error).__name__}: {error}")

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        return thread

    def _raise_faults(self) -> None:
        demand(not self.faults, "; ".join(self.faults))

    def _audit(self, received: ReceivedMessage) -> None:
        with self.counting:
            self.taken[received.address.kind] += 1

    def _count_delivered(self, topic: str, envelope: bytes) -> None:
        with self.counting:
            self.delivered += 1

    def _run(self, node: Node, source: ImageSource) -> None:
        publisher = ScenePublisher(node, SINKS)

        def on_scene(scene: Any) -> None:
            publisher.publish(scene)
            self.fused[node.name].append((time.monotonic(), {frame.peer for frame in scene.peer_frames}))

        run_node(node, source, on_scene, self.stop)

    def _read_scenes(self) -> None:
        while not self.stop.is_set():
            for scene in self.client.scenes(timeout=0.5):
                strict_json(json.dumps(scene))
                demand(scene["platform"] in (*HONEST, HOSTILE), f"a scene of {scene['platform']!r}")
                if self.stop.is_set():
                    return

    def _ask_page(self) -> None:
        async def ask() -> None:
            async with ClientSession() as session:
                while not self.stop.is_set():
                    async with session.get(self.address + "state") as response:
                        demand(response.status == 200, f"the page answers {response.status}")
                        strict_json(await response.text())
                    await asyncio.sleep(0.3)

        asyncio.run(ask())

    def _record(self, suffix: str, keys: str) -> None:
        path = self.folder / f"chaos.{suffix}"
        session = RecordingSession(FLEET, self.network.join(), self.stop, keys=keys)
        self.counts[suffix] = get_recorder(path)(path, session)


def send_mutations(targets: Targets, messages: int, seed: int) -> tuple[Counter[str], float]:
    """Send mutations of all kinds in turns, signed by the hostile member; return their numbers and the seconds."""
    from mcap.writer import CompressionType, Writer

    credentials, transport = targets.credentials[HOSTILE], targets.network.join()
    scene = targets.client.latest(HONEST[0])
    assert scene is not None
    number = credentials.members[HOSTILE].platform_id
    scene = {key: scene[key] for key in scene if key != "age"}
    mutator = Mutator(FLEET, HOSTILE, number, scene, wall_clock, seed, targets.nodes[HONEST[0]].grid)
    victim = targets.nodes[HONEST[0]]
    transport.subscribe(
        heartbeat_topic(FLEET, victim.name), lambda _, envelope: mutator.on_heartbeat(victim.platform_id, envelope)
    )
    sealer, sent, started = EnvelopeSealer(credentials.signing_key, wall_clock), Counter[str](), time.monotonic()
    with (targets.folder / "hostile.mcap").open("wb") as stream:
        writer = Writer(stream, compression=CompressionType.NONE)
        writer.start()
        channels: dict[str, int] = {}
        for index in range(messages):
            kind = KINDS[index % len(KINDS)]
            topic, message = mutator.message(kind)
            transport.publish(topic, seal(sealer, topic, message, mutator))
            sent[kind] += 1
            if index < MAX_REPLAYED:
                if topic not in channels:
                    channels[topic] = writer.register_channel(topic=topic, message_encoding="skyweave", schema_id=0)
                writer.add_message(channels[topic], index, message, index)
            if index % 200 == 199:
                targets._raise_faults()
                time.sleep(0.001)  # others have their turn
        finish: Callable[[], None] = writer.finish  # parts of it are not typed
        finish()
    return sent, time.monotonic() - started


def seal(sealer: EnvelopeSealer, topic: str, message: bytes, mutator: Mutator) -> bytes:
    """Return an envelope; a few have another form, stamp or topic than they should."""
    way = mutator.random.random()
    envelope = sealer.seal(topic if way > 0.01 else topic + "x", message)
    if way < 0.03:
        changed = bytearray(envelope)
        changed[mutator.random.randrange(12)] ^= 1 << mutator.random.randrange(8)
        return bytes(changed)
    return envelope


def strict_json(text: str) -> Any:
    """Parse JSON as a browser does."""

    def refuse(constant: str) -> None:
        raise Violation(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Violation(otherwise)


@contextmanager
def shown_page(program: str, folder: Path, address: str) -> Iterator[Callable[[], dict[str, Any]]]:
    """Show the page in a browser; give what returns how it looks, and demands that it is live."""
    sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
    loop = asyncio.new_event_loop()
    browser = importlib.import_module("headless").Browser(program, folder)
    loop.run_until_complete(browser.__aenter__())
    loop.run_until_complete(browser.open(address))

    def look() -> dict[str, Any]:
        async def ask() -> dict[str, Any]:
            text = "document.getElementById('connection').textContent"
            await browser.until(f"{text} === 'live'", 30)
            age = await browser.run(f"age({HONEST[0]!r})")
            demand(age < MAX_AGE_S, f"the browser shows {HONEST[0]} {age} s old")
            demand(not browser.complaints, f"the browser's console: {browser.complaints[:3]}")
            return {"connection": await browser.run(text), "age (s)": round(age, 2)}

        return loop.run_until_complete(ask())

    try:
        yield look
    finally:
        loop.run_until_complete(browser.__aexit__())
        loop.close()


if __name__ == "__main__":
    main()
