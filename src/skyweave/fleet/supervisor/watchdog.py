"""Signs of life: every thread of a node says when it goes round, and a node in which one is stuck ends itself.

A camera, a pipe or a call into a library may block for ever, and nothing but the end of the process gets its thread
back. So the work is judged, not a file that says how it goes: `Watchdog` looks at the threads, writes where each of
them is stuck, ends the process, and the supervisor starts it again. What even keeps this from running, such as a
library that holds the interpreter's lock, is ended by a timer that needs neither (Python's ``faulthandler``), and a
process that is frozen by the supervisor, which misses the signs.
"""

import faulthandler
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

STUCK_EXIT_CODE = 3
STANDARD_ERROR = 2
START_TIMEOUT_S = 120.0  # until the first scene: models are loaded, links are opened
PERIOD_S = 0.5  # between two looks
MIN_SLICE_S = 0.5  # of a long wait, after which it counts as going on

log = logging.getLogger("skyweave.fleet")


class Watchdog:
    """Knows when each thread of a node last went round.

    Args:
        timeout: seconds without a sign after which a thread is stuck.
        start_timeout: the same until `begin_work` is called.
    """

    def __init__(self, timeout: float, start_timeout: float = START_TIMEOUT_S) -> None:
        self._timeout, self._start_timeout = timeout, max(timeout, start_timeout)
        self._is_working = False
        self._signs: dict[str, float] = {}  # monotonic seconds of the last sign, by thread

    @property
    def timeout(self) -> float:
        """Seconds without a sign after which a thread is stuck."""
        return self._timeout if self._is_working else self._start_timeout

    def sign(self, thread: str) -> None:
        """Note that a thread goes round.

        Args:
            thread: name of it.
        """
        self._signs[thread] = time.monotonic()

    def begin_work(self) -> None:
        """Note that the node has begun to work, and may be expected to go on."""
        if not self._is_working:
            self._signs = dict.fromkeys(self._signs, time.monotonic())
            self._is_working = True

    def dismiss(self, thread: str) -> None:
        """Note that a thread has ended.

        Args:
            thread: name of it.
        """
        self._signs.pop(thread, None)

    def stuck_threads(self) -> dict[str, float]:
        """Return the seconds since the last sign of each thread that is stuck."""
        now, timeout = time.monotonic(), self.timeout
        return {name: now - last for name, last in dict(self._signs).items() if now - last > timeout}


class WatchedStop(threading.Event):
    """An event that ends a thread, whose looks at it are signs of life.

    Args:
        stop: the event that is looked at.
        on_look: called at each look.
    """

    def __init__(self, stop: threading.Event, on_look: Callable[[], None]) -> None:
        super().__init__()
        self._stop, self._on_look = stop, on_look

    def is_set(self) -> bool:
        """Return whether the thread is to end."""
        self._on_look()
        return self._stop.is_set()

    def set(self) -> None:
        """End the thread, and whatever else the event ends."""
        self._stop.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the thread is to end; return whether it is.

        Args:
            timeout: seconds; None: any.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            self._on_look()
            remaining = MIN_SLICE_S if end is None else end - time.monotonic()
            if self._stop.wait(min(max(remaining, 0), MIN_SLICE_S)):
                return True
            if remaining <= MIN_SLICE_S and end is not None:
                return False


@contextmanager
def watched(watchdog: Watchdog, on_sign: Callable[[], None] = lambda: None) -> Iterator[None]:
    """End this process when a thread is stuck, for as long as the context lasts.

    Args:
        watchdog: of its threads.
        on_sign: called twice a second while none is stuck.
    """
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(PERIOD_S):
            stuck = watchdog.stuck_threads()
            if stuck:
                _end_process(stuck)
            end_process_later(watchdog.timeout + PERIOD_S)
            on_sign()

    thread = threading.Thread(target=watch, name="watchdog", daemon=True)
    end_process_later(watchdog.timeout + PERIOD_S)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        faulthandler.cancel_dump_traceback_later()


def end_process_later(seconds: float) -> None:
    """End this process after a time, whatever it does until then; a later call replaces the one before.

    Args:
        seconds: from now.
    """
    with suppress(OSError, ValueError, RuntimeError):  # without a standard error there is no timer
        faulthandler.dump_traceback_later(seconds, exit=True, file=STANDARD_ERROR)


def _end_process(stuck: dict[str, float]) -> None:
    """Say where the threads are, and end."""
    end_process_later(2.0)  # saying so may block as well
    data = {"threads": {name: round(seconds, 1) for name, seconds in stuck.items()}}
    log.error("stuck: the process ends, to be started again", extra={"data": data})
    for handler in log.handlers:
        handler.flush()
    with suppress(OSError, ValueError, RuntimeError):
        faulthandler.dump_traceback(all_threads=True, file=STANDARD_ERROR)
    os._exit(STUCK_EXIT_CODE)
