"""Score frozen features against baselines: same samples, same folds, same classifiers, one table."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.downstream.labels.folds import Fold, make_folds
from skyweave.downstream.labels.probe_config import ProbeConfig, load_probe_config
from skyweave.downstream.labels.samples import ProbeSamples, load_probe_samples, without_rare_classes
from skyweave.downstream.probing.baselines import band_statistics, random_convolutions
from skyweave.downstream.probing.classifiers import fit_predict
from skyweave.downstream.probing.scores import (
    Interval,
    group_totals,
    metrics_from_totals,
    percentile_interval,
    resample_weights,
)

if TYPE_CHECKING:
    from skyweave.backbone import Encoder

CLASSIFIERS = ("linear", "knn")
MODEL_ROW = "backbone"


@dataclass(frozen=True)
class ProbeRow:
    """One line of the table.

    Attributes:
        features: what was read, ``backbone`` or a baseline's name.
        classifier: ``linear``, ``knn`` or ``forest``.
        baseline: False for the model under test.
        predictions: (seeds, N) per sample; NaN where a seed did not test it.
        scores: metric to its mean over seeds, with the interval over resampled groups.
        per_seed: metric to one value per seed.
        dimensions: length of a feature vector.
    """

    features: str
    classifier: str
    baseline: bool
    predictions: np.ndarray
    scores: dict[str, Interval]
    per_seed: dict[str, list[float]]
    dimensions: int

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"{self.features}, {self.classifier}"


@dataclass(frozen=True)
class BaselineComparison:
    """The model's best row minus a baseline, on the same resampled groups."""

    baseline: str
    model: str
    difference: Interval

    @property
    def above(self) -> bool:
        """True if the whole 95 % interval of the difference is above zero."""
        return self.difference.low > 0


@dataclass(frozen=True)
class ProbeResult:
    """The table of one probe."""

    config: ProbeConfig
    rows: list[ProbeRow]
    comparisons: list[BaselineComparison]
    samples: int
    groups: int
    class_counts: dict[str, int]
    weights: str | None = None
    fingerprint: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def model_rows(self) -> list[ProbeRow]:
        """The rows of the model under test, best first."""
        rows = [row for row in self.rows if not row.baseline]
        return sorted(rows, key=lambda row: -row.scores[self.config.metric].mean)

    @property
    def above_all(self) -> bool:
        """True if the model's best row is above every baseline by more than the interval."""
        return bool(self.comparisons) and all(comparison.above for comparison in self.comparisons)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, without the predictions."""
        return {
            "probe": self.config.name,
            "metric": self.config.metric,
            "samples": self.samples,
            "groups": self.groups,
            "class_counts": self.class_counts,
            "weights": self.weights,
            "fingerprint": self.fingerprint,
            "above_all_baselines": self.above_all,
            "rows": [
                {
                    "features": row.features,
                    "classifier": row.classifier,
                    "baseline": row.baseline,
                    "dimensions": row.dimensions,
                    "scores": {name: score.to_dict() for name, score in row.scores.items()},
                    "per_seed": row.per_seed,
                }
                for row in self.rows
            ],
            "comparisons": [
                {"baseline": c.baseline, "model": c.model, "above": c.above, **c.difference.to_dict()}
                for c in self.comparisons
            ],
            "notes": self.notes,
            "config": asdict(self.config),
        }


@dataclass(frozen=True)
class PreparedProbe:
    """Samples and folds of a probe, read once and used for any number of backbones."""

    config: ProbeConfig
    samples: ProbeSamples
    folds: list[list[Fold]]
    notes: list[str]


def run_probe(
    config: ProbeConfig | str | Path | PreparedProbe,
    data: str | Path | None = None,
    backbone: "Encoder | None" = None,
    *,
    test_data: str | Path | None = None,
    seeds: int | None = None,
    patch_size: int | None = None,
    with_baselines: bool = True,
    baseline_rows: Sequence[ProbeRow] | None = None,
    weights: str | None = None,
    classifiers: Sequence[str] = CLASSIFIERS,
    progress: Callable[[str], None] | None = None,
) -> ProbeResult:
    """Run one probe.

    Args:
        config: a probe, its YAML file, or the result of :func:`prepare_probe`, which saves reading the data again.
        data: directory that the configuration's paths are relative to.
        backbone: the model under test; None scores the baselines alone.
        test_data: directory of the same layout to test on; ``data`` is then only trained on.
        seeds: number of repetitions with other folds, default the configuration's.
        patch_size: overrides the configuration's.
        with_baselines: compute the baseline rows.
        baseline_rows: rows of an earlier result of the same probe and seeds, instead of computing them again.
        progress: called with the name of each row before it is computed.

    Raises:
        ValueError, FileNotFoundError: see :func:`load_probe_samples` and :func:`make_folds`.
    """
    if not isinstance(config, PreparedProbe):
        if data is None:
            raise DataError("a probe needs the directory of its data")
        config = prepare_probe(config, data, test_data=test_data, seeds=seeds)
    prepared, probe = config, config.config
    say = progress or (lambda name: None)
    rows: list[ProbeRow] = []
    if backbone is not None:
        from skyweave.downstream.probing.features import encode_probe_samples

        size = patch_size or probe.patch_size
        say(MODEL_ROW)
        model = encode_probe_samples(backbone, prepared.samples, probe.readout, size)
        rows += [score_features(prepared, MODEL_ROW, [model], kind, baseline=False) for kind in classifiers]
    if baseline_rows is not None:
        rows += list(baseline_rows)
    elif with_baselines:
        for name, kinds, compute in baseline_features(prepared, backbone, patch_size):
            say(name)
            features = [compute(seed) for seed in range(len(prepared.folds) if "random" in name else 1)]
            rows += [score_features(prepared, name, features, kind, baseline=True) for kind in kinds]
    fingerprint = None
    if backbone is not None:
        from skyweave.backbone import fingerprint as fingerprint_of

        fingerprint = fingerprint_of(backbone)
    target = prepared.samples.target
    return ProbeResult(
        config=probe,
        rows=rows,
        comparisons=compare_to_baselines(prepared, rows),
        samples=len(target),
        groups=len(np.unique(prepared.samples.group)),
        class_counts={name: int((target == i).sum()) for i, name in enumerate(prepared.samples.classes)},
        weights=weights,
        fingerprint=fingerprint,
        notes=prepared.notes,
    )


def prepare_probe(
    config: ProbeConfig | str | Path,
    data: str | Path,
    *,
    test_data: str | Path | None = None,
    seeds: int | None = None,
) -> PreparedProbe:
    """Read the samples of a probe and draw its folds."""
    if not isinstance(config, ProbeConfig):
        config = load_probe_config(config)
    samples = load_probe_samples(config, Path(data), Path(test_data) if test_data else None)
    samples = without_rare_classes(samples, config.minimum_class_samples)
    folds = [make_folds(samples, config.split, seed) for seed in range(seeds or config.seeds)]
    notes = list(samples.notes)
    for index, name in enumerate(samples.classes):
        if not (samples.target == index).any():
            if not config.minimum_class_samples:
                notes.append(f"class {name!r} has no sample")
            continue
        missing = sum(
            index in samples.target[fold.test] and index not in samples.target[fold.train]
            for parts in folds
            for fold in parts
        )
        if missing:
            notes.append(f"class {name!r} is tested but never trained in {missing} folds; it counts as wrong there")
    return PreparedProbe(config, samples, folds, notes)


Compute = Callable[[int], list[np.ndarray]]


def baseline_features(
    prepared: PreparedProbe, backbone: "Encoder | None", patch_size: int | None
) -> list[tuple[str, tuple[str, ...], Compute]]:
    """(name, classifiers, features by seed) of every baseline row."""
    config, samples = prepared.config, prepared.samples
    rows: list[tuple[str, tuple[str, ...], Compute]] = [
        ("band_statistics", (*CLASSIFIERS, "forest"), lambda seed: [band_statistics(samples)]),
    ]
    if samples.cell_size != 1:  # of a single pixel, every statistic is its value
        rows.append(("statistics+", (*CLASSIFIERS, "forest"), lambda seed: [band_statistics(samples, extended=True)]))
    if samples.cell_size:
        rows.append(("statistics 3x3 cells", CLASSIFIERS, lambda seed: [band_statistics(samples, around=True)]))

    def convolutions(seed: int) -> list[np.ndarray]:
        return [random_convolutions(samples, config.random_filters, config.random_filter_size, seed)]

    rows.append(("random convolutions", CLASSIFIERS, convolutions))
    if backbone is not None:
        from skyweave.backbone import Backbone, build_backbone
        from skyweave.downstream.probing.features import encode_probe_samples

        if isinstance(backbone, Backbone):  # weights by others come without their initialisation
            architecture, sensors = backbone.config, list(backbone.sensors.values())
            device = next(backbone.parameters()).device

            def initial(seed: int) -> list[np.ndarray]:
                fresh = build_backbone(architecture, sensors, seed=1000 + seed).to(device)
                return encode_probe_samples(fresh, samples, config.readout, patch_size or config.patch_size)

            rows.append(("random initialisation", CLASSIFIERS, initial))
    if config.baselines is not None:
        known = {name for name, _, _ in rows}
        unknown = set(config.baselines) - known - {"random initialisation"}
        if unknown:
            raise DataError(f"no baseline {sorted(unknown)[0]!r}; valid: {', '.join(sorted(known))}")
        rows = [row for row in rows if row[0] in config.baselines]
    return rows


def score_features(
    prepared: PreparedProbe, name: str, features: Sequence[list[np.ndarray]], classifier: str, baseline: bool
) -> ProbeRow:
    """Fit and test one classifier on all folds of all seeds; ``features`` holds candidates, once or for each seed."""
    samples = prepared.samples
    balanced = prepared.config.metric in ("balanced_accuracy", "macro_f1")
    predictions = np.full((len(prepared.folds), len(samples)), np.nan)
    for seed, folds in enumerate(prepared.folds):
        values = features[seed % len(features)]
        for fold in folds:
            predictions[seed, fold.test] = fit_predict(
                classifier,
                [candidate[fold.train] for candidate in values],
                samples.target[fold.train],
                samples.group[fold.train],
                [candidate[fold.test] for candidate in values],
                balanced,
                seed,
            )
    means, distributions, per_seed = _evaluate(prepared, predictions)
    scores = {key: percentile_interval(means[key], distributions[key]) for key in means}
    return ProbeRow(
        name, classifier, baseline, predictions, scores, per_seed, max(values.shape[1] for values in features[0])
    )


def compare_to_baselines(prepared: PreparedProbe, rows: Sequence[ProbeRow]) -> list[BaselineComparison]:
    """The model's best row against every baseline row, paired over resampled groups."""
    metric = prepared.config.metric
    models = [row for row in rows if not row.baseline]
    if not models:
        return []
    best = max(models, key=lambda row: row.scores[metric].mean)
    mean, distribution, _ = _evaluate(prepared, best.predictions)
    comparisons = []
    for row in rows:
        if row.baseline:
            other, others, _ = _evaluate(prepared, row.predictions)
            difference = percentile_interval(mean[metric] - other[metric], distribution[metric] - others[metric])
            comparisons.append(BaselineComparison(row.name, best.name, difference))
    return comparisons


def _evaluate(
    prepared: PreparedProbe, predictions: np.ndarray
) -> tuple[dict[str, float], dict[str, np.ndarray], dict[str, list[float]]]:
    """Mean over seeds, resampled means, and the value of each seed, per metric."""
    samples = prepared.samples
    classes = len(samples.classes)
    tested = samples.testable
    index = np.unique(samples.group[tested], return_inverse=True)[1]
    strata = None
    if prepared.config.split.kind == "blocks":  # blocks are resampled inside their place
        strata = np.zeros(int(index.max()) + 1, int)
        strata[index] = samples.place[tested]
    weights = resample_weights(int(index.max()) + 1, strata)
    values: dict[str, list[float]] = {}
    resampled: dict[str, list[np.ndarray]] = {}
    for one in predictions:
        totals = group_totals(samples.target[tested], one[tested], index, classes)
        drawn = metrics_from_totals(weights @ totals, classes)
        for name, value in metrics_from_totals(totals.sum(axis=0), classes).items():
            values.setdefault(name, []).append(float(value))
            resampled.setdefault(name, []).append(drawn[name])
    means = {name: float(np.mean(value)) for name, value in values.items()}
    distributions = {name: np.mean(value, axis=0) for name, value in resampled.items()}
    return means, distributions, values
