"""A bounded queue between the network's threads and the one that reads."""

from collections import Counter, deque


class MessageQueue:
    """Holds messages of one peer; where it overflows the oldest are dropped.

    Args:
        size: messages that it holds.
    """

    def __init__(self, size: int) -> None:
        self._messages: deque[tuple[str, bytes, int]] = deque()
        self._size = size

    def put(self, topic: str, message: bytes, received: int, rejections: Counter[str]) -> None:
        """Append a message; drop the oldest where the queue is full.

        Args:
            topic: that it came under.
            message: its bytes.
            received: nanoseconds by the local clock.
            rejections: counts what is dropped, under ``queue``.
        """
        while len(self._messages) >= self._size:
            try:
                self._messages.popleft()
            except IndexError:
                break
            rejections["queue"] += 1
        self._messages.append((topic, message, received))

    def take(self) -> tuple[str, bytes, int] | None:
        """Return the oldest message as (topic, bytes, nanoseconds of arrival); None: there is none."""
        try:
            return self._messages.popleft()
        except IndexError:
            return None

    def __len__(self) -> int:
        return len(self._messages)
