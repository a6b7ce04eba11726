"""Objects and tracks associated frame by frame, as CLEAR MOT does (Bernardin and Stiefelhagen, 2008).

A pair that was associated the last time stays while it is near enough. The others are assigned so that as many as
possible are near enough at least total distance. An object whose track is another than the last time is a switch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skyweave.perception.metrics.matching import vector_norms
from skyweave.perception.metrics.tables import BoxTable


@dataclass(frozen=True)
class AssociationFrame:
    """Objects and tracks of one class in one frame.

    Attributes:
        scene: number of the scene; identities belong to it.
        objects: n identifiers.
        tracks: m identifiers.
        scores: (m,) of the tracks.
        distance: (n, m) metres on the ground, infinity where they are too far apart.
    """

    scene: int
    objects: tuple[str, ...]
    tracks: tuple[str, ...]
    scores: np.ndarray
    distance: np.ndarray

    @classmethod
    def between(cls, truth: BoxTable, predicted: BoxTable, max_distance: float, scene: int) -> "AssociationFrame":
        """From the boxes of one class in one frame."""
        offset = predicted.centres[None, :, :2] - truth.centres[:, None, :2]
        distance = vector_norms(offset.reshape(-1, 2)).reshape(offset.shape[:2])
        return cls(
            scene,
            tuple(truth.instances.tolist()),
            tuple(predicted.instances.tolist()),
            predicted.scores,
            np.where(distance < max_distance, distance, np.inf),
        )


@dataclass(frozen=True)
class Association:
    """What became of everything.

    Attributes:
        frames: that have an object or a track.
        matches: pairs that are no switch.
        switches: pairs whose object had another track the last time.
        misses: objects without a track.
        false: tracks without an object.
        distance: sum over matches and switches, metres.
        scores: of the tracks of the matches.
        followed: for each object of each scene the frames it is in, rising, and whether it had a track there.
    """

    frames: int
    matches: int
    switches: int
    misses: int
    false: int
    distance: float
    scores: np.ndarray
    followed: list[tuple[np.ndarray, np.ndarray]]

    @property
    def objects(self) -> int:
        """Boxes of the truth."""
        return self.matches + self.switches + self.misses


def associate_frames(frames: Sequence[AssociationFrame], min_score: float | None = None) -> Association:
    """Associate the frames of all scenes.

    Args:
        frames: in order, scene by scene.
        min_score: score that a track must have; None for all. A frame without objects and such tracks is passed over and
            takes no time.
    """
    matches = switches = misses = false = counted = 0
    distances: list[float] = []
    scores: list[float] = []
    followed: dict[tuple[int, str], tuple[list[int], list[bool]]] = {}
    last: dict[tuple[int, str], str] = {}
    for frame in frames:
        kept = np.arange(len(frame.tracks)) if min_score is None else np.flatnonzero(frame.scores >= min_score)
        if not frame.objects and not len(kept):
            continue
        tracks = [frame.tracks[j] for j in kept]
        found, switched = _associate(frame, tracks, frame.distance[:, kept], last)
        for i, name in enumerate(frame.objects):
            times, there = followed.setdefault((frame.scene, name), ([], []))
            times.append(counted)
            there.append(i in found)
        distances += [float(frame.distance[i, kept[j]]) for i, j in found.items()]
        scores += [float(frame.scores[kept[j]]) for i, j in found.items() if i not in switched]
        matches += len(found) - len(switched)
        switches += len(switched)
        misses += len(frame.objects) - len(found)
        false += len(kept) - len(found)
        counted += 1
    paths = [(np.array(times), np.array(there)) for times, there in followed.values()]
    return Association(counted, matches, switches, misses, false, sum(distances), np.array(scores), paths)


def _associate(
    frame: AssociationFrame, tracks: list[str], distance: np.ndarray, last: dict[tuple[int, str], str]
) -> tuple[dict[int, int], set[int]]:
    """Index of the track by index of the object, and the objects that switched; ``last`` is brought up to date."""
    from scipy.optimize import linear_sum_assignment  # here: who scores no tracks needs no SciPy

    found: dict[int, int] = {}
    switched: set[int] = set()
    place = {name: j for j, name in enumerate(tracks)}
    taken: set[int] = set()
    for i, name in enumerate(frame.objects):
        before = place.get(last.get((frame.scene, name), ""))
        if before is not None and before not in taken and np.isfinite(distance[i, before]):
            found[i] = before
            taken.add(before)
    free = np.isfinite(distance)
    free[list(found)] = False
    free[:, list(taken)] = False
    if free.any():
        # A pair that is too far apart costs more than all others together could save.
        worst = 2 * min(distance.shape) * (distance[free].max() + 1) + 1
        for i, j in zip(*linear_sum_assignment(np.where(free, distance, worst)), strict=True):
            if free[i, j]:
                key = frame.scene, frame.objects[i]
                if last.get(key, tracks[j]) != tracks[j]:
                    switched.add(int(i))
                last[key] = tracks[j]
                found[int(i)] = int(j)
    return found, switched
