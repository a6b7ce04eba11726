"""Scores of one class of several, by image or pixel: confusion tables, and torchmetrics' scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from skyweave.core.errors import DataError
from skyweave.downstream.labels.sample import IGNORE_INDEX


@dataclass(frozen=True)
class ExclusiveClassScores:
    """Scores of all samples together.

    Attributes:
        accuracy: share of the images or pixels that are right.
        balanced_accuracy: mean recall of the classes.
        f1: (classes,) harmonic mean of precision and recall.
        iou: (classes,) intersection over union.
        occurs: (classes,) bool, whether a class is there or predicted; others do not count in means.
    """

    accuracy: float
    balanced_accuracy: float
    f1: np.ndarray
    iou: np.ndarray
    occurs: np.ndarray

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes that occur."""
        return float(torch.from_numpy(self.f1[self.occurs]).mean())

    @property
    def mean_iou(self) -> float:
        """Mean intersection over union of the classes that occur."""
        return float(torch.from_numpy(self.iou[self.occurs]).mean())


def score_classes(
    predicted: Sequence[np.ndarray], labels: Sequence[np.ndarray], num_classes: int
) -> ExclusiveClassScores:
    """Score predicted classes as torchmetrics does.

    Args:
        predicted: of each sample, class indices of any shape.
        labels: of each sample, class indices of the same shape, `IGNORE_INDEX` where unknown.
        num_classes: of the task.

    Raises:
        DataError: no label at all.
    """
    from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score, MulticlassJaccardIndex

    accuracy = MulticlassAccuracy(num_classes, average="micro", ignore_index=IGNORE_INDEX, validate_args=False)
    recall = MulticlassAccuracy(num_classes, average="macro", ignore_index=IGNORE_INDEX, validate_args=False)
    f1 = MulticlassF1Score(num_classes, average=None, ignore_index=IGNORE_INDEX, validate_args=False)
    iou = MulticlassJaccardIndex(num_classes, average=None, ignore_index=IGNORE_INDEX, validate_args=False)
    has_labels = False
    for sample_prediction, label in zip(predicted, labels, strict=True):
        target = torch.from_numpy(np.asarray(label).astype(np.int64)).reshape(-1)
        if not bool((target != IGNORE_INDEX).any()):
            continue
        has_labels = True
        classes = torch.from_numpy(np.asarray(sample_prediction).astype(np.int64)).reshape(-1)
        for metric in (accuracy, recall, f1, iou):
            metric.update(classes, target)
    if not has_labels:
        raise DataError("no sample to score has a label; check masks, `ignore` and the split")
    table = confusion_tables(predicted, labels, num_classes).sum(0)
    return ExclusiveClassScores(
        float(accuracy.compute()),
        float(recall.compute()),
        f1.compute().numpy(),
        iou.compute().numpy(),
        (table.sum(0) + table.sum(1)) > 0,
    )


def confusion_tables(predicted: Sequence[np.ndarray], labels: Sequence[np.ndarray], num_classes: int) -> np.ndarray:
    """Return (samples, classes, classes) counts of images or pixels, true class first.

    Args:
        predicted: of each sample, class indices of any shape.
        labels: of each sample, class indices of the same shape, `IGNORE_INDEX` where unknown.
        num_classes: of the task.
    """
    tables = np.zeros((len(labels), num_classes, num_classes))
    for number, (sample_prediction, label) in enumerate(zip(predicted, labels, strict=True)):
        truth = np.asarray(label).ravel()
        known = truth != IGNORE_INDEX
        flat = truth[known].astype(int) * num_classes + np.asarray(sample_prediction).ravel()[known].astype(int)
        tables[number] = np.bincount(flat, minlength=num_classes**2).reshape(num_classes, num_classes)
    return tables


def table_accuracy(tables: np.ndarray) -> np.ndarray:
    """Return (...,) accuracy of confusion tables.

    Args:
        tables: (..., classes, classes) counts, true class first.
    """
    hits = np.diagonal(tables, axis1=-2, axis2=-1)
    accuracy: np.ndarray = hits.sum(-1) / np.maximum(tables.sum((-2, -1)), 1)
    return accuracy


def table_mean_iou(tables: np.ndarray) -> np.ndarray:
    """Return (...,) mean intersection over union of the classes that occur in confusion tables.

    Args:
        tables: (..., classes, classes) counts, true class first.
    """
    hits = np.diagonal(tables, axis1=-2, axis2=-1)
    union = tables.sum(-2) + tables.sum(-1) - hits
    occurs = union > 0
    mean: np.ndarray = np.where(occurs, hits / np.maximum(union, 1), 0).sum(-1) / np.maximum(occurs.sum(-1), 1)
    return mean


@dataclass(frozen=True)
class ClassScores:
    """One line of the table of classes.

    Attributes:
        name: of the class.
        labels: images or pixels of it.
        precision: share of what was predicted that is right; NaN where nothing was.
        recall: share of the labels that was predicted; NaN where there are none.
        f1: harmonic mean of both.
        iou: intersection over union.
    """

    name: str
    labels: int
    precision: float
    recall: float
    f1: float
    iou: float


def class_scores(classes: Sequence[str], table: np.ndarray) -> list[ClassScores]:
    """Return the scores of each class.

    Args:
        classes: names.
        table: (classes, classes) confusion counts, true class first.
    """
    hits, true, predicted = np.diag(table), table.sum(1), table.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall = hits / predicted, hits / true
        f1, iou = 2 * hits / (true + predicted), hits / (true + predicted - hits)
    return [
        ClassScores(name, int(true[i]), float(precision[i]), float(recall[i]), float(f1[i]), float(iou[i]))
        for i, name in enumerate(classes)
    ]
