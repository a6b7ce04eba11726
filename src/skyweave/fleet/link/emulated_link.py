"""One emulated link: rate, delay, jitter, burst loss, reordering, duplicates, all from one seed."""

from dataclasses import dataclass

import numpy as np

from skyweave.core.errors import FleetError
from skyweave.fleet.link.clocks import NS_PER_S

DUPLICATE_GAP_S = 0.001  # by which the copy of a duplicated message follows at least


@dataclass(frozen=True)
class EmulatedLinkConfig:
    """Quality of a link.

    Attributes:
        rate: bytes a second; None: unlimited.
        queue: bytes that wait for the rate; what comes on top is dropped.
        overhead: bytes that each message costs beyond its own (headers of IP, UDP and Zenoh).
        delay: seconds.
        jitter: spread of the delay, seconds: uniform from 0 to twice this, so that the mean is ``delay + jitter``.
        loss: mean share of messages lost.
        burst: mean length of a run of losses, in messages (Gilbert-Elliott: the bad state loses everything, the
            good one nothing); 1: losses are independent.
        reorder: share of messages that may overtake others; the rest keep their order whatever the jitter.
        duplicate: share of messages that arrive twice.
    """

    rate: float | None = None
    queue: int = 32_000
    overhead: int = 60
    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    burst: float = 1.0
    reorder: float = 0.0
    duplicate: float = 0.0

    def __post_init__(self) -> None:
        self._check_shares()
        if self.burst < 1 or min(self.delay, self.jitter) < 0 or (self.rate is not None and self.rate <= 0):
            raise FleetError(f"a link needs burst >= 1 message, delay and jitter >= 0 s, rate > 0: {self}")

    def _check_shares(self) -> None:
        """Check that shares lie between 0 and 1."""
        for name in ("loss", "reorder", "duplicate"):
            if not 0 <= getattr(self, name) <= 1:
                raise FleetError(f"{name} {getattr(self, name)} of a link must be a share, 0 to 1")


class EmulatedLink:
    """One direction between two members.

    Args:
        config: quality of the link; may be replaced at any time.
        seed: decides everything random.

    Attributes:
        dropped: messages that the queue had no room for.
        lost: messages lost on the way.
        carried: bytes, overhead included.
    """

    def __init__(self, config: EmulatedLinkConfig, seed: int) -> None:
        self.config = config
        self.dropped = 0
        self.lost = 0
        self.carried = 0
        self._generator = np.random.default_rng(seed)
        self._bad_state = False
        self._free_at = 0  # when the rate has room again
        self._last_arrival = 0  # of the messages that keep their order

    def transmit(self, size: int, now: int) -> list[int]:
        """Return when a message arrives, nanoseconds: no time if it is lost, two if it is duplicated.

        Args:
            size: bytes of the message.
            now: nanoseconds.
        """
        config, draw = self.config, self._generator.random(5)  # five, always: what a message draws is its own
        size += config.overhead
        departure = self._enqueue(size, now)
        if departure is None:
            self.dropped += 1
            return []
        self.carried += size
        if self._is_lost(draw[0]):
            self.lost += 1
            return []
        arrival = departure + round((config.delay + 2 * config.jitter * draw[1]) * NS_PER_S)
        if draw[2] >= config.reorder:
            arrival = self._last_arrival = max(arrival, self._last_arrival)
        if draw[3] < config.duplicate:
            return [arrival, arrival + round((DUPLICATE_GAP_S + config.jitter * draw[4]) * NS_PER_S)]
        return [arrival]

    def _enqueue(self, size: int, now: int) -> int | None:
        """Return when the message has left, nanoseconds; None where the queue is full."""
        config = self.config
        if config.rate is None:
            return now
        queued_bytes = max(self._free_at - now, 0) / NS_PER_S * config.rate
        if queued_bytes + size > config.queue:
            return None
        self._free_at = max(self._free_at, now) + round(size / config.rate * NS_PER_S)
        return self._free_at

    def _is_lost(self, draw: float) -> bool:
        """Step the Gilbert-Elliott chain."""
        config = self.config
        if not 0 < config.loss < 1:
            return config.loss == 1
        leave = 1 / config.burst
        enter = min(config.loss / (1 - config.loss) * leave, 1.0)
        if config.burst == 1:
            leave, enter = 1 - config.loss, config.loss
        self._bad_state = draw >= leave if self._bad_state else draw < enter
        return self._bad_state
