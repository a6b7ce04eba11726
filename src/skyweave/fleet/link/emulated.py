"""A network of emulated links in one process: rate, delay, jitter, burst loss, reordering, duplicates, all seeded.

A link is from one member to another. What happens to its n-th message depends on the seed, the two names and n alone,
so a run with the same messages at the same times is the same run. Time is given (`EmulatedNetwork.advance`), so that
tests do not wait; `run` follows the wall clock instead.
"""

import heapq
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from skyweave.core.errors import FleetError
from skyweave.fleet.link.transport import LoopbackNetwork, MessageCallback, Priority

SECOND = 10**9


@dataclass(frozen=True)
class EmulatedLinkConfig:
    """How good a link is.

    Attributes:
        rate: bytes a second; None: unlimited.
        queue: bytes that wait for the rate; what comes on top is dropped.
        overhead: bytes that each message costs beyond its own (IP, UDP and Zenoh heads).
        delay: seconds.
        jitter: spread of the delay, seconds: uniform from 0 to twice this, so that the mean is ``delay + jitter``.
        loss: mean share of messages lost.
        burst: mean length of a run of losses, in messages (Gilbert-Elliott: all is lost in the bad state, nothing in
            the good one); 1: losses are independent.
        reorder: share of messages that may overtake others; the rest keep their order whatever the jitter.
        duplicate: share of messages that come twice.
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
        for name in ("loss", "reorder", "duplicate"):
            if not 0 <= getattr(self, name) <= 1:
                raise FleetError(f"{name} {getattr(self, name)} of a link must be a share, 0 to 1")
        if self.burst < 1 or min(self.delay, self.jitter) < 0 or (self.rate is not None and self.rate <= 0):
            raise FleetError(f"a link needs burst >= 1 message, delay and jitter >= 0 s, rate > 0: {self}")


class EmulatedLink:
    """One direction between two members."""

    def __init__(self, config: EmulatedLinkConfig, seed: int) -> None:
        self.config = config
        self.dropped = 0  # by the queue
        self.lost = 0  # on the way
        self.carried = 0  # bytes, overhead included
        self._generator = np.random.default_rng(seed)
        self._bad = False
        self._free = 0  # when the rate has room again
        self._latest = 0  # arrival of the last message that keeps its order

    def offer(self, size: int, now: int) -> list[int]:
        """When a message of ``size`` bytes arrives: empty if never, twice if it is doubled."""
        config, draw = self.config, self._generator.random(5)  # five, always: what a message draws is its own
        size += config.overhead
        start = now
        if config.rate is not None:
            waiting = max(self._free - now, 0) / SECOND * config.rate
            if waiting + size > config.queue:
                self.dropped += 1
                return []
            start = max(self._free, now)
            self._free = start + round(size / config.rate * SECOND)
            start = self._free
        self.carried += size
        if self._is_lost(draw[0]):
            self.lost += 1
            return []
        arrival = start + round((config.delay + 2 * config.jitter * draw[1]) * SECOND)
        if draw[2] >= config.reorder:
            arrival = self._latest = max(arrival, self._latest)
        if draw[3] < config.duplicate:
            return [arrival, arrival + round((0.001 + config.jitter * draw[4]) * SECOND)]
        return [arrival]

    def _is_lost(self, draw: float) -> bool:
        config = self.config
        if not 0 < config.loss < 1:
            return config.loss == 1
        leave = 1 / config.burst
        enter = min(config.loss / (1 - config.loss) * leave, 1.0)
        if config.burst == 1:
            leave, enter = 1 - config.loss, config.loss
        self._bad = draw >= leave if self._bad else draw < enter
        return self._bad


@dataclass(order=True)
class _Message:
    time: int
    number: int
    heard: MessageCallback = field(compare=False)
    key: str = field(compare=False)
    message: bytes = field(compare=False)


class EmulatedNetwork:
    """Members joined by links.

    Args:
        config: of every link; ``links`` gives others for (sender, receiver).
        seed: decides everything random.
    """

    def __init__(
        self,
        config: EmulatedLinkConfig | None = None,
        seed: int = 0,
        links: dict[tuple[str, str], EmulatedLinkConfig] | None = None,
    ) -> None:
        self.config, self.seed, self.configs = config or EmulatedLinkConfig(), seed, dict(links or {})
        self.hub = LoopbackNetwork()
        self.links: dict[tuple[str, str], EmulatedLink] = {}
        self.now = 0
        self._waiting: list[_Message] = []
        self._number = 0
        self._lock = threading.Lock()

    def join(self, name: str) -> "EmulatedTransport":
        """A new member with that name."""
        return EmulatedTransport(self, name)

    def link(self, sender: str, receiver: str) -> EmulatedLink:
        """The link between two members."""
        pair = (sender, receiver)
        if pair not in self.links:
            seed = zlib.crc32(f"{self.seed} {sender} {receiver}".encode())
            self.links[pair] = EmulatedLink(self.configs.get(pair, self.config), seed)
        return self.links[pair]

    def change(self, config: EmulatedLinkConfig, sender: str, receiver: str) -> None:
        """Give a link another quality from now on: cut it with ``loss=1``."""
        self.link(sender, receiver).config = config

    def send(self, sender: "EmulatedTransport", key: str, message: bytes) -> None:
        """Put a message on the links to all who want it."""
        with self._lock:
            for owner, heard in self.hub.listeners(sender, key):
                assert isinstance(owner, EmulatedTransport)
                for time in self.link(sender.name, owner.name).offer(len(message), self.now):
                    self._number += 1
                    heapq.heappush(self._waiting, _Message(time, self._number, heard, key, message))

    def advance(self, now: int) -> None:
        """Let time pass until ``now``, nanoseconds, and deliver what arrives until then."""
        while True:
            with self._lock:
                if not self._waiting or self._waiting[0].time > now:
                    self.now = max(self.now, now)
                    return
                due = heapq.heappop(self._waiting)
                self.now = max(self.now, due.time)
            due.heard(due.key, due.message)

    def next_arrival(self) -> int | None:
        """When the next message arrives, if one is under way."""
        with self._lock:
            return self._waiting[0].time if self._waiting else None

    def run(self, clock: Callable[[], int], stop: threading.Event, step: float = 0.002) -> None:
        """Follow a clock until stopped; call it in a thread."""
        while not stop.wait(step):
            self.advance(clock())


class EmulatedTransport:
    """A `Transport` over an `EmulatedNetwork`."""

    def __init__(self, network: EmulatedNetwork, name: str) -> None:
        self.network, self.name = network, name
        self._ends: list[Callable[[], None]] = []
        self._open = True

    def publish(self, key: str, message: bytes, priority: Priority = Priority.FRAMES) -> None:
        """See `skyweave.fleet.link.transport.Transport`."""
        if self._open:
            self.network.send(self, key, message)

    def subscribe(self, pattern: str, heard: MessageCallback) -> Callable[[], None]:
        """See `skyweave.fleet.link.transport.Transport`."""
        end = self.network.hub.add(self, pattern, heard)
        self._ends.append(end)
        return end

    def announce(self, key: str) -> None:
        """See `skyweave.fleet.link.transport.Transport`."""

    def watch(self, pattern: str, left: Callable[[str], None]) -> Callable[[], None]:
        """See `skyweave.fleet.link.transport.Transport`: a radio cannot tell."""
        return lambda: None

    def close(self) -> None:
        """See `skyweave.fleet.link.transport.Transport`."""
        self._open = False
        for end in self._ends:
            end()
