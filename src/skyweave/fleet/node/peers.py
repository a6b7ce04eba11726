"""All peers of a node: who may speak, whose messages wait, and reading them in turns.

The network's threads call `Peers.on_message`, which does little: it checks whether the sender may speak at all and has
not sent too much, and puts the message into the sender's queue. `Peers.drain`, in a thread of the node, opens, checks
and decodes.
"""

import logging
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from skyweave.fleet.link.clocks import NS_PER_S, Clock, followed_steps, monotonic_clock
from skyweave.fleet.link.credentials import PLATFORM, RELAY, Member
from skyweave.fleet.link.envelope import EnvelopeOpener
from skyweave.fleet.link.heartbeat import PeerReport
from skyweave.fleet.link.message_queue import MessageQueue
from skyweave.fleet.link.rate_limit import UNPENALIZED_REASONS, PeerLimits, TokenBucket
from skyweave.fleet.link.tiles import TileScheme
from skyweave.fleet.link.topics import parse_topic
from skyweave.fleet.node.message_checks import MessageChecker, Rejection
from skyweave.fleet.node.peer import Peer
from skyweave.wire import EntropyTables, ReceivedFrame, Receiver, ReceiverLimits

MAX_PEERS = 64
MAX_HELD_BYTES = 1 << 24  # of the frames of one peer
MESSAGES_PER_TURN = 16  # of one peer that are read before others have their turn
FORGET_AFTER_S = 30.0  # without a message
RELAYED_FACTOR = 8.0  # times one peer's limits, for all that relays pass on
EXCLUSION_S = 10.0  # for which a peer is left out after something of it failed where it was used
WARNINGS = {  # that are logged once a peer, by the reason of a rejection
    "version": "%s runs software of another version, and is not understood: update the older one",
    "id_mismatch": "%s speaks under the number of another node, or this one's: give each a name and keys of its own",
}
log = logging.getLogger("skyweave.fleet")


class Peers:
    """All other platforms of a fleet.

    Args:
        platform_id: of this node, so that its own chunks are rejected.
        clock: the local one.
        tables: for reading features.
        limits: what each peer may cost.
        grid: (micrometres a cell, EPSG code) that the fleet agreed on; None: any.
        members: who may speak and with which key; None: anybody, unsigned.
        tiles: that the fleet agreed on; None: none.

    Attributes:
        unknown_senders: messages rejected from nobody that is known, by reason.
        arrived: set when a message waits to be read.
        progress: set when messages have been read, or a peer departed.
    """

    def __init__(
        self,
        platform_id: int,
        clock: Clock,
        tables: Iterable[EntropyTables] = (),
        limits: PeerLimits | None = None,
        grid: tuple[int | None, int | None] = (None, None),
        members: Mapping[str, Member] | None = None,
        tiles: TileScheme | None = None,
    ) -> None:
        self.clock, self.tables, self.members = clock, tuple(tables), members
        self.monotonic = monotonic_clock(clock)
        self.limits = limits or PeerLimits()
        self.checker = MessageChecker(platform_id, self.limits, grid, members is not None, tiles or TileScheme())
        self.unknown_senders: Counter[str] = Counter()
        self.arrived = threading.Event()
        self.progress = threading.Event()
        self._relayed = self._relay_bucket()
        self._peers: dict[str, Peer] = {}
        self._followed = followed_steps(clock)
        self._lock = threading.Lock()  # of the network's threads
        self._reading = threading.Lock()  # of everything that reading changes

    def all(self) -> list[Peer]:
        """Return all known peers, by name."""
        with self._lock:
            return [self._peers[name] for name in sorted(self._peers)]

    def active(self) -> list[Peer]:
        """Return the peers that are not left out for now, by name."""
        now = self.monotonic()
        return [peer for peer in self.all() if now >= peer.excluded_until]

    def on_message(self, topic: str, envelope: bytes) -> None:
        """Queue a message from the network. Never raises, never waits for reading.

        Args:
            topic: that it came under.
            envelope: its bytes.
        """
        now = self.monotonic()
        address = parse_topic(topic)
        if address is None:
            self.unknown_senders["topic"] += 1
            return
        with self._lock:
            peer = self._peers.get(address.platform) or self._add_peer(address.platform, now)
            if peer is None:
                return
            self._admit_message(envelope, peer, now, topic)

    def _admit_message(self, envelope: bytes, peer: Peer, now: int, topic: str) -> None:
        """Put a message into the queue of its peer, unless size or rate forbid it."""
        if now < peer.excluded_until:
            peer.admission_rejections["excluded"] += 1
        elif len(envelope) > self.limits.max_message_bytes:
            peer.admission_rejections["size"] += 1
        elif self._relayed is not None and not self._relayed.take(len(envelope), now / NS_PER_S):
            self.unknown_senders["rate"] += 1
        elif self._relayed is not None and not peer.opener.is_authentic(topic, envelope):
            peer.admission_rejections["signature"] += 1
        elif not peer.bucket.take(len(envelope), now / NS_PER_S):
            peer.admission_rejections["rate"] += 1
        else:
            peer.queue.put(topic, envelope, self.clock(), peer.admission_rejections)
            self.arrived.set()

    @contextmanager
    def contained(self, name: str) -> Iterator[None]:
        """Let what a peer makes fail cost that peer alone: it is counted, and the peer is left out for a while.

        Args:
            name: of the peer whose messages are used within.
        """
        try:
            yield
        except Exception:
            log.exception("what %s sent failed where it was used: it is left out for %.0f s", name, EXCLUSION_S)
            with self._lock:
                peer = self._peers.get(name)
            if peer is not None:
                self._exclude(peer)

    def _exclude(self, peer: Peer) -> None:
        peer.rejections["internal"] += 1
        peer.excluded_until = self.monotonic() + round(EXCLUSION_S * NS_PER_S)

    def on_departure(self, topic: str) -> None:
        """Note that the network lost a peer. It costs the peer nothing but being waited for: anybody might say so.

        Args:
            topic: of its heartbeats.
        """
        address = parse_topic(topic)
        with self._lock:
            peer = None if address is None else self._peers.get(address.platform)
        if peer is not None and address is not None and peer.tiles == address.tiles:  # else it has only moved on
            peer.departed = self.monotonic()
            self.progress.set()

    def drain(self, max_messages: int = 4096) -> int:
        """Open and check what has arrived; return how many messages were read.

        Peers take turns, and the lock is free between turns: nobody's flood keeps others' frames from being read.

        Args:
            max_messages: after which it stops.
        """
        self._follow_clock()
        count, waiting = 0, True
        while waiting and count < max_messages:
            waiting = False
            for peer in self.all():
                with self._reading:
                    count += self._read_turn(peer)
                waiting = waiting or bool(len(peer.queue))
        return count

    def frames(self, peer: Peer) -> list[ReceivedFrame]:
        """Return the frames of a peer that are held, the newest first, with capture times by the local clock.

        Args:
            peer: the sender.
        """
        self._follow_clock()
        with self._reading:
            held = peer.receiver.frames(peer.to_peer_time(self.clock()))
        return [
            replace(received, frame=replace(received.frame, time=peer.to_local_time(received.frame.time)))
            for received in held
        ]

    def alive(self, timeout: float) -> list[Peer]:
        """Return the peers whose last heartbeat is recent.

        Args:
            timeout: seconds.
        """
        self._follow_clock()
        now, alive = self.clock(), []
        for peer in self.active():
            with self.contained(peer.name):
                if peer.is_alive(now, timeout):
                    alive.append(peer)
        return alive

    def write_reports(self) -> tuple[PeerReport, ...]:
        """Return how each peer is received, for this node's heartbeat."""
        self._follow_clock()
        reports = []
        for peer in self.active():
            with self.contained(peer.name), self._reading:
                reports.append(peer.write_report())
        return tuple(report for report in reports if report is not None)

    def rejection_counts(self) -> dict[str, Counter[str]]:
        """Return all rejected messages, by peer and reason; under ``""`` those of unknown senders."""
        counts = {"": Counter(dict(self.unknown_senders))}
        return {**counts, **{peer.name: peer.rejection_counts() for peer in self.all()}}

    def forget_silent(self) -> None:
        """Drop peers that have sent nothing for long, so that unknown senders do not pile up."""
        before = self.monotonic() - round(FORGET_AFTER_S * NS_PER_S)
        with self._lock:
            for name in [name for name, peer in self._peers.items() if peer.last_message < before]:
                self.unknown_senders.update(self._peers[name].rejection_counts())
                del self._peers[name]

    def note_heartbeat(self, stamp: int) -> None:
        """Note that this node sent a heartbeat: a peer that has received it says so in its own, which proves it fresh.

        Args:
            stamp: of its envelope, nanoseconds.
        """
        self._follow_clock()
        with self._reading:
            self.checker.note_heartbeat(stamp, self.clock())

    def _follow_clock(self) -> None:
        """Move all times that are remembered where the local clock was set."""
        if followed_steps(self.clock) == self._followed:
            return
        with self._reading:
            step = followed_steps(self.clock) - self._followed
            self._followed += step
            self.checker.shift(step)
            for peer in self.all():
                peer.shift(step)

    def _relay_bucket(self) -> TokenBucket | None:
        """Return what limits all that comes through relays, under whose names anybody may have sent it; None: nothing.

        Where there are relays, a peer's own limits count only what it has signed.
        """
        if not any(member.role == RELAY for member in (self.members or {}).values()):
            return None
        limits = replace(
            self.limits,
            bytes_per_second=RELAYED_FACTOR * self.limits.bytes_per_second,
            messages_per_second=RELAYED_FACTOR * self.limits.messages_per_second,
        )
        return TokenBucket(limits, self.monotonic() / NS_PER_S)

    def _read_turn(self, peer: Peer) -> int:
        """Read some messages of a peer; return how many."""
        for count in range(MESSAGES_PER_TURN):
            message = peer.queue.take()
            if message is None:
                return count
            with self.contained(peer.name):
                rejection = self.checker.take(peer, *message, self.monotonic())
                if rejection is not None:
                    self._count_rejection(peer, rejection)
        return MESSAGES_PER_TURN

    def _count_rejection(self, peer: Peer, rejection: Rejection) -> None:
        if not rejection.counted:
            peer.rejections[rejection.reason] += 1
            if rejection.reason in WARNINGS and peer.rejections[rejection.reason] == 1:
                log.warning(WARNINGS[rejection.reason], peer.name)
        self._penalize(peer, rejection.reason)

    def _penalize(self, peer: Peer, reason: str) -> None:
        """Reading costs time: a sender of malformed messages is read less."""
        if reason not in UNPENALIZED_REASONS:
            with self._lock:
                peer.bucket.penalize()

    def _add_peer(self, name: str, now: int) -> Peer | None:
        """Add a sender that is new; return None where it may not speak. Called with the lock held."""
        member = None
        if self.members is not None:
            member = self.members.get(name)
            if member is None:
                self.unknown_senders["unknown_sender"] += 1
                return None
            if member.role != PLATFORM:
                self.unknown_senders["role"] += 1
                return None
        if len(self._peers) >= MAX_PEERS:
            self.unknown_senders["peer_limit"] += 1
            return None
        peer = Peer(
            name,
            None if member is None else member.platform_id,
            self._make_receiver(),
            EnvelopeOpener(None if member is None else member.public_key),
            TokenBucket(self.limits, now / NS_PER_S),
            MessageQueue(self.limits.queue_size),
            last_message=now,
        )
        self._peers[name] = peer
        return peer

    def _make_receiver(self) -> Receiver:
        resolution, epsg = self.checker.grid
        limits = ReceiverLimits(
            age=self.limits.max_age,
            ahead=self.limits.max_ahead,
            platforms=1,
            held_bytes=MAX_HELD_BYTES,
            resolution=resolution,
            epsg=epsg,
        )
        return Receiver(self.tables, limits, self.checker.platform_id)
