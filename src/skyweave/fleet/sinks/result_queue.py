"""Results that wait to be read: a bounded queue for each platform, read in turns."""

import threading
import time
from collections import deque
from typing import Any

MAX_PLATFORMS = 256


class ResultQueue:
    """Holds the newest results of each platform; no platform's flood displaces what others sent.

    Args:
        size: results of each platform that wait.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._waiting: dict[str, deque[dict[str, Any]]] = {}  # by platform, the next in turn first
        self._changed = threading.Condition()

    def put(self, platform: str, content: dict[str, Any]) -> None:
        """Append a result; the platform's oldest is dropped where too many wait.

        Args:
            platform: that it is of.
            content: of the result.
        """
        with self._changed:
            if platform in self._waiting or len(self._waiting) < MAX_PLATFORMS:
                self._waiting.setdefault(platform, deque(maxlen=self._size)).append(content)
                self._changed.notify()

    def take(self, timeout: float | None = None) -> dict[str, Any] | None:
        """Return the oldest result of the platform whose turn it is; None if there is none in time.

        Args:
            timeout: seconds to wait for one; None: for as long as it takes.
        """
        end = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while not self._waiting:
                remaining = None if end is None else end - time.monotonic()
                if remaining is not None and remaining <= 0:
                    return None
                self._changed.wait(remaining)
            platform = next(iter(self._waiting))
            results = self._waiting.pop(platform)
            content = results.popleft()
            if results:
                self._waiting[platform] = results
        return content
