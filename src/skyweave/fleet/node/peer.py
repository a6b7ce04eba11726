"""One peer, as a node knows it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from skyweave.fleet.link.clocks import NS_PER_S, ClockOffsetEstimator
from skyweave.fleet.link.envelope import EnvelopeOpener
from skyweave.fleet.link.heartbeat import Heartbeat, PeerReport, SharedTrack
from skyweave.fleet.link.message_queue import MessageQueue
from skyweave.fleet.link.rate_limit import TokenBucket
from skyweave.fleet.node.reception import FrameReception
from skyweave.wire import Receiver

MAX_TRACK_AGE_NS = 3 * NS_PER_S  # of what a peer said of an object, before its newest
MAX_PEER_TRACKS = 256


@dataclass
class Peer:
    """One other platform of the fleet. Times are nanoseconds by the local clock unless said otherwise.

    Silence and departure are measured by a clock that nobody sets.

    Attributes:
        name: as in its topics.
        platform_id: as in its frames; None until it is known.
        receiver: joins the chunks of its frames.
        opener: opens its envelopes.
        bucket: limits what it may cost.
        queue: messages that wait to be read.
        clock: offset of its clock.
        reception: how its frames arrive.
        heartbeat: its last one.
        heartbeat_sent: when that was sent, by the peer's clock.
        heartbeat_received: when that arrived; 0: never.
        echo: when its newest heartbeat was sent, by its clock, and when that arrived, whether it was taken or not: what
            it is shown to prove that it is not a replay.
        report: how it receives this node, from its last heartbeat.
        tracks: what its last heartbeats said of objects, by identity; replaced, never changed.
        tiles: that its last message came under.
        messages: taken.
        bytes: of those, envelopes included.
        last_frame: capture time of the newest frame that it sent.
        last_message: when its last message arrived, by the monotonic clock.
        departed: when the network reported its departure, by the monotonic clock; 0: never.
        excluded_until: when it may speak again, by the monotonic clock, after something of it failed in the node's own
            work.
        rejections: messages rejected by the thread that reads, by reason.
        admission_rejections: messages rejected by the network's threads, by reason.
    """

    name: str
    platform_id: int | None
    receiver: Receiver
    opener: EnvelopeOpener
    bucket: TokenBucket
    queue: MessageQueue
    clock: ClockOffsetEstimator = field(default_factory=ClockOffsetEstimator)
    reception: FrameReception = field(default_factory=FrameReception)
    heartbeat: Heartbeat | None = None
    heartbeat_sent: int = 0
    heartbeat_received: int = 0
    echo: tuple[int, int] | None = None
    report: PeerReport | None = None
    tracks: Mapping[str, SharedTrack] = field(default_factory=dict)
    tiles: str = ""
    messages: int = 0
    bytes: int = 0
    last_frame: int = 0
    last_message: int = 0
    departed: int = 0
    excluded_until: int = 0
    rejections: Counter[str] = field(default_factory=Counter)
    admission_rejections: Counter[str] = field(default_factory=Counter)

    def note_tracks(self, tracks: Sequence[SharedTrack]) -> None:
        """Take what a heartbeat says of objects; forget what was said of them long before.

        Args:
            tracks: of the heartbeat.
        """
        newest = max((track.time for track in tracks), default=0)
        known = {**self.tracks, **{track.identity: track for track in tracks}}
        recent = {name: track for name, track in known.items() if newest - track.time <= MAX_TRACK_AGE_NS}
        self.tracks = dict(list(recent.items())[-MAX_PEER_TRACKS:])

    @property
    def is_gone(self) -> bool:
        """Whether the network reported its departure, and nothing has come from it since."""
        return self.departed >= self.last_message > 0

    def is_alive(self, now: int, timeout: float) -> bool:
        """Return whether its last heartbeat is recent.

        Args:
            now: nanoseconds by the local clock.
            timeout: seconds.
        """
        return bool(self.heartbeat_received) and now - self.heartbeat_received <= timeout * NS_PER_S

    def frame_deadline(self, time: int, grace: int) -> int | None:
        """Return when its frame of a time should have arrived, going by its latest ones; None: not known yet.

        Args:
            time: capture of this node's frame.
            grace: nanoseconds by which it may be later than any of them.
        """
        latency = self.reception.max_latency()
        if self.heartbeat is None or latency is None:
            return None
        interval = round(self.heartbeat.interval * NS_PER_S)
        captured = self.last_frame + round((time - self.last_frame) / interval) * interval
        return captured + latency + grace

    def restart_time(self) -> None:
        """Forget what is known by the times of a clock that has been set since, or of a process that has ended."""
        self.heartbeat_sent = 0
        self.receiver.clear()
        self.reception.restart()

    def shift(self, step: int) -> None:
        """Move all times where the local clock was set.

        Args:
            step: nanoseconds by which it was set.
        """
        self.clock.shift(step)
        self.heartbeat_received += step if self.heartbeat_received else 0
        self.last_frame += step if self.last_frame else 0
        if self.echo is not None:
            self.echo = (self.echo[0], self.echo[1] + step)

    def to_local_time(self, time: int) -> int:
        """Return a time of the peer's clock by the local clock.

        Args:
            time: nanoseconds by the peer's clock.
        """
        return time - self.clock.offset

    def to_peer_time(self, time: int) -> int:
        """Return a time of the local clock by the peer's clock.

        Args:
            time: nanoseconds by the local clock.
        """
        return time + self.clock.offset

    def age_of_information(self, now: int) -> float | None:
        """Return the seconds since the capture of its newest frame (Kaul et al., 2012); None: it has sent none.

        Args:
            now: nanoseconds by the local clock.
        """
        return (now - self.last_frame) / NS_PER_S if self.last_frame else None

    def rejection_counts(self) -> Counter[str]:
        """Return all messages rejected from this peer, by reason."""
        total = Counter({reason.name.lower(): count for reason, count in dict(self.receiver.refused).items()})
        for counts in (dict(self.rejections), dict(self.admission_rejections)):  # copied: other threads go on counting
            total.update(counts)
        return total

    def write_report(self) -> PeerReport | None:
        """Return how this node receives the peer, for its own heartbeat; None: no heartbeat has come from it."""
        if self.platform_id is None or self.echo is None:
            return None
        sequence, received_bytes, delay_ms = self.reception.close_frames()
        return PeerReport(self.platform_id, *self.echo, sequence, received_bytes, delay_ms)
