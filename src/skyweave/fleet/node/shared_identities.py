"""One identity for each object in the whole fleet, which the nodes agree on among themselves.

Every node numbers its tracks by itself and names them after itself (``UAV_1-k3.7``). With its heartbeats it sends the
names, births and places of a few of them: those that it named itself, and those whose namer is gone. A node that has a
track where a peer's should be takes the name that is older; all do so with the same rule, so that all end with the name
of the track that was first. Nobody decides, and a name outlives the node that gave it.

The rule alone needs no order of messages: a lost heartbeat is one that is repeated later.
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from skyweave.fleet.link.heartbeat import MAX_SENT_TRACKS, SharedTrack
from skyweave.fleet.node.peer import Peer
from skyweave.perception.results import Detections

NS_PER_S = 10**9
CM_PER_M = 100
MAX_UNSEEN_S = 10.0  # for which a track keeps its name
MAX_SHARED_AGE_S = 3.0  # of a place that is compared
MIN_GATE_M = 2.0  # between the places of one object by two nodes; of long objects half their length
MAX_GATES_APART = 3.0  # by which a track may stray from the one that it has its name from
MAX_CM = (1 << 31) - 1
ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass
class NamedTrack:
    """A track of this node.

    Attributes:
        identity: in the whole fleet.
        born: when the track began that gave it its name, nanoseconds by the local clock.
        category: of its class.
        position: (2,) east and north, metres.
        velocity: (2,) metres a second.
        gate: metres within which another's place is of the same object.
        time: of the place, nanoseconds.
        sent: number of the heartbeat that last told of it; 0: none did.
    """

    identity: str
    born: int
    category: str
    position: np.ndarray
    velocity: np.ndarray
    gate: float
    time: int
    sent: int = 0

    @property
    def namer(self) -> str:
        """Return the node that gave it its name."""
        return self.identity.rpartition("-")[0]


class SharedIdentities:
    """Names of a node's tracks. For several threads at once.

    Args:
        node: its name.
        started: when it was started, nanoseconds; names of a node that is started anew are others.
    """

    def __init__(self, node: str, started: int) -> None:
        self._prefix = f"{node}-{_session_word(started)}."
        self._node = node
        self._tracks: dict[str, NamedTrack] = {}
        self._renamed, self._heartbeats = 0, 0
        self._lock = threading.Lock()

    def identify(self, detections: Detections, peers: Iterable[Peer]) -> tuple[str | None, ...]:
        """Return the identity of each detection in the fleet; None where it has no track.

        Args:
            detections: of a scene, with the node's own tracks as instances.
            peers: that are alive, with what they last said of theirs.
        """
        if detections.instances is None or detections.time is None:
            return (None,) * len(detections)
        with self._lock:
            self._forget(detections.time)
            for row, name in enumerate(detections.instances):
                if name:
                    self._follow(name, detections, row)
            for peer in peers:
                self._compare(_tracks_of(peer, detections.time), detections.time)
            return tuple(self._tracks[name].identity if name else None for name in detections.instances)

    def share(self, categories: Sequence[str], alive: Iterable[str]) -> tuple[SharedTrack, ...]:
        """Return what a heartbeat says of the tracks: those that wait for longest.

        Args:
            categories: names of the classes, in the order of the heartbeat's.
            alive: names of the peers that live: what they named, they share themselves.
        """
        numbers, others = {name: number for number, name in enumerate(categories)}, set(alive) - {self._node}
        with self._lock:
            self._heartbeats += 1
            chosen = [
                track for track in self._tracks.values() if track.namer not in others and track.category in numbers
            ]
            chosen = sorted(chosen, key=lambda track: track.sent)[:MAX_SENT_TRACKS]
            for track in chosen:
                track.sent = self._heartbeats
            return tuple(_shared(track, numbers[track.category]) for track in chosen)

    def _forget(self, time: int) -> None:
        """Forget tracks that were not seen for long, and those that are ahead: the stream has begun anew."""
        limit = MAX_UNSEEN_S * NS_PER_S
        self._tracks = {name: track for name, track in self._tracks.items() if 0 <= time - track.time <= limit}

    def _follow(self, name: str, detections: Detections, row: int) -> None:
        """Take the newest place of a track; a new one is named."""
        time = int(detections.time or 0)
        position, velocity = detections.boxes.centres[row, :2].copy(), np.nan_to_num(detections.velocities[row])
        gate = max(float(detections.boxes.sizes[row, 0]) / 2, MIN_GATE_M)
        known = self._tracks.get(name)
        identity, born, sent = (f"{self._prefix}{name}", time, 0) if known is None else _name_of(known)
        self._tracks[name] = NamedTrack(
            identity, born, detections.categories[row], position, velocity, gate, time, sent
        )

    def _compare(self, others: Sequence[NamedTrack], time: int) -> None:
        """Take older names of a peer's tracks that are where this node's are; give up names that are elsewhere."""
        by_identity = {other.identity: other for other in others}
        for track in self._tracks.values():
            same = by_identity.get(track.identity)
            if same is not None and _distance(track, same) > MAX_GATES_APART * track.gate:
                self._rename(track, time)
        held = {track.identity for track in self._tracks.values()}
        free = [other for other in others if other.identity not in held]
        current = [track for track in self._tracks.values() if track.time == time and track.identity not in by_identity]
        for track, other in _nearest_pairs(current, free):
            if (other.born, other.identity) < (track.born, track.identity):
                track.identity, track.born, track.sent = other.identity, other.born, 0

    def _rename(self, track: NamedTrack, time: int) -> None:
        """Give a track a name of its own: the one that it had is of another object."""
        self._renamed += 1
        track.identity, track.born, track.sent = f"{self._prefix}r{self._renamed}", time, 0


def _name_of(track: NamedTrack) -> tuple[str, int, int]:
    return track.identity, track.born, track.sent


def _session_word(started: int) -> str:
    """Two letters that differ from those of the last eleven starts of a node, a second apart, and many more."""
    high, low = divmod(started // NS_PER_S % len(ALPHABET) ** 2, len(ALPHABET))
    return ALPHABET[high] + ALPHABET[low]


def _tracks_of(peer: Peer, time: int) -> list[NamedTrack]:
    """What a peer last said of its tracks, by the local clock, as far as it is recent."""
    if peer.heartbeat is None:
        return []
    categories = peer.heartbeat.categories
    tracks = [
        NamedTrack(
            shared.identity,
            peer.to_local_time(shared.born),
            categories[shared.category],
            np.array([shared.east, shared.north]) / CM_PER_M,
            np.array([shared.east_speed, shared.north_speed]) / CM_PER_M,
            MIN_GATE_M,
            peer.to_local_time(shared.time),
        )
        for shared in peer.tracks.values()
        if shared.category < len(categories)
    ]
    return [track for track in tracks if abs(time - track.time) <= MAX_SHARED_AGE_S * NS_PER_S]


def _distance(track: NamedTrack, other: NamedTrack) -> float:
    """Metres between a track and where another should be at its time."""
    seconds = (track.time - other.time) / NS_PER_S
    return float(np.linalg.norm(other.position + seconds * other.velocity - track.position))


def _nearest_pairs(tracks: Sequence[NamedTrack], others: Sequence[NamedTrack]) -> list[tuple[NamedTrack, NamedTrack]]:
    """Pairs of one class within the gate, the nearest first, each in one pair at most."""
    near = [
        (_distance(track, other), row, column)
        for row, track in enumerate(tracks)
        for column, other in enumerate(others)
        if track.category == other.category
    ]
    pairs: dict[int, int] = {}
    for distance, row, column in sorted(near):
        if distance <= tracks[row].gate and row not in pairs and column not in pairs.values():
            pairs[row] = column
    return [(tracks[row], others[column]) for row, column in pairs.items()]


def _shared(track: NamedTrack, category: int) -> SharedTrack:
    numbers = np.rint(np.concatenate([track.position, track.velocity]) * CM_PER_M)
    east, north, east_speed, north_speed = np.clip(numbers, -MAX_CM, MAX_CM).astype(int).tolist()
    return SharedTrack(track.identity, category, track.born, track.time, east, north, east_speed, north_speed)
