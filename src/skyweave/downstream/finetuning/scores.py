"""Scores of predictions, as the field counts them (torchmetrics), with intervals by resampling the samples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from skyweave.core.errors import ConfigError
from skyweave.downstream.finetuning.models.detection_head import average_precision
from skyweave.downstream.finetuning.tasks import Prediction
from skyweave.downstream.labels.labelled_data import IGNORE_INDEX, LabelledSample, Task

MAIN_METRIC = {
    "classification": "accuracy",
    "multilabel": "micro_map",
    "segmentation": "miou",
    "change": "change_f1",
    "regression": "r2",
    "detection": "ap50",
}
"""The score by which learning rates and the best weights are chosen."""


def compute_scores(task: Task, found: Sequence[Prediction], samples: Sequence[LabelledSample]) -> dict[str, float]:
    """Scores by name, the main one first.

    classification: accuracy, balanced_accuracy, macro_f1. multilabel: micro_map (micro-averaged average precision),
    micro_f1, macro_f1. segmentation: miou, accuracy, macro_f1. change: change_f1, change_iou, accuracy. regression:
    r2, mae, rmse. detection: ap50. Classes that are neither there nor predicted do not count.
    """
    if task.kind == "detection":
        boxes = [np.asarray(own.label) for own in samples]
        return {"ap50": average_precision([own.label for own in found], boxes, len(task.classes))}
    if task.kind == "multilabel":
        return _multilabel(task, found, samples)
    if task.kind == "regression":
        return _regression(found, samples)
    return _classes(task, found, samples)


def _classes(task: Task, found: Sequence[Prediction], samples: Sequence[LabelledSample]) -> dict[str, float]:
    from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score, MulticlassJaccardIndex

    count = len(task.classes)
    accuracy = MulticlassAccuracy(count, average="micro", ignore_index=IGNORE_INDEX, validate_args=False)
    recall = MulticlassAccuracy(count, average="macro", ignore_index=IGNORE_INDEX, validate_args=False)
    harmonic = MulticlassF1Score(count, average=None, ignore_index=IGNORE_INDEX, validate_args=False)
    union = MulticlassJaccardIndex(count, average=None, ignore_index=IGNORE_INDEX, validate_args=False)
    counted = False
    for own, sample in zip(found, samples, strict=True):
        target = torch.from_numpy(np.asarray(sample.label).astype(np.int64)).reshape(-1)
        if not bool((target != IGNORE_INDEX).any()):
            continue
        counted = True
        answer = torch.from_numpy(np.asarray(own.label).astype(np.int64)).reshape(-1)
        for metric in (accuracy, recall, harmonic, union):
            metric.update(answer, target)
    if not counted:
        raise ConfigError(f"{task.name}: no sample to score has a label; check masks, `ignore` and the split")
    f1, iou = harmonic.compute(), union.compute()
    table = confusion_tables(task, found, samples).sum(0)
    there = torch.from_numpy((table.sum(0) + table.sum(1)) > 0)
    right = float(accuracy.compute())
    if task.kind == "change":
        return {"change_f1": float(f1[1:].mean()), "change_iou": float(iou[1:].mean()), "accuracy": right}
    macro = float(f1[there].mean())
    if task.kind == "segmentation":
        return {"miou": float(iou[there].mean()), "accuracy": right, "macro_f1": macro}
    return {"accuracy": right, "balanced_accuracy": float(recall.compute()), "macro_f1": macro}


def _multilabel(task: Task, found: Sequence[Prediction], samples: Sequence[LabelledSample]) -> dict[str, float]:
    from torchmetrics.functional.classification import multilabel_average_precision, multilabel_f1_score

    likely = torch.from_numpy(np.stack([own.probabilities for own in found if own.probabilities is not None]))
    truth = torch.from_numpy(np.stack([np.asarray(own.label) for own in samples]).astype(np.int64))
    count = len(task.classes)
    return {
        "micro_map": float(multilabel_average_precision(likely, truth, count, average="micro")),
        "micro_f1": float(multilabel_f1_score(likely, truth, count, average="micro")),
        "macro_f1": float(multilabel_f1_score(likely, truth, count, average="macro")),
    }


def _regression(found: Sequence[Prediction], samples: Sequence[LabelledSample]) -> dict[str, float]:
    from torchmetrics.functional.regression import mean_absolute_error, mean_squared_error, r2_score

    answers, truths = [], []
    for own, sample in zip(found, samples, strict=True):
        known = np.isfinite(np.asarray(sample.label))
        answers.append(own.label[known])
        truths.append(np.asarray(sample.label)[known])
    answer, truth = (torch.from_numpy(np.concatenate(own).astype(np.float64)) for own in (answers, truths))
    if len(truth) < 2:
        raise ConfigError(f"{len(truth)} pixels to score have a value, two or more are needed; check the masks")
    return {
        "r2": float(r2_score(answer, truth)),
        "mae": float(mean_absolute_error(answer, truth)),
        "rmse": float(mean_squared_error(answer, truth, squared=False)),
    }


def confusion_tables(task: Task, found: Sequence[Prediction], samples: Sequence[LabelledSample]) -> np.ndarray:
    """(samples, classes, classes) counts of pixels or images, true class first."""
    count = len(task.classes)
    tables = np.zeros((len(samples), count, count))
    for number, (own, sample) in enumerate(zip(found, samples, strict=True)):
        truth = np.asarray(sample.label).ravel()
        known = truth != IGNORE_INDEX
        flat = truth[known].astype(int) * count + np.asarray(own.label).ravel()[known].astype(int)
        tables[number] = np.bincount(flat, minlength=count**2).reshape(count, count)
    return tables


@dataclass(frozen=True)
class ClassScores:
    """One line of the table of classes: share of the labels, precision, recall, F1, intersection over union."""

    name: str
    labels: int
    precision: float
    recall: float
    f1: float
    iou: float


def class_scores(task: Task, table: np.ndarray) -> list[ClassScores]:
    """Lines from a (classes, classes) confusion table; NaN where a class is neither there nor predicted."""
    hits, true, said = np.diag(table), table.sum(1), table.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall = hits / said, hits / true
        f1, iou = 2 * hits / (true + said), hits / (true + said - hits)
    return [
        ClassScores(name, int(true[i]), float(precision[i]), float(recall[i]), float(f1[i]), float(iou[i]))
        for i, name in enumerate(task.classes)
    ]
