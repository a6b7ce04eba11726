"""The envelope around every message of a fleet: when it was sent, and a signature.

    2  magic ``SF``
    1  version 1
    1  form: 0 not signed, 1 signed with Ed25519 (RFC 8032)
    8  stamp: when it was sent, UTC microseconds by the sender's clock, unsigned little-endian; at least one more than
       in the sender's last message, so that no two are alike, unless the clock was set back
       message
   64  signature (form 1 only) over ``skyweave/1``, a zero byte, the topic, a zero byte, and all bytes before it

The signature covers the topic, so what was published under one topic is worth nothing under another. It costs 64 bytes
for each chunk of up to 1200 (5 %): every chunk must be believable alone, as any other may be lost.
"""

from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from skyweave.fleet.link.clocks import Clock, followed_steps
from skyweave.fleet.link.replay_protection import ReplayWindow

MAGIC = b"SF"
VERSION = 1
UNSIGNED, SIGNED = 0, 1
HEADER_BYTES = 12
SIGNATURE_BYTES = 64
SIGNATURE_CONTEXT = b"skyweave/1\0"
NS_PER_STAMP = 1000  # stamps are microseconds
MAX_STAMP = 1 << 53


@dataclass
class EnvelopeSealer:
    """Puts messages into envelopes.

    Attributes:
        signing_key: to sign with; None: they go unsigned.
        clock: the sender's.
    """

    signing_key: Ed25519PrivateKey | None
    clock: Clock
    _last_stamp: int = 0
    _followed: int = 0

    @property
    def overhead(self) -> int:
        """Bytes that an envelope adds to a message."""
        return HEADER_BYTES + (SIGNATURE_BYTES if self.signing_key else 0)

    def seal(self, topic: str, message: bytes) -> bytes:
        """Return the envelope to publish.

        Args:
            topic: that it is published to.
            message: what goes into it.
        """
        stamp, followed = self.clock() // NS_PER_STAMP, followed_steps(self.clock)
        if followed != self._followed:  # where the clock was set back, stamps go back with it
            self._last_stamp, self._followed = 0, followed
        self._last_stamp = max(self._last_stamp + 1, stamp)
        form = SIGNED if self.signing_key else UNSIGNED
        envelope = MAGIC + bytes([VERSION, form]) + self._last_stamp.to_bytes(8, "little") + message
        return envelope + self.signing_key.sign(_signed_bytes(topic, envelope)) if self.signing_key else envelope


@dataclass(frozen=True)
class OpenedEnvelope:
    """The content of an envelope.

    Attributes:
        message: the bytes.
        sent: UTC nanoseconds by the sender's clock.
    """

    message: bytes
    sent: int


@dataclass
class EnvelopeOpener:
    """Opens one sender's envelopes.

    Attributes:
        public_key: the sender's; None: unsigned envelopes are taken, and no others.
        replays: what was taken before.
    """

    public_key: Ed25519PublicKey | None
    replays: ReplayWindow = field(default_factory=ReplayWindow)

    def open(self, topic: str, envelope: bytes, may_be_old: bool = False) -> OpenedEnvelope | str:
        """Return the content; or why it is rejected: envelope, version, unsigned, signature or replay.

        Args:
            topic: that it came under.
            envelope: its bytes.
            may_be_old: open what is too old to know whether it was taken before; the caller asks `is_too_old`.
        """
        reason = self._check_header(envelope)
        if reason is not None:
            return reason
        stamp = int.from_bytes(envelope[4:HEADER_BYTES], "little")
        if self.replays.is_repeated(stamp) or (self.replays.is_too_old(stamp) and not may_be_old):
            return "replay"  # before the signature: it costs less
        if stamp >= MAX_STAMP:
            return "envelope"
        end = len(envelope) if self.public_key is None else len(envelope) - SIGNATURE_BYTES
        if not self._verify(topic, envelope[:end], envelope[end:]):
            return "signature"
        return OpenedEnvelope(envelope[HEADER_BYTES:end], stamp * NS_PER_STAMP)

    def is_authentic(self, topic: str, envelope: bytes) -> bool:
        """Return whether the sender has signed a message, be it new or not.

        Args:
            topic: that it came under.
            envelope: its bytes.
        """
        if self._check_header(envelope) is not None:
            return False
        end = len(envelope) if self.public_key is None else len(envelope) - SIGNATURE_BYTES
        return self._verify(topic, envelope[:end], envelope[end:])

    def remember(self, opened: OpenedEnvelope) -> None:
        """Note that a message was taken: it will not be taken again. Only what is otherwise sound may be remembered.

        Args:
            opened: the content of its envelope.
        """
        self.replays.remember(opened.sent // NS_PER_STAMP)

    def is_too_old(self, opened: OpenedEnvelope) -> bool:
        """Return whether a message is too old to know whether it was taken before.

        Args:
            opened: the content of its envelope.
        """
        return self.replays.is_too_old(opened.sent // NS_PER_STAMP)

    def rewind(self, opened: OpenedEnvelope) -> None:
        """Go on from a message that is known to be new, although its stamp is not: its sender's clock was set back.

        Args:
            opened: the content of its envelope.
        """
        self.replays.rewind(opened.sent // NS_PER_STAMP)

    def _check_header(self, envelope: bytes) -> str | None:
        """Return why an envelope is rejected before its stamp is read; None: it is not."""
        form, size = (UNSIGNED, HEADER_BYTES) if self.public_key is None else (SIGNED, HEADER_BYTES + SIGNATURE_BYTES)
        if len(envelope) < size or envelope[:2] != MAGIC:
            return "envelope"
        if envelope[2] != VERSION:
            return "version"
        if envelope[3] != form:
            return "unsigned" if envelope[3] == UNSIGNED else "envelope"
        return None

    def _verify(self, topic: str, content: bytes, signature: bytes) -> bool:
        if self.public_key is None:
            return True
        try:
            self.public_key.verify(signature, _signed_bytes(topic, content))
        except InvalidSignature:
            return False
        return True


def sent_time(envelope: bytes) -> int:
    """Return the stamp of an envelope, UTC nanoseconds by the sender's clock.

    Args:
        envelope: that begins as one.
    """
    return int.from_bytes(envelope[4:HEADER_BYTES], "little") * NS_PER_STAMP


def _signed_bytes(topic: str, envelope: bytes) -> bytes:
    return SIGNATURE_CONTEXT + topic.encode() + b"\0" + envelope
