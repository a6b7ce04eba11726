"""Identities over time: detections of the present are joined to the nearest expected places of known tracks, greedily,
the most certain first (CenterPoint, arXiv 2006.11275).
"""

from dataclasses import dataclass, replace

import numpy as np

from skyweave.perception.results import Detections

REACH = {"pedestrian": 1.5, "bicycle": 3.0}  # metres from the expected place; others:
OTHERS_REACH = 4.0
PATIENCE = 3.0  # seconds without a detection after which a track ends
BEGIN = 0.3  # score from which a detection begins a track


@dataclass
class Track:
    """One object."""

    identity: int
    category: str
    place: np.ndarray
    velocity: np.ndarray
    time: int


class Tracker:
    """Follows the detections of one platform's pictures."""

    def __init__(self) -> None:
        self._tracks: list[Track] = []
        self._next = 1

    def follow(self, found: Detections) -> Detections:
        """The same with ``instances``: constant over time; "" where something is too uncertain to be followed yet.

        Raises:
            ValueError: detections without a time.
        """
        if found.time is None:
            raise ValueError("detections need a time to be followed")
        now = found.time
        self._tracks = [track for track in self._tracks if 0 <= now - track.time <= PATIENCE * 1e9]
        places = found.boxes.centres[:, :2]
        velocities = np.nan_to_num(found.velocities)
        names = [""] * len(found)
        free = set(range(len(self._tracks)))
        for i in np.argsort(-found.scores, kind="stable"):
            category = found.categories[i]
            reach = REACH.get(category, OTHERS_REACH)
            nearest, distance = None, reach
            for t in free:
                track = self._tracks[t]
                if track.category != category:
                    continue
                expected = track.place + track.velocity * ((now - track.time) / 1e9)
                apart = float(np.hypot(*(places[i] - expected)))
                if apart <= distance:
                    nearest, distance = t, apart
            if nearest is not None:
                free.discard(nearest)
                track = self._tracks[nearest]
            elif found.scores[i] >= BEGIN:
                track = Track(self._next, category, places[i], velocities[i], now)
                self._next += 1
                self._tracks.append(track)
            else:
                continue
            track.place, track.velocity, track.time = places[i], velocities[i], now
            names[i] = str(track.identity)
        return replace(found, instances=tuple(names))
