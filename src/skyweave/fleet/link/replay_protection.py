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
    _before: set[int] = field(default_factory=set)  # stamps from before the last `rewind`
    _oldest: int = 0  # the greatest stamp that is forgotten

    def is_repeated(self, stamp: int) -> bool:
        """Return whether a message was taken before, as far as is remembered.

        Args:
            stamp: of the message.
        """
        return stamp in self._stamps or stamp in self._before

    def is_too_old(self, stamp: int) -> bool:
        """Return whether a message is too old to know whether it was taken before.

        Args:
            stamp: of the message.
        """
        return stamp <= self._oldest

    def rewind(self, stamp: int) -> None:
        """Let older messages count as new from a stamp on; those that are remembered are not taken again.

        Args:
            stamp: of a message that is known to be new.
        """
        self._before, self._stamps, self._heap = self._stamps, set(), []
        self._oldest = stamp - 1

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
