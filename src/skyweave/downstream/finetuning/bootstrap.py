"""The main score under resampling of the test samples: what intervals and paired differences are made of."""

from collections.abc import Sequence

import numpy as np

from skyweave.core.errors import ConfigError
from skyweave.downstream.finetuning.scores import confusion_tables
from skyweave.downstream.finetuning.tasks import Prediction
from skyweave.downstream.labels.labelled_data import LabelledSample, Task

RESAMPLES = 500


def resampled_scores(task: Task, found: Sequence[Prediction], samples: Sequence[LabelledSample]) -> np.ndarray:
    """(`RESAMPLES`,) main scores, each with the test samples drawn anew with replacement.

    The draws depend on the number of samples alone, so that those of two models on the same samples are pairs.

    Raises:
        ValueError: a task that has no such scores here: classification, multilabel and segmentation have.
    """
    drawn = np.random.default_rng(len(samples)).multinomial(
        len(samples), np.full(len(samples), 1 / len(samples)), RESAMPLES
    )
    if task.kind == "multilabel":
        likely = np.stack([own.probabilities for own in found if own.probabilities is not None])
        return micro_average_precision(likely, np.stack([np.asarray(own.label) for own in samples]), drawn)
    if task.kind not in ("classification", "segmentation"):
        raise ConfigError(f"{task.kind} has no resampled scores; classification, multilabel and segmentation have")
    tables = confusion_tables(task, found, samples)
    totals = (drawn @ tables.reshape(len(samples), -1)).reshape(-1, *tables.shape[1:])
    hits = np.diagonal(totals, axis1=1, axis2=2)
    if task.kind == "classification":
        return hits.sum(1) / np.maximum(totals.sum((1, 2)), 1)
    union = totals.sum(1) + totals.sum(2) - hits
    there = union > 0
    return np.where(there, hits / np.maximum(union, 1), 0).sum(1) / np.maximum(there.sum(1), 1)


def micro_average_precision(likely: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average precision over all samples and classes together, for several weightings of the samples.

    Args:
        likely: (samples, classes) probabilities.
        truth: (samples, classes) bool.
        weights: (weightings, samples) how often each sample counts.

    Returns:
        (weightings,); 0 where no label is positive. Ties count as one step, as scikit-learn has it.
    """
    order = np.argsort(-likely.ravel(), kind="stable")
    sample, positive = order // likely.shape[1], truth.ravel()[order]
    ends = np.flatnonzero(np.append(np.diff(likely.ravel()[order]) != 0, True))
    scores = np.zeros(len(weights))
    for number, weight in enumerate(weights):
        counted = weight[sample].astype(np.float64)
        all_so_far, hits = np.cumsum(counted)[ends], np.cumsum(counted * positive)[ends]
        if hits[-1] > 0:
            precision = hits / np.maximum(all_so_far, 1e-12)
            scores[number] = (np.diff(hits, prepend=0) * precision).sum() / hits[-1]
    return scores


def seed_interval(runs: Sequence[Sequence[float]], seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean over seeds: of each seed its resampled scores; seeds are drawn anew too."""
    values = np.array(runs)
    drawn = np.random.default_rng(seed).integers(len(values), size=(values.shape[1], len(values)))
    means = values[drawn, np.arange(values.shape[1])[:, None]].mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
