"""The readouts solve what they say, and choose without looking at the test part."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from skyweave.core.errors import DataError
from skyweave.downstream.probing import classifiers
from skyweave.downstream.probing.blocks import FeatureBlocks
from skyweave.downstream.probing.classifiers import TrainingPart, _ridge_path, standardise
from skyweave.downstream.probing.logistic import fit_logistic


def predict(
    classifier: str,
    train: np.ndarray,
    target: np.ndarray,
    group: np.ndarray,
    test: np.ndarray,
    balanced: bool,
    seed: int,
) -> np.ndarray:
    """With one candidate of features."""
    return classifiers.fit_predict(classifier, [train], TrainingPart(target, group, balanced, seed), [test]).values


def _clusters(seed: int = 0, count: int = 240) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    target = random.integers(0, 3, count)
    features = random.normal(0, 1, (count, 10)).astype(np.float32)
    features[np.arange(count), target] += 2
    return features, target, np.arange(count) // 8


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("strength", [1e-3, 1e-1])
def test_logistic_finds_the_solution_of_scikit_learn(strength: float, balanced: bool) -> None:
    features, target, _ = _clusters()
    features = np.concatenate([features, features + 1e-2 * np.roll(features, 1, axis=0)], axis=1)  # nearly collinear
    own = fit_logistic(features, target, [strength], balanced, iterations=500, tolerance=1e-7)[0]
    weight = "balanced" if balanced else None
    model = LogisticRegression(C=strength, class_weight=weight, tol=1e-8, max_iter=5000).fit(
        features.astype(np.float64), target
    )
    np.testing.assert_allclose(own.weights.T, model.coef_, atol=2e-3 * np.abs(model.coef_).max() + 1e-5)
    assert (own.predict(features) == model.predict(features)).mean() > 0.99


def test_logistic_finds_the_same_solution_with_more_values_than_samples() -> None:
    features, target, _ = _clusters(count=60)
    wide = np.concatenate([features, np.random.default_rng(1).normal(size=(60, 140))], axis=1).astype(np.float32)
    model = LogisticRegression(C=0.1, tol=1e-8, max_iter=5000).fit(wide.astype(np.float64), target)
    fitted = fit_logistic(wide, target, [0.1], False, iterations=500, tolerance=1e-7)[0]
    np.testing.assert_allclose(fitted.weights.T, model.coef_, atol=2e-3 * np.abs(model.coef_).max())


def test_ridge_finds_the_solution_of_scikit_learn() -> None:
    features, target, _ = _clusters()
    wanted = (target + features[:, 5]).astype(np.float32)
    model = Ridge(alpha=3.0).fit(features, wanted)
    np.testing.assert_allclose(
        _ridge_path(features, wanted, features, [3.0])[0], model.predict(features), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("classifier", ["knn", "linear", "forest", "boosting"])
def test_separable_classes_are_found(classifier: str) -> None:
    features, target, group = _clusters()
    predicted = predict(classifier, features[:160], target[:160], group[:160], features[160:], True, seed=0)
    assert (predicted == target[160:]).mean() > 0.75


@pytest.mark.parametrize("classifier", ["knn", "linear", "forest", "boosting"])
def test_a_linear_target_is_regressed(classifier: str) -> None:
    features, _, group = _clusters()
    wanted = (features[:, 0] - features[:, 1]).astype(np.float32)
    predicted = predict(classifier, features[:160], wanted[:160], group[:160], features[160:], False, seed=0)
    assert np.corrcoef(predicted, wanted[160:])[0, 1] > (0.99 if classifier == "linear" else 0.6)


@pytest.mark.parametrize("classifier", ["knn", "linear"])
def test_units_of_a_feature_do_not_matter(classifier: str) -> None:
    features, target, group = _clusters()
    scaled = features * np.array([1e-4, 1e4] * 5, np.float32) + 7
    answers = [predict(classifier, x[:160], target[:160], group[:160], x[160:], True, 0) for x in (features, scaled)]
    assert (answers[0] == answers[1]).mean() > 0.97


def test_neighbours_are_chosen_across_groups() -> None:
    """Copies inside a group would make one neighbour look perfect; across groups only many neighbours work."""
    random = np.random.default_rng(3)
    target = np.repeat(random.integers(0, 2, 200), 4)
    base = np.repeat(random.normal(0, 1, (200, 2)), 4, axis=0) + 0.8 * target[:, None]
    features = (base + random.normal(0, 1e-3, base.shape)).astype(np.float32)
    group = np.repeat(np.arange(200), 4)
    test_target = random.integers(0, 2, 400)
    test = (random.normal(0, 1, (400, 2)) + 0.8 * test_target[:, None]).astype(np.float32)
    leaky = predict("knn", features, target, np.arange(800), test, False, 0)
    grouped = predict("knn", features, target, group, test, False, 0)
    assert (grouped == test_target).mean() > (leaky == test_target).mean()


def test_constant_and_missing_columns_are_dropped() -> None:
    train = np.array([[1.0, 5.0, np.nan], [2.0, 5.0, 1.0]], np.float32)
    kept, other = standardise(train, train)
    np.testing.assert_allclose(kept, [[-1], [1]])
    np.testing.assert_allclose(other, [[-1], [1]])


def test_features_that_say_nothing_are_refused() -> None:
    features, target, group = _clusters()
    with pytest.raises(DataError, match="no feature is finite"):
        predict("linear", np.full_like(features, np.nan), target, group, features, True, 0)


def test_one_class_in_training_is_predicted_everywhere() -> None:
    features, _, group = _clusters()
    assert (predict("linear", features, np.full(240, 2), group, features[:5], True, 0) == 2).all()


def test_unknown_classifier_names_the_valid_ones() -> None:
    features, target, group = _clusters()
    with pytest.raises(ValueError, match="knn, linear, forest, boosting"):
        predict("svm", features, target, group, features, True, 0)


@pytest.mark.parametrize("classifier", ["knn", "linear"])
def test_the_better_features_are_chosen_inside_the_training_part(classifier: str) -> None:
    features, target, group = _clusters()
    noise = np.random.default_rng(1).normal(size=features.shape).astype(np.float32)
    # Noise that gives the test part away must not be chosen: only the training part decides.
    betraying = noise.copy()
    betraying[160:, 0] = 100 * target[160:]
    train, test = ([part[rows] for part in (betraying, features)] for rows in (slice(0, 160), slice(160, None)))
    chosen = classifiers.fit_predict(classifier, train, TrainingPart(target[:160], group[:160], True, 0), test).values
    alone = predict(classifier, features[:160], target[:160], group[:160], features[160:], True, 0)
    assert (chosen == alone).all()


def test_blocks_have_the_same_say() -> None:
    """One value that tells the class is lost among two hundred that do not, unless it is a block of its own."""
    random = np.random.default_rng(0)
    target = np.arange(120) % 2
    telling = (target[:, None] * 2.0 - 1) + random.normal(size=(120, 1), scale=0.8)
    noise = random.normal(size=(120, 200)).astype(np.float32)
    blocks = FeatureBlocks.join([noise, telling.astype(np.float32), np.full((120, 3), np.nan, np.float32)])
    inputs, _ = standardise(blocks, blocks[:0])
    assert inputs.shape == (120, 201)  # nothing is left of the last block
    assert inputs[:, :200].var(axis=0).sum() == pytest.approx(inputs[:, 200].var(), rel=1e-3)
    part = TrainingPart(target[:60], np.arange(60), False, 0)
    accuracy = [
        (classifiers.fit_predict("linear", [one[:60]], part, [one[60:]]).values == target[60:]).mean()
        for one in (blocks, blocks.values[:, :201])
    ]
    assert accuracy[0] > 0.85 > accuracy[1]
