"""A fleet on one machine: a process a node, started again when it ends; state on disk, so that others can ask and stop.

STATE/supervisor.lock   held by the supervisor for as long as it lives; holds its process number
STATE/NAME.yaml         the node's configuration
STATE/NAME.log          what it says, one JSON object a line
STATE/NAME.status.json  how it is, every second
STATE/fleet.json        processes and how often they were started
"""

import fcntl
import json
import multiprocessing.connection
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import yaml

from skyweave.core.atomic_write import write_aside
from skyweave.core.config import config_from_dict
from skyweave.core.errors import FleetError
from skyweave.fleet.config import FleetConfig, NodeConfig
from skyweave.fleet.supervisor.process import start_process

PATIENCE = 5.0  # seconds for a node to end by itself
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0  # seconds before a node that keeps ending is started again
SETTLED = 5.0  # seconds after which a node counts as running well
HANGS = 60.0  # seconds without a status after which a node is killed and started again
LOST = 255  # exit code where the fork server ended, and nobody knows what became of the node
LOG_BYTES = 8 << 20  # after which a log is begun anew, the old one kept as .log.1


@dataclass
class NodeProcess:
    """One node's process."""

    name: str
    file: Path
    log: Path
    status: Path
    process: BaseProcess | None = None
    starts: int = 0
    started: float = 0.0
    pause: float = FIRST_PAUSE
    next_start: float = 0.0
    ended: list[int] = field(default_factory=list)


class Supervisor:
    """Starts a fleet and keeps it running.

    Args:
        config: of the fleet.
        folder: of the file it came from: relative paths in it start there.

    Raises:
        ValueError: a node's configuration is wrong, or the fleet runs already.
    """

    def __init__(self, config: FleetConfig, folder: Path | None = None) -> None:
        self.config, self.state = config, Path(config.state)
        self.nodes = node_contents(config, folder or Path.cwd())
        self.state.mkdir(parents=True, exist_ok=True)
        self._lock = _take_lock(self.state / "supervisor.lock", config.name)
        self.workers: list[NodeProcess] = []
        for name, content in self.nodes.items():
            file = self.state / f"{name}.yaml"
            with write_aside(file) as aside:
                aside.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
            self.workers.append(NodeProcess(name, file, self.state / f"{name}.log", self.state / f"{name}.status.json"))

    def run(self, stop: threading.Event, told: Callable[[str], None] = lambda text: None) -> None:
        """Keep all running until stopped, then end them."""
        try:
            while not stop.is_set():
                for worker in self.workers:
                    self._look_after(worker, told)
                self._write()
                self._rest(stop)
        finally:
            self.end()

    def end(self) -> None:
        """End all nodes: ask, wait, then kill."""
        for worker in self.workers:
            if worker.process is not None and worker.process.is_alive():
                worker.process.terminate()
                _signal(worker.process, signal.SIGCONT)  # one that is frozen would not hear
        patience = time.monotonic() + PATIENCE
        for worker in self.workers:
            if worker.process is not None:
                worker.process.join(max(patience - time.monotonic(), 0.1))
                if worker.process.is_alive():
                    worker.process.kill()
                    worker.process.join()
        self._write()
        with suppress(OSError):
            self._lock.close()

    def _rest(self, stop: threading.Event) -> None:
        """A tenth of a second, or until a node ends."""
        running = [worker.process.sentinel for worker in self.workers if worker.process is not None]
        if running:
            multiprocessing.connection.wait(running, 0.1)
        else:
            stop.wait(0.1)

    def _look_after(self, worker: NodeProcess, told: Callable[[str], None]) -> None:
        now = time.monotonic()
        process = worker.process
        if process is not None and process.is_alive():
            if now - worker.started > SETTLED:
                worker.pause = FIRST_PAUSE
            if now - worker.started > HANGS and _age(worker.status) > HANGS:
                told(f"{worker.name} hangs: killed")
                process.kill()
            return
        if process is not None:
            if process.exitcode == LOST:
                _signal(process, signal.SIGKILL)
            worker.ended.append(process.exitcode or 0)
            del worker.ended[:-20]
            told(f"{worker.name} ended with {process.exitcode}; starting it again in {worker.pause:.1f} s")
            process.close()
            worker.process, worker.next_start = None, now + worker.pause
            worker.pause = min(2 * worker.pause, LONGEST_PAUSE)
            return
        if now < worker.next_start:
            return
        if worker.log.exists() and worker.log.stat().st_size > LOG_BYTES:
            os.replace(worker.log, worker.log.with_suffix(".log.1"))
        worker.process = start_process(worker.file, worker.log)
        worker.starts += 1
        worker.started = now
        told(f"{worker.name} started as process {worker.process.pid}")

    def _write(self) -> None:
        content = {
            "fleet": self.config.name,
            "supervisor": os.getpid(),
            "time": time.time(),
            "nodes": {
                worker.name: {
                    "pid": worker.process.pid if worker.process and worker.process.is_alive() else None,
                    "starts": worker.starts,
                    "ended": worker.ended,
                    "listen": self.nodes[worker.name]["transport"]["listen"],
                    "metrics": self.nodes[worker.name].get("metrics"),
                }
                for worker in self.workers
            },
        }
        path = self.state / "fleet.json"
        aside = path.with_name(".fleet.json.new")
        aside.write_text(json.dumps(content), "utf-8")
        os.replace(aside, path)


def node_contents(config: FleetConfig, folder: Path) -> dict[str, dict[str, Any]]:
    """The content of each node's ``node.yaml``. Raises ``ValueError`` for what is wrong with one, naming it."""
    count = len(config.platforms)
    protocol = "tcp" if config.keys is None else "tls"
    endpoints = [f"{protocol}/127.0.0.1:{config.port + i}" for i in range(count)]
    contents = {}
    for i, name in enumerate(config.platforms):
        content = _merged(
            {
                "name": name,
                "fleet": config.name,
                "transport": {"listen": [endpoints[i]], "connect": endpoints[:i] + endpoints[i + 1 :]},
                "metrics": f"127.0.0.1:{config.port + 100 + i}",
                "status": str(Path(config.state) / f"{name}.status.json"),
            },
            config.node,
        )
        if config.keys is not None:
            content["keys"] = config.keys
        else:
            content.setdefault("number", i + 1)
        content = _merged(content, config.nodes.get(name, {}))
        _rooted(content, folder)
        try:
            config_from_dict(content, NodeConfig)
        except (ValueError, TypeError) as error:
            raise FleetError(f"node {name}: {error}") from None
        contents[name] = content
    return contents


def fleet_state(state: str | Path) -> dict[str, Any]:
    """What runs: the supervisor's word, each node's status, and whether the supervisor lives.

    Raises:
        FileNotFoundError: no fleet was ever started there.
    """
    state = Path(state)
    path = state / "fleet.json"
    if not path.exists():
        raise FileNotFoundError(f"no fleet was started in {state}; `skyweave fleet up` starts one")
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    content["running"] = supervisor_pid(state) is not None
    for name, node in content["nodes"].items():
        with suppress(OSError, ValueError):
            node["status"] = json.loads((state / f"{name}.status.json").read_text("utf-8"))
            node["status_age"] = round(_age(state / f"{name}.status.json"), 3)
    return content


def supervisor_pid(state: str | Path) -> int | None:
    """The process that holds the lock, if one does."""
    path = Path(state) / "supervisor.lock"
    if not path.exists():
        return None
    with path.open("r+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            text = stream.read().strip()
            return int(text) if text.isdigit() else None
    return None


def stop_fleet(state: str | Path, patience: float = 2 * PATIENCE) -> bool:
    """Ask the supervisor to end, and wait until it has. Returns whether one was running.

    Raises:
        TimeoutError: it does not end.
    """
    process = supervisor_pid(state)
    if process is None:
        return False
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGTERM)
    until = time.monotonic() + patience
    while supervisor_pid(state) is not None:
        if time.monotonic() > until:
            raise TimeoutError(f"the fleet's supervisor, process {process}, does not end")
        time.sleep(0.05)
    return True


def _take_lock(path: Path, fleet: str) -> Any:
    stream = path.open("a+")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        raise FleetError(f"the fleet {fleet} runs already; `skyweave fleet down` ends it") from None
    stream.seek(0)
    stream.truncate()
    stream.write(str(os.getpid()))
    stream.flush()
    return stream


def _signal(process: BaseProcess, number: signal.Signals) -> None:
    if process.pid is not None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)


def _merged(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in more.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merged(result[key], value) if both else value
    return result


def _rooted(content: dict[str, Any], folder: Path) -> None:
    """Relative paths that exist beside the fleet's file start there."""
    for where, key in ((content.get("source"), "path"), (content.get("perceiver"), "weights"), (content, "keys")):
        if isinstance(where, dict) and isinstance(where.get(key), str):
            path = folder / where[key]
            if not Path(where[key]).exists() and path.exists():
                where[key] = str(path.resolve())


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
