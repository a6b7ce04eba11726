"""Folds that keep groups whole: plots, tiles, or blocks of pixels inside a place with a gap around them."""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation
from sklearn.model_selection import StratifiedGroupKFold

from skyweave.core.errors import DataError
from skyweave.downstream.labels.probe_config import FoldConfig
from skyweave.downstream.labels.samples import ProbeSamples


@dataclass(frozen=True)
class Fold:
    """Indices of the training and the test samples."""

    train: np.ndarray
    test: np.ndarray


def make_folds(samples: ProbeSamples, split: FoldConfig, seed: int) -> list[Fold]:
    """Folds in which every testable sample is tested once.

    Groups are dealt to folds so that classes and, for blocks, places are spread evenly. If some samples are only for
    training (another data directory), they are in the training part of every fold; whole groups of the test
    directory are then tested in one fold, while blocks are still held out inside each of its places.

    Raises:
        ValueError: fewer groups than folds.
    """
    everything = np.arange(len(samples))
    training_only = everything[~samples.testable]
    if split.kind == "groups" and len(training_only):
        return [Fold(training_only, everything[samples.testable])]
    testable = everything[samples.testable]
    groups = len(np.unique(samples.group[testable]))
    if groups < split.folds:
        raise DataError(
            f"{groups} groups cannot be split into {split.folds} folds; lower split.folds, or use more images or a "
            "split.pattern that tells them apart"
        )
    strata = fold_strata(samples, split)[testable]
    folds = []
    for rest, held_out in stratified_group_folds(strata, samples.group[testable], split.folds, seed):
        test, train = testable[held_out], np.concatenate([training_only, testable[rest]])
        if split.kind == "blocks" and split.gap > 0:
            train = _outside_gap(samples, train, test, split.gap)
        folds.append(Fold(train, test))
    return folds


def fold_strata(samples: ProbeSamples, split: FoldConfig) -> np.ndarray:
    """(N,) int, what folds are balanced over: the class (or the quartile of the target), and the place for blocks."""
    target = samples.target
    if not samples.classes:
        target = np.digitize(target, np.unique(np.quantile(target, [0.25, 0.5, 0.75])))
    place = samples.place if split.kind == "blocks" else np.zeros_like(samples.place)
    return np.unique(place * (int(target.max()) + 1) + target, return_inverse=True)[1]


def stratified_group_folds(
    strata: np.ndarray, group: np.ndarray, folds: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(train, test) indices of stratified folds that keep groups whole."""
    if np.bincount(strata).max() < folds:  # nothing to balance
        strata = np.zeros_like(strata)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class in fewer groups than folds is reported by the probe
        parts = list(splitter.split(np.zeros(len(strata)), strata, group))
    return [(train, test) for train, test in parts if len(test) and len(train)]


def _outside_gap(samples: ProbeSamples, train: np.ndarray, test: np.ndarray, gap: int) -> np.ndarray:
    cell = samples.cell_size
    assert cell is not None
    reach = -(-gap // cell)
    row, column = samples.position[:, 0] // cell, samples.position[:, 1] // cell
    blocked = np.zeros(len(samples), bool)
    for place in np.unique(samples.place[test]):
        inside = samples.place == place
        tested = np.zeros((row[inside].max() + 1, column[inside].max() + 1), bool)
        here = test[samples.place[test] == place]
        tested[row[here], column[here]] = True
        near = binary_dilation(tested, np.ones((2 * reach + 1, 2 * reach + 1), bool))
        blocked[inside] = near[row[inside], column[inside]]
    return train[~blocked[train]]
