"""Intervals of 95 % by resampling samples or groups of samples with replacement (Efron 1979)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True)
class Interval:
    """A mean with the 2.5 % and 97.5 % percentiles of its resampled distribution.

    Attributes:
        mean: of the value itself, not of its distribution.
        low: 2.5 % percentile.
        high: 97.5 % percentile.
    """

    mean: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Return plain numbers for JSON."""
        return {"mean": self.mean, "low": self.low, "high": self.high}


def resample_weights(
    units: int, strata: np.ndarray | None = None, seed: int = 0, resamples: int = RESAMPLES
) -> np.ndarray:
    """Return (resamples, units) how often each unit is drawn with replacement, inside each stratum.

    Args:
        units: samples, or groups of samples.
        strata: (units,) int; None: one stratum.
        seed: of the draws.
        resamples: how many.
    """
    random = np.random.default_rng(seed)
    strata = np.zeros(units, int) if strata is None else strata
    weights = np.zeros((resamples, units))
    for value in np.unique(strata):
        members = np.flatnonzero(strata == value)
        weights[:, members] = random.multinomial(len(members), np.full(len(members), 1 / len(members)), resamples)
    return weights


def percentile_interval(value: float, distribution: np.ndarray) -> Interval:
    """Return a value with the percentiles of its resampled distribution.

    Args:
        value: a score.
        distribution: (resamples,) the score of each resample; NaN does not count.
    """
    low, high = np.nanpercentile(distribution, PERCENTILES)
    return Interval(float(value), float(low), float(high))


def seed_interval(runs: Sequence[Sequence[float]], seed: int = 0) -> tuple[float, float]:
    """Return the interval of a mean over seeds of a training, where seeds are drawn anew with the samples.

    Args:
        runs: of each seed its resampled scores, the same resamples for all.
        seed: of the draws.

    Returns:
        Lower and upper end.
    """
    values = np.array(runs)
    drawn = np.random.default_rng(seed).integers(len(values), size=(values.shape[1], len(values)))
    means = values[drawn, np.arange(values.shape[1])[:, None]].mean(1)
    low, high = np.percentile(means, PERCENTILES)
    return float(low), float(high)
