"""One platform of a fleet: it observes, publishes, receives, synchronises and fuses.

`Node` does each of these when it is called, in the caller's thread, which makes it testable;
`skyweave.fleet.supervisor.runtime` drives it in real time.
"""

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skyweave.core.geometry.grid import MapGrid
from skyweave.fleet.link.clocks import NS_PER_S, Clock, wall_clock
from skyweave.fleet.link.credentials import Credentials
from skyweave.fleet.link.envelope import EnvelopeSealer, sent_time
from skyweave.fleet.link.heartbeat import VERSION, Heartbeat, encode_heartbeat
from skyweave.fleet.link.tiles import TileScheme
from skyweave.fleet.link.topics import (
    HEARTBEAT,
    frame_topic,
    heartbeat_topic,
    platform_id_from_name,
    validate_name,
)
from skyweave.fleet.link.transport import Priority, Transport
from skyweave.fleet.node.area_of_interest import AreaOfInterest
from skyweave.fleet.node.delivery import DeliveryMonitor
from skyweave.fleet.node.fused_scene import FusedScene, PendingFrame
from skyweave.fleet.node.options import NodeOptions
from skyweave.fleet.node.peer import Peer
from skyweave.fleet.node.peers import Peers
from skyweave.fleet.node.rate_control import RateController
from skyweave.fleet.node.shared_identities import SharedIdentities
from skyweave.fleet.node.statistics import NodeStatistics
from skyweave.fleet.node.time_sync import SynchronizedFrame, synchronize_frames
from skyweave.fleet.perceivers.base import Perceiver, WorldFrame, encode_ego
from skyweave.perception.results import ScenePrediction
from skyweave.recordings.recording import Frame
from skyweave.wire import WireGrid
from skyweave.wire.header import read_header

if TYPE_CHECKING:
    from skyweave.collaboration.pose_alignment import PoseError

SEQUENCES_PER_S = 16  # frames at most, for the numbers of a restarted node to go on above its old ones
SEQUENCE_EPOCH_S = 1_704_067_200  # 2024-01-01, so that numbers last until 2032 and then start again
MAX_READ_BEFORE_WORK = 512  # messages; a thread of its own reads the rest (`skyweave.fleet.supervisor.runtime`)
RECENT_INTERVALS = 1.5  # since its last frame, for a peer to be waited for


class Node:
    """One platform on a network.

    Args:
        fleet: name of the fleet.
        name: of the platform.
        perceiver: what observes and fuses.
        transport: to the peers; closed with the node.
        world_frame: reference system and ground of the fleet.
        options: how the node behaves.
        platform_id: number for the wire format; None: from the credentials, or of the name.
        credentials: None: everything is unsigned, and anybody is believed.
        clock: the local one.
        interval: seconds between frames; None: as the perceiver expects.

    Raises:
        FleetError: a name that cannot be one.
    """

    def __init__(
        self,
        fleet: str,
        name: str,
        perceiver: Perceiver[Any],
        transport: Transport,
        world_frame: WorldFrame | None = None,
        options: NodeOptions | None = None,
        platform_id: int | None = None,
        credentials: Credentials | None = None,
        clock: Clock = wall_clock,
        interval: float | None = None,
    ) -> None:
        self.fleet, self.name = validate_name(fleet, "fleet"), validate_name(name, "platform")
        self.perceiver, self.transport, self.clock = perceiver, transport, clock
        self.world_frame, self.options = world_frame or WorldFrame(), options or NodeOptions()
        if credentials is not None:
            platform_id = credentials.members[name].platform_id
        self.platform_id = platform_id_from_name(name) if platform_id is None else platform_id
        self.interval = interval or perceiver.interval
        self.grid = (round(perceiver.resolution * 1e6), _epsg_code(self.world_frame.crs))
        scheme = TileScheme(self.options.tiles)
        self.peers = Peers(
            self.platform_id,
            clock,
            perceiver.tables,
            self.options.limits,
            self.grid,
            None if credentials is None else credentials.members,
            scheme,
        )
        self.sealer = EnvelopeSealer(None if credentials is None else credentials.signing_key, clock)
        self.rate_controller = RateController(self.options.budget)
        self.delivery = DeliveryMonitor()
        self.statistics = NodeStatistics()
        self.started = clock()
        self.identities = SharedIdentities(name, self.started)
        self._sequence = _first_sequence(self.started)
        self._publishing = threading.Lock()
        self.area = AreaOfInterest(fleet, name, transport, self.peers, scheme, self.peers.monotonic)

    def observe_and_send(self, frame: Frame) -> PendingFrame:
        """Observe the platform's own captures, and publish what peers should know.

        Args:
            frame: the platform's captures of one time.
        """
        started = self.clock()
        with self.statistics.time_stage("observe"):
            observation = self.perceiver.observe(frame, self.world_frame)
        self._sequence = (self._sequence + 1) % (1 << 32)
        is_encoded = self.options.publish_frames or self.options.tiles  # from a message follows where it belongs
        size = self._publish_frame(frame, observation) if is_encoded else 0
        return PendingFrame(frame, observation, self._sequence, started, size)

    def awaited_peers(self, pending: PendingFrame) -> list[str]:
        """Return the peers worth waiting for, by name.

        They live and sent the frame before, but this one is not complete yet, and not overdue either.

        Args:
            pending: the frame that waits.
        """
        self.peers.drain(MAX_READ_BEFORE_WORK)
        deadlines = self._peer_deadlines(pending)
        if not deadlines:
            return []
        tolerance, now = self.interval / 2, self.clock()
        arrived = self._arrived_peers(pending, tolerance)
        return sorted(name for name, deadline in deadlines.items() if name not in arrived and deadline > now)

    def _arrived_peers(self, pending: PendingFrame, tolerance: float) -> set[str]:
        """Return the peers whose frames of the same time are complete."""
        return {
            synchronized.peer
            for synchronized in self._synchronized(pending)
            if synchronized.complete and abs(synchronized.time_offset) < tolerance
        }

    def deadline(self, pending: PendingFrame) -> int:
        """Return when no peer is waited for any longer, nanoseconds by the local clock.

        Args:
            pending: the frame that waits.
        """
        return max(self._peer_deadlines(pending).values(), default=pending.frame.time)

    def fuse(self, pending: PendingFrame) -> FusedScene:
        """Fuse a frame with what has arrived from peers.

        Args:
            pending: the frame, as `observe_and_send` returned it.
        """
        self.peers.drain(MAX_READ_BEFORE_WORK)
        time = pending.frame.time
        with self.statistics.time_stage("align"):
            frames = self._compensated(pending)
        with self.statistics.time_stage("fuse"):
            prediction, frames = self._fuse_frames(pending.observation, frames)
        ego = self.perceiver.ego_detections(pending.observation)
        finished, fused = self.clock(), tuple(frames)
        scene = FusedScene(self.name, pending.sequence, time, finished, prediction, fused, pending.frame, ego)
        self.statistics.count_scene(scene.latency, len(frames))
        return scene

    def send_heartbeat(self) -> None:
        """Publish a heartbeat, and steer the budget by the peers' reports."""
        self.peers.drain(MAX_READ_BEFORE_WORK)
        self._steer_budget()
        heartbeat = Heartbeat(
            VERSION,
            self.platform_id,
            self.perceiver.fingerprint,
            *self.grid,
            self.interval,
            tuple(self.perceiver.categories),
            self.started,
            self.peers.write_reports(),
            self.identities.share(self.perceiver.categories, [peer.name for peer in self.alive_peers()]),
        )
        topic = heartbeat_topic(self.fleet, self.name, self.area.tiles)
        self.publish(topic, encode_heartbeat(heartbeat), Priority.CONTROL)
        self.peers.forget_silent()
        self.area.drop_left()

    def publish(self, topic: str, message: bytes, priority: Priority) -> int:
        """Publish a message in an envelope; return the bytes of both.

        Args:
            topic: to publish to.
            message: its bytes.
            priority: against other messages.
        """
        kind = topic.split("/")[2]
        with self._publishing:
            envelope = self.sealer.seal(topic, message)
            if kind == HEARTBEAT:
                self.peers.note_heartbeat(sent_time(envelope))
            self.transport.publish(topic, envelope, priority)
        self.statistics.count_message(kind, len(envelope))
        return len(envelope)

    def alive_peers(self) -> list[Peer]:
        """Return the peers whose heartbeats are recent."""
        return [peer for peer in self.peers.alive(self.options.peer_timeout) if not peer.is_gone]

    def pose_error(self, peer: Peer) -> "PoseError | None":
        """Return the estimated error of a peer's poses; None where it is not known.

        Args:
            peer: of this node.
        """
        return None if peer.platform_id is None else self.perceiver.pose_errors.get(peer.platform_id)

    def close(self) -> None:
        """Leave the fleet, and close the transport."""
        self.area.close()
        self.transport.close()

    def _publish_frame(self, frame: Frame, observation: Any) -> int:
        """Publish an observation as chunks; return the bytes with envelopes."""
        budget = self.rate_controller.frame_bytes
        with self.statistics.time_stage("encode"):
            overhead, mtu = self.sealer.overhead, self.options.mtu
            chunk_budget = budget - -(-budget // mtu) * overhead
            chunks = encode_ego(
                self.perceiver, observation, frame, self.platform_id, self._sequence, chunk_budget, mtu - overhead
            )
        self.area.follow(read_header(chunks[0])[0].grid)
        if not self.options.publish_frames:
            return 0
        with self.statistics.time_stage("send"):
            topic = frame_topic(self.fleet, self.name, self.area.tiles)
            size = sum(self.publish(topic, chunk, Priority.FRAMES) for chunk in chunks)
        self.delivery.add_frame(self._sequence, sum(map(len, chunks)))
        return size

    def _peer_deadlines(self, pending: PendingFrame) -> dict[str, int]:
        """Return for each peer that sent the frame before until when its frame may arrive."""
        time = pending.frame.time
        recent = time - round(RECENT_INTERVALS * self.interval * NS_PER_S)
        latest = time + round(self.options.max_wait * NS_PER_S)
        grace = round(self.options.grace * self.interval * NS_PER_S)
        deadlines = {}
        for peer in self.peers.alive(self.options.peer_timeout):
            if peer.last_frame > recent and not peer.is_gone:
                with self.peers.contained(peer.name):
                    deadline = peer.frame_deadline(time, grace)
                    deadlines[peer.name] = latest if deadline is None else min(deadline, latest)
        return deadlines

    def _steer_budget(self) -> None:
        """Steer the budget by what peers report to have received."""
        delivered, delays = [], []
        for peer in self.peers.alive(self.options.peer_timeout):
            with self.peers.contained(peer.name):
                delivery = self.delivery.evaluate(peer)
                if delivery is not None:
                    delivered.append(delivery[0])
                    delays.append(delivery[1])
        self.rate_controller.update(delivered, delays)

    def _compensated(self, pending: PendingFrame) -> list[SynchronizedFrame]:
        """Return the peers' frames as they would be at the time of this node's capture."""
        compensated = []
        for synchronized in self._synchronized(pending):
            with self.peers.contained(synchronized.peer):
                content = self.perceiver.compensate(synchronized.content, pending.frame.time)
                compensated.append(replace(synchronized, content=content))
        return compensated

    def _fuse_frames(
        self, observation: Any, frames: list[SynchronizedFrame]
    ) -> tuple[ScenePrediction, list[SynchronizedFrame]]:
        """Fuse an observation with peers' frames; return the scene and the frames that are in it.

        Where that fails they are added one by one, and who makes it fail is left out.
        """
        try:
            return self.perceiver.fuse(observation, [synchronized.content for synchronized in frames]), frames
        except Exception:
            fused: list[SynchronizedFrame] = []
            prediction = self.perceiver.fuse(observation, [])  # raises what is this node's own fault
            for synchronized in frames:
                with self.peers.contained(synchronized.peer):
                    contents = [other.content for other in [*fused, synchronized]]
                    prediction = self.perceiver.fuse(observation, contents)
                    fused.append(synchronized)
            return prediction, fused

    def _synchronized(self, pending: PendingFrame) -> list[SynchronizedFrame]:
        return synchronize_frames(
            self.peers, pending.frame.time, self.options.max_time_offset, self.perceiver.categories
        )


def _first_sequence(started: int) -> int:
    return max(int(started / NS_PER_S - SEQUENCE_EPOCH_S) * SEQUENCES_PER_S, 0) % (1 << 32)


def _epsg_code(crs: str | None) -> int:
    return WireGrid.from_map(MapGrid(0, 0, 1.0, 1, 1, crs)).epsg
