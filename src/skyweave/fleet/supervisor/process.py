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
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyweave.core.config import config_from_dict
from skyweave.core.errors import SkyweaveError
from skyweave.core.signals import on_end_signal
from skyweave.fleet.config import NodeConfig
from skyweave.fleet.supervisor.fork_server import process_context
from skyweave.fleet.supervisor.logs import LOGGER_NAME, set_up_logging
from skyweave.fleet.supervisor.watchdog import STANDARD_ERROR, Watchdog, end_process_later, watched

if TYPE_CHECKING:
    from skyweave.fleet.node.fused_scene import FusedScene
    from skyweave.fleet.node.node import Node
    from skyweave.fleet.sinks.publisher import ScenePublisher

MAX_LOG_BYTES = 8 << 20  # after which a log is begun anew, the old one kept as .log.1
LOG_PERIOD_S = 10.0  # between two looks at its size
LOG_TIMEOUT_S = 1.0  # for opening it
LOG_INTERVAL_S = 5.0  # between two lines about scenes
STATUS_INTERVAL_S = 1.0
END_TIMEOUT_S = 4.0  # for a node whose supervisor is gone to leave by itself
USER_ERROR, FAULT = 2, 1  # exit codes


def run_process(
    config: NodeConfig, as_json: bool = False, on_sign: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Run a node until it is asked to end (SIGTERM, SIGINT, SIGHUP) or has fused its frames. Only in a main thread.

    A process of which a thread is stuck ends (`skyweave.fleet.supervisor.watchdog`).

    Args:
        config: of the node.
        as_json: log one JSON object a line.
        on_sign: called twice a second while all threads go round.

    Returns:
        The node's status at the end.

    Raises:
        SkyweaveError, FileNotFoundError: what is wrong with the configuration; what its source raises.
    """
    from skyweave.fleet.sinks.node_status import node_status
    from skyweave.fleet.sinks.publisher import ScenePublisher
    from skyweave.fleet.supervisor.runtime import build_node, run_node

    log, watchdog = set_up_logging(as_json), Watchdog(config.options.hang_timeout)
    config.perceiver.prepare_process()
    stop = threading.Event()
    on_end_signal(lambda *_: stop.set())
    _stop_with_parent(stop)
    node, source = build_node(config)
    publisher = ScenePublisher(node, config.sinks)
    data = {"fleet": node.fleet, "platform": node.name, "platform_id": node.platform_id}
    log.info("started", extra={"data": data})
    with _observability(node, config, stop), watched(watchdog, on_sign):
        try:
            run_node(node, source, _SceneHandler(publisher, log), stop, config.max_frames, watchdog)
        finally:
            stop.set()
            publisher.close()
    log.info("ended", extra={"data": {"frames": node.statistics.frames}})
    return node_status(node)


def start_process(name: str, content: dict[str, Any], log: Path) -> tuple[BaseProcess, Connection]:
    """Start a node in a process of its own, from a process that has all libraries imported.

    It ends when this process does, however this one ends.

    Args:
        name: of the node.
        content: of its configuration; the disk that holds its file may be gone.
        log: file to which it logs.

    Returns:
        The process, and a pipe from which a byte can be read, without waiting, for each of its signs of life.

    Raises:
        OSError: it cannot be started.
    """
    context = process_context()
    signs, writer = context.Pipe(duplex=False)
    try:
        os.set_blocking(signs.fileno(), False)
        arguments = content, str(log.absolute()), os.getcwd(), writer
        process: BaseProcess = context.Process(target=_run, args=arguments, name=name, daemon=True)
        process.start()
    except BaseException:
        signs.close()
        raise
    finally:
        writer.close()
    return process, signs


class _SceneHandler:
    """Publishes each scene, and logs one every few seconds."""

    def __init__(self, publisher: "ScenePublisher", log: logging.Logger) -> None:
        self.publisher, self.log = publisher, log
        self._logged_at = -LOG_INTERVAL_S  # monotonic seconds

    def __call__(self, scene: "FusedScene") -> None:
        published = self.publisher.publish(scene)
        now = time.monotonic()
        if now - self._logged_at < LOG_INTERVAL_S:
            return
        self._logged_at = now
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
    from skyweave.fleet.sinks.prometheus import serve_metrics

    end_metrics = serve_metrics(node, config.metrics, config.allow_open) if config.metrics else None
    writing = threading.Thread(target=_write_statuses, args=(node, config.status_file, stop), daemon=True)
    if config.status_file:
        writing.start()
    try:
        yield
    finally:
        stop.set()
        if end_metrics:
            end_metrics()
        if config.status_file:
            writing.join(timeout=STATUS_INTERVAL_S)


def _write_statuses(node: "Node", path: str, stop: threading.Event) -> None:
    """Write the status every second; a disk that is full, or a node short of descriptors, only makes it older."""
    from skyweave.fleet.sinks.node_status import write_node_status

    failed = False
    while not stop.wait(STATUS_INTERVAL_S):
        try:
            write_node_status(path, node)
            failed = False
        except OSError as error:
            if not failed:
                logging.getLogger(LOGGER_NAME).warning("no status", extra={"data": {"error": str(error)}})
            failed = True


def _run(content: dict[str, Any], log: str, folder: str, signs: Connection) -> None:
    """Run a node in the new process."""
    _open_log(log)
    os.chdir(folder)
    os.set_blocking(signs.fileno(), False)

    def send_sign() -> None:
        with suppress(OSError):  # the supervisor is slow, or gone
            os.write(signs.fileno(), b".")

    try:
        run_process(config_from_dict(content, NodeConfig), as_json=True, on_sign=send_sign)
    except (SkyweaveError, OSError, ModuleNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(USER_ERROR)
    except Exception:
        traceback.print_exc()
        sys.exit(FAULT)


def _open_log(log: str) -> None:
    """Let what is printed go to the log; to nowhere for as long as its disk is full, gone or hangs."""
    _redirect_output(os.devnull, os.O_WRONLY)
    opened = threading.Event()
    threading.Thread(target=_keep_log, args=(log, opened), name="log file", daemon=True).start()
    opened.wait(LOG_TIMEOUT_S)


def _keep_log(log: str, opened: threading.Event, period: float = LOG_PERIOD_S) -> None:
    """Open the log, and begin it anew when it is long, the old one kept; libraries may write to it, too."""
    is_open = False
    while True:
        with suppress(OSError):  # the disk takes nothing
            is_long = os.path.exists(log) and os.stat(log).st_size > MAX_LOG_BYTES
            if is_long:
                os.replace(log, Path(log).with_suffix(".log.1"))
            if is_long or not is_open:
                _redirect_output(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                is_open = True
        opened.set()
        time.sleep(period)


def _redirect_output(path: str, flags: int) -> None:
    stream = os.open(path, flags, 0o644)
    for number in (1, STANDARD_ERROR):
        os.dup2(stream, number)
    os.close(stream)


def _stop_with_parent(stop: threading.Event) -> None:
    """A supervisor that was killed leaves no nodes behind, and none of their ports taken."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    sentinel = parent.sentinel

    def wait() -> None:
        multiprocessing.connection.wait([sentinel])
        stop.set()
        end_process_later(END_TIMEOUT_S)
        time.sleep(END_TIMEOUT_S)
        os._exit(FAULT)

    threading.Thread(target=wait, name="parent", daemon=True).start()
