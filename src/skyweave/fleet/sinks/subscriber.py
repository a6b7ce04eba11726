"""Receives a fleet's messages without being a platform: for clients, the dashboard and recorders."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from skyweave.fleet.link.credentials import Member, load_credentials
from skyweave.fleet.link.envelope import EnvelopeOpener
from skyweave.fleet.link.topics import ROOT, camera_topic, platform_from_topic, result_topic
from skyweave.fleet.link.transport import Membership, Transport, Unsubscribe
from skyweave.fleet.link.zenoh import ZenohConfig, ZenohTransport

MAX_MESSAGE_BYTES = 1 << 20
MAX_SENDERS = 1024

ResultCallback = Callable[[str, bytes], None]
"""Called with the platform's name and the message."""

CameraCallback = Callable[[str, str, bytes], None]
"""Called with platform, channel and JPEG."""

EnvelopeCallback = Callable[[str, bytes, bytes], None]
"""Called with topic, message and the envelope that it came in."""


class FleetSubscriber:
    """Opens what a fleet publishes.

    Args:
        fleet: name of the fleet.
        transport: to the fleet; closed with the subscriber.
        keys: folder of ``skyweave fleet keys``; None: the fleet runs in the clear.
        name: of this member among the keys.

    Attributes:
        rejected: messages that were not believed, by reason.

    Raises:
        FleetError: keys that do not fit.
    """

    def __init__(self, fleet: str, transport: Transport, keys: str | Path | None = None, name: str = "viewer") -> None:
        self.fleet, self.transport = fleet, transport
        self.rejected: Counter[str] = Counter()
        self._members: dict[str, Member] | None = None if keys is None else load_credentials(keys, name).members
        self._openers: dict[tuple[str, str], EnvelopeOpener] = {}  # by platform and topic
        self._lock = threading.Lock()

    def subscribe_results(self, platform: str, form: str, callback: ResultCallback) -> Unsubscribe:
        """Subscribe to results; return what ends the subscription.

        Args:
            platform: name of one platform; ``*``: of all.
            form: such as ``scene``.
            callback: called with platform and message.
        """

        def on_message(topic: str, envelope: bytes) -> None:
            message = self.open(topic, envelope)
            if message is not None:
                callback(topic.split("/")[3], message)

        return self.transport.subscribe(result_topic(self.fleet, platform, form), on_message)

    def subscribe_cameras(self, platform: str, callback: CameraCallback) -> Unsubscribe:
        """Subscribe to thumbnails; return what ends the subscription.

        Args:
            platform: name of one platform; ``*``: of all.
            callback: called with platform, channel and JPEG.
        """

        def on_message(topic: str, envelope: bytes) -> None:
            message = self.open(topic, envelope)
            if message is not None:
                words = topic.split("/")
                callback(words[3], words[4], message)

        return self.transport.subscribe(camera_topic(self.fleet, platform, "*"), on_message)

    def subscribe_all(self, callback: EnvelopeCallback) -> Unsubscribe:
        """Subscribe to all messages of the fleet; return what ends the subscription.

        Args:
            callback: called with topic, message and the envelope that it came in.
        """

        def on_message(topic: str, envelope: bytes) -> None:
            message = self.open(topic, envelope)
            if message is not None:
                callback(topic, message, envelope)

        return self.transport.subscribe(f"{ROOT}/{self.fleet}/**", on_message)

    def open(self, topic: str, envelope: bytes) -> bytes | None:
        """Return the message in an envelope; None, counted, if it is not what it says it is.

        Args:
            topic: that it came under.
            envelope: its bytes.
        """
        message = self._open(topic, envelope)
        if isinstance(message, str):
            self.rejected[message] += 1
            return None
        return message

    def close(self) -> None:
        """Leave the fleet, and close the transport."""
        self.transport.close()

    def _open(self, topic: str, envelope: bytes) -> bytes | str:
        """Return the message, or why it is rejected."""
        name = platform_from_topic(topic)
        if name is None:
            return "topic"
        if len(envelope) > MAX_MESSAGE_BYTES:
            return "size"
        with self._lock:
            opener = self._opener_for(name, topic)
            if isinstance(opener, str):
                return opener
            opened = opener.open(topic, envelope)
            if isinstance(opened, str):
                return opened
            opener.remember(opened)
        return opened.message

    def _opener_for(self, name: str, topic: str) -> EnvelopeOpener | str:
        """Return what opens a sender's envelopes under a topic, or why none may. Called with the lock held."""
        opener = self._openers.get((name, topic))
        if opener is not None:
            return opener
        if self._members is not None and name not in self._members:
            return "unknown_sender"
        if len(self._openers) >= MAX_SENDERS:
            return "peer_limit"
        public_key = None if self._members is None else self._members[name].public_key
        opener = self._openers[name, topic] = EnvelopeOpener(public_key)
        return opener


def open_subscriber_session(
    fleet: str, connect: Sequence[str], keys: str | Path | None, name: str, allow_clear: bool = False
) -> ZenohTransport:
    """Open a session that only receives.

    Args:
        fleet: name of the fleet.
        connect: Zenoh endpoints of any of its nodes or of a router.
        keys: folder of ``skyweave fleet keys``; None: the fleet runs in the clear.
        name: of this member among the keys.
        allow_clear: connect beyond this machine without TLS.

    Raises:
        FleetError: endpoints in the clear beyond this machine, or keys that do not fit.
    """
    credentials = None if keys is None else load_credentials(keys, name)
    protocol = "tcp" if credentials is None else "tls"
    config = ZenohConfig(listen=[f"{protocol}/127.0.0.1:0"], connect=list(connect))
    return config.build(Membership(fleet, credentials, allow_clear=allow_clear))
