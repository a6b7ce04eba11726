"""What a model is adapted from: observations with labels, split into training, validation and test."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.observation import Observation

TaskKind = Literal["classification", "multilabel", "segmentation", "regression", "change", "detection"]
Label = int | np.ndarray
IGNORE_INDEX = -1  # in masks: this pixel has no label


@dataclass(frozen=True)
class Task:
    """What is to be predicted.

    Attributes:
        name: of the task.
        kind: ``classification``: one class an image. ``multilabel``: any number of classes an image.
            ``segmentation``: one class a pixel. ``regression``: one number a pixel. ``change``: one class a pixel, from
            two dates. ``detection``: boxes in pixels.
        classes: names; empty for regression.
    """

    name: str
    kind: TaskKind
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in get_args(TaskKind):
            raise DataError(f"task {self.name!r} is of kind {self.kind!r}; use one of {', '.join(get_args(TaskKind))}")
        least = {"regression": 0, "multilabel": 1, "detection": 1}.get(self.kind, 2)
        if len(self.classes) < least:
            raise DataError(f"task {self.name!r} ({self.kind}) names {len(self.classes)} classes; name {least} or more")


@dataclass(frozen=True)
class LabelledSample:
    """Observations of one place with their label.

    Attributes:
        observations: one for most tasks; two dates for ``change``; several sensors where a task has them. All cover
            the same ground; those of other than ``detection`` and image-level tasks have the label's rows and columns.
        label: by the task's kind: class index (classification); (classes,) bool (multilabel); (rows, columns) int64
            class indices with `IGNORE_INDEX` where unknown (segmentation, change); (rows, columns) float32 with NaN where
            unknown (regression); (boxes, 5) float32 of left, top, right, bottom in pixels, and class (detection).
        name: of the sample, for messages.
    """

    observations: tuple[Observation, ...]
    label: Label
    name: str = ""


@dataclass(frozen=True)
class LabelledData:
    """A task with its samples; the sequences may read from disk when asked for a sample."""

    task: Task
    train: Sequence[LabelledSample]
    validation: Sequence[LabelledSample]
    test: Sequence[LabelledSample]
    notes: tuple[str, ...] = field(default=())


def check_sample(sample: LabelledSample, task: Task) -> LabelledSample:
    """The sample, if its label fits task and pictures.

    Raises:
        ValueError: a class out of range, a mask of another size, values that are not finite; names sample and remedy.
    """
    where, classes = sample.name or sample.observations[0].source, len(task.classes)
    label = np.asarray(sample.label)
    if task.kind == "classification":
        if label.shape != () or not 0 <= int(label) < classes:
            raise DataError(f"{where}: label {sample.label!r} is no class of {task.name}; use 0 to {classes - 1}")
    elif task.kind == "multilabel":
        if label.shape != (classes,) or label.dtype != bool:
            raise DataError(f"{where}: label has shape {label.shape} ({label.dtype}); give ({classes},) bool")
    elif task.kind == "detection":
        _check_boxes(label, classes, where)
    else:
        shape = sample.observations[0].pixels.shape[1:]
        if label.shape != shape:
            raise DataError(f"{where}: the mask has shape {label.shape}, the picture {shape}; give masks of its size")
        if task.kind == "regression":
            if np.isinf(label).any():
                raise DataError(f"{where}: the mask holds infinity; use NaN where a pixel has no value")
        elif label.size and (label.min() < IGNORE_INDEX or label.max() >= classes):
            wrong = sorted(set(np.unique(label).tolist()) - set(range(IGNORE_INDEX, classes)))[:5]
            raise DataError(
                f"{where}: the mask holds {wrong}, no classes of {task.name} (0 to {classes - 1}); list values without "
                f"a class as ignored"
            )
    return sample


def _check_boxes(label: np.ndarray, classes: int, where: str) -> None:
    if label.ndim != 2 or label.shape[1] != 5 or not np.isfinite(label).all():
        raise DataError(
            f"{where}: boxes have shape {label.shape}; give finite (boxes, 5): left, top, right, bottom, class"
        )
    if len(label) and ((label[:, 2:4] <= label[:, :2]).any() or not set(label[:, 4]) <= set(range(classes))):
        raise DataError(f"{where}: a box has no area, or a class outside 0 to {classes - 1}; correct or leave it out")
