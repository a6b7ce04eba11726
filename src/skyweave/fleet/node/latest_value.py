"""A place for the newest thing only."""

import threading
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class LatestValue(Generic[Thing]):
    """What is put takes the place of what has not been taken."""

    def __init__(self) -> None:
        self._thing: Thing | None = None
        self._there = threading.Condition()

    def put(self, thing: Thing) -> bool:
        """Whether something that nobody took was thrown away for it."""
        with self._there:
            displaced, self._thing = self._thing is not None, thing
            self._there.notify()
        return displaced

    def take(self, timeout: float) -> Thing | None:
        """The newest; None if nothing comes within so many seconds."""
        with self._there:
            if self._thing is None:
                self._there.wait(timeout)
            thing, self._thing = self._thing, None
        return thing
