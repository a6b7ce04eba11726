"""Transport over Zenoh (zenoh.io): peer to peer on a network, or through routers.

Everything is best effort: a message that a busy link cannot take now is dropped, never waited for, because the next
frame is worth more than this one late. Frames are already cut into chunks below one MTU, each of which is one message.

On other than loopback addresses Zenoh runs over mutual TLS, and each node lets a certificate publish only under its own
name; `skyweave.fleet.link.encryption` refuses anything else unless it is allowed.
"""

import contextlib
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import zenoh

from skyweave.core.errors import FleetError
from skyweave.fleet.link.credentials import Member, TlsCertificates
from skyweave.fleet.link.encryption import check_encryption
from skyweave.fleet.link.transport import (
    DepartureCallback,
    Membership,
    MessageCallback,
    Priority,
    TransportConfig,
    Unsubscribe,
)
from skyweave.fleet.link.zenoh_settings import ZenohOptions, zenoh_settings

PRIORITIES = {
    Priority.CONTROL: zenoh.Priority.INTERACTIVE_HIGH,
    Priority.FRAMES: zenoh.Priority.DATA_HIGH,
    Priority.RESULTS: zenoh.Priority.DATA,
    Priority.IMAGES: zenoh.Priority.BACKGROUND,
}
MAX_PUBLISHERS = 256
CLOSE_TIMEOUT_S = 3.0
# Closing a dead link blocks one of Zenoh's reading threads for the 10 s that a socket lingers. It has two by default: a
# node whose own link was cut loses all peers at once, and received from nobody until they were free again.
RUNTIME = "(rx: (worker_threads: 32))"


@dataclass(frozen=True)
class ZenohConfig(ZenohOptions, TransportConfig):
    """A session over Zenoh; ``kind: zenoh``, which is the default."""

    def build(self, membership: Membership) -> "ZenohTransport":
        """Open a session of a fleet.

        Args:
            membership: the fleet and what proves that this node belongs to it.

        Raises:
            FleetError: an endpoint that cannot be opened, or that would be reached without encryption.
        """
        credentials = membership.credentials
        check_encryption([*self.listen, *self.connect], credentials is not None, membership.allow_clear, self.discover)
        if credentials is None:
            return ZenohTransport(self, allow_clear=membership.allow_clear)
        return ZenohTransport(self, credentials.certificates, membership.fleet, credentials.members)


class ZenohTransport:
    """A `skyweave.fleet.link.transport.Transport` over a Zenoh session.

    Args:
        options: endpoints and limits.
        certificates: for mutual TLS; needed for ``tls`` and ``quic`` endpoints.
        fleet: with ``members``: certificates may publish under their own names only, in this fleet.
        members: by name; their roles say what they may publish.
        allow_clear: reach beyond this machine without encryption.

    Raises:
        FleetError: an endpoint that cannot be opened.
    """

    def __init__(
        self,
        options: ZenohOptions,
        certificates: TlsCertificates | None = None,
        fleet: str | None = None,
        members: Mapping[str, Member] | None = None,
        allow_clear: bool = False,
    ) -> None:
        os.environ.setdefault("ZENOH_RUNTIME", RUNTIME)  # read when the process's first session opens
        settings = zenoh.Config()
        for key, value in zenoh_settings(options, certificates, fleet, members, allow_clear).items():
            settings.insert_json5(key, json.dumps(value))
        try:
            self.session = zenoh.open(settings)
        except zenoh.ZError as error:
            raise FleetError(f"Zenoh does not open {options.listen}: {error}") from None
        self._publishers: dict[tuple[str, Priority], Any] = {}
        self._declared: list[Any] = []  # subscribers and tokens, which end when nothing refers to them
        self._lock = threading.Lock()
        self._open = True

    def publish(self, topic: str, message: bytes, priority: Priority = Priority.FRAMES) -> None:
        """Send a message to all subscribers; it is dropped where the link is full.

        Args:
            topic: to publish to.
            message: its bytes.
            priority: against other messages.
        """
        if not self._open:
            return
        with contextlib.suppress(zenoh.ZError):  # no route, or closing: the same as a lost message
            self._publisher(topic, priority).put(message)

    def subscribe(self, pattern: str, callback: MessageCallback) -> Unsubscribe:
        """Call back for every message of other members whose topic matches; return what ends the subscription.

        Args:
            pattern: of topics.
            callback: called with topic and message, in a thread of Zenoh.
        """

        def on_sample(sample: Any) -> None:
            callback(str(sample.key_expr), sample.payload.to_bytes())

        return self._keep(self.session.declare_subscriber(pattern, on_sample, allowed_origin=zenoh.Locality.REMOTE))

    def announce(self, topic: str) -> Unsubscribe:
        """Declare presence under a topic, as a liveliness token; return what ends it.

        Args:
            topic: that others watch.
        """
        return self._keep(self.session.liveliness().declare_token(topic))

    def watch(self, pattern: str, callback: DepartureCallback) -> Unsubscribe:
        """Call back for every member that left; return what ends the watching.

        A process that dies is known in milliseconds, a cut link after the lease of the session.

        Args:
            pattern: of the topics of presence.
            callback: called with the topic of the member that left, died or is out of reach.
        """

        def on_sample(sample: Any) -> None:
            if sample.kind == zenoh.SampleKind.DELETE:
                callback(str(sample.key_expr))

        return self._keep(self.session.liveliness().declare_subscriber(pattern, on_sample))

    def close(self) -> None:
        """Close the session, or give up after three seconds."""
        with self._lock:
            if not self._open:
                return
            self._open = False
        # It waits for links that may be dead; who leaves must not hang on them.
        closing = threading.Thread(target=self.session.close, daemon=True)
        closing.start()
        closing.join(CLOSE_TIMEOUT_S)

    def _keep(self, declared: Any) -> Unsubscribe:
        """Keep a subscriber or token; return what ends it."""
        with self._lock:
            self._declared.append(declared)

        def undeclare() -> None:
            with self._lock:
                self._declared = [other for other in self._declared if other is not declared]
            with contextlib.suppress(zenoh.ZError):
                declared.undeclare()

        return undeclare

    def _publisher(self, topic: str, priority: Priority) -> Any:
        """Return what publishes to a topic, declared once, so that the topic travels as a number."""
        with self._lock:
            publisher = self._publishers.get((topic, priority))
            if publisher is None:
                if len(self._publishers) >= MAX_PUBLISHERS:
                    self._publishers.pop(next(iter(self._publishers))).undeclare()
                publisher = self._publishers[topic, priority] = self.session.declare_publisher(
                    topic,
                    congestion_control=zenoh.CongestionControl.DROP,
                    priority=PRIORITIES[priority],
                    express=priority is Priority.CONTROL,
                    reliability=zenoh.Reliability.BEST_EFFORT,
                )
            return publisher
