"""The readouts on frozen features. Every row of a table, model or baseline, goes through the same code."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skyweave.core.errors import ConfigError, DataError
from skyweave.downstream.labels.splits import stratified_group_folds
from skyweave.downstream.probing.blocks import FeatureValues, split_blocks
from skyweave.downstream.probing.logistic import fit_logistic

NEIGHBOUR_COUNTS = (1, 3, 5, 10, 20, 50)
TEMPERATURES = (None, 0.1)
"""Of a neighbour's weight ``exp(cosine / temperature)`` (0.07 in DINO, arXiv 2104.14294); None: all count the same."""
INVERSE_PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Inverse L2 strengths of the logistic regression, on standardised features."""
COARSE_INVERSE_PENALTIES = (1e-3, 1e-2)
"""Those by which candidates of features are compared, before the penalty of the best is chosen."""
RIDGE_PENALTIES = tuple(10.0**power for power in range(-1, 6))
"""L2 strengths of the ridge regression, on standardised features."""
INNER_FOLDS = 3
MAX_SELECTION_SAMPLES = 2000
"""Training samples that choices are made on; the choice is then fitted to all of them."""


@dataclass(frozen=True)
class Choice:
    """What was chosen inside a training part.

    Attributes:
        score: of it there, a mean over folds that is comparable between classifiers; larger is better.
        setting: the hyperparameters, as the classifier that chose them reads them.
    """

    score: float
    setting: Any = None


@dataclass(frozen=True)
class TrainingPart:
    """Labelled samples of a training part, without their features.

    Attributes:
        target: (samples,) int classes, or float for regression.
        group: (samples,) int, kept whole inside.
        balanced: weigh classes by inverse frequency.
        seed: of folds and forests.
    """

    target: np.ndarray
    group: np.ndarray
    balanced: bool
    seed: int

    @property
    def is_regression(self) -> bool:
        """Whether the target is a number."""
        return self.target.dtype.kind == "f"

    def subset(self, rows: np.ndarray) -> "TrainingPart":
        """Return some of the samples.

        Args:
            rows: their indices.
        """
        return TrainingPart(self.target[rows], self.group[rows], self.balanced, self.seed)


class ProbeClassifier(ABC):
    """A readout: chooses its hyperparameters inside a training part, and predicts."""

    chooses = True

    @abstractmethod
    def choose(self, train: np.ndarray, part: TrainingPart, coarse: bool) -> Choice:
        """Choose hyperparameters by grouped cross-validation.

        Args:
            train: (samples, values) standardised features.
            part: the labels.
            coarse: only far enough to compare candidates of features.
        """

    @abstractmethod
    def predict(self, train: np.ndarray, part: TrainingPart, test: np.ndarray, setting: Any) -> np.ndarray:
        """Fit to the training part and predict.

        Args:
            train: (samples, values) standardised features.
            part: the labels.
            test: (test samples, values).
            setting: what `choose` chose.

        Returns:
            (test samples,) class indices, or numbers.
        """


@dataclass(frozen=True)
class ProbePrediction:
    """Predictions of a test part.

    Attributes:
        values: (test samples,) class indices, or numbers.
        candidate: index of the features that were chosen.
        setting: hyperparameters that were chosen.
        validation: score of the choice inside the training part; NaN where nothing is chosen.
    """

    values: np.ndarray
    candidate: int = 0
    setting: Any = None
    validation: float = float("nan")


def fit_predict(
    classifier: str, train: Sequence[FeatureValues], part: TrainingPart, test: Sequence[FeatureValues]
) -> ProbePrediction:
    """Fit on the training part, choosing features and hyperparameters by grouped cross-validation inside it.

    Candidates of features are compared first, then the hyperparameters of the best are chosen.

    Args:
        classifier: a name in `CLASSIFIERS`.
        train: candidates of features, (samples, values) or blocks each.
        part: labels of the training samples.
        test: the same candidates for the test part, (test samples, values) each.

    Raises:
        ConfigError: no such classifier.
    """
    if not part.is_regression and len(np.unique(part.target)) == 1:
        return ProbePrediction(np.full(len(test[0]), part.target[0]))
    if classifier not in CLASSIFIERS:
        raise ConfigError(f"no classifier {classifier!r}; valid: {', '.join(CLASSIFIERS)}")
    readout = CLASSIFIERS[classifier]
    rows = _selection_rows(part)
    candidate = _choose_candidate(readout, train, part, rows)
    inputs, test_inputs = standardise(train[candidate], test[candidate])
    choice = readout.choose(inputs[rows], part.subset(rows), False) if readout.chooses else Choice(float("nan"))
    values = readout.predict(inputs, part, test_inputs, choice.setting)
    return ProbePrediction(values, candidate, choice.setting, choice.score)


def _choose_candidate(
    readout: ProbeClassifier, train: Sequence[FeatureValues], part: TrainingPart, rows: np.ndarray
) -> int:
    """Return the index of the features that a readout does best with on some of the samples."""
    if not readout.chooses or len(train) == 1:
        return 0
    scores = [readout.choose(standardise(x[rows], x[:0])[0], part.subset(rows), True).score for x in train]
    return int(np.argmax(scores))


def _selection_rows(part: TrainingPart) -> np.ndarray:
    """Return indices of at most `MAX_SELECTION_SAMPLES` samples, in their order."""
    count = len(part.target)
    if count <= MAX_SELECTION_SAMPLES:
        return np.arange(count)
    return np.sort(np.random.default_rng(part.seed).permutation(count)[:MAX_SELECTION_SAMPLES])


class _Linear(ProbeClassifier):
    """Logistic regression; ridge regression for numbers."""

    def choose(self, train: np.ndarray, part: TrainingPart, coarse: bool) -> Choice:
        # the penalty with the best sum of scores over the inner folds
        if part.is_regression:
            return _choose_ridge(train, part)
        strengths = COARSE_INVERSE_PENALTIES if coarse else INVERSE_PENALTIES
        score, folds = np.zeros(len(strengths)), _inner(part)
        for fit, check in folds:
            if len(np.unique(part.target[fit])) < 2:
                continue
            for i, model in enumerate(fit_logistic(train[fit], part.target[fit], strengths, part.balanced)):
                score[i] += _score(part.target[check], model.predict(train[check]), part.balanced)
        return Choice(float(score.max()) / max(len(folds), 1), strengths[int(score.argmax())])

    def predict(self, train: np.ndarray, part: TrainingPart, test: np.ndarray, setting: float) -> np.ndarray:
        # with the chosen penalty
        if part.is_regression:
            return _ridge_path(train, part.target, test, [setting])[0]
        return fit_logistic(train, part.target, [setting], part.balanced)[0].predict(test)


def _choose_ridge(train: np.ndarray, part: TrainingPart) -> Choice:
    error = np.zeros(len(RIDGE_PENALTIES))
    for fit, check in _inner(part):
        for i, predicted in enumerate(_ridge_path(train[fit], part.target[fit], train[check], RIDGE_PENALTIES)):
            error[i] += ((predicted - part.target[check]) ** 2).sum()
    return Choice(-float(error.min()) / len(part.target), RIDGE_PENALTIES[int(error.argmin())])


class _Neighbours(ProbeClassifier):
    """Cosine neighbours; their number and weight are those that predict each training group best from the others."""

    def choose(self, train: np.ndarray, part: TrainingPart, coarse: bool) -> Choice:
        # one pass over the similarities, whatever the number of options
        train = _unit(train)
        options = [(k, t) for k in NEIGHBOUR_COUNTS if k <= len(train) for t in TEMPERATURES]
        inside = train @ train.T
        inside[part.group[:, None] == part.group[None, :]] = -2.0
        near = _Nearest(inside, min(max(NEIGHBOUR_COUNTS), len(train)))
        scores = [_score(part.target, near.vote(part, *option), part.balanced) for option in options]
        return Choice(max(scores), options[int(np.argmax(scores))])

    def predict(
        self, train: np.ndarray, part: TrainingPart, test: np.ndarray, setting: tuple[int, float | None]
    ) -> np.ndarray:
        # in blocks, since all similarities at once may not fit into memory
        train, test = _unit(train), _unit(test)
        blocks = [test[i : i + SIMILARITY_ROWS] for i in range(0, len(test), SIMILARITY_ROWS)]
        return np.concatenate([_Nearest(block @ train.T, setting[0]).vote(part, *setting) for block in blocks])


SIMILARITY_ROWS = 4096
"""Test samples that are compared with all training samples at once."""


class _Nearest:
    """The nearest training samples of some samples, nearest first."""

    def __init__(self, similarity: np.ndarray, count: int) -> None:
        part = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
        close = np.take_along_axis(similarity, part, 1)
        order = np.argsort(-close, axis=1, kind="stable")
        self.index = np.take_along_axis(part, order, 1)
        self.cosine = np.take_along_axis(close, order, 1)

    def vote(self, part: TrainingPart, k: int, temperature: float | None) -> np.ndarray:
        """Return the class of the heaviest vote, or the weighted mean of numbers."""
        near = self.index[:, :k]
        weight = 1.0 - 1e-6 * np.arange(k)  # a tie goes to the nearer neighbour
        if temperature is not None:
            weight = weight * np.exp((self.cosine[:, :k] - self.cosine[:, :1]) / temperature)
        weight = np.broadcast_to(weight, near.shape)
        if part.is_regression:
            return np.asarray((part.target[near] * weight).sum(axis=1) / weight.sum(axis=1))
        return _heaviest_classes(near, weight, part)


def _heaviest_classes(near: np.ndarray, weight: np.ndarray, part: TrainingPart) -> np.ndarray:
    """Return the class with the heaviest vote of each sample's neighbours, (samples, neighbours) with their weights."""
    classes = int(part.target.max()) + 1
    of_class = class_weights(part.target, classes) if part.balanced else np.ones(classes)
    votes = np.zeros((len(near), classes))
    for rank in range(near.shape[1]):
        label = part.target[near[:, rank]]
        votes[np.arange(len(near)), label] += of_class[label] * weight[:, rank]
    return np.asarray(votes.argmax(axis=1))


def _unit(features: np.ndarray) -> np.ndarray:
    return np.asarray(features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12))


class _Trees(ProbeClassifier):
    """Trees have no setting to choose here, and read the first candidate of features."""

    chooses = False

    def choose(self, train: np.ndarray, part: TrainingPart, coarse: bool) -> Choice:
        # nothing
        return Choice(0.0)


class _Forest(_Trees):
    """A random forest."""

    def predict(self, train: np.ndarray, part: TrainingPart, test: np.ndarray, setting: Any) -> np.ndarray:
        # all features are at hand for numbers: a third of them a split
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        if part.is_regression:
            forest = RandomForestRegressor(60, max_features=0.33, min_samples_leaf=3, n_jobs=-1, random_state=part.seed)
        else:
            weight = "balanced_subsample" if part.balanced else None
            forest = RandomForestClassifier(100, class_weight=weight, n_jobs=-1, random_state=part.seed)
        return np.asarray(forest.fit(train, part.target).predict(test))


class _Boosting(_Trees):
    """Gradient boosting of histograms (LightGBM, Ke et al. 2017), as scikit-learn has it."""

    def predict(self, train: np.ndarray, part: TrainingPart, test: np.ndarray, setting: Any) -> np.ndarray:
        # few samples a leaf: parts of a probe are small
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        options = {"max_iter": BOOSTING_ROUNDS, "max_leaf_nodes": 12, "min_samples_leaf": 5, "early_stopping": False}
        if part.is_regression:
            boosting = HistGradientBoostingRegressor(**options, random_state=part.seed)
        else:
            weight = "balanced" if part.balanced else None
            boosting = HistGradientBoostingClassifier(**options, class_weight=weight, random_state=part.seed)
        return np.asarray(boosting.fit(train, part.target).predict(test))


BOOSTING_ROUNDS = 40


def standardise(train: FeatureValues, test: FeatureValues) -> tuple[np.ndarray, np.ndarray]:
    """Return features with zero mean and unit variance on the training part; constant or missing columns are dropped.

    Blocks are scaled besides, so that the variance of each is that of all values over the number of blocks.

    Args:
        train: (samples, values), or blocks.
        test: (test samples, values) of the same kind; clipped, since a value far off says nothing.
    """
    pairs = [_standardise(a, b) for a, b in zip(split_blocks(train), split_blocks(test), strict=True)]
    widths = [one.shape[1] for one, _ in pairs]
    if not any(widths):
        raise DataError("no feature is finite for all samples and differs between them; check weights and images")
    mean_width = sum(widths) / np.count_nonzero(widths)
    scales = [np.float32((mean_width / max(width, 1)) ** 0.5) for width in widths]
    scaled = [(one * scale, other * scale) for (one, other), scale in zip(pairs, scales, strict=True)]
    first, second = (np.concatenate(side, axis=1) for side in zip(*scaled, strict=True))
    return first, second


def _standardise(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standardise one block; no column may be left."""
    usable = np.isfinite(train).all(axis=0) & np.isfinite(test).all(axis=0)
    mean, std = train[:, usable].mean(axis=0, dtype=np.float64), train[:, usable].std(axis=0, dtype=np.float64)
    keep = std > 1e-9 * np.maximum(1.0, np.abs(mean))
    columns = np.flatnonzero(usable)[keep]
    shift, scale = mean[keep].astype(np.float32), std[keep].astype(np.float32)
    return (train[:, columns] - shift) / scale, np.clip((test[:, columns] - shift) / scale, -20, 20)


def class_weights(target: np.ndarray, classes: int) -> np.ndarray:
    """Return (classes,) inverse frequency, mean 1 over the samples; 0 for classes that do not occur.

    Args:
        target: (samples,) int.
        classes: how many.
    """
    count = np.bincount(target, minlength=classes)
    return np.where(count > 0, len(target) / (np.maximum(count, 1) * (count > 0).sum()), 0.0)


def _ridge_path(
    train: np.ndarray, target: np.ndarray, test: np.ndarray, penalties: Sequence[float]
) -> list[np.ndarray]:
    centre, level = train.mean(axis=0), target.mean()
    inputs = (train - centre).astype(np.float64)
    values, vectors = np.linalg.eigh(inputs.T @ inputs)
    covariances = vectors.T @ (inputs.T @ (target - level))
    projected = (test - centre) @ vectors
    return [level + projected @ (covariances / (np.maximum(values, 0) + penalty)) for penalty in penalties]


def _inner(part: TrainingPart) -> list[tuple[np.ndarray, np.ndarray]]:
    folds = min(INNER_FOLDS, len(np.unique(part.group)))
    if folds < 2:
        return []
    strata = part.target
    if part.is_regression:
        strata = np.digitize(strata, np.quantile(strata, [0.25, 0.5, 0.75]))
    return stratified_group_folds(strata, part.group, folds, part.seed)


def _score(target: np.ndarray, predicted: np.ndarray, balanced: bool) -> float:
    if target.dtype.kind == "f":
        return -float(((target - predicted) ** 2).mean())
    correct = (target == predicted).astype(float)
    if not balanced:
        return float(correct.mean())
    return float(np.mean([correct[target == value].mean() for value in np.unique(target)]))


CLASSIFIERS: dict[str, ProbeClassifier] = {
    "knn": _Neighbours(),
    "linear": _Linear(),
    "forest": _Forest(),
    "boosting": _Boosting(),
}
"""The readouts by name."""
