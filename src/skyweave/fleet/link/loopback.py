"""A transport within one process: messages arrive at once, in the sender's thread."""

import threading

from skyweave.fleet.link.topics import matches_pattern
from skyweave.fleet.link.transport import DepartureCallback, MessageCallback, Priority, Unsubscribe


class LoopbackNetwork:
    """Joins members in one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._number = 0
        self._subscriptions: dict[int, tuple[object, str, MessageCallback]] = {}
        self._watches: dict[int, tuple[str, DepartureCallback]] = {}

    def join(self) -> "LoopbackTransport":
        """Return the transport of a new member. It does not receive its own messages."""
        return LoopbackTransport(self)

    def deliver(self, sender: object, topic: str, message: bytes) -> None:
        """Hand a message to all other members that subscribed to it.

        Args:
            sender: the member that published it.
            topic: of the message.
            message: its bytes.
        """
        for _, callback in self.subscribers(sender, topic):
            callback(topic, message)

    def subscribers(self, sender: object, topic: str) -> list[tuple[object, MessageCallback]]:
        """Return (member, callback) of everybody but the sender that subscribed to a topic.

        Args:
            sender: the member that published it.
            topic: of a message.
        """
        with self._lock:
            subscriptions = list(self._subscriptions.values())
        return [
            (member, callback)
            for member, pattern, callback in subscriptions
            if member is not sender and matches_pattern(pattern, topic)
        ]

    def subscribe(self, member: object, pattern: str, callback: MessageCallback) -> Unsubscribe:
        """Subscribe a member; return what ends the subscription.

        Args:
            member: the subscriber.
            pattern: of topics.
            callback: called with topic and message.
        """
        with self._lock:
            self._number += 1
            number = self._number
            self._subscriptions[number] = (member, pattern, callback)

        def unsubscribe() -> None:
            with self._lock:
                self._subscriptions.pop(number, None)

        return unsubscribe

    def watch(self, pattern: str, callback: DepartureCallback) -> Unsubscribe:
        """Call back for members that leave; return what ends the watching.

        Args:
            pattern: of the topics of presence.
            callback: called with the topic of the member that left.
        """
        with self._lock:
            self._number += 1
            number = self._number
            self._watches[number] = (pattern, callback)

        def unwatch() -> None:
            with self._lock:
                self._watches.pop(number, None)

        return unwatch

    def report_departure(self, topic: str) -> None:
        """Call back everybody that watches a topic of presence.

        Args:
            topic: of the member that left.
        """
        with self._lock:
            watches = list(self._watches.values())
        for pattern, callback in watches:
            if matches_pattern(pattern, topic):
                callback(topic)


class LoopbackTransport:
    """A `skyweave.fleet.link.transport.Transport` over a `LoopbackNetwork`.

    Args:
        network: to join.
    """

    def __init__(self, network: LoopbackNetwork) -> None:
        self.network = network
        self._subscriptions: list[Unsubscribe] = []
        self._announced: list[str] = []
        self._open = True

    def publish(self, topic: str, message: bytes, priority: Priority = Priority.FRAMES) -> None:
        """Hand a message to all subscribers, at once.

        Args:
            topic: to publish to.
            message: its bytes.
            priority: without effect.
        """
        if self._open:
            self.network.deliver(self, topic, message)

    def subscribe(self, pattern: str, callback: MessageCallback) -> Unsubscribe:
        """Subscribe to a pattern of topics; return what ends the subscription.

        Args:
            pattern: of topics.
            callback: called with topic and message.
        """
        unsubscribe = self.network.subscribe(self, pattern, callback)
        self._subscriptions.append(unsubscribe)
        return unsubscribe

    def announce(self, topic: str) -> Unsubscribe:
        """Declare presence until closed; return what ends it before.

        Args:
            topic: that others watch.
        """
        self._announced.append(topic)

        def withdraw() -> None:
            if topic in self._announced:
                self._announced.remove(topic)
                self.network.report_departure(topic)

        return withdraw

    def watch(self, pattern: str, callback: DepartureCallback) -> Unsubscribe:
        """Watch for departures; return what ends the watching.

        Args:
            pattern: of the topics of presence.
            callback: called with the topic of the member that left.
        """
        unwatch = self.network.watch(pattern, callback)
        self._subscriptions.append(unwatch)
        return unwatch

    def close(self) -> None:
        """Leave the network; who watches is called back."""
        self._open = False
        for unsubscribe in self._subscriptions:
            unsubscribe()
        while self._announced:
            self.network.report_departure(self._announced.pop())
