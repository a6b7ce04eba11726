"""One node's process under supervision: started again when it ends, killed when it hangs."""

import multiprocessing.connection
import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from skyweave.fleet.supervisor.process import start_process

MIN_PAUSE_S, MAX_PAUSE_S = 0.1, 1.0  # before a node that keeps ending is started again; back within 3 s in any case
SETTLED_AFTER_S = 2.0  # after which a node counts as running well
SILENT_AFTER_S = 20.0  # without a sign of life after which a node is killed and started again
START_TIMEOUT_S = 120.0  # for the first
MAX_SIGNS = 4096  # that are read at once
LOST_EXIT_CODE = 255  # where the fork server ended, and does not know what became of the node
POLL_S = 0.1
MAX_EXIT_CODES = 20  # that are remembered

EventCallback = Callable[[str], None]
"""Called with a line of text for each event."""


@dataclass
class NodeProcess:
    """One node's process.

    Attributes:
        name: of the node.
        content: of its configuration.
        log: to which it logs.
        process: while it runs.
        starts: how often it was started.
        exit_codes: of the processes that ended, the latest last.
    """

    name: str
    content: dict[str, Any]
    log: Path
    process: BaseProcess | None = None
    starts: int = 0
    exit_codes: list[int] = field(default_factory=list)
    _signs: Connection | None = None
    _started_at: float = 0.0
    _last_sign: float | None = None  # monotonic seconds; None: none yet
    _is_lost: bool = False  # the fork server has ended, and does not say when the process does
    _pause: float = MIN_PAUSE_S
    _next_start: float = 0.0

    def supervise(self, on_event: EventCallback) -> None:
        """Start the process if it does not run and its pause is over; kill it if it hangs.

        Args:
            on_event: called with what was done.
        """
        now = time.monotonic()
        if self.process is not None and self._is_running():
            self._note_loss(self.process, on_event)
            self._check_progress(self.process, now, on_event)
        elif self.process is not None:
            self._note_end(self.process, now, on_event)
        elif now >= self._next_start:
            self._start(now, on_event)

    def terminate(self) -> None:
        """Ask the process to end."""
        if self.process is not None and self._is_running():
            _send_signal(self.process, signal.SIGTERM)
            _send_signal(self.process, signal.SIGCONT)  # one that is frozen would not receive it

    def join(self, timeout: float) -> None:
        """Wait until the process has ended; kill it if it does not.

        Args:
            timeout: seconds.
        """
        if self.process is not None:
            end = time.monotonic() + timeout
            while self._is_running() and time.monotonic() < end:
                multiprocessing.connection.wait(self.waitables(), POLL_S)
            if self._is_running():
                _send_signal(self.process, signal.SIGKILL)
            self.process.join(POLL_S)

    def pid(self) -> int | None:
        """Return the number of the process; None: it does not run."""
        return self.process.pid if self.process is not None and self._is_running() else None

    def waitables(self) -> list[Any]:
        """Return what becomes ready when the process gives a sign of life, or ends."""
        if self.process is None or self._signs is None:
            return []
        return [self._signs] if self._is_lost else [self._signs, self.process.sentinel]

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

    def _is_running(self) -> bool:
        """Return whether the process runs. Where the fork server has ended, its pipe says so: it ends with it."""
        if self.process is None or self.process.is_alive():
            return self.process is not None
        return self.process.exitcode == LOST_EXIT_CODE and not self._has_hung_up()

    def _has_hung_up(self) -> bool:
        """Return whether nobody holds the other end of the pipe any longer."""
        assert self._signs is not None
        poller = select.poll()
        poller.register(self._signs.fileno(), 0)
        return any(event & select.POLLHUP for _, event in poller.poll(0))

    def _note_loss(self, process: BaseProcess, on_event: EventCallback) -> None:
        """Note that the fork server has ended; the node goes on."""
        if not self._is_lost and process.exitcode == LOST_EXIT_CODE:  # one that was killed just now has another
            on_event(f"{self.name} goes on without the process that it was forked from")
            self._is_lost = True

    def _check_progress(self, process: BaseProcess, now: float, on_event: EventCallback) -> None:
        age = now - self._started_at
        if age > SETTLED_AFTER_S:
            self._pause = MIN_PAUSE_S
        if self._read_signs():
            self._last_sign = now
        elif self._is_silent(now):
            on_event(f"{self.name} gives no sign of life: killed")
            _send_signal(process, signal.SIGKILL)

    def _read_signs(self) -> bool:
        """Return whether there were signs of life since the last look. A status on a disk would be none."""
        assert self._signs is not None
        try:
            return bool(os.read(self._signs.fileno(), MAX_SIGNS))
        except OSError:
            return False

    def _is_silent(self, now: float) -> bool:
        if self._last_sign is None:
            return now - self._started_at > START_TIMEOUT_S
        return now - self._last_sign > SILENT_AFTER_S

    def _note_end(self, process: BaseProcess, now: float, on_event: EventCallback) -> None:
        exit_code = process.exitcode
        self.exit_codes.append(exit_code or 0)
        del self.exit_codes[:-MAX_EXIT_CODES]
        on_event(f"{self.name} ended with {exit_code}; starting it again in {self._pause:.1f} s")
        process.close()
        self.process = None
        if self._signs is not None:
            self._signs.close()
        self._postpone(now)

    def _postpone(self, now: float) -> None:
        """Let the next start wait, each time longer."""
        self._next_start = now + self._pause
        self._pause = min(2 * self._pause, MAX_PAUSE_S)

    def _start(self, now: float, on_event: EventCallback) -> None:
        try:
            self.process, self._signs = start_process(self.name, self.content, self.log)
        except (OSError, EOFError) as error:  # no descriptors, no processes; or the fork server was killed
            on_event(f"{self.name} cannot be started ({error}); trying again in {self._pause:.1f} s")
            self._postpone(now)
            return
        self.starts += 1
        self._started_at, self._last_sign, self._is_lost = now, None, False
        on_event(f"{self.name} started as process {self.process.pid}")


def _send_signal(process: BaseProcess, number: signal.Signals) -> None:
    if process.pid is not None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
