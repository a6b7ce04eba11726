"""Transport over Zenoh (zenoh.io): peer to peer on a network, or through routers.

Everything is best effort: a message that a busy link cannot take now is dropped, never waited for, because the next
frame is worth more than this one late. Frames are already cut into chunks below one MTU, each of which is one message.

On other than loopback addresses Zenoh runs over mutual TLS, and each node lets a certificate publish only under its own
name; `check_encryption` refuses anything else unless told otherwise.
"""

import contextlib
import ipaddress
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zenoh

from skyweave.core.errors import FleetError
from skyweave.fleet.link.topics import CAMERA, FRAME, HEARTBEAT, RESULT, ROOT
from skyweave.fleet.link.transport import MessageCallback, Priority

PRIORITIES = {
    Priority.CONTROL: zenoh.Priority.INTERACTIVE_HIGH,
    Priority.FRAMES: zenoh.Priority.DATA_HIGH,
    Priority.RESULTS: zenoh.Priority.DATA,
    Priority.PICTURES: zenoh.Priority.BACKGROUND,
}
MAX_PUBLISHERS = 256
QUEUES = (
    "control",
    "real_time",
    "interactive_high",
    "interactive_low",
    "data_high",
    "data",
    "data_low",
    "background",
)
BATCH = 16_384  # bytes
CLOSING = 3.0  # seconds
# Closing a dead link blocks one of Zenoh's reading threads for the 10 s that a socket lingers. It has two by default: a
# node whose own link was cut loses all peers at once, and heard nobody until they were free again.
RUNTIME = "(rx: (worker_threads: 32))"


@dataclass(frozen=True)
class ZenohConfig:
    """How a member reaches the others.

    Attributes:
        listen: endpoints where others find us, such as ``tls/0.0.0.0:7447``; port 0: any free one.
        connect: endpoints of others, or of a router; tried again for as long as they do not answer.
        mode: ``peer``, or ``client`` of a router (everything travels once, to the router), or ``router``.
        discover: find others on the local network by multicast.
        buffer: bytes that wait in the system for a busy TCP or TLS link; what waits long comes too late.
        largest: bytes of one message at most.
        patience: seconds after which an attempt to connect is begun anew; TLS over links below 50 kbit/s needs more.
    """

    listen: list[str] = field(default_factory=lambda: ["tcp/127.0.0.1:0"])
    connect: list[str] = field(default_factory=list)
    mode: str = "peer"
    discover: bool = False
    buffer: int = 65_536
    largest: int = 1 << 20
    patience: float = 4.0

    def __post_init__(self) -> None:
        if self.mode not in ("peer", "client", "router"):
            raise FleetError(f"mode {self.mode!r} of the transport must be peer, client or router")


@dataclass(frozen=True)
class TlsCertificates:
    """Files for mutual TLS, PEM: the fleet's authority, and our own certificate and key."""

    authority: Path
    certificate: Path
    key: Path


class ZenohTransport:
    """A `skyweave.fleet.link.transport.Transport` over a Zenoh session.

    Args:
        config: endpoints.
        certificates: for mutual TLS; needed for ``tls`` and ``quic`` endpoints.
        fleet: with ``members``: certificates may publish under their own names only, in this fleet.
        members: names that may publish.
        relays: names of routers, which pass on what others say, and may hand us everything.

    Raises:
        ValueError: an endpoint that cannot be opened.
    """

    def __init__(
        self,
        config: ZenohConfig,
        certificates: TlsCertificates | None = None,
        fleet: str | None = None,
        members: list[str] | None = None,
        relays: list[str] | None = None,
    ) -> None:
        os.environ.setdefault("ZENOH_RUNTIME", RUNTIME)  # read when the process's first session opens
        settings = zenoh.Config()
        for key, value in zenoh_settings(config, certificates, fleet, members, relays).items():
            settings.insert_json5(key, json.dumps(value))
        try:
            self.session = zenoh.open(settings)
        except zenoh.ZError as error:
            raise FleetError(f"Zenoh does not open {config.listen}: {error}") from None
        self._publishers: dict[tuple[str, Priority], Any] = {}
        self._subscribers: list[Any] = []
        self._lock = threading.Lock()
        self._open = True

    def publish(self, key: str, message: bytes, priority: Priority = Priority.FRAMES) -> None:
        """See `skyweave.fleet.link.transport.Transport`."""
        if not self._open:
            return
        with contextlib.suppress(zenoh.ZError):  # no route, or closing: the same to us as a lost message
            self._publisher(key, priority).put(message)

    def subscribe(self, pattern: str, heard: MessageCallback) -> Callable[[], None]:
        """See `skyweave.fleet.link.transport.Transport`."""

        def on_sample(sample: Any) -> None:
            heard(str(sample.key_expr), sample.payload.to_bytes())

        return self._ending(self.session.declare_subscriber(pattern, on_sample, allowed_origin=zenoh.Locality.REMOTE))

    def announce(self, key: str) -> None:
        """See `skyweave.fleet.link.transport.Transport`."""
        token = self.session.liveliness().declare_token(key)
        with self._lock:
            self._subscribers.append(token)

    def watch(self, pattern: str, left: Callable[[str], None]) -> Callable[[], None]:
        """See `skyweave.fleet.link.transport.Transport`. A process that dies is known in milliseconds, a cut link after the
        lease of the session.
        """

        def on_sample(sample: Any) -> None:
            if sample.kind == zenoh.SampleKind.DELETE:
                left(str(sample.key_expr))

        return self._ending(self.session.liveliness().declare_subscriber(pattern, on_sample))

    def close(self) -> None:
        """See `skyweave.fleet.link.transport.Transport`."""
        with self._lock:
            if not self._open:
                return
            self._open = False
        # It waits for links that may be dead; who leaves must not hang on them.
        closing = threading.Thread(target=self.session.close, daemon=True)
        closing.start()
        closing.join(CLOSING)

    def _ending(self, subscriber: Any) -> Callable[[], None]:
        """Keep a subscriber; returns what ends it."""
        with self._lock:
            self._subscribers.append(subscriber)

        def end() -> None:
            with contextlib.suppress(zenoh.ZError):
                subscriber.undeclare()

        return end

    def _publisher(self, key: str, priority: Priority) -> Any:
        """Declared once a key, so that the key travels as a number."""
        with self._lock:
            found = self._publishers.get((key, priority))
            if found is None:
                if len(self._publishers) >= MAX_PUBLISHERS:
                    self._publishers.pop(next(iter(self._publishers))).undeclare()
                found = self._publishers[key, priority] = self.session.declare_publisher(
                    key,
                    congestion_control=zenoh.CongestionControl.DROP,
                    priority=PRIORITIES[priority],
                    express=priority is Priority.CONTROL,
                    reliability=zenoh.Reliability.BEST_EFFORT,
                )
            return found


def zenoh_settings(
    config: ZenohConfig,
    certificates: TlsCertificates | None = None,
    fleet: str | None = None,
    members: list[str] | None = None,
    relays: list[str] | None = None,
) -> dict[str, Any]:
    """Zenoh's own configuration, by key."""
    settings: dict[str, Any] = {
        "mode": config.mode,
        "listen/endpoints": [] if config.mode == "client" else config.listen,
        "connect/endpoints": config.connect,
        "connect/timeout_ms": -1,  # others may come up later, or come back
        "connect/exit_on_failure": False,
        "connect/retry": {"period_init_ms": 200, "period_max_ms": 400, "period_increase_factor": 1.5},
        "scouting/multicast/enabled": config.discover,
        "scouting/gossip/enabled": config.mode != "client",
        "transport/link/tx/queue/congestion_control/drop/wait_before_drop": 1000,  # microseconds
        "transport/link/tx/queue/size": dict.fromkeys(QUEUES, 4),  # batches that wait, of each priority
        "transport/link/tx/batch_size": BATCH,
        "transport/link/tcp/so_sndbuf": config.buffer,
        "transport/link/rx/max_message_size": config.largest,
        "transport/link/tx/lease": 3000,  # milliseconds after which a silent link is given up
        "transport/unicast/max_sessions": 256,
        # The system repeats what a cut link swallowed at ever longer intervals: better to begin anew.
        "transport/unicast/open_timeout": round(1000 * config.patience),
        # Messages are small; segments of peers that were killed would stay, in /dev/shm and among our descriptors.
        "transport/shared_memory/enabled": False,
    }
    if certificates is not None:
        settings["transport/link/tls"] = {
            "so_sndbuf": config.buffer,
            "root_ca_certificate": str(certificates.authority),
            "listen_private_key": str(certificates.key),
            "listen_certificate": str(certificates.certificate),
            "connect_private_key": str(certificates.key),
            "connect_certificate": str(certificates.certificate),
            "enable_mtls": True,
            "verify_name_on_connect": False,  # platforms move between addresses; the authority vouches for the name
            "close_link_on_expiration": True,
        }
        if fleet is not None and members is not None:
            settings["access_control"] = access_control(fleet, members, relays or [])
    return settings


def access_control(fleet: str, members: list[str], relays: list[str]) -> dict[str, Any]:
    """Nothing is allowed but this: each member publishes under its own name, and all members listen."""
    speak, listen = ["put", "liveliness_token"], ["declare_subscriber", "declare_liveliness_subscriber"]
    rules, policies, subjects = [], [], []

    def rule(name: str, messages: list[str], flows: list[str], keys: list[str]) -> str:
        rules.append(
            {"id": name, "messages": messages, "flows": flows, "permission": "allow", "key_exprs": keys},
        )
        return name

    everything = [f"{ROOT}/{fleet}/**"]
    out = rule("out", [*speak, *listen], ["egress"], everything)
    hear = rule("listen", listen, ["ingress"], everything)
    for name in members:
        own = [f"{ROOT}/{fleet}/{kind}/{name}" for kind in (FRAME, HEARTBEAT)]
        own += [f"{ROOT}/{fleet}/{kind}/{name}/**" for kind in (RESULT, CAMERA)]
        said = rule(f"speak {name}", speak, ["ingress"], own)
        subjects.append({"id": name, "cert_common_names": [name]})
        policies.append({"rules": [out, hear, said], "subjects": [name]})
    for name in relays:
        said = rule(f"relay {name}", speak, ["ingress"], everything)
        subjects.append({"id": name, "cert_common_names": [name]})
        policies.append({"rules": [out, hear, said], "subjects": [name]})
    return {
        "enabled": True,
        "default_permission": "deny",
        "rules": rules,
        "subjects": subjects,
        "policies": policies,
    }


def check_encryption(config: ZenohConfig, certificates: TlsCertificates | None, allow_clear: bool) -> None:
    """Raise ``ValueError`` for what would send in the clear beyond this machine."""
    for endpoint in [*config.listen, *config.connect]:
        protocol, _, rest = endpoint.partition("/")
        if protocol in ("tls", "quic"):
            if certificates is None:
                raise FleetError(f"{endpoint} needs certificates; make test ones with `skyweave fleet keys`")
        elif not allow_clear and not is_loopback(rest):
            raise FleetError(
                f"{endpoint} would send and take messages in the clear; use tls/... with keys (`skyweave fleet keys`), "
                "or say allow_clear: true if the network itself is trusted"
            )
    if config.discover and not allow_clear and certificates is None:
        raise FleetError("discover finds anybody on the network; use it with keys, or say allow_clear: true")


def is_loopback(address: str) -> bool:
    """Whether ``host:port`` (with Zenoh's ``?`` and ``#`` options behind) is on this machine only."""
    host = address.split("?")[0].split("#")[0].rsplit(":", 1)[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
