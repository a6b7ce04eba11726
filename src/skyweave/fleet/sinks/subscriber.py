"""Receives a fleet's messages without being a platform: for clients, the dashboard and recorders."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skyweave.fleet.link.clocks import Clock, SteadyClock
from skyweave.fleet.link.credentials import PLATFORM, Member, load_credentials
from skyweave.fleet.link.messages import MAX_MESSAGE_BYTES, SCENE, CameraImage, MessageContent, read_content
from skyweave.fleet.link.scene_message import SceneMessage
from skyweave.fleet.link.topics import HEARTBEAT, ROOT, Topic, camera_topic, parse_topic, result_topic
from skyweave.fleet.link.transport import DepartureCallback, Membership, MessageCallback, Transport, Unsubscribe
from skyweave.fleet.link.zenoh import ZenohConfig, ZenohTransport
from skyweave.fleet.sinks.sender import Sender

MAX_SENDERS = 256
FORGET_AFTER_S = 30.0  # without a message
MAX_LOGGED_FAULTS = 10

log = logging.getLogger("skyweave.fleet")


@dataclass(frozen=True)
class ReceivedMessage:
    """A message that was found to be what it says it is.

    Attributes:
        topic: that it came under.
        address: what the topic says; the platform is the one whose key signed the message.
        message: its bytes.
        content: what they say.
        age: seconds since it was sent, by the sender's quickest messages; never less where clocks are right.
        sent: when that was, UTC nanoseconds by the sender's clock.
        envelope: that it came in.
    """

    topic: str
    address: Topic
    message: bytes
    content: MessageContent
    age: float
    sent: int
    envelope: bytes


SceneCallback = Callable[[SceneMessage, float], None]
"""Called with the scene, and the seconds since it was sent."""

ResultCallback = Callable[[str, dict[str, Any]], None]
"""Called with the platform's name and the content, in which that name stands, too."""

CameraCallback = Callable[[CameraImage], None]
ReceivedCallback = Callable[[ReceivedMessage], None]


class FleetSubscriber:
    """Reads what a fleet publishes. Messages that are not as they should be cost their sender, and nobody else.

    Args:
        fleet: name of the fleet.
        transport: to the fleet; closed with the subscriber.
        keys: folder of ``skyweave fleet keys``; None: the fleet runs in the clear.
        name: of this member among the keys.
        clock: the local one; None: one that does not jump when the system's time is set.

    Attributes:
        rejected: messages that were not taken, by reason.
        rejected_by: the same, by sender; under the empty name those of nobody that is known.

    Raises:
        FleetError: keys that do not fit.
    """

    def __init__(
        self,
        fleet: str,
        transport: Transport,
        keys: str | Path | None = None,
        name: str = "viewer",
        clock: Clock | None = None,
    ) -> None:
        self.fleet, self.transport, self.clock = fleet, transport, clock or SteadyClock()
        self.rejected: Counter[str] = Counter()
        self.rejected_by: dict[str, Counter[str]] = {"": Counter()}
        self._members: dict[str, Member] | None = None if keys is None else load_credentials(keys, name).members
        self._senders: dict[str, Sender] = {}
        self._lock = threading.Lock()
        self._faults = 0

    def subscribe_scenes(self, platform: str, callback: SceneCallback) -> Unsubscribe:
        """Subscribe to fused scenes; return what ends the subscription.

        Args:
            platform: name of one platform; ``*``: of all.
            callback: called with each.
        """

        def on_scene(received: ReceivedMessage) -> None:
            if isinstance(received.content, SceneMessage):
                callback(received.content, received.age)

        return self._subscribe(result_topic(self.fleet, platform, "scene"), on_scene)

    def subscribe_results(self, platform: str, form: str, callback: ResultCallback) -> Unsubscribe:
        """Subscribe to results of another form than ``scene``; return what ends the subscription.

        Args:
            platform: name of one platform; ``*``: of all.
            form: such as ``geojson``.
            callback: called with platform and content.
        """

        def on_result(received: ReceivedMessage) -> None:
            if isinstance(received.content, dict):
                callback(received.address.platform, received.content)

        return self._subscribe(result_topic(self.fleet, platform, form), on_result)

    def subscribe_cameras(self, platform: str, callback: CameraCallback) -> Unsubscribe:
        """Subscribe to thumbnails; return what ends the subscription.

        Args:
            platform: name of one platform; ``*``: of all.
            callback: called with each.
        """

        def on_image(received: ReceivedMessage) -> None:
            if isinstance(received.content, CameraImage):
                callback(received.content)

        return self._subscribe(camera_topic(self.fleet, platform, "*"), on_image)

    def subscribe_shown(self, callback: ReceivedCallback) -> Unsubscribe:
        """Subscribe to scenes, thumbnails and heartbeats of all platforms; return what ends the subscription.

        Args:
            callback: called with each message.
        """
        patterns = (result_topic(self.fleet, "*", SCENE), camera_topic(self.fleet, "*", "*"), self._heartbeats)
        ends = [self._subscribe(pattern, callback) for pattern in patterns]

        def unsubscribe() -> None:
            for end in ends:
                end()

        return unsubscribe

    def watch(self, callback: DepartureCallback) -> Unsubscribe:
        """Call back for every platform that the network lost; return what ends the watching.

        Args:
            callback: called with the topic of its heartbeats.
        """
        return self.transport.watch(self._heartbeats, callback)

    def subscribe_all(self, callback: ReceivedCallback) -> Unsubscribe:
        """Subscribe to all messages of the fleet; return what ends the subscription.

        Args:
            callback: called with each.
        """
        return self._subscribe(f"{ROOT}/{self.fleet}/**", callback)

    def read(self, topic: str, envelope: bytes) -> ReceivedMessage | None:
        """Return the message in an envelope; None, counted, if it is not what it says it is. Never raises.

        Args:
            topic: that it came under.
            envelope: its bytes.
        """
        address = parse_topic(topic)
        reason = self._read(topic, address, envelope)
        if isinstance(reason, ReceivedMessage):
            return reason
        sender = "" if address is None or reason in ("unknown_sender", "peer_limit") else address.platform
        self._reject(sender, reason)
        return None

    def close(self) -> None:
        """Leave the fleet, and close the transport."""
        self.transport.close()

    @property
    def _heartbeats(self) -> str:
        return f"{ROOT}/{self.fleet}/{HEARTBEAT}/**"

    def _subscribe(self, pattern: str, callback: ReceivedCallback) -> Unsubscribe:
        return self.transport.subscribe(pattern, self._contained(callback))

    def _contained(self, callback: ReceivedCallback) -> MessageCallback:
        """Return what reads a message and hands it on; what fails then is counted at the sender."""

        def on_message(topic: str, envelope: bytes) -> None:
            received = self.read(topic, envelope)
            if received is None:
                return
            try:
                callback(received)
            except Exception:
                self._reject(received.address.platform, "internal")
                self._faults += 1
                if self._faults <= MAX_LOGGED_FAULTS:
                    log.exception("a message of %s failed where it was used", received.address.platform)

        return on_message

    def _reject(self, sender: str, reason: str) -> None:
        with self._lock:
            self.rejected[reason] += 1
            if sender in self._senders or not sender:
                self.rejected_by.setdefault(sender, Counter())[reason] += 1
            if sender in self._senders:
                self._senders[sender].penalize(reason)

    def _read(self, topic: str, address: Topic | None, envelope: bytes) -> ReceivedMessage | str:
        """Return the message, or why it is rejected."""
        if address is None or address.fleet != self.fleet:
            return "topic"
        if len(envelope) > MAX_MESSAGE_BYTES:
            return "size"
        now = time.monotonic()
        with self._lock:
            sender = self._senders.get(address.platform) or self._add_sender(address.platform, now)
            if isinstance(sender, str):
                return sender
            opened = sender.open(topic, address, envelope, now, self.clock())
        if isinstance(opened, str):
            return opened
        content = read_content(address, opened.message)
        if isinstance(content, str):
            return content
        return ReceivedMessage(topic, address, opened.message, content, opened.age, opened.sent, envelope)

    def _add_sender(self, name: str, now: float) -> Sender | str:
        """Return a sender that is new, or why it may not speak. Called with the lock held."""
        member = None
        if self._members is not None:
            member = self._members.get(name)
            if member is None:
                return "unknown_sender"
            if member.role != PLATFORM:
                return "role"
        if len(self._senders) >= MAX_SENDERS:
            self._forget_silent(now)
        if len(self._senders) >= MAX_SENDERS:
            return "peer_limit"
        sender = self._senders[name] = Sender(None if member is None else member.public_key, now)
        return sender

    def _forget_silent(self, now: float) -> None:
        for name in [name for name, sender in self._senders.items() if now - sender.last_message > FORGET_AFTER_S]:
            del self._senders[name]
            self.rejected_by.pop(name, None)


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
