"""Zenoh's own configuration: links, queues, mutual TLS and access control."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from skyweave.core.errors import FleetError
from skyweave.fleet.link.credentials import PLATFORM, RELAY, Member, TlsCertificates
from skyweave.fleet.link.encryption import ENCRYPTED_PROTOCOLS
from skyweave.fleet.link.topics import CAMERA, FRAME, HEARTBEAT, RESULT, ROOT

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
QUEUE_BATCHES = 4  # that wait, of each priority
BATCH_BYTES = 16_384
LEASE_MS = 3000  # after which a silent link is given up
DROP_AFTER_US = 1000  # that a message waits for a busy link
MAX_SESSIONS = 256


@dataclass(frozen=True)
class ZenohOptions:
    """How a session reaches others.

    Attributes:
        listen: endpoints where others find this member, such as ``tls/0.0.0.0:7447``; port 0: any free one.
        connect: endpoints of others, or of a router; tried again for as long as they do not answer.
        mode: ``peer``, or ``client`` of a router (everything travels once, to the router), or ``router``.
        discover: find others on the local network by multicast.
        send_buffer_bytes: that wait in the system for a busy TCP or TLS link; what waits long comes too late.
        max_message_bytes: of one message.
        open_timeout: seconds after which an attempt to connect is begun anew; TLS over links below 50 kbit/s needs
            more.
    """

    listen: list[str] = field(default_factory=lambda: ["tcp/127.0.0.1:0"])
    connect: list[str] = field(default_factory=list)
    mode: str = "peer"
    discover: bool = False
    send_buffer_bytes: int = 65_536
    max_message_bytes: int = 1 << 20
    open_timeout: float = 4.0

    def __post_init__(self) -> None:
        if self.mode not in ("peer", "client", "router"):
            raise FleetError(f"mode {self.mode!r} of the transport must be peer, client or router")


def zenoh_settings(
    options: ZenohOptions,
    certificates: TlsCertificates | None = None,
    fleet: str | None = None,
    members: Mapping[str, Member] | None = None,
    allow_clear: bool = False,
) -> dict[str, Any]:
    """Return Zenoh's configuration, by its keys.

    Args:
        options: endpoints and limits.
        certificates: for mutual TLS.
        fleet: with ``members``: certificates may publish under their names only, in this fleet.
        members: by name; their roles say what they may publish.
        allow_clear: reach beyond this machine without encryption.
    """
    settings: dict[str, Any] = {
        "mode": options.mode,
        "listen/endpoints": [] if options.mode == "client" else options.listen,
        "connect/endpoints": options.connect,
        "connect/timeout_ms": -1,  # others may come up later, or come back
        "connect/exit_on_failure": False,
        "connect/retry": {"period_init_ms": 200, "period_max_ms": 400, "period_increase_factor": 1.5},
        "scouting/multicast/enabled": options.discover,
        # Who is found by gossip is connected to wherever it is: only where that is encrypted, or allowed in the clear.
        "scouting/gossip/enabled": options.mode != "client" and (certificates is not None or allow_clear),
        "transport/link/tx/queue/congestion_control/drop/wait_before_drop": DROP_AFTER_US,
        "transport/link/tx/queue/size": dict.fromkeys(QUEUES, QUEUE_BATCHES),
        "transport/link/tx/batch_size": BATCH_BYTES,
        "transport/link/tcp/so_sndbuf": options.send_buffer_bytes,
        "transport/link/rx/max_message_size": options.max_message_bytes,
        "transport/link/tx/lease": LEASE_MS,
        "transport/unicast/max_sessions": MAX_SESSIONS,
        # The system repeats what a cut link swallowed at ever longer intervals: better to begin anew.
        "transport/unicast/open_timeout": round(1000 * options.open_timeout),
        # Messages are small; segments of peers that were killed would stay, in /dev/shm and among our descriptors.
        "transport/shared_memory/enabled": False,
    }
    if certificates is not None:
        settings["transport/link/tls"] = _tls_settings(options, certificates)
        if not allow_clear:
            settings["transport/link/protocols"] = list(ENCRYPTED_PROTOCOLS)
        if fleet is not None and members is not None:
            settings["access_control"] = access_control(fleet, members)
    return settings


def access_control(fleet: str, members: Mapping[str, Member]) -> dict[str, Any]:
    """Return rules that allow nothing but this: platforms publish under their names, relays under those of platforms.

    All members subscribe.

    Args:
        fleet: name of the fleet.
        members: by name.
    """
    everything = [f"{ROOT}/{fleet}/**"]
    publishing, subscribing = ["put", "liveliness_token"], ["declare_subscriber", "declare_liveliness_subscriber"]
    rules = [
        _rule("out", [*publishing, *subscribing], "egress", everything),
        _rule("subscribe", subscribing, "ingress", everything),
    ]
    policies, subjects = [], []
    platforms = [name for name, member in members.items() if member.role == PLATFORM]
    for name, member in members.items():
        publishers = {PLATFORM: [name], RELAY: platforms}.get(member.role, [])
        topics = [topic for publisher in publishers for topic in _member_topics(fleet, publisher)]
        rule_ids = ["out", "subscribe"]
        if topics:
            rules.append(_rule(f"publish {name}", publishing, "ingress", topics))
            rule_ids.append(f"publish {name}")
        subjects.append({"id": name, "cert_common_names": [name]})
        policies.append({"rules": rule_ids, "subjects": [name]})
    return {
        "enabled": True,
        "default_permission": "deny",
        "rules": rules,
        "subjects": subjects,
        "policies": policies,
    }


def _tls_settings(options: ZenohOptions, certificates: TlsCertificates) -> dict[str, Any]:
    return {
        "so_sndbuf": options.send_buffer_bytes,
        "root_ca_certificate": str(certificates.authority),
        "listen_private_key": str(certificates.key),
        "listen_certificate": str(certificates.certificate),
        "connect_private_key": str(certificates.key),
        "connect_certificate": str(certificates.certificate),
        "enable_mtls": True,
        "verify_name_on_connect": False,  # platforms move between addresses; the authority vouches for the name
        "close_link_on_expiration": True,
    }


def _member_topics(fleet: str, name: str) -> list[str]:
    placed = [f"{ROOT}/{fleet}/{kind}/**/{name}" for kind in (FRAME, HEARTBEAT)]  # under any tiles, or none
    return placed + [f"{ROOT}/{fleet}/{kind}/{name}/*" for kind in (RESULT, CAMERA)]


def _rule(rule_id: str, messages: list[str], flow: str, topics: list[str]) -> dict[str, Any]:
    return {"id": rule_id, "messages": messages, "flows": [flow], "permission": "allow", "key_exprs": topics}
