"""The envelope around every message of a fleet: who says it, when, and a signature.

    2  magic ``SF``
    1  version 1
    1  form: 0 not signed, 1 signed with Ed25519 (RFC 8032)
    8  when it was sent: UTC microseconds by the sender's clock, unsigned little-endian; at least one more than in the
       sender's last message, so that no two are alike
       message
   64  signature (form 1 only) over ``skyweave/1``, a zero byte, the key, a zero byte, and all bytes before it

The signature covers the key, so what was said under one key is worth nothing under another. It costs 64 bytes for each
chunk of up to 1200 (5 %): every chunk must be believable alone, as any other may be lost.
"""

import heapq
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from skyweave.fleet.link.clocks import Clock

MAGIC = b"SF"
VERSION = 1
CLEAR, SIGNED = 0, 1
HEAD = 12
SIGNATURE = 64
CONTEXT = b"skyweave/1\0"
WINDOW = 4096  # messages that are remembered, so that none is taken twice; older ones are refused
MICROSECOND = 1000


@dataclass
class Sealer:
    """Puts messages into envelopes.

    Attributes:
        key: to sign with; None: they go unsigned.
        clock: the sender's.
    """

    key: Ed25519PrivateKey | None
    clock: Clock
    _last: int = 0

    @property
    def overhead(self) -> int:
        """Bytes that an envelope adds."""
        return HEAD + (SIGNATURE if self.key else 0)

    def seal(self, key: str, message: bytes) -> bytes:
        """The message to be published under that key."""
        self._last = max(self._last + 1, self.clock() // MICROSECOND)
        form = SIGNED if self.key else CLEAR
        sealed = MAGIC + bytes([VERSION, form]) + self._last.to_bytes(8, "little") + message
        return sealed + self.key.sign(_signed(key, sealed)) if self.key else sealed


@dataclass(frozen=True)
class OpenedEnvelope:
    """What was in an envelope.

    Attributes:
        message: the bytes.
        sent: UTC nanoseconds by the sender's clock.
    """

    message: bytes
    sent: int


@dataclass
class Unsealer:
    """Opens one sender's envelopes.

    Attributes:
        public: the sender's key; None: unsigned envelopes are taken, and no others.
    """

    public: Ed25519PublicKey | None
    _seen: set[int] = field(default_factory=set)
    _oldest: list[int] = field(default_factory=list)  # a heap of the same
    _floor: int = 0

    def unseal(self, key: str, sealed: bytes) -> OpenedEnvelope | str:
        """The message; or, as a str, why it is refused: ``envelope``, ``unsigned``, ``signature`` or ``replay``."""
        signed = self.public is not None
        if len(sealed) < HEAD + (SIGNATURE if signed else 0) or sealed[:2] != MAGIC or sealed[2] != VERSION:
            return "envelope"
        if sealed[3] != (SIGNED if signed else CLEAR):
            return "unsigned" if sealed[3] == CLEAR else "envelope"
        stamp = int.from_bytes(sealed[4:12], "little")
        if stamp <= self._floor or stamp in self._seen:  # before the signature: it costs less
            return "replay"
        if stamp >= 1 << 53:
            return "envelope"
        end = len(sealed) - SIGNATURE if signed else len(sealed)
        if self.public is not None:
            try:
                self.public.verify(sealed[end:], _signed(key, sealed[:end]))
            except InvalidSignature:
                return "signature"
        return OpenedEnvelope(sealed[HEAD:end], stamp * MICROSECOND)

    def remember(self, opened: OpenedEnvelope) -> None:
        """It has been taken: it will not be taken again. Only what is otherwise sound may be remembered."""
        stamp = opened.sent // MICROSECOND
        self._seen.add(stamp)
        heapq.heappush(self._oldest, stamp)
        if len(self._oldest) > WINDOW:
            self._floor = heapq.heappop(self._oldest)
            self._seen.discard(self._floor)


def _signed(key: str, sealed: bytes) -> bytes:
    return CONTEXT + key.encode() + b"\0" + sealed
