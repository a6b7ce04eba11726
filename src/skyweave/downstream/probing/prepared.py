"""The samples and folds of a probe, read once and used for any number of backbones."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from skyweave.downstream.probing.blocks import FeatureValues, count_values
from skyweave.downstream.probing.classifiers import ProbePrediction, TrainingPart, fit_predict
from skyweave.downstream.probing.config import ProbeConfig, load_probe_config
from skyweave.downstream.probing.folds import Fold, make_folds
from skyweave.downstream.probing.result import BaselineComparison, ProbeRow
from skyweave.downstream.probing.samples import ProbeSamples, load_probe_samples, without_rare_classes
from skyweave.downstream.scoring.bootstrap import percentile_interval, resample_weights
from skyweave.downstream.scoring.totals import group_totals, metrics_from_totals

BALANCED_METRICS = ("balanced_accuracy", "macro_f1", "mean_iou", "positive_f1")


@dataclass(frozen=True)
class PreparedProbe:
    """Samples and folds of a probe.

    Attributes:
        config: of the probe.
        samples: of it.
        folds: of each seed.
        notes: what the reader should know.
    """

    config: ProbeConfig
    samples: ProbeSamples
    folds: list[list[Fold]]
    notes: list[str]


@dataclass(frozen=True)
class MetricValues:
    """Metrics of one row, each by name.

    Attributes:
        mean: over seeds.
        resampled: (resamples,) means over seeds with the groups drawn anew.
        per_seed: one value for each seed.
    """

    mean: dict[str, float]
    resampled: dict[str, np.ndarray]
    per_seed: dict[str, list[float]]


def prepare_probe(
    config: ProbeConfig | str | Path,
    data: str | Path,
    *,
    test_data: str | Path | None = None,
    seeds: int | None = None,
) -> PreparedProbe:
    """Read the samples of a probe and draw its folds.

    Args:
        config: a probe, or its YAML file.
        data: folder that the configuration's paths are relative to.
        test_data: folder of the same layout to test on; ``data`` is then only trained on.
        seeds: repetitions with other folds, default the configuration's.

    Raises:
        FileNotFoundError: no image or label.
        ConfigError: no valid configuration.
        DataError: labels that do not fit, or too few groups.
    """
    if not isinstance(config, ProbeConfig):
        config = load_probe_config(config)
    samples = load_probe_samples(config, Path(data), Path(test_data) if test_data else None)
    samples = without_rare_classes(samples, config.minimum_class_samples)
    folds = [make_folds(samples, config.data.split, seed) for seed in range(seeds or config.seeds)]
    return PreparedProbe(config, samples, folds, [*samples.notes, *_class_notes(config, samples, folds)])


def score_features(
    prepared: PreparedProbe,
    name: str,
    features: Sequence[Sequence[FeatureValues]],
    classifier: str,
    baseline: bool,
    label_share: float = 1.0,
) -> ProbeRow:
    """Fit and test one classifier on all folds of all seeds.

    Args:
        prepared: samples and folds.
        name: of the features.
        features: candidates, (samples, values) or blocks each; one list of them for all seeds, or one for each seed.
        classifier: a name in `skyweave.downstream.probing.classifiers.CLASSIFIERS`.
        baseline: whether it is one.
        label_share: of the training labels that are used, above 0 up to 1.
    """
    predictions, of_folds = _predict_folds(prepared, features, classifier, label_share)
    values = metric_values(prepared, predictions)
    scores = {key: percentile_interval(values.mean[key], values.resampled[key]) for key in values.mean}
    dimensions = max(count_values(candidate) for candidate in features[0])
    choices = [[predicted.candidate, predicted.setting] for predicted in of_folds]
    validation = _mean_validation(of_folds)
    return ProbeRow(name, classifier, baseline, predictions, scores, values.per_seed, dimensions, choices, validation)


def _predict_folds(
    prepared: PreparedProbe, features: Sequence[Sequence[FeatureValues]], classifier: str, label_share: float
) -> tuple[np.ndarray, list[ProbePrediction]]:
    """Return (seeds, samples) predictions, and those of each fold with what was chosen."""
    predictions = np.full((len(prepared.folds), len(prepared.samples)), np.nan)
    of_folds: list[ProbePrediction] = []
    for seed, folds in enumerate(prepared.folds):
        candidates = features[seed % len(features)]
        for fold in folds:
            predicted = _predict_fold(prepared, candidates, fold, classifier, label_share, seed)
            predictions[seed, fold.test] = predicted.values
            of_folds.append(predicted)
    return predictions, of_folds


def _predict_fold(
    prepared: PreparedProbe,
    candidates: Sequence[FeatureValues],
    fold: Fold,
    classifier: str,
    label_share: float,
    seed: int,
) -> ProbePrediction:
    """Fit one classifier to a share of the training part of a fold, and predict its test part."""
    samples = prepared.samples
    rows = draw_labels(samples.target[fold.train], label_share, seed, fold.train)
    balanced = prepared.config.metric in BALANCED_METRICS
    part = TrainingPart(samples.target[rows], samples.group[rows], balanced, seed)
    train, test = ([candidate[chosen] for candidate in candidates] for chosen in (rows, fold.test))
    return fit_predict(classifier, train, part, test)


def _mean_validation(of_folds: Sequence[ProbePrediction]) -> float | None:
    """Return the mean score inside the training parts; None where nothing was chosen."""
    known = [predicted.validation for predicted in of_folds if np.isfinite(predicted.validation)]
    return float(np.mean(known)) if known else None


def draw_labels(target: np.ndarray, share: float, seed: int, rows: np.ndarray) -> np.ndarray:
    """Return a random share of some samples, and one sample of every class at least.

    Args:
        target: (rows,) class indices, or numbers.
        share: above 0 up to 1.
        seed: of the draw.
        rows: indices of the samples.
    """
    if share == 1:
        return rows
    random = np.random.default_rng([seed, round(share * 1e6)])
    strata = np.zeros(len(rows), int) if target.dtype.kind == "f" else target
    drawn = [
        random.permutation(np.flatnonzero(strata == value))[: max(1, round(share * (strata == value).sum()))]
        for value in np.unique(strata)
    ]
    return np.asarray(rows[np.sort(np.concatenate(drawn))])


def compare_to_baselines(prepared: PreparedProbe, rows: Sequence[ProbeRow]) -> list[BaselineComparison]:
    """Compare one row of the model with every baseline row, paired over resampled groups.

    The row is that of the readout with the best cross-validation inside the training parts: the better of several on
    the test part would flatter the model.

    Args:
        prepared: samples and folds.
        rows: of model and baselines.
    """
    models = [row for row in rows if not row.baseline]
    if not models:
        return []
    best = chosen_readout(models)
    values = metric_values(prepared, best.predictions)
    return [_compare_to_baseline(prepared, best.name, values, row) for row in rows if row.baseline]


def _compare_to_baseline(
    prepared: PreparedProbe, model: str, values: MetricValues, row: ProbeRow
) -> BaselineComparison:
    """Return the difference of a model's main metric to that of one baseline row."""
    metric = prepared.config.metric
    other = metric_values(prepared, row.predictions)
    difference = percentile_interval(
        values.mean[metric] - other.mean[metric], values.resampled[metric] - other.resampled[metric]
    )
    return BaselineComparison(row.name, model, difference)


def chosen_readout(rows: Sequence[ProbeRow]) -> ProbeRow:
    """Return the row whose readout did best inside the training parts.

    Args:
        rows: of the same features; at least one.
    """
    return max(rows, key=lambda row: -np.inf if row.validation is None else row.validation)


def metric_values(prepared: PreparedProbe, predictions: np.ndarray) -> MetricValues:
    """Compute the metrics of a row.

    Args:
        prepared: samples and folds.
        predictions: (seeds, samples); samples that some seed did not predict do not count.
    """
    samples = prepared.samples
    num_classes, tested = len(samples.classes), samples.testable & np.isfinite(predictions).all(axis=0)
    index = np.unique(samples.group[tested], return_inverse=True)[1]
    weights = _group_weights(prepared, index, tested)
    per_seed: dict[str, list[float]] = {}
    resampled: dict[str, list[np.ndarray]] = {}
    for seed_predictions in predictions:
        totals = group_totals(samples.target[tested], seed_predictions[tested], index, num_classes)
        drawn = metrics_from_totals(weights @ totals, num_classes)
        for name, value in metrics_from_totals(totals.sum(axis=0), num_classes).items():
            per_seed.setdefault(name, []).append(float(value))
            resampled.setdefault(name, []).append(drawn[name])
    return MetricValues(
        {name: float(np.mean(values)) for name, values in per_seed.items()},
        {name: np.mean(values, axis=0) for name, values in resampled.items()},
        per_seed,
    )


def _group_weights(prepared: PreparedProbe, index: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """Return the weights of the tested groups in each resample; blocks are resampled inside their place."""
    groups = int(index.max()) + 1
    if prepared.config.data.split.kind != "blocks":
        return _resample_weights(groups, None)
    strata = np.zeros(groups, int)
    strata[index] = prepared.samples.place[tested]
    return _resample_weights(groups, strata.tobytes())


@lru_cache(maxsize=1)
def _resample_weights(groups: int, strata: bytes | None) -> np.ndarray:
    """Return `resample_weights`, kept for the next row of the same table."""
    return resample_weights(groups, None if strata is None else np.frombuffer(strata, int))


def _class_notes(config: ProbeConfig, samples: ProbeSamples, folds: list[list[Fold]]) -> list[str]:
    """Return a note of each class that no sample has, or that is tested where nothing was trained on it."""
    notes = []
    for index, name in enumerate(samples.classes):
        if not (samples.target == index).any():
            if not config.minimum_class_samples:
                notes.append(f"class {name!r} has no sample")
            continue
        untrained = sum(_lacks_training(samples.target, fold, index) for fold in itertools.chain(*folds))
        if untrained:
            notes.append(f"class {name!r} is tested but never trained in {untrained} folds; it counts as wrong there")
    return notes


def _lacks_training(target: np.ndarray, fold: Fold, index: int) -> bool:
    """Return whether a fold tests a class that it does not train."""
    return index in target[fold.test] and index not in target[fold.train]
