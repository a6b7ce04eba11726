"""One sender, as those know it who listen to a fleet: what it may cost them, and how old its messages are."""

from collections import deque
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from skyweave.fleet.link.clocks import NS_PER_S
from skyweave.fleet.link.envelope import EnvelopeOpener, OpenedEnvelope
from skyweave.fleet.link.rate_limit import UNPENALIZED_REASONS, PeerLimits, TokenBucket
from skyweave.fleet.link.topics import Topic

LISTENER_LIMITS = PeerLimits(bytes_per_second=8e6, messages_per_second=1000.0, max_message_bytes=1 << 20)
MAX_NAMES = 64  # of cameras and forms of results of one platform
MAX_LEADS = 64  # messages whose lead is remembered


@dataclass(frozen=True)
class OpenedMessage:
    """A message out of its envelope.

    Attributes:
        message: the bytes.
        age: seconds since it was sent.
        sent: when that was, UTC nanoseconds by the sender's clock.
    """

    message: bytes
    age: float
    sent: int


class Sender:
    """One platform that is listened to. Not safe for threads by itself.

    Args:
        public_key: the sender's; None: unsigned envelopes are taken, and no others.
        now: monotonic seconds.

    Attributes:
        last_message: when something of it was last taken, monotonic seconds.
    """

    def __init__(self, public_key: Ed25519PublicKey | None, now: float) -> None:
        self.last_message = now
        self._opener = EnvelopeOpener(public_key)
        self._bucket = TokenBucket(LISTENER_LIMITS, now)
        self._names: set[tuple[str, str]] = set()
        self._leads: deque[int] = deque(maxlen=MAX_LEADS)

    def open(self, topic: str, address: Topic, envelope: bytes, now: float, clock: int) -> OpenedMessage | str:
        """Return the content of an envelope, or why it is rejected.

        Args:
            topic: that it came under.
            address: what the topic says.
            envelope: its bytes.
            now: monotonic seconds.
            clock: UTC nanoseconds by the local clock.
        """
        if not self._bucket.take(len(envelope), now):
            return "rate"
        opened = self._opener.open(topic, envelope)
        if isinstance(opened, str):
            return opened
        reason = self._reject_time(opened, clock) or self._reject_name(address)
        if reason is not None:
            return reason
        self._opener.remember(opened)
        self.last_message = now
        self._leads.append(opened.sent - clock)
        # A clock that is ahead makes messages look younger: by as much as its quickest message was ahead.
        lead = max(*self._leads, 0)
        return OpenedMessage(opened.message, max(clock - opened.sent + lead, 0) / NS_PER_S, opened.sent)

    def penalize(self, reason: str) -> None:
        """Take less from a sender of malformed messages.

        Args:
            reason: why a message was rejected.
        """
        if reason not in UNPENALIZED_REASONS:
            self._bucket.penalize()

    def _reject_time(self, opened: OpenedEnvelope, clock: int) -> str | None:
        """Reject what was sent long ago, or by a clock that is far off; who only listens cannot know more."""
        age = (clock - opened.sent) / NS_PER_S
        if age > LISTENER_LIMITS.max_clock_offset + LISTENER_LIMITS.max_age:
            return "too_old"
        return "in_the_future" if -age > LISTENER_LIMITS.max_clock_offset + LISTENER_LIMITS.max_ahead else None

    def _reject_name(self, address: Topic) -> str | None:
        """Reject one name of a camera or form too many."""
        name = (address.kind, address.name)
        if name not in self._names and len(self._names) >= MAX_NAMES:
            return "peer_limit"
        self._names.add(name)
        return None
