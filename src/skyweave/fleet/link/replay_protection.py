"""Replay protection: no message of a sender is taken twice, none is taken that is older than all remembered.

As in IPsec (RFC 4303, section 3.4.3) and DTLS, a window of the last messages is remembered; what lies before it is
refused. Messages are known by their stamps, which grow from message to message of one sender (`EnvelopeSealer`).
"""

import heapq
from dataclasses import dataclass, field

WINDOW_MESSAGES = 4096


@dataclass
class ReplayWindow:
    """The stamps of the last messages that were taken from one sender.

    Attributes:
        size: number of messages that are remembered.
    """

    size: int = WINDOW_MESSAGES
    _stamps: set[int] = field(default_factory=set)
    _heap: list[int] = field(default_factory=list)  # the same stamps, the smallest first
    _oldest: int = 0  # the greatest stamp that is forgotten

    def is_replay(self, stamp: int) -> bool:
        """Return whether a message was taken before, or is too old to know.

        Args:
            stamp: of the message.
        """
        return stamp <= self._oldest or stamp in self._stamps

    def remember(self, stamp: int) -> None:
        """Note that a message was taken. Only what is otherwise sound may be remembered.

        Args:
            stamp: of the message.
        """
        self._stamps.add(stamp)
        heapq.heappush(self._heap, stamp)
        if len(self._heap) > self.size:
            self._oldest = heapq.heappop(self._heap)
            self._stamps.discard(self._oldest)
