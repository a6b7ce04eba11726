"""One platform of a fleet: it sees, tells, hears, aligns, fuses, and publishes its picture.

`Node` does each of these when told to, in the caller's thread, which makes it testable; `skyweave.fleet.supervisor.runtime` drives it
in real time.
"""

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from skyweave.collaboration.pose_alignment import PoseError
from skyweave.fleet.link.clocks import Clock, wall_clock
from skyweave.fleet.link.envelope import Sealer
from skyweave.fleet.link.heartbeat import VERSION, Heartbeat, encode_heartbeat
from skyweave.fleet.link.rate_limit import PeerLimits
from skyweave.fleet.link.topics import FRAME, HEARTBEAT, ROOT, frame_topic, heartbeat_topic, validate_name
from skyweave.fleet.link.transport import Priority, Transport
from skyweave.fleet.link.trust import Credentials
from skyweave.fleet.node.peers import Peer, Peers
from skyweave.fleet.node.rate_control import RateControlConfig, RateController
from skyweave.fleet.node.statistics import NodeStatistics
from skyweave.fleet.node.time_sync import SynchronizedFrame, synchronize_frames
from skyweave.fleet.perceivers.base import Perceiver, WorldFrame, set_header
from skyweave.perception.prediction import ScenePrediction
from skyweave.recordings.recording import Frame
from skyweave.wire import encode_frame

SECOND = 10**9
SEQUENCES = 16  # a second: so many frames at most, for a restarted node to go on above its old numbers
EPOCH = 1_704_067_200  # 2024-01-01, so that numbers last until 2032 and then start again
WORTH = 512  # messages that are read before working on; a thread of its own reads the rest (`skyweave.fleet.supervisor.runtime`)
REMEMBERED = 512  # frames whose size is remembered for the reports


@dataclass(frozen=True)
class NodeOptions:
    """How a node behaves.

    Attributes:
        window: seconds by which a peer's capture may differ from ours to be fused with it; where the frame of our own
            moment has not come in time, the one before it is moved on, if the window reaches that far.
        wait: seconds after our capture for which we wait for others' frames, at most.
        grace: share of the interval by which a peer's frame may come later than its latest ones did, before it is no
            longer waited for: so much a picture is late when a peer vanishes.
        mtu: bytes of the largest message, envelope included.
        beat: seconds between heartbeats.
        alive: seconds without a heartbeat after which nobody waits for a peer.
        tell: publish frames; false: only listen.
        budget: bytes a frame.
        limits: what a peer may cost us.
    """

    window: float = 0.75
    wait: float = 0.25
    grace: float = 0.15
    mtu: int = 1200
    beat: float = 0.5
    alive: float = 2.0
    tell: bool = True
    budget: RateControlConfig = field(default_factory=RateControlConfig)
    limits: PeerLimits = field(default_factory=PeerLimits)


@dataclass(frozen=True)
class PendingFrame:
    """A moment that was seen and told, and waits for what others saw.

    Attributes:
        frame: what was captured.
        own: what the perceiver made of it.
        sequence: number of the frame.
        started: our clock when work began.
        bytes: that were published.
    """

    frame: Frame
    own: Any
    sequence: int
    started: int
    bytes: int


@dataclass(frozen=True)
class FusedScene:
    """What a node knows of one moment.

    Attributes:
        platform: who made it.
        sequence: number of its frame.
        time: capture, UTC nanoseconds by our clock.
        done: when it was ready, our clock.
        scene: everything that was found.
        sources: what of others went into it.
        frame: what was captured.
    """

    platform: str
    sequence: int
    time: int
    done: int
    scene: ScenePrediction
    sources: tuple[SynchronizedFrame, ...]
    frame: Frame

    @property
    def latency(self) -> float:
        """Seconds from capture to result."""
        return (self.done - self.time) / SECOND


class Node:
    """See the module.

    Args:
        fleet: name of the fleet.
        name: of the platform.
        perceiver: what sees and fuses.
        transport: to the others; closed with the node.
        place: where it works.
        options: how it behaves.
        number: for the wire; None: from the keys, or of the name.
        trust: keys; None: everything is unsigned, and anybody is believed.
        clock: ours.
        interval: seconds between its frames; None: as the perceiver expects.
    """

    def __init__(
        self,
        fleet: str,
        name: str,
        perceiver: Perceiver[Any],
        transport: Transport,
        place: WorldFrame | None = None,
        options: NodeOptions | None = None,
        number: int | None = None,
        trust: Credentials | None = None,
        clock: Clock = wall_clock,
        interval: float | None = None,
    ) -> None:
        from skyweave.fleet.link.topics import platform_id_from_name

        self.fleet, self.name = validate_name(fleet, "fleet"), validate_name(name, "platform")
        self.perceiver, self.transport = perceiver, transport
        self.place, self.options, self.clock = place or WorldFrame(), options or NodeOptions(), clock
        if trust is not None:
            number = trust.members[name].number
        self.number = platform_id_from_name(name) if number is None else number
        self.interval = interval or perceiver.interval
        self.grid = (round(perceiver.resolution * 1e6), _epsg(self.place.crs))
        self.peers = Peers(
            self.number,
            clock,
            perceiver.tables,
            self.options.limits,
            self.grid,
            None if trust is None else trust.members,
        )
        self.sealer = Sealer(None if trust is None else trust.signing, clock)
        self.budget = RateController(self.options.budget)
        self.statistics = NodeStatistics()
        self.started = clock()
        self._sequence = max(int(self.started / SECOND - EPOCH) * SEQUENCES, 0) % (1 << 32)
        self._sent_bytes: dict[int, int] = {}  # up to and with a frame, by sequence
        self._total_sent = 0
        self._reported: dict[str, tuple[int, int, int]] = {}  # by peer: its start, sequence and bytes last time
        self._publishing = threading.Lock()
        self._ends = [transport.subscribe(f"{ROOT}/{self.fleet}/{kind}/*", self._heard) for kind in (FRAME, HEARTBEAT)]
        self._ends.append(transport.watch(f"{ROOT}/{self.fleet}/{HEARTBEAT}/*", self.peers.left))
        transport.announce(heartbeat_topic(self.fleet, self.name))

    def send(self, frame: Frame) -> PendingFrame:
        """See and tell: observe the platform's own captures, and publish what others should know."""
        started = self.clock()
        with self.statistics.stage("observe"):
            own = self.perceiver.observe(frame, self.place)
        self._sequence = (self._sequence + 1) % (1 << 32)
        size = self._tell(frame, own) if self.options.tell else 0
        return PendingFrame(frame, own, self._sequence, started, size)

    def missing(self, sent: PendingFrame) -> list[str]:
        """Peers worth waiting for: they live and told us of the moment before, but this frame is not whole yet, and
        not overdue either.
        """
        self.peers.read(WORTH)
        awaited = self._awaited(sent)
        if not awaited:
            return []
        near, now = self.interval / 2, self.clock()
        here = {one.peer for one in self._aligned(sent) if one.complete and abs(one.apart) < near}
        return sorted(name for name, until in awaited.items() if name not in here and until > now)

    def deadline(self, sent: PendingFrame) -> int:
        """When no other is waited for any longer, by our clock: nanoseconds."""
        return max(self._awaited(sent).values(), default=sent.frame.time)

    def finish(self, sent: PendingFrame) -> FusedScene:
        """Fuse with what has come."""
        self.peers.read(WORTH)
        with self.statistics.stage("align"):
            aligned = self._aligned(sent)
            contents = [self.perceiver.compensate(one.content, sent.frame.time) for one in aligned]
        with self.statistics.stage("fuse"):
            scene = self.perceiver.fuse(sent.own, contents)
        done = self.clock()
        picture = FusedScene(self.name, sent.sequence, sent.frame.time, done, scene, tuple(aligned), sent.frame)
        self.statistics.finished(picture.latency, len(aligned))
        return picture

    def beat(self) -> None:
        """Say that we live, and steer the budget by what others say of us."""
        self.peers.read(WORTH)
        self._steer()
        perceiver = self.perceiver
        message = encode_heartbeat(
            Heartbeat(
                VERSION,
                self.number,
                perceiver.fingerprint,
                *self.grid,
                self.interval,
                tuple(perceiver.categories),
                self.started,
                self.peers.reports(),
            )
        )
        self.publish(heartbeat_topic(self.fleet, self.name), message, Priority.CONTROL)
        self.peers.forget_silent()

    def publish(self, key: str, message: bytes, priority: Priority) -> int:
        """Seal and publish; returns the bytes that took."""
        with self._publishing:
            sealed = self.sealer.seal(key, message)
            self.transport.publish(key, sealed, priority)
        self.statistics.published(key.split("/")[2], len(sealed))
        return len(sealed)

    def pose_error(self, peer: Peer) -> PoseError | None:
        """Of a peer's poses; None where nothing is known of it."""
        return None if peer.number is None else self.perceiver.pose_errors.get(peer.number)

    def drops(self) -> dict[str, Counter[str]]:
        """Everything refused, by peer and reason; under ``""`` what came from nobody we know."""
        return {"": Counter(dict(self.peers.strangers)), **{peer.name: peer.refused() for peer in self.peers.all()}}

    def close(self) -> None:
        """Leave the fleet."""
        for end in self._ends:
            end()
        self.transport.close()

    def _heard(self, key: str, sealed: bytes) -> None:
        self.peers.heard(key, sealed)

    def _tell(self, frame: Frame, own: Any) -> int:
        budget = self.budget.frame
        with self.statistics.stage("encode"):
            mtu = self.options.mtu - self.sealer.overhead
            chunk_budget = budget - -(-budget // self.options.mtu) * self.sealer.overhead
            content = self.perceiver.compose(own, chunk_budget)
            content = set_header(content, self.number, self._sequence, frame)
            tables = next((t for t in self.perceiver.tables if t.model == _model(content)), None)
            chunks = encode_frame(content, tables, mtu, chunk_budget, sort_window=self.perceiver.interleave)
        with self.statistics.stage("send"):
            key = frame_topic(self.fleet, self.name)
            size = sum(self.publish(key, chunk, Priority.FRAMES) for chunk in chunks)
        self._total_sent += sum(map(len, chunks))
        self._sent_bytes[self._sequence] = self._total_sent
        while len(self._sent_bytes) > REMEMBERED:
            del self._sent_bytes[next(iter(self._sent_bytes))]
        return size

    def _awaited(self, sent: PendingFrame) -> dict[str, int]:
        """For each peer that told us of the moment before: until when its frame may come."""
        lately = sent.frame.time - round(1.5 * self.interval * SECOND)
        latest = sent.frame.time + round(self.options.wait * SECOND)
        grace = round(self.options.grace * self.interval * SECOND)
        awaited = {}
        for peer in self.peers.alive(self.options.alive):
            if peer.last_frame > lately and not peer.gone:
                due = peer.due(sent.frame.time, grace)
                awaited[peer.name] = latest if due is None else min(due, latest)
        return awaited

    def _aligned(self, sent: PendingFrame) -> list[SynchronizedFrame]:
        return synchronize_frames(self.peers, sent.frame.time, self.options.window, self.perceiver.categories)

    def _steer(self) -> None:
        """What share of our bytes came to each peer since it last told."""
        delivered, delays = [], []
        for peer in self.peers.alive(self.options.alive):
            report, heartbeat = peer.report_of_us, peer.heartbeat
            if report is None or heartbeat is None or report.sequence not in self._sent_bytes:
                continue
            before = self._reported.get(peer.name)
            self._reported[peer.name] = (heartbeat.started, report.sequence, report.received)
            if before is None or before[0] != heartbeat.started or before[1] not in self._sent_bytes:
                continue
            sent = self._sent_bytes[report.sequence] - self._sent_bytes[before[1]]
            if sent > 0 and report.received >= before[2]:
                delivered.append(min((report.received - before[2]) / sent, 1.0))
                delays.append(report.delay / 1000)
        self.budget.report(delivered, delays)


def _model(content: Any) -> tuple[int, int, int]:
    return content.fingerprint, content.codec, content.quality


def _epsg(crs: str | None) -> int:
    from skyweave.core.geometry.grid import MapGrid
    from skyweave.wire import WireGrid

    return WireGrid.from_map(MapGrid(0, 0, 1.0, 1, 1, crs)).epsg


def peer_names(aligned: Sequence[SynchronizedFrame]) -> list[str]:
    """Of the peers."""
    return [one.peer for one in aligned]
