"""A node as a process: its signals, its log, its status; and processes of many nodes that start fast.

Half of the second that a node needs to start goes into importing libraries. `start_process` forks from a process that
has imported them already (multiprocessing's fork server), so that a node that was killed is back before it is missed.
"""

import logging
import multiprocessing
import multiprocessing.connection
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyweave.core.config import load_config_file
from skyweave.core.errors import SkyweaveError
from skyweave.core.signals import on_end_signal
from skyweave.fleet.config import NodeConfig
from skyweave.fleet.supervisor.fork_server import process_context
from skyweave.fleet.supervisor.logs import set_up_logging

if TYPE_CHECKING:
    from skyweave.fleet.node.fused_scene import FusedScene
    from skyweave.fleet.node.node import Node
    from skyweave.fleet.sinks.publisher import ScenePublisher

LOG_INTERVAL_S = 5.0  # between two lines about scenes
STATUS_INTERVAL_S = 1.0
NS_PER_S = 10**9
USER_ERROR, FAULT = 2, 1  # exit codes


def run_process(config: NodeConfig, as_json: bool = False) -> dict[str, Any]:
    """Run a node until it is asked to end (SIGTERM, SIGINT, SIGHUP) or has fused its frames. Only in a main thread.

    Args:
        config: of the node.
        as_json: log one JSON object a line.

    Returns:
        The node's status at the end.

    Raises:
        SkyweaveError, FileNotFoundError: what is wrong with the configuration; what its source raises.
    """
    from skyweave.fleet.sinks.node_status import node_status
    from skyweave.fleet.sinks.publisher import ScenePublisher
    from skyweave.fleet.supervisor.runtime import build_node, run_node

    log = set_up_logging(as_json)
    config.perceiver.prepare_process()
    stop = threading.Event()
    on_end_signal(lambda *_: stop.set())
    _stop_with_parent(stop)
    node, source = build_node(config)
    publisher = ScenePublisher(node, config.sinks)
    data = {"fleet": node.fleet, "platform": node.name, "platform_id": node.platform_id}
    log.info("started", extra={"data": data})
    with _observability(node, config, stop):
        try:
            run_node(node, source, _SceneHandler(publisher, log), stop, config.max_frames)
        finally:
            stop.set()
            publisher.close()
    log.info("ended", extra={"data": {"frames": node.statistics.frames}})
    return node_status(node)


def start_process(file: Path, log: Path) -> BaseProcess:
    """Start a node in a process of its own, from a process that has all libraries imported.

    It ends when this process does, however this one ends.

    Args:
        file: the node's YAML.
        log: file to which it logs.
    """
    arguments = str(file.resolve()), str(log.resolve()), os.getcwd()
    process: BaseProcess = process_context().Process(target=_run, args=arguments, name=file.stem, daemon=True)
    process.start()
    return process


class _SceneHandler:
    """Publishes each scene, and logs one every few seconds."""

    def __init__(self, publisher: "ScenePublisher", log: logging.Logger) -> None:
        self.publisher, self.log = publisher, log
        self._logged_at = 0  # nanoseconds

    def __call__(self, scene: "FusedScene") -> None:
        published = self.publisher.publish(scene)
        if scene.finished - self._logged_at < LOG_INTERVAL_S * NS_PER_S:
            return
        self._logged_at = scene.finished
        data = {
            "sequence": scene.sequence,
            "latency": round(scene.latency, 3),
            "boxes": len(published.detections),
            "peers": [frame.peer for frame in scene.peer_frames],
        }
        self.log.info("scene", extra={"data": data})


@contextmanager
def _observability(node: "Node", config: NodeConfig, stop: threading.Event) -> Iterator[None]:
    """Serve metrics and write the status for as long as the context lasts."""
    from skyweave.fleet.sinks.node_status import write_node_status
    from skyweave.fleet.sinks.prometheus import serve_metrics

    end_metrics = serve_metrics(node, config.metrics) if config.metrics else None

    def write_statuses() -> None:
        while not stop.wait(STATUS_INTERVAL_S):
            write_node_status(config.status_file or "", node)

    writing = threading.Thread(target=write_statuses, daemon=True) if config.status_file else None
    if writing:
        writing.start()
    try:
        yield
    finally:
        stop.set()
        if end_metrics:
            end_metrics()
        if writing:
            writing.join(timeout=5)


def _run(file: str, log: str, folder: str) -> None:
    """Run a node in the new process."""
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for number in (1, 2):
        os.dup2(stream, number)
    os.close(stream)
    os.chdir(folder)
    try:
        run_process(load_config_file(file, NodeConfig), as_json=True)
    except (SkyweaveError, OSError, ModuleNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(USER_ERROR)
    except Exception:
        traceback.print_exc()
        sys.exit(FAULT)


def _stop_with_parent(stop: threading.Event) -> None:
    """A supervisor that was killed leaves no nodes behind."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    sentinel = parent.sentinel

    def wait() -> None:
        multiprocessing.connection.wait([sentinel])
        stop.set()

    threading.Thread(target=wait, name="parent", daemon=True).start()
