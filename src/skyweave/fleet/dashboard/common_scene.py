"""One common operational scene of a fleet: every object once, under one identity, whoever follows it.

Each node numbers the tracks of its fused scenes by itself. Here the tracks of all nodes are joined: a track that is new
belongs to the nearest object of its class that its node does not follow yet, as in `skyweave.perception.tracking`, and
stays with it. An object is named after the track that was its first (``UAV_2-19``), for as long as any node follows it.

The nodes' scenes are fused from the same frames, so their estimates are no independent measurements: positions are
averaged, and so are covariances, which joining does not make smaller.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any

import msgspec
import numpy as np

from skyweave.fleet.dashboard.platform_clocks import PlatformClocks
from skyweave.fleet.link.scene_message import SceneBox, SceneMessage

MAX_OBJECTS = 2048
MAX_STARTED = 1024  # of these by one platform: nobody fills what others need
MAX_ESTIMATE_AGE_S = 1.5  # of a node's estimate that counts, before the newest
MAX_COAST_S = 2.0  # without an estimate, after which an object is no longer shown
FORGET_AFTER_S = 10.0  # without an estimate, after which its identity is not given again
MIN_GATE_M = 2.0  # from where an object should be, for a track to be of it; of long objects half their length
MAX_LENGTH_RATIO = 2.0  # of boxes of different classes that are of one object
MAX_DISAGREEMENT_M = 3.0  # between nodes' estimates of one object; beyond it they disagree
MAX_TRAIL_POINTS = 240
MAX_TRAIL_S = 60.0
SHOWN_TRAIL_S = 8.0
MAX_CLOCK_STEP_S = 1.0  # back, by which the receiver's clock may be set without everything beginning anew
MIN_TRAIL_STEP_S = 0.3
MIN_HEADING_SPEED_M_S = 0.5  # below which an object heads where its box points


@dataclass(frozen=True)
class Estimate:
    """What one node knows of one object.

    Attributes:
        box: as published.
        time: capture, UTC seconds.
    """

    box: SceneBox
    time: float

    def position(self, time: float) -> tuple[float, float]:
        """Return (east, north) at another time, metres.

        Args:
            time: UTC seconds.
        """
        (x, y, _), (east, north), seconds = self.box.centre, self.box.velocity, time - self.time
        return x + seconds * east, y + seconds * north


@dataclass
class CommonObject:
    """An object of the common scene.

    Attributes:
        identity: constant over time, the same whoever follows it.
        number: grows with every new object.
        first_platform: whose track was its first.
        estimates: by platform, at least one; changed by `change` alone.
        trail: east, north and UTC seconds of where it was.
    """

    identity: str
    number: int
    first_platform: str
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    trail: deque[tuple[float, float, float]] = field(default_factory=lambda: deque(maxlen=MAX_TRAIL_POINTS))

    def change(self, estimates: Mapping[str, Estimate]) -> None:
        """Take other estimates: what follows from them is found once, for it is asked for many times.

        Args:
            estimates: by platform, at least one.
        """
        self.estimates = estimates
        for name in ("newest", "_recent", "_plain"):
            self.__dict__.pop(name, None)

    def extend_trail(self) -> None:
        """Add where it is to its trail, and forget the oldest of that."""
        if not self.trail or self.time - self.trail[-1][2] >= MIN_TRAIL_STEP_S:
            x, y = self.position(self.time)
            self.trail.append((x, y, self.time))
            self.__dict__.pop("_plain", None)
        while self.trail and self.time - self.trail[0][2] > MAX_TRAIL_S:
            self.trail.popleft()

    @property
    def time(self) -> float:
        """When it was last estimated, UTC seconds."""
        return self.newest.time

    def recent(self) -> Mapping[str, Estimate]:
        """Return the estimates that count, by platform."""
        return self._recent

    @cached_property
    def newest(self) -> Estimate:
        """The estimate of the newest capture."""
        return max(self.estimates.values(), key=lambda estimate: estimate.time)

    @cached_property
    def _recent(self) -> dict[str, Estimate]:
        first = self.time - MAX_ESTIMATE_AGE_S
        return {name: estimate for name, estimate in self.estimates.items() if estimate.time >= first}

    @property
    def category(self) -> str:
        """The class that has the highest sum of scores."""
        votes: dict[str, float] = {}
        for estimate in self.recent().values():
            votes[estimate.box.category] = votes.get(estimate.box.category, 0.0) + estimate.box.score
        return max(sorted(votes), key=votes.__getitem__)

    def position(self, time: float) -> list[float]:
        """Return (east, north) at a time, metres.

        Args:
            time: UTC seconds.
        """
        return _weighted_mean(self.recent().values(), lambda estimate: estimate.position(time))

    def disagreement(self) -> float:
        """Return the largest distance between two nodes' estimates of where it is, metres."""
        points = [estimate.position(self.time) for estimate in self.recent().values()]
        return max((math.dist(one, other) for one, other in combinations(points, 2)), default=0.0)

    def json_content(self) -> dict[str, Any]:
        """Return it as plain JSON types; metres and seconds, angles in radians counter-clockwise from east.

        It is the same for all who ask until something changes, so none of them may change it.
        """
        return self._plain

    @cached_property
    def _plain(self) -> dict[str, Any]:
        recent = self.recent()
        estimates, newest = recent.values(), self.newest.box
        position = self.position(self.time)
        velocity = _weighted_mean(estimates, lambda estimate: estimate.box.velocity)
        speed = math.hypot(*velocity)
        heading = math.atan2(velocity[1], velocity[0]) if speed >= MIN_HEADING_SPEED_M_S else newest.yaw
        return {
            "identity": self.identity,
            "category": self.category,
            "classes": sorted({estimate.box.category for estimate in estimates}),
            "score": round(max(estimate.box.score for estimate in estimates), 3),
            "time": round(self.time, 3),
            "centre": [round(position[0], 3), round(position[1], 3), newest.centre[2]],
            "size": newest.size,
            "yaw": newest.yaw,
            "velocity": [round(value, 3) for value in velocity],
            "speed": round(speed, 2),
            "heading": round(heading, 4),
            "covariance": _mean_covariance(estimates),
            "disagreement": round(self.disagreement(), 2),
            "observers": sorted({name for estimate in estimates for name in estimate.box.observers}),
            "tracks": {name: estimate.box.id for name, estimate in sorted(recent.items())},
            "trail": [
                [round(x, 2), round(y, 2), round(time, 1)]
                for x, y, time in self.trail
                if self.time - time <= SHOWN_TRAIL_S
            ],
        }


class CommonScene:
    """Joins the tracks of all nodes. Not for several threads at once."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._objects: dict[str, CommonObject] = {}
        self._identities: dict[tuple[str, str], str] = {}  # by platform and track
        self._clocks = PlatformClocks()
        self._now = self._time = 0.0  # of the newest message, and of the newest capture
        self._num_started = 0

    def update(self, scene: SceneMessage, now: float) -> None:
        """Take a node's newest scene. Whatever time it gives, what others have seen stays.

        Args:
            scene: as it came.
            now: when that was, UTC seconds by the receiver's clock; earlier than before: the stream begins anew.
        """
        if now < self._now - MAX_CLOCK_STEP_S:
            self._clear()
        self._now = now
        time = self._clocks.capture_time(scene.platform, scene.time, scene.latency, now)
        scene = msgspec.structs.replace(scene, time=time)
        self._time = max(self._time, time)
        self._forget()
        boxes = [box for box in scene.boxes if box.id is not None]
        unknown = [box for box in boxes if not self._continue(scene, box)]
        for box, known in self._matches(scene, unknown):
            self._assign(scene, box, known)
        started = sum(known.first_platform == scene.platform for known in self._objects.values())
        new = [box for box in unknown if (scene.platform, str(box.id)) not in self._identities]
        for box in new[: max(MAX_STARTED - started, 0)]:
            self._start(scene, box)
        self._join_duplicates(scene.platform)
        self._extend_trails(scene)

    def objects(self) -> list[CommonObject]:
        """Return the objects that are shown, by identity."""
        return [known for _, known in sorted(self._objects.items()) if self._time - known.time <= MAX_COAST_S]

    def identity(self, platform: str, track: str | None) -> str | None:
        """Return the fleet-wide identity of a node's track; None: it has none.

        Args:
            platform: name of the node's platform.
            track: identity among the node's tracks.
        """
        return None if track is None else self._identities.get((platform, track))

    def _continue(self, scene: SceneMessage, box: SceneBox) -> bool:
        """Add a box to the object that its track belongs to; False: to none, or it is nowhere near."""
        key = (scene.platform, str(box.id))
        known = self._objects.get(self._identities.get(key, ""))
        if known is None:
            return False
        others = {name: estimate for name, estimate in known.recent().items() if name != scene.platform}
        if others:
            expected = np.mean([estimate.position(scene.time) for estimate in others.values()], axis=0)
            if np.linalg.norm(expected - box.centre[:2]) > 3 * _gate(box):
                del self._identities[key]
                known.change({name: one for name, one in known.estimates.items() if name != scene.platform})
                return False
        self._assign(scene, box, known)
        return True

    def _matches(self, scene: SceneMessage, boxes: Sequence[SceneBox]) -> list[tuple[SceneBox, CommonObject]]:
        """Return boxes of new tracks with the objects that they are of, the nearest pairs first."""
        free = [known for known in self._objects.values() if not self._is_followed(known, scene)]
        rows, columns = set[int](), set[int]()
        pairs = []
        new = [Estimate(box, scene.time) for box in boxes]
        by_identity = {known.newest.box.identity: number for number, known in enumerate(free)}
        for row, box in enumerate(boxes):  # the nodes agree on these
            if box.identity is not None and box.identity in by_identity:
                rows.add(row)
                columns.add(by_identity[box.identity])
                pairs.append((box, free[by_identity[box.identity]]))
        for row, column in _near_pairs(new, [known.newest for known in free], scene.time):
            if row not in rows and column not in columns:
                rows.add(row)
                columns.add(column)
                pairs.append((boxes[row], free[column]))
        return pairs

    def _is_followed(self, known: CommonObject, scene: SceneMessage) -> bool:
        """Return whether the platform of a scene follows an object in this very scene."""
        estimate = known.estimates.get(scene.platform)
        return estimate is not None and estimate.time == scene.time

    def _start(self, scene: SceneMessage, box: SceneBox) -> None:
        """Start an object with a track that is of none."""
        if len(self._objects) < MAX_OBJECTS:
            identity = self._free_identity(box.identity or f"{scene.platform}-{box.id}")
            self._num_started += 1
            self._objects[identity] = CommonObject(identity, self._num_started, scene.platform)
            self._assign(scene, box, self._objects[identity])

    def _assign(self, scene: SceneMessage, box: SceneBox, known: CommonObject) -> None:
        known.change({**known.estimates, scene.platform: Estimate(box, scene.time)})
        self._identities[scene.platform, str(box.id)] = known.identity

    def _free_identity(self, name: str) -> str:
        """Return a name that no object has: a node that was started anew numbers its tracks from 1 again."""
        identity, number = name, 1
        while identity in self._objects:
            number += 1
            identity = f"{name}.{number}"
        return identity

    def _join_duplicates(self, platform: str) -> None:
        """Join objects that turned out to be one: near each other, of one class, and followed by different nodes."""
        shown = self.objects()
        followed = [known for known in shown if platform in known.recent()]
        some, others = ([known.newest for known in group] for group in (followed, shown))
        for row, column in _near_pairs(some, others, self._time):
            if followed[row] is not shown[column]:
                self._join_if_same(followed[row], shown[column])

    def _join_if_same(self, one: CommonObject, other: CommonObject) -> None:
        if one.recent().keys() & other.recent().keys() or not {one.identity, other.identity} <= self._objects.keys():
            return
        if one.category != other.category:
            return
        kept, dropped = sorted((one, other), key=lambda known: known.number)
        kept.change({**dropped.estimates, **kept.estimates, **dropped.recent()})
        del self._objects[dropped.identity]
        for key, identity in self._identities.items():
            if identity == dropped.identity:
                self._identities[key] = kept.identity

    def _extend_trails(self, scene: SceneMessage) -> None:
        for known in self._objects.values():
            if scene.platform in known.recent() and known.time == scene.time:
                known.extend_trail()

    def _forget(self) -> None:
        """Forget what was not seen for long."""
        gone = [identity for identity, known in self._objects.items() if self._time - known.time > FORGET_AFTER_S]
        for identity in gone:
            del self._objects[identity]
        if gone:
            self._identities = {
                key: identity for key, identity in self._identities.items() if identity in self._objects
            }


def _gate(box: SceneBox) -> float:
    return max(box.size[0] / 2, MIN_GATE_M)


def _near_pairs(some: Sequence[Estimate], others: Sequence[Estimate], time: float) -> list[list[int]]:
    """Return (number of one, number of another) of estimates that may be of one object, the nearest first."""
    if not some or not others:
        return []
    points, other_points = (np.array([one.position(time) for one in group]) for group in (some, others))
    distances = np.linalg.norm(points[:, None] - other_points[None], axis=-1)
    near = np.argwhere(distances <= _gates([one.box for one in some], [one.box for one in others]))
    pairs: list[list[int]] = near[np.argsort(distances[*near.T], kind="stable")].tolist()
    return pairs


def _gates(boxes: Sequence[SceneBox], others: Sequence[SceneBox]) -> np.ndarray:
    """Return (n, m) metres within which boxes are of one object; less where classes differ, below 0 where sizes do."""
    lengths = np.array([box.size[0] for box in boxes])[:, None]
    other_lengths = np.array([box.size[0] for box in others])[None]
    gates = np.maximum(lengths / 2, MIN_GATE_M) + 0 * other_lengths
    shorter, longer = np.minimum(lengths, other_lengths), np.maximum(lengths, other_lengths)
    other_class = np.where(longer <= MAX_LENGTH_RATIO * shorter, gates / 2, -1.0)
    numbers = {name: number for number, name in enumerate({box.category for box in (*boxes, *others)})}
    rows, columns = ([numbers[box.category] for box in group] for group in (boxes, others))
    return np.where(np.array(rows)[:, None] == np.array(columns)[None], gates, other_class)


def _weighted_mean(estimates: Iterable[Estimate], value: Callable[[Estimate], Sequence[float]]) -> list[float]:
    """Return the mean of what is read off estimates, weighted by their scores."""
    weighted = [(max(estimate.box.score, 1e-3), value(estimate)) for estimate in estimates]
    total = sum(weight for weight, _ in weighted)
    return [sum(weight * values[axis] for weight, values in weighted) / total for axis in range(len(weighted[0][1]))]


def _mean_covariance(estimates: Iterable[Estimate]) -> list[float] | None:
    """Return the mean covariance of east and north (xx, xy, yy) in m^2; None: nobody knows it."""
    known = [estimate for estimate in estimates if estimate.box.covariance is not None]
    if not known:
        return None
    return [float(f"{value:.4g}") for value in _weighted_mean(known, lambda estimate: estimate.box.covariance or ())]
