"""The table of a probe: rows of model and baselines, and how far the model leads."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from skyweave.downstream.probing.config import ProbeConfig
from skyweave.downstream.scoring.bootstrap import Interval


@dataclass(frozen=True)
class ProbeRow:
    """One line of the table.

    Attributes:
        features: what was read, ``backbone`` or a baseline's name.
        classifier: ``linear``, ``knn``, ``forest`` or ``boosting``.
        baseline: False for the model under test.
        predictions: (seeds, samples); NaN where a seed did not test a sample.
        scores: metric to its mean over seeds, with the interval over resampled groups.
        per_seed: metric to one value per seed.
        dimensions: length of a feature vector.
        choices: of every fold, the index of the features and the hyperparameters that were chosen inside its training
            part.
        validation: mean score of the readout by cross-validation inside the training parts; None where nothing is
            chosen.
    """

    features: str
    classifier: str
    baseline: bool
    predictions: np.ndarray
    scores: dict[str, Interval]
    per_seed: dict[str, list[float]]
    dimensions: int
    choices: list[list[Any]] = field(default_factory=list)
    validation: float | None = None

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"{self.features}, {self.classifier}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, without the predictions."""
        return {
            "features": self.features,
            "classifier": self.classifier,
            "baseline": self.baseline,
            "dimensions": self.dimensions,
            "validation": self.validation,
            "scores": {name: score.to_dict() for name, score in self.scores.items()},
            "per_seed": self.per_seed,
        }


@dataclass(frozen=True)
class BaselineComparison:
    """The model's chosen row minus a baseline, on the same resampled groups.

    Attributes:
        baseline: name of the baseline's row.
        model: name of the model's row.
        difference: of the main metric.
    """

    baseline: str
    model: str
    difference: Interval

    @property
    def above(self) -> bool:
        """Whether the whole 95 % interval of the difference is above zero."""
        return self.difference.low > 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, with the interval."""
        names = {"baseline": self.baseline, "model": self.model, "above": self.above}
        return {**names, **self.difference.to_dict()}


@dataclass(frozen=True)
class ProbeResult:
    """The table of one probe.

    Attributes:
        config: of the probe.
        rows: of the model first, then of the baselines.
        comparisons: of the model's row that was chosen inside the training parts with each baseline.
        samples: how many.
        groups: how many are kept whole.
        class_counts: samples of each class.
        weights: name of the model's weights.
        fingerprint: of the model.
        notes: what the reader should know.
    """

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
    def above_all(self) -> bool:
        """Whether the model's chosen row is above every baseline by more than the interval."""
        return bool(self.comparisons) and all(comparison.above for comparison in self.comparisons)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, without the predictions."""
        return {
            "probe": self.config.name,
            "metric": self.config.metric,
            "samples": self.samples,
            "groups": self.groups,
            "class_counts": self.class_counts,
            "weights": self.weights,
            "fingerprint": self.fingerprint,
            "above_all_baselines": self.above_all,
            "rows": [row.to_dict() for row in self.rows],
            "comparisons": [comparison.to_dict() for comparison in self.comparisons],
            "notes": self.notes,
            "config": asdict(self.config),
        }
