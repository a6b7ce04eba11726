"""What a fine-tuned model must beat: the most frequent answer, and a linear model of the band values themselves."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from skyweave.downstream.finetuning.tasks.base import Prediction, Task
from skyweave.downstream.labels.sample import IGNORE_INDEX, LabelledSample
from skyweave.downstream.probing.logistic import LogisticModel, fit_logistic

CONSTANT, BAND_VALUES = "most frequent answer", "linear on band values"
MAX_TRAINING_PIXELS = 20_000
"""Of all training samples together, as many of each."""
INVERSE_PENALTY, RIDGE = 0.1, 1e-3

BaselineScores = dict[str, dict[str, float]]
"""Scores by name of the baseline."""


def score_baselines(
    task: Task, train: Sequence[LabelledSample], validation: Sequence[LabelledSample], test: Sequence[LabelledSample]
) -> BaselineScores:
    """Score answers that need no network on the test part; none for boxes, of which both would find none.

    Args:
        task: what is predicted.
        train: samples to learn from.
        validation: samples by which it is chosen whether classes weigh the same.
        test: samples that are scored.
    """
    if not task.averages_outputs:
        return {}
    scores = {CONSTANT: task.scores(_constant(task, train, test), test)}
    if task.label_kind.is_exclusive or not task.classes:
        fitted = [_fit(task, train, balanced) for balanced in ((False, True) if task.classes else (False,))]
        best = max(fitted, key=lambda model: _main(task, [model.predict(s) for s in validation], validation))
        scores[BAND_VALUES] = task.scores([best.predict(sample) for sample in test], test)
    return scores


def baseline_notes(task: Task, scores: dict[str, float], baselines: BaselineScores) -> list[str]:
    """Return a note of the baselines that a model is not above.

    Args:
        task: with the main score.
        scores: of the model.
        baselines: of the same test samples.
    """
    main = task.main_metric
    above = [f"{name} ({values[main]:.3f})" for name, values in baselines.items() if not scores[main] > values[main]]
    return [f"{main} {scores[main]:.3f} is not above: {', '.join(above)}"] if above else []


def _main(task: Task, predictions: list[Prediction], samples: Sequence[LabelledSample]) -> float:
    return float(np.nan_to_num(task.scores(predictions, samples)[task.main_metric], nan=-np.inf))


def _constant(task: Task, train: Sequence[LabelledSample], test: Sequence[LabelledSample]) -> list[Prediction]:
    """Return the same answer for every sample: the most frequent class, each class's frequency, or the mean."""
    if not task.classes:
        mean = task.target_statistics(train)[0]
        return [Prediction(np.full(np.shape(sample.label), mean, np.float32)) for sample in test]
    counts = task.class_counts(train)
    if not task.label_kind.is_exclusive:
        frequency = counts / max(len(train), 1)
        return [Prediction(frequency >= 0.5, frequency) for _ in test]
    one_hot = np.eye(len(counts), dtype=np.float32)[int(counts.argmax())]
    return [_exclusive(np.shape(sample.label), one_hot) for sample in test]


def _exclusive(shape: tuple[int, ...], one_hot: np.ndarray) -> Prediction:
    probabilities = np.broadcast_to(one_hot.reshape(-1, *[1] * len(shape)), (len(one_hot), *shape))
    return Prediction(np.full(shape, int(one_hot.argmax())), probabilities)


class _Linear:
    """A linear model of band values: of each pixel, or their mean and spread in an image."""

    def __init__(self, task: Task, mean: np.ndarray, std: np.ndarray, model: LogisticModel | np.ndarray) -> None:
        self.task, self.mean, self.std, self.model = task, mean, std, model

    def predict(self, sample: LabelledSample) -> Prediction:
        """Return the prediction of a sample, without probabilities."""
        inputs = (_features(self.task, sample) - self.mean) / self.std
        shape = sample.observations[0].shape if self.task.is_dense else ()
        if isinstance(self.model, LogisticModel):
            predicted = self.model.predict(inputs)
            one_hot = np.eye(len(self.task.classes), dtype=np.float32)[predicted].T
            return Prediction(predicted.reshape(shape), one_hot.reshape(-1, *shape))
        return Prediction((inputs @ self.model[:-1] + self.model[-1]).astype(np.float32).reshape(shape))


def _fit(task: Task, train: Sequence[LabelledSample], balanced: bool) -> _Linear:
    random, rows, labels = np.random.default_rng(0), [], []
    each = max(1, MAX_TRAINING_PIXELS // len(train)) if task.is_dense else 1
    for sample in train:
        features, label = _features(task, sample), np.asarray(sample.label).reshape(-1)
        known = np.flatnonzero(label != IGNORE_INDEX if task.classes else np.isfinite(label))
        chosen = random.permutation(known)[:each]
        rows.append(features[chosen])
        labels.append(label[chosen])
    inputs, target = np.concatenate(rows), np.concatenate(labels)
    mean, std = inputs.mean(0), np.maximum(inputs.std(0), 1e-6)
    inputs = (inputs - mean) / std
    if task.classes:
        return _Linear(task, mean, std, fit_logistic(inputs, target.astype(int), [INVERSE_PENALTY], balanced)[0])
    return _Linear(task, mean, std, _ridge(inputs, target))


def _ridge(inputs: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return weights and, as the last number, the intercept."""
    gram = inputs.T @ inputs + RIDGE * len(inputs) * np.eye(inputs.shape[1])
    weights = np.linalg.solve(gram, inputs.T @ (target - target.mean()))
    return np.append(weights, target.mean())


def _features(task: Task, sample: LabelledSample) -> np.ndarray:
    """Return (pixels, values) or (1, values): band values of all observations, and of two dates how far they differ."""
    shape = sample.observations[0].shape
    parts: list[Any] = [
        _repeated(np.where(image.valid, image.pixels, image.sensor.means[:, None, None]), shape)
        for image in sample.observations
    ]
    if task.num_dates > 1:
        parts.append(np.abs(parts[1] - parts[0]))
    values = np.concatenate([part.reshape(len(part), -1) for part in parts]).T
    return values if task.is_dense else np.concatenate([values.mean(0), values.std(0)])[None]


def _repeated(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return values of another resolution over the same ground at the pixels of the first sensor."""
    rows, columns = (np.arange(side) * size // side for side, size in zip(shape, values.shape[1:], strict=True))
    return np.asarray(values[:, rows[:, None], columns])
