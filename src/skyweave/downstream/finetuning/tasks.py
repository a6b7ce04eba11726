"""The kinds of tasks: how many numbers an answer has, its loss, and what a user is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from skyweave.downstream.finetuning.config import IMAGE_TASKS, ClassWeights
from skyweave.downstream.finetuning.models.detection_head import BOX_CHANNELS, decode_boxes, detection_loss
from skyweave.downstream.labels.labelled_data import IGNORE_INDEX, LabelledSample, Task


@dataclass(frozen=True)
class Prediction:
    """What a model says of one sample.

    Attributes:
        label: as in `skyweave.downstream.labels.labelled_data.LabelledSample`, by the task's kind; boxes have a score as a sixth column.
        probabilities: (classes,) or (classes, rows, columns) float32; None for regression and detection.
    """

    label: np.ndarray
    probabilities: np.ndarray | None = None


def is_dense(task: Task) -> bool:
    """Whether there is an answer at every pixel."""
    return task.kind not in IMAGE_TASKS


def num_outputs(task: Task) -> int:
    """Numbers of an answer."""
    return {"regression": 1, "detection": len(task.classes) + BOX_CHANNELS}.get(task.kind, len(task.classes))


def make_target(sample: LabelledSample, task: Task) -> Tensor:
    """The label as the loss wants it."""
    label = np.asarray(sample.label)
    if task.kind in ("classification", "segmentation", "change"):
        return torch.from_numpy(label.astype(np.int64))
    return torch.from_numpy(label.astype(np.float32))


def collate_targets(targets: Sequence[Tensor], task: Task) -> Any:
    """Targets of a batch: one tensor, or a list for boxes."""
    return list(targets) if task.kind == "detection" else torch.stack(list(targets))


def compute_loss(task: Task, answer: Tensor, targets: Any, weights: Tensor | None = None, dice: float = 0.0) -> Tensor:
    """Mean loss of a batch; pixels without a label do not count.

    Args:
        answer: (batch, outputs) or (batch, outputs, rows, columns); for regression in standardised units.
        targets: of `collate_targets`; for regression in standardised units, NaN where unknown.
        weights: of the classes.
        dice: share of the Dice loss beside cross-entropy, where every pixel has a class.
    """
    answer = answer.float()
    if task.kind == "detection":
        return detection_loss(answer, targets)
    if task.kind == "multilabel":
        return functional.binary_cross_entropy_with_logits(answer, targets, pos_weight=weights)
    if task.kind == "regression":
        known = torch.isfinite(targets)
        return (answer[:, 0] - targets)[known].square().sum() / known.sum().clamp(min=1)
    entropy = _cross_entropy(answer, targets, weights)
    return entropy + dice * _dice(answer, targets) if dice and is_dense(task) else entropy


def decode_predictions(task: Task, answer: Tensor, mean: float = 0.0, std: float = 1.0) -> list[Prediction]:
    """Answers of a batch (probabilities of `probabilities` where there are classes) as predictions."""
    if task.kind == "detection":
        return [Prediction(boxes) for boxes in decode_boxes(answer)]
    values = answer.float().cpu().numpy()
    if task.kind == "regression":
        return [Prediction((own[0] * std + mean).astype(np.float32)) for own in values]
    if task.kind == "multilabel":
        return [Prediction(own >= 0.5, own) for own in values]
    return [Prediction(own.argmax(0), own) for own in values]


def probabilities(task: Task, answer: Tensor) -> Tensor:
    """Probabilities where there are classes; the answer itself for regression and detection."""
    if task.kind in ("regression", "detection"):
        return answer.float()
    return answer.float().sigmoid() if task.kind == "multilabel" else answer.float().softmax(1)


def class_weights(task: Task, samples: Sequence[LabelledSample], kind: ClassWeights) -> Tensor | None:
    """(classes,) weights by the frequency of the labels, of mean 1 over the labels; None for none.

    A class that does not occur has weight 0: its logit is still pushed down by the others. For multilabel tasks, the
    weight of a positive label: negative over positive ones.
    """
    if kind == "none" or task.kind in ("regression", "detection"):
        return None
    power = 1.0 if kind == "balanced" else 0.5
    counts = count_classes(task, samples)
    if task.kind == "multilabel":
        share = np.clip(counts / max(1, len(samples)), 1e-3, 1 - 1e-3)
        return torch.tensor(((1 - share) / share) ** power, dtype=torch.float32)
    weights = np.where(counts > 0, np.maximum(counts, 1.0) ** -power, 0.0)
    return torch.tensor(weights * counts.sum() / (weights * counts).sum(), dtype=torch.float32)


def count_classes(task: Task, samples: Sequence[LabelledSample]) -> np.ndarray:
    """(classes,) how often each class occurs: images, pixels or boxes."""
    total = np.zeros(len(task.classes))
    for sample in samples:
        label = np.asarray(sample.label)
        if task.kind == "multilabel":
            total += label
        elif task.kind == "detection":
            total += np.bincount(label[:, 4].astype(int), minlength=len(total))
        elif task.kind != "regression":
            total += np.bincount(label[label != IGNORE_INDEX].ravel(), minlength=len(total))
    return total


def _cross_entropy(answer: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
    known = targets != IGNORE_INDEX
    if not bool(known.any()):
        return answer.sum() * 0.0
    weights = None if weights is None else weights.to(answer)
    total = functional.cross_entropy(answer, targets, weights, ignore_index=IGNORE_INDEX, reduction="sum")
    count = known.sum() if weights is None else weights[targets[known]].sum()
    return total / count.clamp(min=1e-6)


def _dice(answer: Tensor, targets: Tensor) -> Tensor:
    """1 less the soft Dice overlap (Milletari et al. 2016, arXiv 1606.04797), a mean over the classes that occur."""
    known = (targets != IGNORE_INDEX).unsqueeze(1)
    wanted = functional.one_hot(targets.clamp(min=0), answer.shape[1]).movedim(-1, 1) * known
    found = answer.softmax(1) * known
    over = [axis for axis in range(answer.ndim) if axis != 1]
    shared, area = (found * wanted).sum(over), (found + wanted).sum(over)
    occurs = wanted.sum(over) > 0
    return torch.where(occurs, 1 - 2 * shared / area.clamp(min=1e-6), 0).sum() / occurs.sum().clamp(min=1)
