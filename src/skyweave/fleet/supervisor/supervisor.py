"""A fleet on one machine: a process for each node, started again when it ends; its state on disk."""

import json
import multiprocessing.connection
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import yaml

from skyweave.core.atomic_write import write_aside
from skyweave.fleet.config import FleetConfig
from skyweave.fleet.supervisor.fork_server import keep_ready
from skyweave.fleet.supervisor.logs import QueuedLines
from skyweave.fleet.supervisor.node_contents import node_contents
from skyweave.fleet.supervisor.node_process import EventCallback, NodeProcess
from skyweave.fleet.supervisor.state import StateFile, take_lock

END_TIMEOUT_S = 5.0  # for nodes to end by themselves
MIN_JOIN_TIMEOUT_S = 0.1
POLL_S = 0.1


class Supervisor:
    """Starts a fleet and keeps it running.

    Args:
        config: of the fleet.
        folder: of the file it came from: relative paths in it start there.

    Raises:
        FleetError: a node's configuration is wrong, or the fleet runs already.
    """

    def __init__(self, config: FleetConfig, folder: Path | None = None) -> None:
        self.config, self.state = config, Path(config.state)
        self.nodes = node_contents(config, folder or Path.cwd())
        self.state.mkdir(parents=True, exist_ok=True)
        self._lock = take_lock(self.state / "supervisor.lock", config.name)
        self.processes: list[NodeProcess] = []
        for name, content in self.nodes.items():
            file = self.state / f"{name}.yaml"
            with write_aside(file) as temporary:
                temporary.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
            self.processes.append(NodeProcess(name, content, self.state / f"{name}.log"))
        self._state_file = StateFile(self.state / "fleet.json")

    def run(self, stop: threading.Event, on_event: EventCallback = lambda text: None) -> None:
        """Keep all nodes running until stopped, then end them.

        Args:
            stop: ends it.
            on_event: called with a line of text for each event, in a thread of its own.
        """
        events = QueuedLines(on_event)
        try:
            while not stop.is_set():
                for process in self.processes:
                    process.supervise(events.put)
                keep_ready()
                self._write_state()
                self._wait(stop)
        finally:
            self.end()
            events.flush()

    def end(self) -> None:
        """End all nodes: ask, wait, then kill."""
        for process in self.processes:
            process.terminate()
        deadline = time.monotonic() + END_TIMEOUT_S
        for process in self.processes:
            process.join(max(deadline - time.monotonic(), MIN_JOIN_TIMEOUT_S))
        self._write_state()
        self._state_file.close()
        with suppress(OSError):
            self._lock.close()

    def _wait(self, stop: threading.Event) -> None:
        """Wait a tenth of a second, or until a node gives a sign of life or ends."""
        running = [waitable for node in self.processes for waitable in node.waitables()]
        if running:
            multiprocessing.connection.wait(running, POLL_S)
        else:
            stop.wait(POLL_S)

    def _write_state(self) -> None:
        content = {
            "fleet": self.config.name,
            "supervisor": os.getpid(),
            "nodes": {process.name: process.to_json(self.nodes[process.name]) for process in self.processes},
        }
        self._state_file.write(json.dumps(content))
