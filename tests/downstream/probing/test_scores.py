"""Metrics agree with scikit-learn; intervals cover what they should."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, mean_absolute_error, r2_score

from skyweave.downstream.probing.classifiers import TrainingPart, fit_predict
from skyweave.downstream.probing.prepared import chosen_readout
from skyweave.downstream.probing.result import ProbeRow
from skyweave.downstream.scoring.bootstrap import Interval, percentile_interval, resample_weights
from skyweave.downstream.scoring.totals import group_totals, metrics_from_totals


def test_class_metrics_match_scikit_learn() -> None:
    random = np.random.default_rng(0)
    target = random.integers(0, 4, 300)
    predicted = np.where(random.random(300) < 0.6, target, random.integers(0, 4, 300))
    totals = group_totals(target, predicted.astype(float), random.integers(0, 20, 300), num_classes=4)
    values = metrics_from_totals(totals.sum(axis=0), 4)
    assert values["accuracy"] == pytest.approx(accuracy_score(target, predicted))
    assert values["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(target, predicted))
    assert values["macro_f1"] == pytest.approx(f1_score(target, predicted, average="macro"))


def test_a_class_that_never_occurs_does_not_count() -> None:
    target = np.array([0, 0, 1, 1])
    totals = group_totals(target, np.array([0.0, 0, 1, 0]), np.arange(4), num_classes=5)
    assert metrics_from_totals(totals.sum(axis=0), 5)["balanced_accuracy"] == pytest.approx(0.75)


def test_regression_metrics_match_scikit_learn() -> None:
    random = np.random.default_rng(1)
    target = random.random(200).astype(np.float32)
    predicted = target + random.normal(0, 0.1, 200)
    values = metrics_from_totals(group_totals(target, predicted, random.integers(0, 9, 200), 0).sum(axis=0), 0)
    assert values["r2"] == pytest.approx(r2_score(target, predicted), abs=1e-6)
    assert values["mae"] == pytest.approx(mean_absolute_error(target, predicted), abs=1e-6)


def test_resampling_whole_groups_is_wider_than_resampling_samples() -> None:
    """Samples of one group that are right or wrong together are worth one observation, not a hundred."""
    right = np.repeat(np.random.default_rng(2).random(12) < 0.7, 100).astype(float)
    target = np.ones(1200, int)
    widths = []
    for group in (np.repeat(np.arange(12), 100), np.arange(1200)):
        totals = group_totals(target, right, group, 2)
        drawn = metrics_from_totals(resample_weights(len(totals)) @ totals, 2)["accuracy"]
        found = percentile_interval(right.mean(), drawn)
        assert found.low < found.mean < found.high
        widths.append(found.high - found.low)
    assert widths[0] > 5 * widths[1]


def test_strata_keep_their_share_in_every_resample() -> None:
    strata = np.array([0] * 5 + [1] * 3)
    weights = resample_weights(8, strata)
    assert (weights[:, :5].sum(axis=1) == 5).all()
    assert (weights[:, 5:].sum(axis=1) == 3).all()


def test_a_readout_is_chosen_inside_the_training_part() -> None:
    def row(classifier: str, validation: float | None, tested: float) -> ProbeRow:
        scores = {"accuracy": Interval(tested, tested, tested)}
        return ProbeRow("backbone", classifier, False, np.zeros((1, 1)), scores, {}, 1, validation=validation)

    rows = [row("linear", 0.8, 0.5), row("knn", 0.7, 0.9), row("forest", None, 0.95)]
    assert chosen_readout(rows).classifier == "linear", "not the one that did best on the test part"


@pytest.mark.parametrize("regression", [False, True])
def test_scores_of_readouts_are_comparable(regression: bool) -> None:
    random = np.random.default_rng(0)
    target = random.uniform(0, 1, 60) if regression else np.arange(60) % 2
    features = [np.stack([target, random.normal(0, 0.1, 60)], 1)]
    part = TrainingPart(target, np.arange(60) // 3, False, 0)
    found = [fit_predict(name, features, part, features).validation for name in ("linear", "knn")]
    low, high = (-0.1, 0.0) if regression else (0.9, 1.0)
    assert all(low <= value <= high for value in found), found
