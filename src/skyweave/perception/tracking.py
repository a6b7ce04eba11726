"""Detections of one moment after the other to tracks.

The association of CenterPoint (arXiv 2006.11275): where a track should be by its velocity, the nearest free detection
of its class within a gate continues it, the most certain detections choosing first. A track that nothing continues is
kept for a while at its predicted place; a detection that continues nothing starts a track if it is certain enough.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from skyweave.perception.results import Detections


@dataclass(frozen=True)
class TrackerConfig:
    """How tracks are made.

    Attributes:
        gate: metres from the predicted place within which a detection continues a track, by class; others have
            ``default_gate``.
        start: least score of a detection that starts a track; those below only continue one.
        keep: seconds for which a track lives without a detection.
        trust: share of the detected velocity in a track's; the rest is how it moved.
    """

    gate: dict[str, float] = field(default_factory=lambda: {"pedestrian": 1.5, "bicycle": 3.0})
    default_gate: float = 4.0
    start: float = 0.2
    keep: float = 2.0
    trust: float = 0.5


@dataclass
class _Track:
    name: str
    category: str
    position: np.ndarray
    velocity: np.ndarray
    time: float

    def at(self, time: float) -> np.ndarray:
        return self.position + (time - self.time) * self.velocity


class Tracker:
    """Tracks of one scene or one stream.

    Args:
        config: see `TrackerConfig`.
        prefix: of the identifiers, so that those of several trackers differ.
    """

    def __init__(self, config: TrackerConfig | None = None, prefix: str = "") -> None:
        self.config, self.prefix = config or TrackerConfig(), prefix
        self._tracks: list[_Track] = []
        self._made = 0

    def update(self, found: Detections) -> Detections:
        """The detections that belong to a track, in their order, with ``instances`` set. Raises as ``follow``."""
        named = self.follow(found)
        assert named.instances is not None
        return named.select(np.array([row for row, name in enumerate(named.instances) if name], int))

    def follow(self, found: Detections) -> Detections:
        """All detections with ``instances``: constant over time; "" for what is too uncertain to start a track.

        Tracks that are ahead of the detections are forgotten: the stream has begun anew.

        Raises:
            ValueError: detections without a time.
        """
        if found.time is None:
            raise ValueError("detections have no time; tracking needs when they were seen")
        time = found.time * 1e-9
        self._tracks = [track for track in self._tracks if 0 <= time - track.time <= self.config.keep]
        free = list(self._tracks)
        order = np.argsort(-found.scores, kind="stable")
        names = [""] * len(found)
        for row in order:
            track = self._nearest(found, int(row), free, time)
            if track is not None:
                free = [other for other in free if other is not track]
                self._continue(track, found, int(row), time)
            elif found.scores[row] >= self.config.start:
                track = self._begin(found, int(row), time)
            else:
                continue
            names[row] = track.name
        return replace(found, instances=tuple(names))

    def _nearest(self, found: Detections, row: int, free: list[_Track], time: float) -> _Track | None:
        category, place = found.categories[row], found.boxes.centres[row, :2]
        gate = self.config.gate.get(category, self.config.default_gate)
        near = [
            (float(np.linalg.norm(track.at(time) - place)), number)
            for number, track in enumerate(free)
            if track.category == category
        ]
        distance, number = min(near, default=(np.inf, -1))
        return free[number] if distance <= gate else None

    def _begin(self, found: Detections, row: int, time: float) -> _Track:
        self._made += 1
        velocity = np.nan_to_num(found.velocities[row])
        place = found.boxes.centres[row, :2].copy()
        track = _Track(f"{self.prefix}{self._made}", found.categories[row], place, velocity, time)
        self._tracks.append(track)
        return track

    def _continue(self, track: _Track, found: Detections, row: int, time: float) -> None:
        place, velocity = found.boxes.centres[row, :2].copy(), found.velocities[row]
        passed = time - track.time
        moved = (place - track.position) / passed if passed > 0 else track.velocity
        trust = self.config.trust if np.isfinite(velocity).all() else 0.0
        track.velocity = trust * np.nan_to_num(velocity) + (1 - trust) * moved
        track.position, track.time = place, time
