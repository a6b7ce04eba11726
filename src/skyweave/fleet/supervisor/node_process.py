"""One node's process under supervision: started again when it ends, killed when it hangs."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from skyweave.fleet.supervisor.process import start_process
from skyweave.fleet.supervisor.state import file_age

MIN_PAUSE_S, MAX_PAUSE_S = 0.1, 10.0  # before a node that keeps ending is started again
SETTLED_AFTER_S = 5.0  # after which a node counts as running well
HANGS_AFTER_S = 60.0  # without a status after which a node is killed and started again
LOST_EXIT_CODE = 255  # where the fork server ended, and nobody knows what became of the node
MAX_EXIT_CODES = 20  # that are remembered
MAX_LOG_BYTES = 8 << 20  # after which a log is begun anew, the old one kept as .log.1

EventCallback = Callable[[str], None]
"""Called with a line of text for each event."""


@dataclass
class NodeProcess:
    """One node's process.

    Attributes:
        name: of the node.
        file: its YAML.
        log: to which it logs.
        status: file of its status.
        process: while it runs.
        starts: how often it was started.
        exit_codes: of the processes that ended, the latest last.
    """

    name: str
    file: Path
    log: Path
    status: Path
    process: BaseProcess | None = None
    starts: int = 0
    exit_codes: list[int] = field(default_factory=list)
    _started_at: float = 0.0
    _pause: float = MIN_PAUSE_S
    _next_start: float = 0.0

    def supervise(self, on_event: EventCallback) -> None:
        """Start the process if it does not run and its pause is over; kill it if it hangs.

        Args:
            on_event: called with what was done.
        """
        now = time.monotonic()
        if self.process is not None and self.process.is_alive():
            self._check_progress(self.process, now, on_event)
        elif self.process is not None:
            self._note_end(self.process, now, on_event)
        elif now >= self._next_start:
            self._start(now, on_event)

    def terminate(self) -> None:
        """Ask the process to end."""
        if self.process is not None and self.process.is_alive():
            self.process.terminate()
            _send_signal(self.process, signal.SIGCONT)  # one that is frozen would not receive it

    def join(self, timeout: float) -> None:
        """Wait until the process has ended; kill it if it does not.

        Args:
            timeout: seconds.
        """
        if self.process is not None:
            self.process.join(timeout)
            if self.process.is_alive():
                self.process.kill()
                self.process.join()

    def pid(self) -> int | None:
        """Return the number of the process; None: it does not run."""
        return self.process.pid if self.process is not None and self.process.is_alive() else None

    def to_json(self, content: dict[str, Any]) -> dict[str, Any]:
        """Return how the process is, plain JSON types.

        Args:
            content: of the node's YAML.
        """
        return {
            "pid": self.pid(),
            "starts": self.starts,
            "exit_codes": self.exit_codes,
            "listen": content["transport"].get("listen"),
            "metrics": content.get("metrics"),
        }

    def _check_progress(self, process: BaseProcess, now: float, on_event: EventCallback) -> None:
        age = now - self._started_at
        if age > SETTLED_AFTER_S:
            self._pause = MIN_PAUSE_S
        if age > HANGS_AFTER_S and file_age(self.status) > HANGS_AFTER_S:
            on_event(f"{self.name} hangs: killed")
            process.kill()

    def _note_end(self, process: BaseProcess, now: float, on_event: EventCallback) -> None:
        exit_code = process.exitcode
        if exit_code == LOST_EXIT_CODE:
            _send_signal(process, signal.SIGKILL)
        self.exit_codes.append(exit_code or 0)
        del self.exit_codes[:-MAX_EXIT_CODES]
        on_event(f"{self.name} ended with {exit_code}; starting it again in {self._pause:.1f} s")
        process.close()
        self.process, self._next_start = None, now + self._pause
        self._pause = min(2 * self._pause, MAX_PAUSE_S)

    def _start(self, now: float, on_event: EventCallback) -> None:
        if self.log.exists() and self.log.stat().st_size > MAX_LOG_BYTES:
            os.replace(self.log, self.log.with_suffix(".log.1"))
        self.process = start_process(self.file, self.log)
        self.starts += 1
        self._started_at = now
        on_event(f"{self.name} started as process {self.process.pid}")


def _send_signal(process: BaseProcess, number: signal.Signals) -> None:
    if process.pid is not None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
