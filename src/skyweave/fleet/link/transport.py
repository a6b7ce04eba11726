"""What a node needs of a network: byte messages by topic, published and subscribed to, best effort.

Topics are words joined by ``/``; patterns of them are described in `skyweave.fleet.link.topics`. Messages may be lost,
duplicated, delayed and reordered; nothing blocks the sender. Other packages add transports as kinds of
`TransportConfig`.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Protocol

from skyweave.core.config import TaggedConfig
from skyweave.core.registry import Registry
from skyweave.fleet.link.credentials import Credentials

MessageCallback = Callable[[str, bytes], None]
"""Called with topic and message, from any thread; must return soon and not raise."""

DepartureCallback = Callable[[str], None]
"""Called with the liveliness topic of a member that is no longer present."""

Unsubscribe = Callable[[], None]
"""Ends a subscription."""

Subscribe = Callable[[str, MessageCallback], Unsubscribe]
"""Subscribes to a pattern of topics; returns what ends the subscription."""


class Priority(IntEnum):
    """Which messages go first where a link is busy."""

    CONTROL = 1  # heartbeats: small, and what everything else is steered by
    FRAMES = 2
    RESULTS = 3
    IMAGES = 4


class Transport(Protocol):
    """A member's connection to its fleet."""

    def publish(self, topic: str, message: bytes, priority: Priority = Priority.FRAMES) -> None:
        """Send a message to all subscribers; it is dropped where the link is full.

        Args:
            topic: to publish to.
            message: its bytes.
            priority: against other messages.
        """

    def subscribe(self, pattern: str, callback: MessageCallback) -> Unsubscribe:
        """Call back for every message of other members whose topic matches; return what ends the subscription.

        Args:
            pattern: of topics.
            callback: called with topic and message.
        """

    def announce(self, topic: str) -> Unsubscribe:
        """Declare presence under a topic for as long as this member is connected; return what ends that before.

        Args:
            topic: that others watch.
        """

    def watch(self, pattern: str, callback: DepartureCallback) -> Unsubscribe:
        """Call back for every member that was present and no longer is; return what ends the watching.

        Not every network notices departures; where it does not, nothing is called.

        Args:
            pattern: of the topics of presence.
            callback: called with the topic of the member that left, died or is out of reach.
        """

    def close(self) -> None:
        """Leave the fleet. Publishing afterwards does nothing."""


@dataclass(frozen=True)
class Membership:
    """What a transport must know of the fleet that it connects to.

    Attributes:
        fleet: name of the fleet.
        credentials: of this member; None: messages travel in the clear.
        allow_clear: connect beyond this machine without encryption.
    """

    fleet: str
    credentials: Credentials | None = None
    allow_clear: bool = False


class TransportConfig(TaggedConfig):
    """Base of the configurations of transports: the section ``transport`` of a node's YAML."""

    kinds: "ClassVar[Registry[type[TransportConfig]]]" = Registry(
        "transports", "transport", {"zenoh": "skyweave.fleet.link.zenoh:ZenohConfig"}
    )
    default_kind = "zenoh"

    @abstractmethod
    def build(self, membership: Membership) -> Transport:
        """Connect to the fleet.

        Args:
            membership: the fleet and what proves that this node belongs to it.

        Raises:
            FleetError: endpoints that cannot be opened, or that would be reached without encryption.
        """
