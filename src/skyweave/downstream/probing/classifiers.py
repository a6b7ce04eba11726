"""The readouts on frozen features. Every row of a table, model or baseline, goes through the same code."""

from collections.abc import Callable, Sequence

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from skyweave.core.errors import ConfigError
from skyweave.downstream.labels.splits import stratified_group_folds
from skyweave.downstream.probing.logistic import fit_logistic

NEIGHBOUR_COUNTS = (1, 3, 5, 10, 20, 50)
INVERSE_PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Inverse L2 strengths of the logistic regression, on standardised features."""
RIDGE_PENALTIES = tuple(10.0**power for power in range(-1, 6))
"""L2 strengths of the ridge regression, on standardised features."""
INNER_FOLDS = 3


def fit_predict(
    classifier: str,
    train: Sequence[np.ndarray],
    target: np.ndarray,
    group: np.ndarray,
    test: Sequence[np.ndarray],
    balanced: bool,
    seed: int,
) -> np.ndarray:
    """Fit on the training part, choosing features and hyperparameters by grouped cross-validation inside it.

    Args:
        classifier: a name in `CLASSIFIERS`.
        train: candidates of features, (samples, values) each.
        target: (samples,) int classes, or float for regression.
        group: (samples,) int, kept whole inside.
        test: the same candidates for the test part, (test samples, values) each.
        balanced: weigh classes by inverse frequency.
        seed: of folds and forests.

    Returns:
        (test samples,) predictions from the candidate that does best inside the training part.

    Raises:
        ConfigError: no such classifier.
    """
    if target.dtype.kind != "f" and len(np.unique(target)) == 1:
        return np.full(len(test[0]), target[0])
    if classifier not in CLASSIFIERS:
        raise ConfigError(f"no classifier {classifier!r}; valid: {', '.join(CLASSIFIERS)}")
    results = []
    for candidate, test_candidate in zip(train, test, strict=True):
        inputs, test_inputs = standardise(candidate, test_candidate)
        results.append(CLASSIFIERS[classifier](inputs, target, group, test_inputs, balanced, seed))
    return max(results, key=lambda result: result[0])[1]


def standardise(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return features with zero mean and unit variance on the training part; constant or missing columns are dropped.

    Args:
        train: (samples, values).
        test: (test samples, values); clipped, since a value far off says nothing.
    """
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


def _inner(target: np.ndarray, group: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    folds = min(INNER_FOLDS, len(np.unique(group)))
    if folds < 2:
        return []
    strata = target if target.dtype.kind != "f" else np.digitize(target, np.quantile(target, [0.25, 0.5, 0.75]))
    return stratified_group_folds(strata, group, folds, seed)


def _logistic(
    train: np.ndarray, target: np.ndarray, group: np.ndarray, test: np.ndarray, balanced: bool, seed: int
) -> tuple[float, np.ndarray]:
    score = np.zeros(len(INVERSE_PENALTIES))
    for fit, check in _inner(target, group, seed):
        if len(np.unique(target[fit])) < 2:
            continue
        for i, model in enumerate(fit_logistic(train[fit], target[fit], INVERSE_PENALTIES, balanced)):
            score[i] += _score(target[check], model.predict(train[check]), balanced)
    best = int(score.argmax())
    model = fit_logistic(train, target, INVERSE_PENALTIES[best : best + 1], balanced)[0]
    return float(score[best]), model.predict(test)


def _linear(
    train: np.ndarray, target: np.ndarray, group: np.ndarray, test: np.ndarray, balanced: bool, seed: int
) -> tuple[float, np.ndarray]:
    if target.dtype.kind == "f":
        return _ridge(train, target, group, test, seed)
    return _logistic(train, target, group, test, balanced, seed)


def _ridge(
    train: np.ndarray, target: np.ndarray, group: np.ndarray, test: np.ndarray, seed: int
) -> tuple[float, np.ndarray]:
    error = np.zeros(len(RIDGE_PENALTIES))
    for fit, check in _inner(target, group, seed):
        for i, predicted in enumerate(_ridge_path(train[fit], target[fit], train[check], RIDGE_PENALTIES)):
            error[i] += ((predicted - target[check]) ** 2).sum()
    return -float(error.min()), _ridge_path(train, target, test, [RIDGE_PENALTIES[int(error.argmin())]])[0]


def _ridge_path(
    train: np.ndarray, target: np.ndarray, test: np.ndarray, penalties: Sequence[float]
) -> list[np.ndarray]:
    centre, level = train.mean(axis=0), target.mean()
    inputs = (train - centre).astype(np.float64)
    values, vectors = np.linalg.eigh(inputs.T @ inputs)
    covariances = vectors.T @ (inputs.T @ (target - level))
    projected = (test - centre) @ vectors
    return [level + projected @ (covariances / (np.maximum(values, 0) + penalty)) for penalty in penalties]


def _neighbours(
    train: np.ndarray, target: np.ndarray, group: np.ndarray, test: np.ndarray, balanced: bool, seed: int
) -> tuple[float, np.ndarray]:
    """Cosine neighbours; k is the one that predicts each training group best from the other groups."""
    train, test = _unit(train), _unit(test)
    largest = min(max(NEIGHBOUR_COUNTS), len(train))
    inside = train @ train.T
    inside[group[:, None] == group[None, :]] = -2.0
    near_train, near_test = _nearest(inside, largest), _nearest(test @ train.T, largest)
    options = [k for k in NEIGHBOUR_COUNTS if k <= largest]
    votes = [_vote(target, near_train, k, balanced) for k in options]
    scores = [_score(target, vote, balanced) for vote in votes]
    best = int(np.argmax(scores))
    return scores[best], _vote(target, near_test, options[best], balanced)


def _vote(target: np.ndarray, near: np.ndarray, k: int, balanced: bool) -> np.ndarray:
    if target.dtype.kind == "f":
        return np.asarray(target[near[:, :k]].mean(axis=1))
    classes = int(target.max()) + 1
    weight = class_weights(target, classes) if balanced else np.ones(classes)
    decay = 1.0 - 1e-6 * np.arange(k)  # a tie goes to the nearer neighbour
    votes = np.zeros((len(near), classes))
    for rank in range(k):
        label = target[near[:, rank]]
        votes[np.arange(len(near)), label] += weight[label] * decay[rank]
    return np.asarray(votes.argmax(axis=1))


def _nearest(similarity: np.ndarray, count: int) -> np.ndarray:
    part = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(similarity, part, 1), axis=1, kind="stable")
    return np.asarray(np.take_along_axis(part, order, 1))


def _unit(features: np.ndarray) -> np.ndarray:
    return np.asarray(features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12))


def _forest(
    train: np.ndarray, target: np.ndarray, group: np.ndarray, test: np.ndarray, balanced: bool, seed: int
) -> tuple[float, np.ndarray]:
    """Random forests have no setting to choose, and take the first candidate of features: all score 0."""
    if target.dtype.kind == "f":
        forest = RandomForestRegressor(60, max_features=0.33, min_samples_leaf=3, n_jobs=-1, random_state=seed)
    else:
        weight = "balanced_subsample" if balanced else None
        forest = RandomForestClassifier(100, class_weight=weight, n_jobs=-1, random_state=seed)
    return 0.0, np.asarray(forest.fit(train, target).predict(test))


def _score(target: np.ndarray, predicted: np.ndarray, balanced: bool) -> float:
    if target.dtype.kind == "f":
        return -float(((target - predicted) ** 2).mean())
    correct = (target == predicted).astype(float)
    if not balanced:
        return float(correct.mean())
    return float(np.mean([correct[target == value].mean() for value in np.unique(target)]))


Classifier = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, bool, int], tuple[float, np.ndarray]]
"""From training features, target, group, test features, balance and seed to the score inside the training part and the
predictions of the test part."""
CLASSIFIERS: dict[str, Classifier] = {"knn": _neighbours, "linear": _linear, "forest": _forest}
