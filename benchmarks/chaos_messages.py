"""A member with good keys sends mutations of every kind of message to a node, the page, a client, recorders and replay.

    skyweave simulate configs/world/hidden.yaml -o recordings/hidden --scenes 1 --frames 8
    OMP_NUM_THREADS=1 python benchmarks/chaos_messages.py recordings/hidden --messages 1000000 --chromium chromium

All of them run at once, in this process, over a loopback network with signatures; what the member has sent is played
by `replay` as well, a part at a time, for another page. Limits on rates are lifted for them, so that
every message is read and not just refused for being one too many; `benchmarks/fleet_hostile.py` floods a fleet of
processes that has its limits. Exit status 1 where an invariant does not hold: nothing ends, a recording is readable and
holds valid messages only, nobody is taken for another, what the page and the client get of honest platforms stays
fresh, honest platforms are still fused, and every message is taken or counted as refused. Several runs (`--seed`) may
be added up: each appends its report to the file of `--runs`, and `--json` makes a table of all that are in it.
"""

import argparse
import asyncio
import dataclasses
import functools
import gc
import json
import math
import queue
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
from chaos_browser import ShownPage
from chaos_invariants import Violation, demand, strict_json
from chaos_mutations import KINDS, Mutator
from result_file import append_report, write_result

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
from skyweave.fleet.sinks.mcap_reading import MAX_RECORD_BYTES
from skyweave.fleet.sinks.messages import RosSinkConfig, SceneSinkConfig
from skyweave.fleet.sinks.publisher import ScenePublisher
from skyweave.fleet.sinks.recorder import RecordingSession, get_recorder
from skyweave.fleet.sinks.replay import ReplayCount, replay
from skyweave.fleet.sinks.subscriber import FleetSubscriber, ReceivedMessage
from skyweave.fleet.sources.base import ImageSource, SourceContext
from skyweave.fleet.sources.recording import RecordingSourceConfig
from skyweave.fleet.supervisor.runtime import run_node

FLEET, HONEST, HOSTILE = "chaos", ("UAV_1", "UAV_2"), "UAV_3"
UNLIMITED = PeerLimits(
    bytes_per_second=1e12, messages_per_second=1e12, invalid_cost=0.0, queue_size=100_000, max_message_bytes=1 << 20
)
SINKS: list[SinkConfig] = [SceneSinkConfig(), RosSinkConfig(), CameraSinkConfig()]
MAX_AGE_S = 10.0  # of what page and client have of an honest platform: this process may be slow
GARBAGE_OBJECTS = 50_000  # new ones after which they are looked through
REPLAYED_PART = 5000  # hostile messages in one recording
SWITCH_S = 0.0001  # between threads: each signature that is checked gives the turn away, and gets it back after so long

NodeMaker = Callable[[str, LoopbackTransport, Credentials], tuple[Node, ImageSource]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording", help="folder of a recording with UAV_1 and UAV_2")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--interval", type=float, default=0.5, help="seconds between two frames of a node")
    parser.add_argument("--chromium", help="program of a browser that shows the page meanwhile")
    parser.add_argument("--seconds", type=float, default=math.inf, help="after which it ends, whatever is left")
    parser.add_argument("--quiet", type=float, default=0.0, help="seconds before, in which the rate of fusion is taken")
    parser.add_argument("--runs", type=Path, help="file to which the report is appended")
    parser.add_argument("--json", type=Path, help="file for a table of all reports in it")
    args = parser.parse_args()
    sys.setswitchinterval(SWITCH_S)

    def make(name: str, transport: LoopbackTransport, credentials: Credentials) -> tuple[Node, ImageSource]:
        source = RecordingSourceConfig(args.recording, interval=args.interval).build(SourceContext(name))
        perceiver = GroundTruthPerceiver(("car", "truck", "bus", "bicycle", "pedestrian"), interval=args.interval)
        options = NodeOptions(limits=UNLIMITED, max_wait=0.2)
        node = Node(FLEET, name, perceiver, transport, source.world_frame, options, credentials=credentials)
        return node, source

    try:
        report = attack(make, args.messages, args.seed, args.chromium, args.seconds, args.quiet)
    except Violation as violation:
        print(f"VIOLATED: {violation}", file=sys.stderr)
        sys.exit(1)
    print(json.dumps(report, indent=1))
    reports = append_report(args.runs, report) if args.runs else [report]
    if args.json:
        write_result(args.json, "Hostile messages to everything at once", table(reports), f"{len(reports)} runs.")


def table(reports: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return (measure, value) of several runs together."""

    def total(*keys: str) -> Any:
        return sum(functools.reduce(dict.__getitem__, keys, report) for report in reports)

    def refused(*keys: str) -> Any:
        return sum(sum(functools.reduce(dict.__getitem__, keys, report).values()) for report in reports)

    rates = [report["rate of fusion"] for report in reports if report["rate of fusion"] is not None] or [math.nan]
    pages = [report["browser"] for report in reports if "browser" in report]
    oldest = max((page["oldest that was live (s)"] for page in pages), default=math.nan)
    rows = {
        "hostile messages": f"{total('messages'):,}",
        "heartbeats and frames of the member that a node took": f"{total('node', 'taken'):,}",
        "refused by the node, by reason": f"{refused('node', 'rejected'):,}",
        "messages of all platforms that a listener took": f"{refused('listener', 'taken'):,}",
        "refused by the listener, by reason": f"{refused('listener', 'rejected'):,}",
        "played by replay": f"{total('replayed of hostile ones', 'played'):,}",
        "refused by replay": f"{total('replayed of hostile ones', 'refused'):,}",
        "recorded, and read again": f"{total('replayed', 'played'):,}",
        "of these not valid": f"{total('replayed', 'refused'):,}",
        "rate of honest fusion, as a share of that before": f"{min(rates):.2f} to {max(rates):.2f}",
        "times that the page in the browser was looked at": f"{sum(page['looks'] for page in pages):,}",
        "of these live": f"{sum(page['live'] for page in pages):,}",
        "oldest that was shown as live (s)": f"{oldest:.1f}",
        "memory grew by at most (MB)": f"{max(report['memory grew by (MB)'] for report in reports):.0f}",
    }
    return [{"measure": measure, "value": value} for measure, value in rows.items()]


def attack(
    make: NodeMaker,
    messages: int,
    seed: int = 0,
    chromium: str | None = None,
    seconds: float = math.inf,
    quiet: float = 0.0,
) -> dict[str, Any]:
    """Send mutated messages; return what came of them. Raises `Violation` where an invariant does not hold."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, unlimited_listeners(), ExitStack() as stack:
        keys = Path(folder) / "keys"
        create_keys(keys, [*HONEST, HOSTILE], viewers=["viewer"])
        targets = Targets(stack, make, Path(folder), keys)
        targets.await_scenes()
        gc.collect()
        gc.freeze()  # what is loaded by now stays: looking through it for garbage took a sixth of the time
        gc.set_threshold(GARBAGE_OBJECTS)
        memory = psutil.Process().memory_info().rss
        page = (
            stack.enter_context(ShownPage(chromium, Path(folder), targets.address, HONEST[0], MAX_AGE_S))
            if chromium
            else None
        )
        before = targets.quiet_rate(quiet) if quiet else None
        sent, took = send_mutations(targets, messages, seed, seconds)
        report = {"messages": sum(sent.values()), "seconds": round(took, 1), "sent": dict(sent), **targets.check(took)}
        report["rate of fusion"] = before and round(report["of these with the other honest one"] / took / before, 3)
        report["memory grew by (MB)"] = round((psutil.Process().memory_info().rss - memory) / 1e6, 1)
        if page is not None:
            report["browser"] = page.report()
        report |= targets.finish()
        replayed = sum(report["replayed of hostile ones"].values()) + targets.unrecorded
        demand(replayed == report["messages"], f"replay has left out {report['messages'] - replayed}")
        report["larger than a record may be"] = targets.unrecorded
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
        self.unrecorded = 0  # messages of the hostile member
        stack.callback(self.stop.set)
        self.auditor = FleetSubscriber(FLEET, self.network.join(), str(keys))
        self.auditor.transport.subscribe(f"skyweave/{FLEET}/**", self._count_delivered)
        self.auditor.subscribe_all(self._audit)
        self.state, close = watch_fleet(FLEET, self.network.join(), str(keys))
        stack.callback(close)
        self.address = stack.enter_context(serve_in_background(self.state))
        self.client = stack.enter_context(FleetClient(FLEET, transport=self.network.join(), keys=str(keys)))
        self.threads = [self._thread(self._read_scenes, "client"), self._thread(self._ask_page, "page")]
        self.to_replay: queue.Queue[Path] = queue.Queue()
        self.replayed = ReplayCount()
        self.threads.append(self._thread(self._replay_hostile, "replay"))
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

    def quiet_rate(self, seconds: float) -> float:
        """Return how often a second an honest node fuses the other one while nobody attacks."""
        started = time.monotonic()
        time.sleep(seconds)
        return self._fused_since(started)[1] / (time.monotonic() - started)

    def _fused_since(self, started: float) -> tuple[int, int]:
        """Return how many scenes an honest node fused since then, and how many of these with the other one."""
        recent = [peers for at, peers in self.fused[HONEST[0]] if at > started]
        return len(recent), sum(HONEST[1] in peers for peers in recent)

    def check(self, seconds: float) -> dict[str, Any]:
        """Check the invariants while everything runs; return figures."""
        self._raise_faults()
        scenes, fused = self._fused_since(time.monotonic() - seconds)
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
        return {
            "node": {"taken": peer.messages, "rejected": dict(rejected), "unknown": dict(node.peers.unknown_senders)},
            "listener": {"taken": dict(self.taken), "rejected": dict(self.auditor.rejected)},
            "scenes fused by an honest node": scenes,
            "of these with the other honest one": fused,
            "faults in the log": self.faults,
        }

    def finish(self) -> dict[str, Any]:
        """End everything; check and replay the recording."""
        self.stop.set()
        for thread in self.threads:
            thread.join(120)
            demand(not thread.is_alive(), f"{thread.name} does not end")
        self._raise_faults()
        counted = sum(self.auditor.rejected.values()) + sum(self.taken.values())
        demand(counted == self.delivered, f"{self.delivered} messages came, {counted} were taken or counted as refused")
        demand(self.counts["mcap"] > 0 and self.counts["rrd"] > 0, f"nothing was recorded: {self.counts}")
        played = replay(self.folder / "chaos.mcap", LoopbackNetwork().join(), threading.Event(), speed=1e6)
        demand(played.played == self.counts["mcap"] and not played.refused, f"{played} of {self.counts}")
        return {"recorded": self.counts, "replayed": vars(played), "replayed of hostile ones": vars(self.replayed)}

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

    def _replay_hostile(self) -> None:
        """Play what the hostile member has sent on a network of its own, which another page shows."""
        network = LoopbackNetwork()
        state, close = watch_fleet(FLEET, network.join())
        while not (self.stop.is_set() and self.to_replay.empty()):
            try:
                path = self.to_replay.get(timeout=0.2)
            except queue.Empty:
                continue
            try:
                count = replay(path, network.join(), threading.Event(), speed=1e6)
                self.replayed.played += count.played
                self.replayed.refused += count.refused
            finally:
                path.unlink()
            strict_json(state.to_json())
        close()

    def _record(self, suffix: str, keys: str) -> None:
        path = self.folder / f"chaos.{suffix}"
        session = RecordingSession(FLEET, self.network.join(), self.stop, keys=keys)
        self.counts[suffix] = get_recorder(path)(path, session)


def send_mutations(targets: Targets, messages: int, seed: int, seconds: float) -> tuple[Counter[str], float]:
    """Send mutations of all kinds in turns, signed by the hostile member; return their numbers and the seconds."""
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
    part: list[tuple[str, bytes]] = []
    for index in range(messages):
        kind = KINDS[index % len(KINDS)]
        topic, message = mutator.message(kind)
        transport.publish(topic, seal(sealer, topic, message, mutator))
        sent[kind] += 1
        if len(message) <= MAX_RECORD_BYTES // 2:  # three lists grown in one another: larger than a record may be
            part.append((topic, message))
        else:
            targets.unrecorded += 1
        if len(part) == REPLAYED_PART:
            targets.to_replay.put(write_part(targets.folder / f"hostile-{index}.mcap", part))
            part = []
        if index % 200 == 199:
            targets._raise_faults()
            time.sleep(0.001)  # others have their turn
            if time.monotonic() - started > seconds:
                break
    if part:
        targets.to_replay.put(write_part(targets.folder / "hostile.mcap", part))
    return sent, time.monotonic() - started


def write_part(path: Path, messages: list[tuple[str, bytes]]) -> Path:
    """Write a recording as only a hostile one is: with what no recorder takes."""
    from mcap.writer import CompressionType, Writer

    with path.open("wb") as stream:
        writer: Any = Writer(stream, compression=CompressionType.NONE)  # parts of it are not typed
        writer.start()
        channels: dict[str, int] = {}
        for index, (topic, message) in enumerate(messages):
            if topic not in channels:
                channels[topic] = writer.register_channel(topic=topic, message_encoding="skyweave", schema_id=0)
            writer.add_message(channels[topic], index, message, index)
        writer.finish()
    return path


def seal(sealer: EnvelopeSealer, topic: str, message: bytes, mutator: Mutator) -> bytes:
    """Return an envelope; a few have another form, stamp or topic than they should."""
    way = mutator.random.random()
    envelope = sealer.seal(topic if way > 0.01 else topic + "x", message)
    if way < 0.03:
        changed = bytearray(envelope)
        changed[mutator.random.randrange(12)] ^= 1 << mutator.random.randrange(8)
        return bytes(changed)
    return envelope


if __name__ == "__main__":
    main()
