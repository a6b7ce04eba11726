"""Folds of a probe that keep groups whole: plots, files, or blocks of pixels inside a place with a gap around them."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation

from skyweave.core.errors import DataError
from skyweave.downstream.labels.config import SplitConfig
from skyweave.downstream.labels.splits import stratified_group_folds
from skyweave.downstream.probing.samples import ProbeSamples


@dataclass(frozen=True)
class Fold:
    """One part of a cross-validation.

    Attributes:
        train: indices of the training samples.
        test: indices of the test samples.
    """

    train: np.ndarray
    test: np.ndarray


def make_folds(samples: ProbeSamples, split: SplitConfig, seed: int) -> list[Fold]:
    """Return folds in which every testable sample is tested once.

    Groups are assigned to folds so that classes and, for blocks, places are spread evenly. If some samples are only for
    training (another data folder), they are in the training part of every fold; whole groups of the test folder are
    then tested in one fold, while blocks are still held out inside each of its places.

    Args:
        samples: of the probe.
        split: kind, number of folds, gap.
        seed: of the assignment.

    Raises:
        DataError: fewer groups than folds.
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
            "split.pattern that divides them"
        )
    strata = fold_strata(samples, split)[testable]
    folds = []
    for rest, held_out in stratified_group_folds(strata, samples.group[testable], split.folds, seed):
        test, train = testable[held_out], np.concatenate([training_only, testable[rest]])
        if split.kind == "blocks" and split.gap > 0:
            train = _outside_gap(samples, train, test, split.gap)
        folds.append(Fold(train, test))
    return folds


def fold_strata(samples: ProbeSamples, split: SplitConfig) -> np.ndarray:
    """Return (samples,) int, what folds are balanced over: class or quarter of the target, and place for blocks.

    Args:
        samples: of the probe.
        split: with its kind.
    """
    target = samples.target
    if not samples.classes:
        target = np.digitize(target, np.unique(np.quantile(target, [0.25, 0.5, 0.75])))
    place = samples.place if split.kind == "blocks" else np.zeros_like(samples.place)
    return np.unique(place * (int(target.max()) + 1) + target, return_inverse=True)[1]


def _outside_gap(samples: ProbeSamples, train: np.ndarray, test: np.ndarray, gap: int) -> np.ndarray:
    """Return the training samples that are no nearer to a test cell than the gap."""
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
    return np.asarray(train[~blocked[train]])
