"""The others, as one node knows them: what each has said, how its clock stands, what was refused from it and why.

The network's threads call `Peers.heard`, which does little: it looks whether the sender may speak at all and has not
said too much, and puts the message aside. `Peers.read`, in a thread of the node, opens, checks and decodes.
"""

import threading
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from skyweave.fleet.link.clocks import Clock, ClockExchange, ClockOffsetEstimator
from skyweave.fleet.link.envelope import OpenedEnvelope, Unsealer
from skyweave.fleet.link.heartbeat import Heartbeat, PeerReport, decode_heartbeat
from skyweave.fleet.link.rate_limit import MessageQueue, PeerLimits, TokenBucket
from skyweave.fleet.link.topics import FRAME, HEARTBEAT, platform_from_topic
from skyweave.fleet.link.trust import Member
from skyweave.wire import EntropyTables, ReceivedFrame, Receiver, ReceiverLimits
from skyweave.wire.header import read_header
from skyweave.wire.rejection import RejectedError

SECOND = 10**9
MAX_PEERS = 64
COUNTED = ""
TURN = 16  # messages of one peer that are read before others have their turn
FORGIVEN = {
    *("replay", "too_old", "in_the_future", "duplicate", "full"),  # a bad network or clock may do this
    *("envelope", "unsigned", "signature"),  # and this may be somebody else under the peer's name
}
RECENT, KNOWN = 8, 3  # frames whose lateness is remembered, and from which on it is believed
FORGET_AFTER_S = 30.0  # seconds after which a peer is forgotten


@dataclass
class Peer:
    """One of the others.

    Attributes:
        name: as in its keys.
        number: as in its frames; None until it has said so.
        heartbeat: its last one.
        beat_heard: when that came, our clock; 0: never.
        clock: its clock against ours.
        drops: messages refused, by reason.
        messages, bytes: taken, envelopes included.
        last_frame: capture time, our clock, of the newest frame that it told us of.
        last_heard: our clock.
        left: when the network said that it is gone, our clock; 0: never.
        lateness: of its latest frames: sequence, and nanoseconds from capture until the last of it came.
    """

    name: str
    number: int | None
    receiver: Receiver
    unsealer: Unsealer
    bucket: TokenBucket
    waiting: MessageQueue
    clock: ClockOffsetEstimator = field(default_factory=ClockOffsetEstimator)
    heartbeat: Heartbeat | None = None
    beat_sent: int = 0
    beat_heard: int = 0
    drops: Counter[str] = field(default_factory=Counter)
    messages: int = 0
    bytes: int = 0
    last_frame: int = 0
    last_heard: int = 0
    left: int = 0
    lateness: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=RECENT))
    report_of_us: PeerReport | None = None
    received_of: dict[int, int] = field(default_factory=dict)  # bytes by sequence, the newest
    received_before: int = 0  # bytes of the frames that are no longer in received_of
    newest_closed: int = -1
    delays: deque[int] = field(default_factory=lambda: deque(maxlen=64))
    least_delay: int = 1 << 62
    arriving: Counter[str] = field(default_factory=Counter)  # drops counted by the network's threads

    def refused(self) -> Counter[str]:
        """Everything refused from this peer, by reason."""
        wire = {reason.name.lower(): count for reason, count in dict(self.receiver.refused).items()}
        total = Counter(wire)
        for counts in (dict(self.drops), dict(self.arriving)):  # copied at once: other threads go on counting
            total.update(counts)
        return total

    @property
    def gone(self) -> bool:
        """The network said that it left, and it has said nothing since."""
        return self.left >= self.last_heard > 0

    def due(self, time: int, grace: int) -> int | None:
        """When its frame of a moment should be here, at the latest, going by its latest ones; None: not known yet.

        Args:
            time: capture of ours, nanoseconds, our clock like everything here.
            grace: nanoseconds by which it may be later than any of them.
        """
        if self.heartbeat is None or len(self.lateness) < KNOWN:
            return None
        interval = round(self.heartbeat.interval * SECOND)
        captured = self.last_frame + round((time - self.last_frame) / interval) * interval
        return captured + max(late for _, late in list(self.lateness)) + grace

    def to_ours(self, time: int) -> int:
        """A time of its clock by ours."""
        return time - self.clock.offset


class Peers:
    """All others.

    Args:
        number: ours, so that our own chunks are refused.
        clock: ours.
        tables: for reading features.
        limits: what each of them may cost us.
        grid: (micrometres a cell, EPSG code) that has been agreed on.
        members: who may speak and with which key; None: anybody, unsigned.
    """

    def __init__(
        self,
        number: int,
        clock: Clock,
        tables: Iterable[EntropyTables] = (),
        limits: PeerLimits | None = None,
        grid: tuple[int | None, int | None] = (None, None),
        members: dict[str, Member] | None = None,
    ) -> None:
        self.number, self.clock, self.tables = number, clock, tuple(tables)
        self.limits, self.grid, self.members = limits or PeerLimits(), grid, members
        self.strangers: Counter[str] = Counter()
        self.arrived = threading.Event()  # something waits to be read
        self.progress = threading.Event()  # something has been read
        self._peers: dict[str, Peer] = {}
        self._lock = threading.Lock()  # of the network's threads
        self._reading = threading.Lock()  # of everything that reading changes

    def all(self) -> list[Peer]:
        """All who are known, by name."""
        with self._lock:
            return [self._peers[name] for name in sorted(self._peers)]

    def heard(self, key: str, sealed: bytes) -> None:
        """Take a message from the network. Never raises, never waits for reading."""
        now = self.clock()
        name = platform_from_topic(key)
        if name is None:
            self.strangers["key"] += 1
            return
        with self._lock:
            peer = self._peers.get(name)
            if peer is None:
                peer = self._welcome(name, now)
                if peer is None:
                    return
            if len(sealed) > self.limits.size:
                peer.arriving["size"] += 1
            elif not peer.bucket.take(len(sealed), now / SECOND):
                peer.arriving["rate"] += 1
            else:
                peer.waiting.put(key, sealed, now, peer.arriving)
                self.arrived.set()

    def left(self, key: str) -> None:
        """The network says that somebody is gone. It costs nothing but being waited for: anybody might say so."""
        name = platform_from_topic(key)
        with self._lock:
            peer = self._peers.get(name or "")
        if peer is not None:
            peer.left = self.clock()
            self.progress.set()

    def read(self, most: int = 4096) -> int:
        """Open and check what has come since. Returns how many messages were read.

        Peers take turns, and the lock is free between turns: nobody's flood keeps others' frames from being read.
        """
        done, left = 0, True
        while left and done < most:
            left = False
            for peer in self.all():
                with self._reading:
                    for _ in range(TURN):
                        message = peer.waiting.take()
                        if message is None:
                            break
                        self._read(peer, *message)
                        done += 1
                left = left or bool(len(peer.waiting))
        return done

    def frames(self, peer: Peer) -> list[ReceivedFrame]:
        """The frames of a peer that are at hand; capture times by our clock, the newest first."""
        with self._reading:
            held = peer.receiver.frames(self._their_now(peer, self.clock()))
        return [replace(one, frame=replace(one.frame, time=peer.to_ours(one.frame.time))) for one in held]

    def alive(self, within: float) -> list[Peer]:
        """Those whose heartbeat is not older than so many seconds."""
        now = self.clock()
        return [peer for peer in self.all() if peer.beat_heard and now - peer.beat_heard <= within * SECOND]

    def reports(self) -> tuple[PeerReport, ...]:
        """How we hear each, for our heartbeat."""
        with self._reading:
            return tuple(self._report(peer) for peer in self.all() if peer.number is not None and peer.beat_heard)

    def forget_silent(self) -> None:
        """Drop those who have said nothing for long, so that strangers do not pile up."""
        before = self.clock() - round(FORGET_AFTER_S * SECOND)
        with self._lock:
            for name in [name for name, peer in self._peers.items() if peer.last_heard < before]:
                self.strangers.update({f"{k}": v for k, v in self._peers[name].refused().items()})
                del self._peers[name]

    def _welcome(self, name: str, now: int) -> Peer | None:
        """Somebody new. Called with the lock held."""
        member = None
        if self.members is not None:
            member = self.members.get(name)
            if member is None:
                self.strangers["stranger"] += 1
                return None
        if len(self._peers) >= MAX_PEERS:
            self.strangers["crowd"] += 1
            return None
        limits, (resolution, epsg) = self.limits, self.grid
        receiver = Receiver(
            self.tables,
            ReceiverLimits(
                age=limits.age, ahead=limits.ahead, platforms=1, held_bytes=1 << 24, resolution=resolution, epsg=epsg
            ),
            self.number,
        )
        peer = Peer(
            name,
            None if member is None else member.number,
            receiver,
            Unsealer(None if member is None else member.public),
            TokenBucket(limits, now / SECOND),
            MessageQueue(limits.waiting),
            last_heard=now,
        )
        self._peers[name] = peer
        return peer

    def _read(self, peer: Peer, key: str, sealed: bytes, received: int) -> None:
        opened = peer.unsealer.unseal(key, sealed)
        if isinstance(opened, str):
            peer.drops[opened] += 1
            return
        kind = key.split("/")[2]
        reason = self._take_beat(peer, opened, received) if kind == HEARTBEAT else None
        if kind == FRAME:
            reason = self._take_chunk(peer, opened, received)
        elif kind != HEARTBEAT:
            reason = "key"
        if reason is not None:
            if reason != COUNTED:
                peer.drops[reason] += 1
                self._punish(peer, reason)
            return
        peer.unsealer.remember(opened)
        peer.last_heard = received
        peer.messages += 1
        peer.bytes += len(sealed)
        peer.clock.heard(opened.sent, received)
        delay = received - peer.to_ours(opened.sent)
        if kind == FRAME:
            peer.delays.append(delay)
            peer.least_delay = min(peer.least_delay, delay)

    def _take_beat(self, peer: Peer, opened: OpenedEnvelope, received: int) -> str | None:
        beat = decode_heartbeat(opened.message)
        if beat is None:
            return "heartbeat"
        if peer.number not in (None, beat.platform) or beat.platform == self.number:
            return "impostor"
        if (reason := self._stale(peer, opened.sent, received)) is not None:
            return reason
        if opened.sent <= peer.beat_sent:
            return "too_old"
        resolution, epsg = self.grid
        if resolution not in (None, beat.resolution) or epsg not in (None, beat.epsg):
            return "grid"
        if peer.heartbeat is not None and beat.started != peer.heartbeat.started:  # it was started again
            peer.received_of.clear()
            peer.lateness.clear()
            peer.received_before, peer.newest_closed = 0, -1
        peer.number, peer.heartbeat, peer.beat_sent, peer.beat_heard = beat.platform, beat, opened.sent, received
        for report in beat.peers:
            if report.platform == self.number:
                peer.clock.add(ClockExchange(report.beat, report.heard, opened.sent, received))
                peer.report_of_us = report
        return None

    def _take_chunk(self, peer: Peer, opened: OpenedEnvelope, received: int) -> str | None:
        """None if it was taken; ``COUNTED`` if the receiver has counted why not."""
        if (reason := self._stale(peer, opened.sent, received)) is not None:
            return reason
        try:
            header, _ = read_header(opened.message)
        except RejectedError as refused:
            return refused.reason.name.lower()
        if peer.number is None:
            peer.number = header.platform
        if header.platform != peer.number:
            return "impostor"
        refusal = peer.receiver.receive(opened.message, self._their_now(peer, received))
        if refusal is not None:
            self._punish(peer, refusal.name.lower())
            return COUNTED
        captured = peer.to_ours(header.time)
        peer.last_frame = max(peer.last_frame, captured)
        newest = peer.lateness[-1][0] if peer.lateness else -1
        if header.sequence == newest:
            peer.lateness.pop()
        if header.sequence >= newest:
            peer.lateness.append((header.sequence, received - captured))
        if header.sequence > peer.newest_closed:
            of = peer.received_of
            of[header.sequence] = of.get(header.sequence, 0) + len(opened.message)
            while len(of) > 64:
                peer.received_before += of.pop(min(of))
        return None

    def _stale(self, peer: Peer, sent: int, received: int) -> str | None:
        """Whether a message was sent too long ago, or in the future, or by a clock that is too far off."""
        if not peer.clock.known and abs(sent - received) > self.limits.clock_offset * SECOND:
            return "clock"
        if abs(peer.clock.offset) > self.limits.clock_offset * SECOND:
            return "clock"
        # Until an exchange is done, the offset is a guess from what came first, which may have been replayed.
        slack = 0 if peer.clock.known else round(self.limits.clock_offset * SECOND)
        if received - peer.to_ours(sent) > self.limits.age * SECOND + slack:
            return "too_old"
        if peer.to_ours(sent) - received > self.limits.ahead * SECOND + slack:
            return "in_the_future"
        return None

    def _punish(self, peer: Peer, reason: str) -> None:
        """Reading costs time: who sends nonsense is read less."""
        if reason not in FORGIVEN:
            with self._lock:
                peer.bucket.punish()

    def _their_now(self, peer: Peer, now: int) -> int:
        return now + peer.clock.offset

    def _report(self, peer: Peer) -> PeerReport:
        if peer.received_of:  # one frame is not waited for any longer when the next has begun
            peer.newest_closed = max(peer.newest_closed, max(peer.received_of) - 1)
        closed = [sequence for sequence in peer.received_of if sequence <= peer.newest_closed]
        peer.received_before += sum(peer.received_of.pop(sequence) for sequence in closed)
        delay = max(min(peer.delays) - peer.least_delay, 0) // 10**6 if peer.delays else 0
        peer.delays.clear()
        assert peer.number is not None
        closed_to = max(peer.newest_closed, 0)
        return PeerReport(
            peer.number, peer.beat_sent, peer.beat_heard, closed_to, peer.received_before, min(delay, 60_000)
        )
