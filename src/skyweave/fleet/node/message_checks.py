"""Checks and takes one message of a peer: its envelope, its time, its sender, its content."""

from dataclasses import dataclass, field

from skyweave.fleet.link.clocks import NS_PER_S, ClockExchange
from skyweave.fleet.link.envelope import OpenedEnvelope
from skyweave.fleet.link.heartbeat import Heartbeat, decode_heartbeat, heartbeat_rejection
from skyweave.fleet.link.rate_limit import PeerLimits
from skyweave.fleet.link.scene_message import MAX_COORDINATE_M
from skyweave.fleet.link.tiles import TileScheme
from skyweave.fleet.link.topics import FRAME, HEARTBEAT, Topic, parse_topic
from skyweave.fleet.node.peer import Peer
from skyweave.wire import RejectedError
from skyweave.wire.header import Header, read_header

MAX_SENT_HEARTBEATS = 64  # of this node that are remembered
MAX_ECHO_AGE_S = 5.0  # of the heartbeat that a peer says to have received last
MAX_GRID_M = MAX_COORDINATE_M / 2  # of a peer's map: what lies on it is published, and listeners refuse what is farther


@dataclass(frozen=True)
class Rejection:
    """Why a message was not taken.

    Attributes:
        reason: as counted.
        counted: the peer's receiver has counted it already.
    """

    reason: str
    counted: bool = False


@dataclass
class MessageChecker:
    """Takes messages of peers, if they are what they say they are.

    A peer proves that what it sends is no replay by saying which of this process's heartbeats it received last. Only
    such a round trip also says how its clock differs: so one whose clock was set, or is an hour off, is taken, and
    nobody's frames are taken before. In a fleet without keys there is nothing to prove.

    Attributes:
        platform_id: of this node.
        limits: on age and clocks.
        grid: (micrometres a cell, EPSG code) that the fleet agreed on; None: any.
        needs_proof: frames are taken only after a round trip.
        tiles: that the fleet agreed on: frames are taken only under the tile that their map lies on.
    """

    platform_id: int
    limits: PeerLimits
    grid: tuple[int | None, int | None] = (None, None)
    needs_proof: bool = False
    tiles: TileScheme = field(default_factory=TileScheme)
    _sent_heartbeats: dict[int, int] = field(default_factory=dict)  # by stamp: when, by the local clock

    def note_heartbeat(self, stamp: int, now: int) -> None:
        """Note that this node sent a heartbeat.

        Args:
            stamp: of its envelope, nanoseconds.
            now: nanoseconds by the local clock.
        """
        self._sent_heartbeats[stamp] = now
        while len(self._sent_heartbeats) > MAX_SENT_HEARTBEATS:
            del self._sent_heartbeats[next(iter(self._sent_heartbeats))]

    def shift(self, step: int) -> None:
        """Move all times where the local clock was set.

        Args:
            step: nanoseconds by which it was set.
        """
        self._sent_heartbeats = {stamp: sent + step for stamp, sent in self._sent_heartbeats.items()}

    def take(self, peer: Peer, topic: str, envelope: bytes, received: int, now: int) -> Rejection | None:
        """Take a message into a peer's state; return why it was rejected, None if it was not.

        Args:
            peer: in whose name it came.
            topic: that it came under.
            envelope: its bytes.
            received: nanoseconds by the local clock.
            now: nanoseconds by the monotonic clock.
        """
        address = parse_topic(topic)
        if address is None:
            return Rejection("topic")
        opened = peer.opener.open(topic, envelope, may_be_old=address.kind == HEARTBEAT)
        if isinstance(opened, str):
            return Rejection(opened)
        rejection = self._take_kind(address, peer, opened, received)
        if rejection is not None:
            return rejection
        peer.opener.remember(opened)
        peer.last_message, peer.tiles = now, address.tiles
        peer.messages += 1
        peer.bytes += len(envelope)
        peer.clock.add_one_way(opened.sent, received)
        if address.kind == FRAME:
            peer.reception.add_delay(received - peer.to_local_time(opened.sent))
        return None

    def _take_kind(self, address: Topic, peer: Peer, opened: OpenedEnvelope, received: int) -> Rejection | None:
        if address.kind == HEARTBEAT:
            return self._on_heartbeat(peer, opened, received)
        if address.kind == FRAME:
            return self._on_chunk(address, peer, opened, received)
        return Rejection("topic")

    def _on_heartbeat(self, peer: Peer, opened: OpenedEnvelope, received: int) -> Rejection | None:
        heartbeat = decode_heartbeat(opened.message)
        if heartbeat is None:
            return Rejection(heartbeat_rejection(opened.message))
        if peer.platform_id not in (None, heartbeat.platform_id) or heartbeat.platform_id == self.platform_id:
            return Rejection("id_mismatch")
        peer.platform_id = heartbeat.platform_id
        peer.echo = (opened.sent, received)  # to say so proves nothing to us, and lets the peer prove itself
        exchange = self._fresh_exchange(heartbeat, opened.sent, received)
        if exchange is not None and (not peer.clock.known or peer.clock.is_contradicted(exchange)):
            peer.restart_time()  # its clock was set, or it is new
            if peer.opener.is_too_old(opened):
                peer.opener.rewind(opened)
        elif (rejection := self._check_order(peer, opened, received)) is not None:
            return rejection
        resolution, epsg = self.grid
        if resolution not in (None, heartbeat.resolution) or epsg not in (None, heartbeat.epsg):
            return Rejection("grid")
        self._update_peer(peer, heartbeat, opened.sent, received, exchange)
        return None

    def _check_order(self, peer: Peer, opened: OpenedEnvelope, received: int) -> Rejection | None:
        """Reject a heartbeat that is not newer than those before."""
        if (rejection := self._check_time(peer, opened.sent, received)) is not None:
            return rejection
        if peer.opener.is_too_old(opened):
            return Rejection("replay")
        return Rejection("too_old") if opened.sent <= peer.heartbeat_sent else None

    def _fresh_exchange(self, heartbeat: Heartbeat, sent: int, received: int) -> ClockExchange | None:
        """Return the round trip that a heartbeat ends; None where it does not say that it got one of this process's."""
        for report in heartbeat.reports:
            originate = self._sent_heartbeats.get(report.heartbeat_sent)
            if report.platform_id == self.platform_id and originate is not None:
                exchange = ClockExchange(originate, report.heartbeat_received, sent, received)
                is_fresh = received - originate <= MAX_ECHO_AGE_S * NS_PER_S
                return exchange if is_fresh and exchange.is_possible else None
        return None

    def _update_peer(
        self, peer: Peer, heartbeat: Heartbeat, sent: int, received: int, exchange: ClockExchange | None
    ) -> None:
        if peer.heartbeat is not None and heartbeat.started != peer.heartbeat.started:
            peer.restart_time()
        peer.heartbeat = heartbeat
        peer.heartbeat_sent, peer.heartbeat_received = sent, received
        peer.note_tracks(heartbeat.tracks)
        if exchange is not None:
            peer.clock.add_exchange(exchange)
        for report in heartbeat.reports:
            if report.platform_id == self.platform_id:
                peer.report = report

    def _on_chunk(self, address: Topic, peer: Peer, opened: OpenedEnvelope, received: int) -> Rejection | None:
        if self.needs_proof and not peer.clock.known:
            return Rejection("unproven")
        if (rejection := self._check_time(peer, opened.sent, received)) is not None:
            return rejection
        try:
            header, _ = read_header(opened.message)
        except RejectedError as error:
            return Rejection(error.reason.name.lower())
        if self.tiles.tile_path(header.grid) != address.tiles:
            return Rejection("tile")
        return _receive_chunk(peer, header, opened, received)

    def _check_time(self, peer: Peer, sent: int, received: int) -> Rejection | None:
        """Reject what was sent too long ago, in the future, or by a clock that is too far off."""
        max_offset = round(self.limits.max_clock_offset * NS_PER_S)
        if not peer.clock.known and max(abs(sent - received), abs(peer.clock.offset)) > max_offset:
            return Rejection("clock")
        return self._check_age(peer, max_offset, received, sent)

    def _check_age(self, peer: Peer, max_offset: int, received: int, sent: int) -> Rejection | None:
        """Check that a message is neither too old nor ahead of its time."""
        # Until an exchange is done, the offset is a guess from what came first, which may have been replayed.
        margin = 0 if peer.clock.known else max_offset
        age = received - peer.to_local_time(sent)
        if age > self.limits.max_age * NS_PER_S + margin:
            return Rejection("too_old")
        if -age > self.limits.max_ahead * NS_PER_S + margin:
            return Rejection("in_the_future")
        return None


def _receive_chunk(peer: Peer, header: Header, opened: OpenedEnvelope, received: int) -> Rejection | None:
    """Give a chunk to the receiver of its platform."""
    if peer.platform_id is None:
        peer.platform_id = header.platform
    if header.platform != peer.platform_id:
        return Rejection("id_mismatch")
    if max(abs(header.grid.west), abs(header.grid.north)) * header.grid.metres > MAX_GRID_M:
        return Rejection("grid")
    reason = peer.receiver.receive(opened.message, peer.to_peer_time(received))
    if reason is not None:
        return Rejection(reason.name.lower(), counted=True)
    captured = peer.to_local_time(header.time)
    peer.last_frame = max(peer.last_frame, captured)
    peer.reception.add_chunk(header.sequence, len(opened.message), received - captured)
    return None
