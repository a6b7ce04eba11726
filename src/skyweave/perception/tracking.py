"""Tracking by detection: the detections of one frame after the other become tracks.

The association of CenterPoint (arXiv 2006.11275): where a track should be by its velocity, the nearest free detection
of its class within a gate continues it, the detections of the highest scores choosing first. A track that nothing
continues is kept for a while at its predicted position; a detection that continues nothing starts a track if its score
is high enough.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from skyweave.perception.results import Detections

GATE_STDS = 3.0  # of a place, by which it may differ from where a track should be, beyond the gate of its class
MAX_GATE_M = 12.0


@dataclass(frozen=True)
class TrackerConfig:
    """Options of a tracker.

    Attributes:
        gates: metres from the predicted position within which a detection continues a track, by class; others have
            ``default_gate``.
        default_gate: metres.
        min_start_score: lowest score of a detection that starts a track; those below only continue one.
        max_age: seconds for which a track lives without a detection.
        velocity_weight: share of the detected velocity in a track's; the rest is how it moved.
    """

    gates: dict[str, float] = field(default_factory=lambda: {"pedestrian": 1.5, "bicycle": 3.0})
    default_gate: float = 4.0
    min_start_score: float = 0.2
    max_age: float = 2.0
    velocity_weight: float = 0.5


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
        config: gates, scores and ages.
        prefix: of the identifiers, so that those of several trackers differ.
    """

    def __init__(self, config: TrackerConfig | None = None, prefix: str = "") -> None:
        self.config, self.prefix = config or TrackerConfig(), prefix
        self._tracks: list[_Track] = []
        self._num_started = 0

    def update(self, detections: Detections) -> Detections:
        """Return the detections that belong to a track, in their order, with ``instances`` set.

        Args:
            detections: of the next frame.

        Raises:
            ValueError: detections without a time.
        """
        tracked = self.associate(detections)
        names = tracked.instances or ()
        return tracked.select(np.array([row for row, name in enumerate(names) if name], int))

    def associate(self, detections: Detections) -> Detections:
        """Return all detections with ``instances``, constant over time; "" where a score is too low to start a track.

        Tracks that are ahead of the detections are dropped: the stream has begun anew.

        Args:
            detections: of the next frame.

        Raises:
            ValueError: detections without a time.
        """
        if detections.time is None:
            raise ValueError("detections have no time; tracking needs when they were observed")
        time = detections.time * 1e-9
        self._tracks = [track for track in self._tracks if 0 <= time - track.time <= self.config.max_age]
        free = list(self._tracks)
        names = [""] * len(detections)
        for row in np.argsort(-detections.scores, kind="stable"):
            track = self._nearest(detections, int(row), free, time)
            if track is not None:
                free = [other for other in free if other is not track]
                self._continue(track, detections, int(row), time)
            elif detections.scores[row] >= self.config.min_start_score:
                track = self._start(detections, int(row), time)
            else:
                continue
            names[row] = track.name
        return replace(detections, instances=tuple(names))

    def _nearest(self, detections: Detections, row: int, free: list[_Track], time: float) -> _Track | None:
        category, position = detections.categories[row], detections.boxes.centres[row, :2]
        gate = self.config.gates.get(category, self.config.default_gate)
        gate = max(gate, min(GATE_STDS * _std(detections, row), MAX_GATE_M))
        candidates = [
            (float(np.linalg.norm(track.at(time) - position)), number)
            for number, track in enumerate(free)
            if track.category == category
        ]
        distance, number = min(candidates, default=(np.inf, -1))
        return free[number] if distance <= gate else None

    def _start(self, detections: Detections, row: int, time: float) -> _Track:
        self._num_started += 1
        velocity = np.nan_to_num(detections.velocities[row])
        position = detections.boxes.centres[row, :2].copy()
        track = _Track(f"{self.prefix}{self._num_started}", detections.categories[row], position, velocity, time)
        self._tracks.append(track)
        return track

    def _continue(self, track: _Track, detections: Detections, row: int, time: float) -> None:
        position, velocity = detections.boxes.centres[row, :2].copy(), detections.velocities[row]
        elapsed = time - track.time
        moved = (position - track.position) / elapsed if elapsed > 0 else track.velocity
        weight = self.config.velocity_weight if np.isfinite(velocity).all() else 0.0
        track.velocity = weight * np.nan_to_num(velocity) + (1 - weight) * moved
        track.position, track.time = position, time


def _std(detections: Detections, row: int) -> float:
    """Return the largest standard deviation of a place in metres; 0 where none is known."""
    if detections.covariances is None or np.isnan(detections.covariances[row]).any():
        return 0.0
    return float(np.sqrt(max(np.linalg.eigvalsh(detections.covariances[row])[-1], 0.0)))
