"""A node in real time: its source, its heartbeat, its reading and its work, each in a thread; nothing piles up."""

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack

from skyweave.core.errors import FleetError
from skyweave.fleet.config import NodeConfig
from skyweave.fleet.link.clocks import wall_clock
from skyweave.fleet.link.transport import MessageCallback
from skyweave.fleet.node.latest_value import LatestValue
from skyweave.fleet.node.node import FusedScene, Node, PendingFrame
from skyweave.fleet.perceivers.base import Perceiver
from skyweave.fleet.sources.base import ImageSource
from skyweave.recordings.recording import Frame

log = logging.getLogger("skyweave.fleet")
LATEST = 2.0  # intervals after its capture at which a moment is no longer worth beginning with
POLL = 0.05  # seconds
LARGEST_PICTURE = 1 << 26  # bytes, of a session for pictures


def run_node(
    node: Node,
    source: ImageSource,
    done: Callable[[FusedScene], None],
    stop: threading.Event,
    frames: int | None = None,
) -> None:
    """Work until stopped, or until so many pictures are made. The node is closed.

    Args:
        node: to run.
        source: of its moments.
        done: called with each picture, in this thread.
        stop: ends it.
        frames: number of pictures after which it ends.

    Raises:
        whatever the source raises: a source that breaks ends the node, and its supervisor starts it again.
    """
    newest: LatestValue[Frame] = LatestValue()
    faults: list[BaseException] = []
    threads = [
        threading.Thread(target=_guarded, args=(work, stop, faults), name=name, daemon=True)
        for name, work in (
            ("source", lambda: _watch(source, node, newest, stop)),
            ("heartbeat", lambda: _beat(node, stop)),
            ("reading", lambda: _read(node, stop)),
        )
    ]
    for thread in threads:
        thread.start()
    made = 0
    try:
        while not stop.is_set() and (frames is None or made < frames):
            moment = newest.take(POLL)
            if moment is None:
                continue
            if node.clock() - moment.time > LATEST * node.interval * 1e9:
                node.statistics.dropped("late")
                continue
            sent = node.send(moment)
            _wait_for_others(node, sent, stop)
            done(node.finish(sent))
            made += 1
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=5)
        node.close()
    if faults:
        raise faults[0]


def build_perceiver(config: NodeConfig) -> "Perceiver[object]":
    """What sees, as a node's configuration says."""
    from skyweave.fleet.perceivers.late_fusion import GroundTruthPerceiver, LateFusionPerceiver

    said = config.perceiver
    if said.kind == "ground_truth":
        return GroundTruthPerceiver(  # type: ignore[return-value]
            said.categories, said.seed, said.missed, said.noise, said.size, said.resolution, config.source.interval
        )
    from skyweave.perception.weights import load_perception

    assert said.weights is not None
    if said.kind == "intermediate_fusion":
        from skyweave.collaboration.weights import load_collaborative_model
        from skyweave.fleet.perceivers.intermediate_fusion import IntermediateFusionPerceiver

        return IntermediateFusionPerceiver(load_collaborative_model(said.weights, said.strategy))  # type: ignore[return-value]
    model = load_perception(said.weights)
    return LateFusionPerceiver(model)  # type: ignore[return-value]


def build_node(config: NodeConfig) -> tuple[Node, ImageSource]:
    """A node over Zenoh and its source, as its configuration says.

    Raises:
        ValueError, FileNotFoundError: what is wrong with it; messages in the clear beyond this machine among them.
    """
    from skyweave.fleet.link.clocks import offset_clock
    from skyweave.fleet.link.trust import load_credentials
    from skyweave.fleet.link.zenoh import ZenohTransport, check_encryption
    from skyweave.fleet.sources.base import open_source

    trust = None if config.keys is None else load_credentials(config.keys, config.name)
    certificates = None if trust is None else trust.certificates
    check_encryption(config.transport, certificates, config.allow_clear)
    if trust is not None and config.source.kind in ("topic", "ros2") and not config.source.connect:
        raise FleetError(
            "with keys the fleet's session carries nothing but the fleet's messages: say where the pictures come from, "
            "such as source.connect: [tcp/127.0.0.1:7447]"
        )
    perceiver = build_perceiver(config)
    transport = ZenohTransport(
        config.transport, certificates, config.fleet, None if trust is None else list(trust.members), config.relays
    )
    with ExitStack() as failing:
        failing.callback(transport.close)
        subscribe: Callable[[str, MessageCallback], Callable[[], None]] = transport.subscribe
        if config.source.connect:
            subscribe, close = _session_of_its_own(config.source.connect, config.allow_clear)
            failing.callback(close)
        source = open_source(config.source, config.name, subscribe)
        clock = offset_clock(config.clock_offset) if config.clock_offset else wall_clock
        node = Node(
            config.fleet, config.name, perceiver, transport, source.place, config.options, config.number, trust, clock,
            config.source.interval,
        )  # fmt: skip
        failing.pop_all()
    return node, source


def _session_of_its_own(
    connect: list[str], allow_clear: bool
) -> tuple[Callable[[str, MessageCallback], Callable[[], None]], Callable[[], None]]:
    """``subscribe`` of a session beside the fleet's, which is closed when its last subscription ends; and ``close``."""
    from skyweave.fleet.link.zenoh import ZenohConfig, ZenohTransport, check_encryption

    config = ZenohConfig(listen=[], connect=connect, largest=LARGEST_PICTURE)
    check_encryption(config, None, allow_clear)
    transport, ends = ZenohTransport(config), []

    def subscribe(pattern: str, heard: MessageCallback) -> Callable[[], None]:
        ends.append(end := transport.subscribe(pattern, heard))

        def ended() -> None:
            end()
            if end in ends:
                ends.remove(end)
                if not ends:
                    transport.close()

        return ended

    return subscribe, transport.close


def _watch(source: ImageSource, node: Node, newest: LatestValue[Frame], stop: threading.Event) -> None:
    for moment in source.moments(node.clock, stop):
        if newest.put(moment):
            node.statistics.dropped("superseded")
    stop.set()  # a source that has come to its end


def _beat(node: Node, stop: threading.Event) -> None:
    while not stop.wait(node.options.beat):
        node.beat()


def _read(node: Node, stop: threading.Event) -> None:
    while not stop.is_set():
        if node.peers.arrived.wait(POLL):
            node.peers.arrived.clear()
            node.peers.read()
            node.peers.progress.set()


def _wait_for_others(node: Node, sent: PendingFrame, stop: threading.Event) -> None:
    with node.statistics.stage("wait"):
        while node.missing(sent) and not stop.is_set():
            left = (node.deadline(sent) - node.clock()) / 1e9
            if left <= 0:
                return
            node.peers.progress.wait(min(left, POLL))  # peers may become overdue one by one
            node.peers.progress.clear()


def _guarded(work: Callable[[], None], stop: threading.Event, faults: list[BaseException]) -> None:
    """A thread that fails ends the node, loudly."""
    try:
        work()
    except BaseException as error:
        log.exception("a thread of the node failed")
        faults.append(error)
        stop.set()
