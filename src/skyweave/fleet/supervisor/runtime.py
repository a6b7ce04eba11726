"""A node in real time: its source, its heartbeats, its reading and its work, each in a thread; nothing piles up."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

from skyweave.fleet.config import NodeConfig
from skyweave.fleet.link.clocks import NS_PER_S, SteadyClock, offset_clock, wall_clock
from skyweave.fleet.link.transport import Membership
from skyweave.fleet.node.fused_scene import FusedScene, PendingFrame
from skyweave.fleet.node.latest_value import LatestValue
from skyweave.fleet.node.node import Node
from skyweave.fleet.sources.base import ImageSource, SourceContext
from skyweave.fleet.supervisor.watchdog import Watchdog, WatchedStop
from skyweave.recordings.recording import Frame

log = logging.getLogger("skyweave.fleet")
EXPIRY_INTERVALS = 2.0  # after its capture at which a frame is no longer worth beginning with
POLL_S = 0.05
JOIN_TIMEOUT_S = 5


def run_node(
    node: Node,
    source: ImageSource,
    on_scene: Callable[[FusedScene], None],
    stop: threading.Event,
    max_frames: int | None = None,
    watchdog: Watchdog | None = None,
) -> None:
    """Work until stopped, or until so many scenes are fused. The node is closed.

    Args:
        node: to run.
        source: of its frames.
        on_scene: called with each fused scene, in this thread.
        stop: ends it.
        max_frames: scenes after which it ends; None: never.
        watchdog: to which each thread gives its signs; None: nobody looks.

    Raises:
        Exception: whatever the source raises: a source that breaks ends the node, and its supervisor starts it again.
    """
    latest: LatestValue[Frame] = LatestValue()
    faults: list[BaseException] = []
    watchdog = watchdog or Watchdog(node.options.hang_timeout)
    threads = _start_threads(source, node, latest, stop, faults, watchdog)
    count, watched_stop = 0, WatchedStop(stop, lambda: watchdog.sign("work"))
    try:
        while not watched_stop.is_set() and (max_frames is None or count < max_frames):
            frame = latest.take(POLL_S)
            if frame is None:
                continue
            if abs(node.clock() - frame.time) > EXPIRY_INTERVALS * node.interval * NS_PER_S:  # or the clock was set
                node.statistics.count_dropped_frames("expired")
                continue
            pending = node.observe_and_send(frame)
            _wait_for_peers(node, pending, stop)
            on_scene(node.fuse(pending))
            count += 1
            watchdog.begin_work()
    finally:
        watchdog.dismiss("work")
        _end_threads(stop, threads, node)
    if faults:
        raise faults[0]


def _start_threads(
    source: ImageSource,
    node: Node,
    latest: LatestValue[Frame],
    stop: threading.Event,
    faults: list[BaseException],
    watchdog: Watchdog,
) -> list[threading.Thread]:
    """Start the threads that work beside the main loop."""
    work: dict[str, Callable[[threading.Event], None]] = {
        "source": lambda stop: _watch_source(source, node, latest, stop),
        "heartbeat": lambda stop: _send_heartbeats(node, stop),
        "reading": lambda stop: _read_messages(node, stop),
    }
    threads = [
        threading.Thread(target=_guard, args=(name, target, stop, faults, watchdog), name=name, daemon=True)
        for name, target in work.items()
    ]
    for thread in threads:
        thread.start()
    return threads


def _end_threads(stop: threading.Event, threads: list[threading.Thread], node: Node) -> None:
    """Stop the threads and close the node."""
    stop.set()
    for thread in threads:
        thread.join(timeout=JOIN_TIMEOUT_S)
    node.close()


def build_node(config: NodeConfig) -> tuple[Node, ImageSource]:
    """Build a node and its source from a configuration.

    Args:
        config: of the node.

    Raises:
        SkyweaveError: what is wrong with it; messages in the clear beyond this machine among them.
        FileNotFoundError: a file that it names.
    """
    from skyweave.fleet.link.credentials import load_credentials

    credentials = None if config.keys is None else load_credentials(config.keys, config.name)
    membership = Membership(config.fleet, credentials, config.allow_clear)
    perceiver = config.perceiver.build(config.source.interval)
    with ExitStack() as on_failure:
        transport = config.transport.build(membership)
        on_failure.callback(transport.close)
        subscribe = transport.subscribe if credentials is None else None
        source = config.source.build(SourceContext(config.name, subscribe, config.allow_clear))
        clock = SteadyClock(offset_clock(config.clock_offset) if config.clock_offset else wall_clock)
        node = Node(
            config.fleet,
            config.name,
            perceiver,
            transport,
            source.world_frame,
            config.options,
            config.platform_id,
            credentials,
            clock,
            config.source.interval,
        )
        on_failure.pop_all()
    return node, source


def _watch_source(source: ImageSource, node: Node, latest: LatestValue[Frame], stop: threading.Event) -> None:
    for frame in source.frames(node.clock, stop):
        stop.is_set()  # a frame is a sign of life
        if latest.put(frame):
            node.statistics.count_dropped_frames("superseded")
    stop.set()  # a source that has come to its end


def _send_heartbeats(node: Node, stop: threading.Event) -> None:
    while not stop.wait(node.options.heartbeat_interval):
        node.send_heartbeat()


def _read_messages(node: Node, stop: threading.Event) -> None:
    while not stop.is_set():
        if node.peers.arrived.wait(POLL_S):
            node.peers.arrived.clear()
            node.peers.drain()
            node.peers.progress.set()


def _wait_for_peers(node: Node, pending: PendingFrame, stop: threading.Event) -> None:
    end = time.monotonic() + node.options.max_wait + node.interval  # whatever happens to the clock
    with node.statistics.time_stage("wait"):
        while node.awaited_peers(pending) and not stop.is_set():
            remaining = min((node.deadline(pending) - node.clock()) / NS_PER_S, end - time.monotonic())
            if remaining <= 0:
                return
            node.peers.progress.wait(min(remaining, POLL_S))  # peers may become overdue one by one
            node.peers.progress.clear()


def _guard(
    name: str,
    work: Callable[[threading.Event], None],
    stop: threading.Event,
    faults: list[BaseException],
    watchdog: Watchdog,
) -> None:
    """Run a thread's work, whose looks at the event are its signs of life; one that fails ends the node, loudly."""
    watchdog.sign(name)
    try:
        work(WatchedStop(stop, lambda: watchdog.sign(name)))
    except BaseException as error:
        faults.append(error)
        stop.set()
        log.exception("a thread of the node failed")
    finally:
        watchdog.dismiss(name)
