"""What a user should know of a fine-tuning: which classes it saw, what was kept of it, what it never predicts."""

from collections.abc import Sequence

import numpy as np

from skyweave.core.errors import DataError
from skyweave.downstream.finetuning.stages import StageResult
from skyweave.downstream.finetuning.tasks.base import Prediction, Task
from skyweave.downstream.labels.sample import LabelledSample
from skyweave.downstream.labels.splits import PARTS

ClassCounts = dict[str, dict[str, int]]
"""Labels (images, pixels or boxes) of each class, by part; empty where numbers are predicted."""


def count_classes(task: Task, parts: Sequence[Sequence[LabelledSample]]) -> ClassCounts:
    """Count the labels of each class.

    Args:
        task: with the classes.
        parts: training, validation and test.
    """
    if not task.classes:
        return {}
    return {
        part: {name: int(count) for name, count in zip(task.classes, task.class_counts(samples), strict=True)}
        for part, samples in zip(PARTS, parts, strict=True)
    }


def check_any_label(counts: ClassCounts) -> None:
    """Refuse a training part that shows no class at all.

    Args:
        counts: of all parts.

    Raises:
        DataError: there is nothing to learn.
    """
    train = counts.get("train", {})
    if train and not any(train.values()):
        raise DataError(
            f"no training sample shows any of the classes {', '.join(train)}: there is nothing to learn from; check "
            "labels.classes and what the labels call them"
        )


def describe_counts(parts: Sequence[Sequence[LabelledSample]], counts: ClassCounts) -> str:
    """Return one line: samples of each part, and labels of each class.

    Args:
        parts: training, validation and test.
        counts: of their classes.
    """
    texts = []
    for part, samples in zip(PARTS, parts, strict=True):
        classes = ", ".join(f"{name} {count}" for name, count in counts.get(part, {}).items())
        texts.append(f"{part} {len(samples)} samples" + (f" ({classes})" if classes else ""))
    return "; ".join(texts)


def unscored_classes(counts: ClassCounts) -> list[str]:
    """Return notes of the classes that no score speaks of: those that only training shows, and those of no sample.

    Args:
        counts: of all parts.
    """
    test = counts.get("test", {})
    train = counts.get("train", {})
    missing = [name for name, count in train.items() if count and not test.get(name)]
    nowhere = [name for name in train if not any(part[name] for part in counts.values())]
    notes = [f"no test sample shows {', '.join(missing)}: the scores say nothing of that"] if missing else []
    return notes + ([f"no sample of any part shows {', '.join(nowhere)}; check its spelling"] if nowhere else [])


def never_predicted(task: Task, predictions: Sequence[Prediction], counts: ClassCounts) -> list[str]:
    """Return a note of the classes that the test part shows and the model never predicts there.

    Args:
        task: with the classes.
        predictions: of the test samples.
        counts: of all parts.
    """
    if not task.classes:
        return []
    total = np.zeros(len(task.classes))
    for prediction in predictions:
        total += task.label_kind.class_counts(prediction.label, len(task.classes))
    test = counts.get("test", {})
    missing = [name for name, count in zip(task.classes, total, strict=True) if not count and test.get(name)]
    labels = ", ".join(f"{name} (labels: {test[name]})" for name in missing)
    return [f"the model never predicts {labels} in the test part"] if missing else []


def stage_notes(name: str, result: StageResult, metric: str, method: str) -> list[str]:
    """Return what is to be known of a stage: that it made nothing better, or that validation said nothing.

    Args:
        name: ``head`` or ``network``.
        result: of the stage.
        metric: by which weights are chosen.
        method: that was asked for.
    """
    scores = [score for _, score in result.history]
    if name == "network" and not result.best_step:
        return [
            f"no step of {method} scored better in validation than the head on frozen features ({metric} "
            f"{result.validation:.3f}): that head was kept, and the backbone is as it was"
        ]
    if len(scores) > 1 and max(scores) == min(scores):
        return [f"validation {metric} was {scores[0]:.3f} at every evaluation of the {name}: it chose nothing"]
    if len(scores) > 2 and result.best_step == result.history[0][0]:
        return [
            f"validation {metric} of the {name} never rose above its first evaluation ({scores[0]:.3f} at step "
            f"{result.best_step})"
        ]
    return []
