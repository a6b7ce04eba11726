"""The state of a fleet on disk, so that others can ask for it and stop the fleet.

STATE/supervisor.lock   held by the supervisor for as long as it lives; holds its process number
STATE/NAME.yaml         the node's configuration
STATE/NAME.log          the node's events, one JSON object a line
STATE/NAME.status.json  the node's status, every second
STATE/fleet.json        processes and how often they were started
"""

import fcntl
import json
import os
import signal
import threading
import time
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import FleetError

STOP_TIMEOUT_S = 10.0
POLL_S = 0.05
RETRY_S = 1.0  # after which a state that could not be written is written again
CLOSE_TIMEOUT_S = 1.0


class StateFile:
    """Writes the state of a fleet when it changes, in a thread: no disk, full or slow or gone, holds up who supervises.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text, self._is_closed = "", False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="state", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        """Take the content of the file; return at once.

        Args:
            text: all of it.
        """
        with self._changed:
            if text != self._text:
                self._text = text
                self._changed.notify()

    def close(self) -> None:
        """Wait until the last content is written, but not for ever."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join(CLOSE_TIMEOUT_S)

    def _work(self) -> None:
        written = ""
        while True:
            with self._changed:
                if written == self._text and not self._is_closed:
                    self._changed.wait()
                text, is_closed = self._text, self._is_closed
            if text != written and self._try_write(text):
                written = text
            elif text != written and not is_closed:
                time.sleep(RETRY_S)
            if is_closed:
                return

    def _try_write(self, text: str) -> bool:
        try:
            with write_aside(self._path, durable=False) as temporary:
                temporary.write_text(text, "utf-8")
        except OSError:
            return False
        return True


def fleet_state(state: str | Path) -> dict[str, Any]:
    """Return what runs: the supervisor's word, each node's status, and whether the supervisor lives.

    Args:
        state: folder of the fleet.

    Raises:
        FileNotFoundError: no fleet was ever started there.
        FleetError: the state is damaged.
    """
    state = Path(state)
    path = state / "fleet.json"
    if not path.exists():
        raise FileNotFoundError(f"no fleet was started in {state}; `skyweave fleet up` starts one")
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise FleetError(f"{path} is damaged: {error}; `skyweave fleet up` writes it anew") from error
    content["running"] = supervisor_pid(state) is not None
    for name, node in content["nodes"].items():
        file = state / f"{name}.status.json"
        with suppress(OSError, ValueError, KeyError, TypeError):
            node["status"] = json.loads(file.read_text("utf-8"))
            node["status_age"] = _status_age(node["status"])
    return content


def supervisor_pid(state: str | Path) -> int | None:
    """Return the process that holds the lock of a fleet; None: none does.

    Args:
        state: folder of the fleet.
    """
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


def stop_fleet(state: str | Path, timeout: float = STOP_TIMEOUT_S) -> bool:
    """Ask the supervisor to end, and wait until it has; return whether one was running.

    Args:
        state: folder of the fleet.
        timeout: seconds.

    Raises:
        TimeoutError: it does not end.
    """
    process = supervisor_pid(state)
    if process is None:
        return False
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGTERM)
    end = time.monotonic() + timeout
    while supervisor_pid(state) is not None:
        if time.monotonic() > end:
            raise TimeoutError(f"the fleet's supervisor, process {process}, does not end")
        time.sleep(POLL_S)
    return True


def take_lock(path: Path, fleet: str) -> TextIOWrapper:
    """Take the lock of a fleet; it is held until the stream is closed.

    Args:
        path: of the lock.
        fleet: name of the fleet, for the message.

    Raises:
        FleetError: another process holds it.
    """
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


def _status_age(status: dict[str, Any]) -> float | None:
    """Return the seconds since a status was written; None where that was before this machine was started."""
    age = time.monotonic() - status["monotonic"]  # the system's time may have been set since
    return round(age, 3) if age >= 0 else None
