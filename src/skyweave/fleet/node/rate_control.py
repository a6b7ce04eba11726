"""How many bytes a frame may take: as many as get through.

Receivers report in their heartbeats what share of our chunks came, and how late. Congestion is our doing and shows as
loss that was not there before, or as a growing delay; then the budget falls to what was delivered. A radio that loses
half of everything is not congested: its loss stays the same however little we send, and sending less would not help.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from skyweave.core.errors import FleetError


@dataclass(frozen=True)
class RateControlConfig:
    """Bounds and steps.

    Attributes:
        least, most: bytes a frame, envelopes included.
        start: bytes of the first frames; None: ``most``.
        growth: factor by which it grows after a good report.
        loss: share above what is usual from which the link counts as congested.
        delay: seconds by which even the quickest message is late, from which it does.
    """

    least: int = 400
    most: int = 20_000
    start: int | None = None
    growth: float = 1.08
    loss: float = 0.05
    delay: float = 0.25

    def __post_init__(self) -> None:
        if not 200 <= self.least <= self.most:
            raise FleetError(f"a budget from {self.least} to {self.most} bytes a frame must be rising and at least 200")


@dataclass
class RateController:
    """The budget of one sender, steered by reports."""

    config: RateControlConfig = field(default_factory=RateControlConfig)
    bytes: float = 0.0
    _usual: deque[float] = field(default_factory=lambda: deque(maxlen=12))

    def __post_init__(self) -> None:
        self.bytes = float(self.config.start or self.config.most)

    @property
    def frame(self) -> int:
        """Bytes for the next frame."""
        return int(self.bytes)

    def report(self, delivered: list[float], delays: list[float]) -> None:
        """What receivers say about the time since the last report.

        Args:
            delivered: the share of our bytes that came, for each receiver.
            delays: seconds that the quickest took beyond the quickest ever, for each receiver.
        """
        if not delivered:
            return
        config = self.config
        # The middle one: a receiver that has flown away must not silence us for the others.
        share, delay = float(np.median(delivered)), float(np.median(delays)) if delays else 0.0
        loss = 1 - share
        usual = min(self._usual, default=0.0)
        self._usual.append(loss)
        if delay > config.delay:
            self.bytes *= 0.8
        elif loss > usual + config.loss:
            self.bytes *= max(0.9 * share / max(1 - usual, 0.05), 0.5)
        else:
            self.bytes *= config.growth
        self.bytes = min(max(self.bytes, config.least), config.most)
