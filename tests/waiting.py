"""Waiting for what another thread or process does: a loaded machine may take its time, so no test sleeps and hopes."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(done: Callable[[], T], what: str = "it did not come true", seconds: float = 60.0) -> T:
    """What `done` answers as soon as it is true; fails with `what` after so many seconds."""
    end = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.01)
    return found
