"""What a node needs of a network: byte messages by key, published and subscribed to, best effort.

Keys are words joined by ``/``. A pattern is a key in which ``*`` stands for one word and ``**`` for any number of them,
as in Zenoh. Messages may be lost, doubled, delayed and reordered; nothing blocks the sender.
"""

import threading
from collections.abc import Callable
from enum import IntEnum
from functools import lru_cache
from typing import Protocol

MessageCallback = Callable[[str, bytes], None]
"""Called with key and message, from any thread; must return soon and not raise."""


class Priority(IntEnum):
    """What goes first where a link is busy."""

    CONTROL = 1  # heartbeats: small, and what everything else is steered by
    FRAMES = 2
    RESULTS = 3
    PICTURES = 4


class Transport(Protocol):
    """A member's connection to its fleet."""

    def publish(self, key: str, message: bytes, priority: Priority = Priority.FRAMES) -> None:
        """Send to all who subscribe; dropped where the link is full."""

    def subscribe(self, pattern: str, heard: MessageCallback) -> Callable[[], None]:
        """Be called for every message of matching keys. Returns what ends it."""

    def announce(self, key: str) -> None:
        """Be present under a key for as long as we are connected; who watches it learns when we are not."""

    def watch(self, pattern: str, left: Callable[[str], None]) -> Callable[[], None]:
        """Be called with the key of everyone who was present and no longer is: who left, died or is out of reach.

        Not every network can tell; where it cannot, nothing is called. Returns what ends it.
        """

    def close(self) -> None:
        """Leave. Publishing afterwards does nothing."""


class LoopbackNetwork:
    """Members in one process; messages arrive at once, in the sender's thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: dict[int, tuple[object, str, MessageCallback]] = {}
        self._number = 0
        self._watches: dict[int, tuple[str, Callable[[str], None]]] = {}

    def join(self) -> "LoopbackTransport":
        """A new member. It does not hear itself."""
        return LoopbackTransport(self)

    def deliver(self, sender: object, key: str, message: bytes) -> None:
        """Hand a message to all others who want it."""
        for owner, heard in self.listeners(sender, key):
            del owner
            heard(key, message)

    def listeners(self, sender: object, key: str) -> list[tuple[object, MessageCallback]]:
        """(member, callback) of all but the sender that want this key."""
        with self._lock:
            wanted = list(self._subscriptions.values())
        return [
            (owner, heard) for owner, pattern, heard in wanted if owner is not sender and matches_pattern(pattern, key)
        ]

    def add(self, owner: object, pattern: str, heard: MessageCallback) -> Callable[[], None]:
        """Subscribe a member."""
        with self._lock:
            self._number += 1
            number = self._number
            self._subscriptions[number] = (owner, pattern, heard)

        def end() -> None:
            with self._lock:
                self._subscriptions.pop(number, None)

        return end

    def watch(self, pattern: str, left: Callable[[str], None]) -> Callable[[], None]:
        """Watch who leaves."""
        with self._lock:
            self._number += 1
            number = self._number
            self._watches[number] = (pattern, left)

        def end() -> None:
            with self._lock:
                self._watches.pop(number, None)

        return end

    def leave(self, key: str) -> None:
        """Tell those who watch."""
        with self._lock:
            watching = list(self._watches.values())
        for pattern, left in watching:
            if matches_pattern(pattern, key):
                left(key)


class LoopbackTransport:
    """A `Transport` over a `LoopbackNetwork`."""

    def __init__(self, hub: LoopbackNetwork) -> None:
        self.hub = hub
        self._ends: list[Callable[[], None]] = []
        self._announced: list[str] = []
        self._open = True

    def publish(self, key: str, message: bytes, priority: Priority = Priority.FRAMES) -> None:
        """See `Transport`."""
        if self._open:
            self.hub.deliver(self, key, message)

    def subscribe(self, pattern: str, heard: MessageCallback) -> Callable[[], None]:
        """See `Transport`."""
        end = self.hub.add(self, pattern, heard)
        self._ends.append(end)
        return end

    def announce(self, key: str) -> None:
        """See `Transport`."""
        self._announced.append(key)

    def watch(self, pattern: str, left: Callable[[str], None]) -> Callable[[], None]:
        """See `Transport`."""
        end = self.hub.watch(pattern, left)
        self._ends.append(end)
        return end

    def close(self) -> None:
        """See `Transport`."""
        self._open = False
        for end in self._ends:
            end()
        while self._announced:
            self.hub.leave(self._announced.pop())


@lru_cache(maxsize=4096)
def matches_pattern(pattern: str, key: str) -> bool:
    """Whether a key is among those that a pattern stands for."""
    return _match(pattern.split("/"), key.split("/"))


def _match(pattern: list[str], key: list[str]) -> bool:
    if not pattern:
        return not key
    if pattern[0] == "**":
        return any(_match(pattern[1:], key[i:]) for i in range(len(key) + 1))
    return bool(key) and pattern[0] in ("*", key[0]) and _match(pattern[1:], key[1:])
