"""A network of emulated links in one process.

A link is from one member to another. What happens to its n-th message depends on the seed, the two names and n alone,
so a run with the same messages at the same times is the same run. Time is given (`EmulatedNetwork.advance`), so that
tests do not wait; `EmulatedNetwork.run` follows the wall clock instead.
"""

import heapq
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from skyweave.fleet.link.emulated_link import EmulatedLink, EmulatedLinkConfig
from skyweave.fleet.link.loopback import LoopbackNetwork
from skyweave.fleet.link.transport import DepartureCallback, MessageCallback, Priority, Unsubscribe


@dataclass(order=True)
class _MessageInFlight:
    time: int
    number: int
    callback: MessageCallback = field(compare=False)
    topic: str = field(compare=False)
    message: bytes = field(compare=False)


class EmulatedNetwork:
    """Members joined by emulated links.

    Args:
        config: of every link.
        seed: decides everything random.
        links: other qualities, by (sender, receiver).

    Attributes:
        now: nanoseconds up to which time has passed.
    """

    def __init__(
        self,
        config: EmulatedLinkConfig | None = None,
        seed: int = 0,
        links: dict[tuple[str, str], EmulatedLinkConfig] | None = None,
    ) -> None:
        self.config, self.seed, self.configs = config or EmulatedLinkConfig(), seed, dict(links or {})
        self.subscriptions = LoopbackNetwork()
        self.links: dict[tuple[str, str], EmulatedLink] = {}
        self.now = 0
        self._in_flight: list[_MessageInFlight] = []
        self._number = 0
        self._lock = threading.Lock()

    def join(self, name: str) -> "EmulatedTransport":
        """Return the transport of a new member.

        Args:
            name: of the member.
        """
        return EmulatedTransport(self, name)

    def link(self, sender: str, receiver: str) -> EmulatedLink:
        """Return the link between two members.

        Args:
            sender: name of one.
            receiver: name of the other.
        """
        pair = (sender, receiver)
        if pair not in self.links:
            seed = zlib.crc32(f"{self.seed} {sender} {receiver}".encode())
            self.links[pair] = EmulatedLink(self.configs.get(pair, self.config), seed)
        return self.links[pair]

    def set_link_quality(self, config: EmulatedLinkConfig, sender: str, receiver: str) -> None:
        """Give a link another quality from now on: cut it with ``loss=1``.

        Args:
            config: the new quality.
            sender: name of one member.
            receiver: name of the other.
        """
        self.link(sender, receiver).config = config

    def send(self, sender: "EmulatedTransport", topic: str, message: bytes) -> None:
        """Put a message on the links to all subscribers.

        Args:
            sender: the member that published it.
            topic: of the message.
            message: its bytes.
        """
        with self._lock:
            for member, callback in self.subscriptions.subscribers(sender, topic):
                assert isinstance(member, EmulatedTransport)
                for arrival in self.link(sender.name, member.name).transmit(len(message), self.now):
                    self._number += 1
                    flight = _MessageInFlight(arrival, self._number, callback, topic, message)
                    heapq.heappush(self._in_flight, flight)

    def advance(self, now: int) -> None:
        """Let time pass and deliver what arrives meanwhile.

        Args:
            now: nanoseconds until which it passes.
        """
        while True:
            with self._lock:
                if not self._in_flight or self._in_flight[0].time > now:
                    self.now = max(self.now, now)
                    return
                arrived = heapq.heappop(self._in_flight)
                self.now = max(self.now, arrived.time)
            arrived.callback(arrived.topic, arrived.message)

    def next_arrival(self) -> int | None:
        """Return when the next message arrives, nanoseconds; None: none is under way."""
        with self._lock:
            return self._in_flight[0].time if self._in_flight else None

    def run(self, clock: Callable[[], int], stop: threading.Event, step: float = 0.002) -> None:
        """Follow a clock until stopped; to be called in a thread.

        Args:
            clock: returns nanoseconds.
            stop: ends it.
            step: seconds between two deliveries.
        """
        while not stop.wait(step):
            self.advance(clock())


class EmulatedTransport:
    """A `skyweave.fleet.link.transport.Transport` over an `EmulatedNetwork`.

    Args:
        network: that it belongs to.
        name: of the member.
    """

    def __init__(self, network: EmulatedNetwork, name: str) -> None:
        self.network, self.name = network, name
        self._subscriptions: list[Unsubscribe] = []
        self._open = True

    def publish(self, topic: str, message: bytes, priority: Priority = Priority.FRAMES) -> None:
        """Put a message on the links to all subscribers.

        Args:
            topic: to publish to.
            message: its bytes.
            priority: without effect.
        """
        if self._open:
            self.network.send(self, topic, message)

    def subscribe(self, pattern: str, callback: MessageCallback) -> Unsubscribe:
        """Subscribe to a pattern of topics; return what ends the subscription.

        Args:
            pattern: of topics.
            callback: called with topic and message.
        """
        unsubscribe = self.network.subscriptions.subscribe(self, pattern, callback)
        self._subscriptions.append(unsubscribe)
        return unsubscribe

    def announce(self, topic: str) -> Unsubscribe:
        """Do nothing: a radio cannot tell who is present.

        Args:
            topic: that others would watch.
        """
        return lambda: None

    def watch(self, pattern: str, callback: DepartureCallback) -> Unsubscribe:
        """Watch nothing: a radio cannot tell who left.

        Args:
            pattern: of the topics of presence.
            callback: never called.
        """
        return lambda: None

    def close(self) -> None:
        """Leave the network; what is in flight still arrives."""
        self._open = False
        for unsubscribe in self._subscriptions:
            unsubscribe()
