"""Transport over Zenoh (zenoh.io): peer to peer on a network, or through routers.

Everything is best effort: a message that a busy link cannot take now is dropped, never waited for, because the next
frame is worth more than this one late. Frames are already cut into chunks below one MTU, each of which is one message.

On other than loopback addresses Zenoh runs over mutual TLS, and each node lets a certificate publish only under its own
name; `skyweave.fleet.link.encryption` refuses anything else unless it is allowed.
"""

import contextlib
import json
import logging
import os
import threading
from collections.abc import Callable, Mapping
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

log = logging.getLogger("skyweave.fleet")
PRIORITIES = {
    Priority.CONTROL: zenoh.Priority.INTERACTIVE_HIGH,
    Priority.FRAMES: zenoh.Priority.DATA_HIGH,
    Priority.RESULTS: zenoh.Priority.DATA,
    Priority.IMAGES: zenoh.Priority.BACKGROUND,
}
MAX_PUBLISHERS = 256
CLOSE_TIMEOUT_S = 3.0
ROUTER_TIMEOUT_S = 3.0  # for which a client waits at its start; then it goes on alone
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
        self._session: Any = None  # of a client none until a router answers
        self._publishers: dict[tuple[str, Priority], Any] = {}
        self._declarations: list[_Declaration] = []  # what they hold ends when nothing refers to it
        self._lock = threading.Lock()
        self._open = True
        self._open_session(settings, options)

    def publish(self, topic: str, message: bytes, priority: Priority = Priority.FRAMES) -> None:
        """Send a message to all subscribers; it is dropped where the link is full.

        Args:
            topic: to publish to.
            message: its bytes.
            priority: against other messages.
        """
        if not self._open or self._session is None:
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

        remote = zenoh.Locality.REMOTE
        return self._declare(lambda session: session.declare_subscriber(pattern, on_sample, allowed_origin=remote))

    def announce(self, topic: str) -> Unsubscribe:
        """Declare presence under a topic, as a liveliness token; return what ends it.

        Args:
            topic: that others watch.
        """
        return self._declare(lambda session: session.liveliness().declare_token(topic))

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

        return self._declare(lambda session: session.liveliness().declare_subscriber(pattern, on_sample))

    def close(self) -> None:
        """Close the session, or give up after three seconds."""
        with self._lock:
            if not self._open:
                return
            self._open = False
            session = self._session
        if session is None:
            return
        # It waits for links that may be dead; who leaves must not hang on them.
        closing = threading.Thread(target=session.close, daemon=True)
        closing.start()
        closing.join(CLOSE_TIMEOUT_S)

    def _open_session(self, settings: Any, options: ZenohOptions) -> None:
        """Open the session. A client that no router answers goes on alone, and is connected when one does."""
        if options.mode != "client":
            self._try_open(settings, options)
            return
        faults: list[FleetError] = []

        def open_client() -> None:  # this lasts until a router answers
            try:
                self._try_open(settings, options)
            except FleetError as error:
                faults.append(error)

        opening = threading.Thread(target=open_client, name="connect", daemon=True)
        opening.start()
        opening.join(ROUTER_TIMEOUT_S)
        if faults:
            raise faults[0]
        if opening.is_alive():
            log.warning("no router answers at %s: going on alone until one does", ", ".join(options.connect))

    def _try_open(self, settings: Any, options: ZenohOptions) -> None:
        try:
            session: Any = zenoh.open(settings)
        except zenoh.ZError as error:
            endpoints = options.connect if options.mode == "client" else options.listen
            raise FleetError(f"Zenoh does not open {endpoints}: {error}") from None
        with self._lock:
            self._session, waiting = session, list(self._declarations)
        for declaration in waiting:
            declaration.declare(session)
        if not self._open:
            session.close()

    def _declare(self, declare: Callable[[Any], Any]) -> Unsubscribe:
        """Declare a subscriber or token, now or when there is a session; return what ends it."""
        declaration = _Declaration(declare)
        with self._lock:
            self._declarations.append(declaration)
            session = self._session
        if session is not None:
            declaration.declare(session)

        def undeclare() -> None:
            with self._lock:
                self._declarations = [other for other in self._declarations if other is not declaration]
            declaration.end()

        return undeclare

    def _publisher(self, topic: str, priority: Priority) -> Any:
        """Return what publishes to a topic, declared once, so that the topic travels as a number."""
        with self._lock:
            publisher = self._publishers.get((topic, priority))
            if publisher is None:
                if len(self._publishers) >= MAX_PUBLISHERS:
                    self._publishers.pop(next(iter(self._publishers))).undeclare()
                publisher = self._publishers[topic, priority] = self._session.declare_publisher(
                    topic,
                    congestion_control=zenoh.CongestionControl.DROP,
                    priority=PRIORITIES[priority],
                    express=priority is Priority.CONTROL,
                    reliability=zenoh.Reliability.BEST_EFFORT,
                )
            return publisher


class _Declaration:
    """A subscriber or token that is declared once there is a session, unless it has ended before."""

    def __init__(self, declare: Callable[[Any], Any]) -> None:
        self._declare, self._declared, self._has_ended = declare, None, False
        self._lock = threading.Lock()

    def declare(self, session: Any) -> None:
        with self._lock:
            if not self._has_ended:
                self._declared = self._declare(session)

    def end(self) -> None:
        with self._lock:
            self._has_ended, declared, self._declared = True, self._declared, None
        if declared is not None:
            with contextlib.suppress(zenoh.ZError):
                declared.undeclare()
