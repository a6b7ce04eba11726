"""A node as a process: its signals, its log, its status; and processes of many nodes that start fast.

Half of the second that a node needs to start goes into importing libraries. `start_process` forks from a process that has
imported them already (multiprocessing's fork server), so that a node that was killed is back before it is missed.
"""

import json
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
import traceback
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from skyweave.core.config import load_config_file
from skyweave.core.malloc import keep_freed_memory
from skyweave.fleet.config import NodeConfig
from skyweave.fleet.supervisor.fork_server import process_context

REPORT_EVERY = 5.0  # seconds between two lines about pictures
STATUS_EVERY = 1.0  # seconds
USER_ERROR = 2


def run_process(config: NodeConfig, as_json: bool = False) -> dict[str, Any]:
    """Run a node until it is told to end (SIGTERM, SIGINT) or has made its frames. Only in a main thread.

    Args:
        config: of the node.
        as_json: log one JSON object a line.

    Returns:
        Its status at the end.

    Raises:
        ValueError, FileNotFoundError: what is wrong with the configuration; what its source raises.
    """
    from skyweave.fleet.node.node import FusedScene
    from skyweave.fleet.sinks.prometheus import node_status, serve_metrics, write_node_status
    from skyweave.fleet.sinks.publish import Publisher
    from skyweave.fleet.supervisor.runtime import build_node, run_node

    log = set_up_logging(as_json)
    if config.perceiver.kind != "ground_truth":
        import torch

        torch.set_num_threads(config.perceiver.threads)
        keep_freed_memory()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    _end_with_parent(stop)
    node, source = build_node(config)
    publisher = Publisher(node, config.publish, config.camera_interval)
    end_metrics = serve_metrics(node, config.metrics) if config.metrics else None
    log.info("started", extra={"data": {"fleet": node.fleet, "platform": node.name, "number": node.number}})
    last = 0.0
    saved = open(config.save, "a", buffering=1, encoding="utf-8") if config.save else None  # noqa: SIM115

    def done(picture: FusedScene) -> None:
        content = publisher.publish(picture)
        if saved is not None:
            saved.write(json.dumps(content) + "\n")
        nonlocal last
        if picture.done / 1e9 - last >= REPORT_EVERY:
            last = picture.done / 1e9
            found = picture.scene.detections
            said = {
                "sequence": picture.sequence,
                "latency": round(picture.latency, 3),
                "boxes": 0 if found is None else len(found),
                "sources": [one.peer for one in picture.sources],
            }
            log.info("picture", extra={"data": said})

    def report() -> None:
        while not stop.wait(STATUS_EVERY):
            write_node_status(config.status or "", node)

    reporting = threading.Thread(target=report, daemon=True) if config.status else None
    if reporting:
        reporting.start()
    try:
        run_node(node, source, done, stop, config.frames)
    finally:
        if end_metrics:
            end_metrics()
        if saved is not None:
            saved.close()
        if reporting:
            reporting.join(timeout=5)
    log.info("ended", extra={"data": {"frames": node.statistics.frames}})
    return node_status(node)


def start_process(file: Path, log: Path) -> BaseProcess:
    """Start a node in a process of its own, logging to a file, from a process that has all libraries imported.

    It ends when we do, however we end.
    """
    arguments = str(file.resolve()), str(log.resolve()), os.getcwd()
    process: BaseProcess = process_context().Process(target=_run, args=arguments, name=file.stem, daemon=True)
    process.start()
    return process


def set_up_logging(as_json: bool) -> logging.Logger:
    """Lines of text, or of JSON, on standard error."""

    class Lines(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            data: dict[str, Any] = getattr(record, "data", {})
            if not as_json:
                said = " ".join(f"{key}={value}" for key, value in data.items())
                text = f"{time.strftime('%H:%M:%S')} {record.getMessage()} {said}".rstrip()
                return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text
            content = {"time": record.created, "level": record.levelname.lower(), "event": record.getMessage(), **data}
            if record.exc_info:
                content["error"] = self.formatException(record.exc_info)
            return json.dumps(content, default=str)

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    logger = logging.getLogger("skyweave.fleet")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return logger


def _run(file: str, log: str, folder: str) -> None:
    """In the new process."""
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for number in (1, 2):
        os.dup2(stream, number)
    os.close(stream)
    os.chdir(folder)
    try:
        run_process(load_config_file(file, NodeConfig), as_json=True)
    except (ValueError, KeyError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(USER_ERROR)
    except Exception:
        traceback.print_exc()
        sys.exit(1)


def _end_with_parent(stop: threading.Event) -> None:
    """A supervisor that was killed leaves no nodes behind."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    sentinel = parent.sentinel

    def wait() -> None:
        multiprocessing.connection.wait([sentinel])
        stop.set()

    threading.Thread(target=wait, name="parent", daemon=True).start()
