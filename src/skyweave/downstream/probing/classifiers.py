"""The readouts on frozen features. Every row of a table, model or baseline, goes through the same code."""

from collections.abc import Sequence

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from skyweave.core.errors import DataError
from skyweave.downstream.labels.folds import stratified_group_folds
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
        classifier: ``knn``, ``linear`` or ``forest``.
        train: candidates of features, (N, D) each; test: the same for the test part, (M, D) each.
        target: (N,) int classes, or float for regression.
        group: (N,) int, kept whole inside.
        balanced: weigh classes by inverse frequency.

    Returns:
        (M,) predictions from the candidate that does best inside the training part.
    """
    if target.dtype.kind != "f" and len(np.unique(target)) == 1:
        return np.full(len(test[0]), target[0])
    answers = [
        _answer(classifier, *standardise(own, other), target, group, balanced, seed)
        for own, other in zip(train, test, strict=True)
    ]
    return max(answers, key=lambda answer: answer[0])[1]


def _answer(
    classifier: str,
    train: np.ndarray,
    test: np.ndarray,
    target: np.ndarray,
    group: np.ndarray,
    balanced: bool,
    seed: int,
) -> tuple[float, np.ndarray]:
    """Score inside the training part, and predictions."""
    if classifier == "forest":
        return 0.0, _forest(train, target, test, balanced, seed)
    if classifier == "knn":
        return _neighbours(train, target, group, test, balanced)
    if classifier == "linear":
        if target.dtype.kind == "f":
            return _ridge(train, target, group, test, seed)
        return _logistic(train, target, group, test, balanced, seed)
    raise DataError(f"no classifier {classifier!r}; valid: knn, linear, forest")


def standardise(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Zero mean and unit variance on the training part; constant or missing columns are dropped."""
    usable = np.isfinite(train).all(axis=0) & np.isfinite(test).all(axis=0)
    mean, std = train[:, usable].mean(axis=0, dtype=np.float64), train[:, usable].std(axis=0, dtype=np.float64)
    keep = std > 1e-9 * np.maximum(1.0, np.abs(mean))
    columns = np.flatnonzero(usable)[keep]
    shift, scale = mean[keep].astype(np.float32), std[keep].astype(np.float32)
    return (train[:, columns] - shift) / scale, np.clip((test[:, columns] - shift) / scale, -20, 20)


def class_weights(target: np.ndarray, classes: int) -> np.ndarray:
    """(classes,) inverse frequency, mean 1 over the samples; 0 for absent classes."""
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
    moments = vectors.T @ (inputs.T @ (target - level))
    projected = (test - centre) @ vectors
    return [level + projected @ (moments / (np.maximum(values, 0) + penalty)) for penalty in penalties]


def _neighbours(
    train: np.ndarray, target: np.ndarray, group: np.ndarray, test: np.ndarray, balanced: bool
) -> tuple[float, np.ndarray]:
    """Cosine neighbours; k is the one that predicts each training group best from the other groups."""
    train, test = _unit(train), _unit(test)
    most = min(max(NEIGHBOUR_COUNTS), len(train))
    inside = train @ train.T
    inside[group[:, None] == group[None, :]] = -2.0
    near_train, near_test = _nearest(inside, most), _nearest(test @ train.T, most)
    options = [k for k in NEIGHBOUR_COUNTS if k <= most]
    votes = [_vote(target, near_train, k, balanced) for k in options]
    scores = [_score(target, vote, balanced) for vote in votes]
    best = int(np.argmax(scores))
    return scores[best], _vote(target, near_test, options[best], balanced)


def _vote(target: np.ndarray, near: np.ndarray, k: int, balanced: bool) -> np.ndarray:
    if target.dtype.kind == "f":
        return target[near[:, :k]].mean(axis=1)
    classes = int(target.max()) + 1
    weight = class_weights(target, classes) if balanced else np.ones(classes)
    decay = 1.0 - 1e-6 * np.arange(k)  # a tie goes to the nearer neighbour
    votes = np.zeros((len(near), classes))
    for place in range(k):
        label = target[near[:, place]]
        votes[np.arange(len(near)), label] += weight[label] * decay[place]
    return votes.argmax(axis=1)


def _nearest(similarity: np.ndarray, count: int) -> np.ndarray:
    part = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(similarity, part, 1), axis=1, kind="stable")
    return np.take_along_axis(part, order, 1)


def _unit(features: np.ndarray) -> np.ndarray:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def _forest(train: np.ndarray, target: np.ndarray, test: np.ndarray, balanced: bool, seed: int) -> np.ndarray:
    if target.dtype.kind == "f":
        return (
            RandomForestRegressor(60, max_features=0.33, min_samples_leaf=3, n_jobs=-1, random_state=seed)
            .fit(train, target)
            .predict(test)
        )
    weight = "balanced_subsample" if balanced else None
    return (
        RandomForestClassifier(100, class_weight=weight, n_jobs=-1, random_state=seed).fit(train, target).predict(test)
    )


def _score(target: np.ndarray, predicted: np.ndarray, balanced: bool) -> float:
    if target.dtype.kind == "f":
        return -float(((target - predicted) ** 2).mean())
    correct = (target == predicted).astype(float)
    if not balanced:
        return float(correct.mean())
    return float(np.mean([correct[target == value].mean() for value in np.unique(target)]))
