"""A queue of depth one: the latest value replaces the one before."""

import threading
from typing import Generic, TypeVar

Value = TypeVar("Value")


class LatestValue(Generic[Value]):
    """Holds the latest value until it is taken."""

    def __init__(self) -> None:
        self._value: Value | None = None
        self._changed = threading.Condition()

    def put(self, value: Value) -> bool:
        """Replace the value; return whether one that nobody took was thrown away.

        Args:
            value: the latest.
        """
        with self._changed:
            displaced, self._value = self._value is not None, value
            self._changed.notify()
        return displaced

    def take(self, timeout: float) -> Value | None:
        """Return and remove the value; None if there is none in time.

        Args:
            timeout: seconds to wait for one.
        """
        with self._changed:
            if self._value is None:
                self._changed.wait(timeout)
            value, self._value = self._value, None
        return value
