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
        scene: number of the scene, within which identities hold.
        objects: n identifiers.
        tracks: m identifiers.
        scores: (m,) scores of the tracks.
        distance: (n, m) metres on the ground, infinity where they are too far apart.
    """

    scene: int
    objects: tuple[str, ...]
    tracks: tuple[str, ...]
    scores: np.ndarray
    distance: np.ndarray

    @classmethod
    def between(cls, truth: BoxTable, predicted: BoxTable, max_distance: float, scene: int) -> "AssociationFrame":
        """Return the frame of boxes of one class.

        Args:
            truth: n boxes of one frame.
            predicted: m boxes of the same frame.
            max_distance: metres on the ground from which a pair is too far apart.
            scene: number of the scene.
        """
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
    """Counts of an association over all frames.

    Attributes:
        frames: number of frames that have an object or a track.
        matches: pairs that are no switch.
        switches: pairs whose object had another track the last time.
        misses: objects without a track.
        false: tracks without an object.
        distance: sum over matches and switches, metres.
        scores: scores of the tracks of the matches.
        histories: for each object of each scene the frames it is in, rising, and whether it had a track there.
    """

    frames: int
    matches: int
    switches: int
    misses: int
    false: int
    distance: float
    scores: np.ndarray
    histories: list[tuple[np.ndarray, np.ndarray]]

    @property
    def objects(self) -> int:
        """Number of boxes of the truth."""
        return self.matches + self.switches + self.misses


class _LastTracks:
    """The track that each object had the last time, over the frames of all scenes."""

    def __init__(self) -> None:
        self.track_of: dict[tuple[int, str], str] = {}

    def associate(
        self, frame: AssociationFrame, tracks: list[str], distance: np.ndarray
    ) -> tuple[dict[int, int], set[int]]:
        """Index of the track by index of the object, and the objects that switched."""
        matched = self._continued(frame, tracks, distance)
        free = np.isfinite(distance)
        free[list(matched)] = False
        free[:, list(matched.values())] = False
        switched: set[int] = set()
        for i, j in _nearest_pairs(distance, free):
            key = frame.scene, frame.objects[i]
            if self.track_of.get(key, tracks[j]) != tracks[j]:
                switched.add(i)
            self.track_of[key] = tracks[j]
            matched[i] = j
        return matched, switched

    def _continued(self, frame: AssociationFrame, tracks: list[str], distance: np.ndarray) -> dict[int, int]:
        """Pairs of the last time that are still near enough."""
        index_of = {name: j for j, name in enumerate(tracks)}
        matched: dict[int, int] = {}
        used: set[int] = set()
        for i, name in enumerate(frame.objects):
            before = index_of.get(self.track_of.get((frame.scene, name), ""))
            if before is not None and before not in used and np.isfinite(distance[i, before]):
                matched[i] = before
                used.add(before)
        return matched


def associate_frames(frames: Sequence[AssociationFrame], min_score: float | None = None) -> Association:
    """Associate the frames of all scenes.

    Args:
        frames: in order, scene by scene.
        min_score: score that a track must have; None for all. A frame without objects and such tracks is passed over
            and takes no time.
    """
    matches = switches = misses = false = num_frames = 0
    distances: list[float] = []
    scores: list[float] = []
    histories: dict[tuple[int, str], tuple[list[int], list[bool]]] = {}
    last = _LastTracks()
    for frame in frames:
        kept = np.arange(len(frame.tracks)) if min_score is None else np.flatnonzero(frame.scores >= min_score)
        if not frame.objects and not len(kept):
            continue
        matched, switched = last.associate(frame, [frame.tracks[j] for j in kept], frame.distance[:, kept])
        _note_tracked(frame, histories, num_frames, matched)
        distances += [float(frame.distance[i, kept[j]]) for i, j in matched.items()]
        scores += [float(frame.scores[kept[j]]) for i, j in matched.items() if i not in switched]
        matches += len(matched) - len(switched)
        switches += len(switched)
        misses += len(frame.objects) - len(matched)
        false += len(kept) - len(matched)
        num_frames += 1
    arrays = [(np.array(times), np.array(tracked)) for times, tracked in histories.values()]
    return Association(num_frames, matches, switches, misses, false, sum(distances), np.array(scores), arrays)


def _note_tracked(
    frame: AssociationFrame,
    histories: dict[tuple[int, str], tuple[list[int], list[bool]]],
    num_frames: int,
    matched: dict[int, int],
) -> None:
    """Note for each object whether it is tracked in this frame."""
    for i, name in enumerate(frame.objects):
        times, tracked = histories.setdefault((frame.scene, name), ([], []))
        times.append(num_frames)
        tracked.append(i in matched)


def _nearest_pairs(distance: np.ndarray, free: np.ndarray) -> list[tuple[int, int]]:
    """As many free pairs (object, track) as possible at least total distance."""
    if not free.any():
        return []
    from scipy.optimize import linear_sum_assignment  # here: who scores no tracks needs no SciPy

    # A pair that is too far apart costs more than all others together could save.
    too_far = 2 * min(distance.shape) * (distance[free].max() + 1) + 1
    pairs = zip(*linear_sum_assignment(np.where(free, distance, too_far)), strict=True)
    return [(int(i), int(j)) for i, j in pairs if free[i, j]]
