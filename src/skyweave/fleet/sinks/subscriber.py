"""Hearing a fleet without being a platform: opens and checks envelopes for clients, the page and recorders."""

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from skyweave.fleet.link.envelope import Unsealer
from skyweave.fleet.link.topics import ROOT, camera_topic, platform_from_topic, result_topic
from skyweave.fleet.link.transport import Transport
from skyweave.fleet.link.trust import Member, load_credentials
from skyweave.fleet.link.zenoh import ZenohConfig, ZenohTransport, check_encryption

MAX_MESSAGE = 1 << 20
MAX_SENDERS = 1024

Told = Callable[[str, bytes], None]
"""Called with the platform's name and the message."""


class FleetSubscriber:
    """Opens what is published.

    Attributes:
        refused: messages that were not believed, by reason.
    """

    def __init__(self, fleet: str, transport: Transport, keys: str | Path | None = None, name: str = "viewer") -> None:
        self.fleet, self.transport = fleet, transport
        self.refused: Counter[str] = Counter()
        self._members: dict[str, Member] | None = None if keys is None else load_credentials(keys, name).members
        self._unsealers: dict[tuple[str, str], Unsealer] = {}
        self._lock = threading.Lock()

    def results(self, platform: str, form: str, told: Told) -> Callable[[], None]:
        """Results of one platform, or of all (``*``). Returns what ends it."""
        return self._subscribe(result_topic(self.fleet, platform, form), told)

    def cameras(self, platform: str, told: Callable[[str, str, bytes], None]) -> Callable[[], None]:
        """Pictures: called with platform, channel and JPEG."""

        def heard(key: str, sealed: bytes) -> None:
            message = self.opened(key, sealed)
            if message is not None:
                words = key.split("/")
                told(words[3], words[4], message)

        return self.transport.subscribe(camera_topic(self.fleet, platform, "*"), heard)

    def everything(self, told: Callable[[str, bytes, bytes], None]) -> Callable[[], None]:
        """All of the fleet: called with key, message and the envelope that it came in."""

        def heard(key: str, sealed: bytes) -> None:
            message = self.opened(key, sealed)
            if message is not None:
                told(key, message, sealed)

        return self.transport.subscribe(f"{ROOT}/{self.fleet}/**", heard)

    def opened(self, key: str, sealed: bytes) -> bytes | None:
        """The message, if it is what it says it is."""
        name = platform_from_topic(key)
        if name is None or len(sealed) > MAX_MESSAGE:
            self.refused["key" if name is None else "size"] += 1
            return None
        with self._lock:
            unsealer = self._unsealers.get((name, key))
            if unsealer is None:
                if self._members is not None and name not in self._members:
                    self.refused["stranger"] += 1
                    return None
                if len(self._unsealers) >= MAX_SENDERS:
                    self.refused["crowd"] += 1
                    return None
                public = None if self._members is None else self._members[name].public
                unsealer = self._unsealers[name, key] = Unsealer(public)
            opened = unsealer.unseal(key, sealed)
            if isinstance(opened, str):
                self.refused[opened] += 1
                return None
            unsealer.remember(opened)
        return opened.message

    def close(self) -> None:
        """Stop listening."""
        self.transport.close()

    def _subscribe(self, pattern: str, told: Told) -> Callable[[], None]:
        def heard(key: str, sealed: bytes) -> None:
            message = self.opened(key, sealed)
            if message is not None:
                told(key.split("/")[3], message)

        return self.transport.subscribe(pattern, heard)


def open_subscriber_session(
    fleet: str, connect: list[str], keys: str | Path | None, name: str, allow_clear: bool = False
) -> ZenohTransport:
    """A session that only listens. Raises ``ValueError`` for endpoints in the clear beyond this machine."""
    trust = None if keys is None else load_credentials(keys, name)
    protocol = "tcp" if trust is None else "tls"
    config = ZenohConfig(listen=[f"{protocol}/127.0.0.1:0"], connect=connect)
    certificates = None if trust is None else trust.certificates
    check_encryption(config, certificates, allow_clear)
    return ZenohTransport(config, certificates, fleet, None if trust is None else list(trust.members))
