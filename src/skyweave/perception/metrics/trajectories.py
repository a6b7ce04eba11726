"""Trajectory prediction: minADE_k, minFDE_k and miss rates, and the baseline of constant velocity.

As the nuScenes prediction challenge defines them: of an object's k most probable modes (of equal ones the later first),
the least mean distance over the steps (minADE_k), the least distance at the last step (minFDE_k), and whether all of
them miss, where a mode misses if at any step it is 2 m or farther off (MissRateTopK_2). Where only the last step counts
(Argoverse: more than 2 m off at the end) the miss rate is ``final_miss_rate``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skyweave.perception.metrics.matching import candidate_pairs, greedy_match
from skyweave.perception.metrics.tables import evaluated_classes, prediction_table, truth_table, visible_objects
from skyweave.perception.results import Detections
from skyweave.recordings.recording import Annotations

MISS_THRESHOLD_M = 2.0  # metres


@dataclass(frozen=True)
class TrajectoryMetrics:
    """Displacement errors and miss rates by the number k of modes that are tried; NaN where no object counts.

    Attributes:
        min_ade: minADE_k, metres.
        min_fde: minFDE_k, metres.
        miss_rate: in [0, 1]; a mode misses if any step is off by the threshold or more (nuScenes).
        final_miss_rate: in [0, 1]; a mode misses if the last step is off by more than the threshold (Argoverse).
        objects: number of objects with a known step, which count in minADE and the miss rate.
        complete: number of objects whose last step is known, which count in minFDE and the final miss rate.
        notes: what was left out.
    """

    min_ade: dict[int, float]
    min_fde: dict[int, float]
    miss_rate: dict[int, float]
    final_miss_rate: dict[int, float]
    objects: int
    complete: int
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON; None stands for NaN."""
        named = {
            "minADE": self.min_ade,
            "minFDE": self.min_fde,
            "miss_rate": self.miss_rate,
            "final_miss_rate": self.final_miss_rate,
        }
        values = {
            f"{name}_{k}": None if np.isnan(value) else float(value)
            for name, by_k in named.items()
            for k, value in by_k.items()
        }
        return {**values, "objects": self.objects, "complete": self.complete, "notes": list(self.notes)}


def evaluate_trajectories(
    truth: np.ndarray,
    modes: np.ndarray,
    probabilities: np.ndarray,
    ks: Sequence[int] = (1, 5, 10),
    miss_threshold: float = MISS_THRESHOLD_M,
) -> TrajectoryMetrics:
    """Score the predicted trajectories of n objects.

    Args:
        truth: (n, steps, 2) world positions in metres; NaN where unknown. Steps that are unknown do not count; an
            object whose last step is unknown counts neither in minFDE nor in the final miss rate.
        modes: (n, modes, steps, 2) predicted positions of the same objects.
        probabilities: (n, modes).
        ks: numbers of the most probable modes that are tried; more than there are is all.
        miss_threshold: metres from which a mode misses.

    Raises:
        ValueError: shapes that do not fit together, or a k below 1.
    """
    truth, modes = np.asarray(truth, np.float64), np.asarray(modes, np.float64)
    probabilities = np.asarray(probabilities, np.float64)
    _check_shapes(truth, modes, probabilities)
    if not ks or min(ks) < 1:
        raise ValueError(f"ks {tuple(ks)} must be at least 1")
    distance = np.linalg.norm(modes - truth[:, None], axis=-1)
    known = np.isfinite(truth).all(-1)
    some, last = known.any(1), known[:, -1]
    if not (np.isfinite(distance) | ~known[:, None]).all():
        raise ValueError("modes hold NaN or infinity where the truth is known; leave out objects without prediction")
    rank = np.argsort(probabilities, axis=1, kind="stable")[:, ::-1]
    steps = np.where(known[:, None], distance, 0)
    mean = steps.sum(2) / np.maximum(known.sum(1), 1)[:, None]
    missed, end = steps.max(2, initial=0) >= miss_threshold, distance[:, :, -1]
    notes = _note_unknown(some, last)
    return TrajectoryMetrics(
        min_ade=_best_of(mean[some], rank[some], ks),
        min_fde=_best_of(end[last], rank[last], ks),
        miss_rate=_best_of(missed[some], rank[some], ks),
        final_miss_rate=_best_of(end[last] > miss_threshold, rank[last], ks),
        objects=int(some.sum()),
        complete=int(last.sum()),
        notes=tuple(notes),
    )


def _note_unknown(some: np.ndarray, last: np.ndarray) -> list[str]:
    """Note what is not known of the future."""
    notes = []
    if not some.any():
        notes.append("no object has a known future: every error is NaN")
    elif not last.all():
        notes.append(f"{int((some & ~last).sum())} objects are unknown at the last step: they do not count in minFDE")
    return notes


def _best_of(errors: np.ndarray, rank: np.ndarray, ks: Sequence[int]) -> dict[int, float]:
    """By k, the mean over objects of the minimum error of the k most probable modes; NaN without objects.

    ``errors`` and ``rank`` are (n, modes), the rank being the indices of the modes by falling probability.
    """
    if not len(errors):
        return dict.fromkeys(ks, np.nan)
    best = np.minimum.accumulate(np.take_along_axis(errors.astype(float), rank, 1), axis=1)
    return {k: float(best[:, min(k, best.shape[1]) - 1].mean()) for k in ks}


def _check_shapes(truth: np.ndarray, modes: np.ndarray, probabilities: np.ndarray) -> None:
    n, count = len(truth), modes.shape[1] if modes.ndim == 4 else 0
    if truth.ndim != 3 or modes.shape != (n, count, *truth.shape[1:]) or probabilities.shape != (n, count) or not count:
        raise ValueError(
            f"truth {truth.shape}, modes {modes.shape} and probabilities {probabilities.shape} must be (n, steps, 2), "
            "(n, modes, steps, 2) and (n, modes)"
        )


def constant_velocity_trajectories(
    centres: np.ndarray, velocities: np.ndarray, times: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the constant-velocity baseline: modes (n, 1, steps, 2) in metres and probabilities (n, 1).

    Args:
        centres: (n, 2 or more) world positions in metres now.
        velocities: (n, 2) metres per second; where unknown (NaN), an object stays, as in nuScenes' baseline.
        times: (steps,) seconds from now.
    """
    speed = np.nan_to_num(np.asarray(velocities, np.float64))
    path = np.asarray(centres, np.float64)[:, None, :2] + speed[:, None] * np.asarray(times, np.float64)[:, None]
    return path[:, None], np.ones((len(path), 1))


def match_objects(
    truth: Annotations,
    predicted: Detections,
    max_distance: float = MISS_THRESHOLD_M,
    classes: Sequence[str] | None = None,
    counted: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Match detected and true objects of one frame: (m,) indices into the truth and (m,) into the predictions.

    As in detection: best score first, each takes the nearest free object of its class nearer than ``max_distance``. The
    share of objects that are matched is the recall that belongs beside every error of trajectories.

    Args:
        truth: objects now.
        predicted: boxes now.
        max_distance: metres on the ground.
        classes: names of the classes that count; default: those of the truth.
        counted: (objects,) bool; default: those that a platform sees.
    """
    classes = evaluated_classes([truth], classes)
    counted = visible_objects(truth) if counted is None else np.asarray(counted, bool)
    objects, _ = truth_table([truth], classes, [counted])
    predictions, _ = prediction_table([predicted], classes)
    match = greedy_match(*candidate_pairs(objects, predictions, max_distance), scores=predictions.scores)
    rows = np.flatnonzero(counted & np.isin(np.array(truth.categories, object), classes))
    columns = np.flatnonzero(np.isin(np.array(predicted.categories, object), classes))
    return rows[match[match >= 0]], columns[match >= 0]
