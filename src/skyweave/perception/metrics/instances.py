"""Bird's-eye-view instance segmentation: intersection over union, panoptic quality, and its like over time.

Panoptic quality (Kirillov et al., arXiv 1801.00868) of one foreground class: an object and a prediction match where
their cells overlap by more than half of their union, which at most one can. PQ = sum of IoU / (TP + FP/2 + FN/2), the
product of SQ = sum of IoU / TP and RQ = TP / (TP + FP/2 + FN/2).

Video panoptic quality as the bird's-eye-view line defines it (FIERY, arXiv 2104.10490; PowerBEV; DHD): the same sums
over all frames of all sequences, with the identity-switch rule: a match whose object was matched before, the last time
by another prediction's identity, is no true positive but one FP and one FN, and from then on the new identity is the
right one. Frames without a match do not break the memory.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np


@dataclass(frozen=True)
class InstanceMetrics:
    """Sums over frames; add them with ``+``. Quality is NaN where there was nothing to find and nothing predicted.

    Attributes:
        intersection: cells that are foreground in both.
        union: cells that are foreground in either.
        iou_sum: sum of the IoU of the true positives.
        true_positives: matches.
        false_positives: predictions without a match, and identity switches.
        false_negatives: objects without a match, and identity switches.
        identity_switches: matches that the rule rejected (0 where identities are not followed).
        frames: how many were added up.
    """

    intersection: int = 0
    union: int = 0
    iou_sum: float = 0.0
    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0
    identity_switches: int = 0
    frames: int = 0

    def __add__(self, other: "InstanceMetrics") -> "InstanceMetrics":
        return InstanceMetrics(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def iou(self) -> float:
        """Intersection over union of the foreground."""
        return self.intersection / self.union if self.union else np.nan

    @property
    def pq(self) -> float:
        """PQ, or VPQ where identities were followed."""
        return self.iou_sum / self._size if self._size else np.nan

    @property
    def sq(self) -> float:
        """SQ: mean IoU of the true positives; 0 where there are none but should or could be."""
        if not self.true_positives:
            return 0.0 if self._size else np.nan
        return self.iou_sum / self.true_positives

    @property
    def rq(self) -> float:
        """RQ: F1 of finding objects."""
        return self.true_positives / self._size if self._size else np.nan

    @property
    def _size(self) -> float:
        return self.true_positives + self.false_positives / 2 + self.false_negatives / 2

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know."""
        if not self.frames:
            return ("no frame was evaluated: every quality is NaN",)
        return () if self._size else ("no objects and no predictions: every quality is NaN",)

    def to_dict(self, prefix: str = "") -> dict[str, Any]:
        """Return plain numbers for JSON; None stands for NaN.

        Args:
            prefix: before PQ, SQ and RQ: "V" for VPQ.
        """
        named = {"PQ": self.pq, "SQ": self.sq, "RQ": self.rq}
        sums = {f.name: getattr(self, f.name) for f in fields(self)}
        values = {"IoU": self.iou, **{prefix + name: value for name, value in named.items()}}
        return {**{k: None if np.isnan(v) else float(v) for k, v in values.items()}, **sums, "notes": list(self.notes)}


def panoptic_quality(truth: np.ndarray, predicted: np.ndarray, counted: np.ndarray | None = None) -> InstanceMetrics:
    """Return the panoptic quality of each frame by itself: what an identity is called does not matter.

    Args:
        truth: (rows, columns) or (frames, rows, columns) whole numbers, the identity of the object on each cell, 0 for
            none.
        predicted: the same.
        counted: bool of a shape that broadcasts, False where cells are left out in both; default: all count.

    Raises:
        ValueError: shapes that differ, or identities below 0.
    """
    return _measure(truth, predicted, counted, follow=False)


def video_panoptic_quality(
    truth: np.ndarray, predicted: np.ndarray, counted: np.ndarray | None = None
) -> InstanceMetrics:
    """Return the quality of one sequence, whose identities are constant over time, by the identity-switch rule.

    Add the sequences up with `sum_instance_metrics`. Objects that no platform sees belong neither into the truth of the
    present nor of the future; leave out those never seen in the frames that a model is given, as DHD does, before
    rasterising.

    Args:
        truth: (frames, rows, columns) whole numbers, the identity of the object on each cell, 0 for none.
        predicted: the same.
        counted: bool of a shape that broadcasts, False where cells are left out in both; default: all count.

    Raises:
        ValueError: shapes that differ, or identities below 0.
    """
    if np.ndim(truth) != 3:
        raise ValueError(f"a sequence is (frames, rows, columns), not {np.shape(truth)}")
    return _measure(truth, predicted, counted, follow=True)


def sum_instance_metrics(parts: Iterable[InstanceMetrics]) -> InstanceMetrics:
    """Return all sums added up: the quality of a dataset is that of its sums, not the mean of qualities.

    Args:
        parts: of each sequence.
    """
    return sum(parts, InstanceMetrics())


def _measure(truth: np.ndarray, predicted: np.ndarray, counted: np.ndarray | None, follow: bool) -> InstanceMetrics:
    truth, predicted = _checked(truth, "truth"), _checked(predicted, "predictions")
    if truth.shape != predicted.shape:
        raise ValueError(f"truth has shape {truth.shape}, predictions {predicted.shape}; resample one onto the other")
    if counted is not None:
        keep = np.broadcast_to(np.asarray(counted, bool), truth.shape)
        truth, predicted = np.where(keep, truth, 0), np.where(keep, predicted, 0)
    frame, row, column = np.nonzero((truth > 0) | (predicted > 0))
    t, num_objects = _number(truth[frame, row, column])
    p, num_predictions = _number(predicted[frame, row, column])
    frames, both = len(truth), (t > 0) & (p > 0)
    object_cells = _count_cells(frame, t, frames, num_objects)
    predicted_cells = _count_cells(frame, p, frames, num_predictions)
    pairs, shared = np.unique(((t * frames + frame) * num_predictions + p)[both], return_counts=True)
    t, when, p = pairs // (frames * num_predictions), pairs // num_predictions % frames, pairs % num_predictions
    union = object_cells[when, t] + predicted_cells[when, p] - shared
    matched = 2 * shared > union  # exactly half does not match
    t, p = t[matched], p[matched]
    switch = np.zeros(len(t), bool)
    if follow:  # pairs are sorted by object, then by frame: the one before is the last match of the same object
        switch[1:] = (t[1:] == t[:-1]) & (p[1:] != p[:-1])
    hits = int((~switch).sum())
    return InstanceMetrics(
        intersection=int(both.sum()),
        union=len(both),
        iou_sum=float((shared[matched] / union[matched])[~switch].sum()),
        true_positives=hits,
        false_positives=int((predicted_cells[:, 1:] > 0).sum()) - hits,
        false_negatives=int((object_cells[:, 1:] > 0).sum()) - hits,
        identity_switches=int(switch.sum()),
        frames=frames,
    )


def _count_cells(frame: np.ndarray, number: np.ndarray, frames: int, count: int) -> np.ndarray:
    """(frames, count) number of cells of each number in each frame."""
    return np.bincount(frame * count + number, minlength=frames * count).reshape(frames, count)


def _checked(identities: np.ndarray, name: str) -> np.ndarray:
    """(frames, rows, columns)."""
    identities = np.asarray(identities)
    _check_identities(identities, name)
    return identities if identities.ndim == 3 else identities[None]


def _check_identities(identities: np.ndarray, name: str) -> None:
    """Check that identities are whole numbers from 0."""
    if identities.ndim not in (2, 3) or not np.issubdtype(identities.dtype, np.integer):
        raise ValueError(
            f"identities of {name} are whole numbers (frames, rows, columns), not {identities.dtype} {identities.shape}"
        )
    if identities.size and identities.min() < 0:
        raise ValueError(f"identities of {name} start at 0 for none, found {identities.min()}")


def _number(identities: np.ndarray) -> tuple[np.ndarray, int]:
    """Identities numbered without gaps, 0 staying 0, and how many numbers there are."""
    names, numbers = np.unique(np.append(identities, 0), return_inverse=True)
    return numbers[:-1].astype(np.int64), len(names)
