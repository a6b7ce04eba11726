"""Average precision at an overlap of oriented boxes seen from above, as OPV2V and DAIR-V2X report it (AP@0.5, AP@0.7).

All predictions of a class are sorted by score over all frames; each takes the free object of largest intersection over
union, if that is at least the threshold; AP is the area under the precision envelope at every recall (PASCAL VOC 2010).
OpenCOOD's first evaluation appended frames without sorting them together (its issue 104); this is the corrected one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skyweave.core.geometry.boxes import intersection_over_union_bev
from skyweave.perception.metrics.matching import greedy_match, group_by_frame_and_class, rank_by_score
from skyweave.perception.metrics.tables import (
    BoxTable,
    check_paired_frames,
    evaluated_classes,
    prediction_table,
    select_in_range,
    truth_table,
)
from skyweave.perception.results import Detections
from skyweave.recordings.recording import Annotations


@dataclass(frozen=True)
class BEVAPMetrics:
    """Average precision at overlaps of boxes seen from above.

    Attributes:
        ap: by class, then by threshold; NaN for a class without objects.
        notes: what was left out.
    """

    ap: dict[str, dict[float, float]]
    notes: tuple[str, ...] = ()

    def mean(self, threshold: float) -> float:
        """Return the mean over the classes that have objects; NaN without any.

        Args:
            threshold: an intersection over union that was evaluated.
        """
        known = [values[threshold] for values in self.ap.values() if not np.isnan(values[threshold])]
        return float(np.mean(known)) if known else np.nan

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON; None stands for NaN."""
        iou_thresholds = list(next(iter(self.ap.values()), {}))
        means = {f"AP@{threshold}": _plain(self.mean(threshold)) for threshold in iou_thresholds}
        classes = {name: {f"AP@{t}": _plain(ap) for t, ap in values.items()} for name, values in self.ap.items()}
        return {**means, "classes": classes, "notes": list(self.notes)}


def evaluate_bev_ap(
    truth: Sequence[Annotations],
    predicted: Sequence[Detections],
    classes: Sequence[str] | None = None,
    iou_thresholds: Sequence[float] = (0.5, 0.7),
    class_ranges: dict[str, float] | None = None,
    origins: np.ndarray | None = None,
    counted: Sequence[np.ndarray] | None = None,
) -> BEVAPMetrics:
    """Score detections by the overlap of oriented boxes seen from above.

    Args:
        truth: the objects of each frame, in the world frame of the predictions.
        predicted: of the same frames in the same order.
        classes: names of the evaluated classes; default: those that the truth has.
        iou_thresholds: intersections over union from which a prediction matches, in (0, 1].
        class_ranges: metres from the frame's origin by class; None for no limit.
        origins: (frames, 2) world positions from where ranges are measured; needed with ``class_ranges`` only.
        counted: for each frame (objects,) bool, which objects are to be found; default: those that a platform sees.

    Raises:
        ValueError: another number of frames, ranges without origins, or a threshold that is no overlap.
    """
    _check_inputs(truth, predicted, iou_thresholds)
    classes = evaluated_classes(truth, classes)
    objects, notes = truth_table(truth, classes, counted)
    predictions, more = prediction_table(predicted, classes)
    if class_ranges is not None:
        objects, predictions = select_in_range(objects, predictions, origins, len(truth), class_ranges, classes)
    by_threshold = _average_precisions(objects, predictions, len(classes), iou_thresholds)
    ap = {name: {iou: by_threshold[iou][label] for iou in iou_thresholds} for label, name in enumerate(classes)}
    empty = [f"class {name!r} has no objects: its AP is NaN and not in the mean" for name in classes if _none(ap[name])]
    return BEVAPMetrics(ap, tuple([*notes, *more, *empty]))


def _check_inputs(
    truth: Sequence[Annotations], predicted: Sequence[Detections], iou_thresholds: Sequence[float]
) -> None:
    """Check that frames are paired and thresholds are overlaps."""
    check_paired_frames(truth, predicted)
    if min(iou_thresholds) <= 0 or max(iou_thresholds) > 1:
        raise ValueError(f"thresholds {tuple(iou_thresholds)} must be intersections over union in (0, 1]")


def _average_precisions(
    objects: BoxTable, predictions: BoxTable, num_classes: int, iou_thresholds: Sequence[float]
) -> dict[float, list[float]]:
    """Average precision of each class, by threshold."""
    p, t, overlap = _overlapping(objects, predictions, min(iou_thresholds))
    order = rank_by_score(predictions.scores)
    ap: dict[float, list[float]] = {}
    for threshold in iou_thresholds:
        enough = overlap >= threshold
        match = greedy_match(p[enough], t[enough], -overlap[enough], predictions.scores)
        ranked = [order[predictions.labels[order] == label] for label in range(num_classes)]
        ap[threshold] = [
            average_precision(match[of_class] >= 0, int((objects.labels == label).sum()))
            for label, of_class in enumerate(ranked)
        ]
    return ap


def average_precision(hits: np.ndarray, objects: int) -> float:
    """Return the area under the precision envelope at every recall (VOC 2010).

    Args:
        hits: (n,) bool, whether each prediction matched, best first.
        objects: how many there were to find; without any the area is NaN.
    """
    if not objects:
        return np.nan
    true = np.cumsum(hits)
    precision = true / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[hits].sum() / objects)  # recall rises by 1 / objects at each hit


def _overlapping(objects: BoxTable, predictions: BoxTable, min_iou: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices (predicted, truth) and overlap of all pairs of one frame and class that overlap enough."""
    none = np.zeros(0, np.int64)
    parts = [(none, none, np.zeros(0))]
    for p, t in group_by_frame_and_class(objects, predictions):
        overlap = intersection_over_union_bev(predictions.select(p).boxes(), objects.select(t).boxes())
        i, j = np.nonzero(overlap >= min_iou)
        parts.append((p[i], t[j], overlap[i, j]))
    first, second, third = zip(*parts, strict=True)
    return np.concatenate(first), np.concatenate(second), np.concatenate(third)


def _none(ap: dict[float, float]) -> bool:
    return any(np.isnan(value) for value in ap.values())


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
