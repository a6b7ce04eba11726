"""Metrics from predictions, and their 95 % intervals by resampling groups."""

from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A mean with the 2.5 % and 97.5 % percentiles of its resampled distribution."""

    mean: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Plain numbers for JSON."""
        return {"mean": self.mean, "low": self.low, "high": self.high}


def group_totals(target: np.ndarray, predicted: np.ndarray, group: np.ndarray, classes: int) -> np.ndarray:
    """What a metric needs, summed by group, so that resampling groups is one matrix product.

    Args:
        target: (N,) class index or float. predicted: the same. group: (N,) int.
        classes: number of classes, 0 for regression.

    Returns:
        (groups, classes * classes) confusion counts, true class first; or (groups, 5) for regression: count, sum and
        sum of squares of the target, sum of squared and of absolute errors.
    """
    index = np.unique(group, return_inverse=True)[1]
    groups = int(index.max()) + 1
    if classes:
        flat = (index * classes + target) * classes + predicted.astype(int)
        return np.bincount(flat, minlength=groups * classes**2).reshape(groups, classes**2).astype(float)
    error = predicted.astype(float) - target
    columns = [np.ones_like(error), target, target.astype(float) ** 2, error**2, np.abs(error)]
    return np.stack([np.bincount(index, column, groups) for column in columns], axis=1)


def metrics_from_totals(totals: np.ndarray, classes: int) -> dict[str, np.ndarray]:
    """Metrics of summed totals.

    Args:
        totals: (..., classes * classes) or (..., 5), see :func:`group_totals`.

    Returns:
        name to (...): accuracy, balanced_accuracy and macro_f1 over the classes that occur, or r2 and mae.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        if not classes:
            count, total, squares, squared, absolute = np.moveaxis(totals, -1, 0)
            return {"r2": 1 - squared / (squares - total**2 / count), "mae": absolute / count}
        confusion = totals.reshape(*totals.shape[:-1], classes, classes)
        hits = np.diagonal(confusion, axis1=-2, axis2=-1)
        true, said = confusion.sum(axis=-1), confusion.sum(axis=-2)
        present = true > 0
        recall = np.where(present, hits / true, 0.0).sum(axis=-1) / present.sum(axis=-1)
        f1 = np.where(present, 2 * hits / (true + said), 0.0).sum(axis=-1) / present.sum(axis=-1)
        return {"accuracy": hits.sum(-1) / true.sum(-1), "balanced_accuracy": recall, "macro_f1": f1}


def resample_weights(groups: int, strata: np.ndarray | None = None, seed: int = 0) -> np.ndarray:
    """(RESAMPLES, groups) how often each group is drawn with replacement, inside each stratum."""
    random = np.random.default_rng(seed)
    strata = np.zeros(groups, int) if strata is None else strata
    weights = np.zeros((RESAMPLES, groups))
    for value in np.unique(strata):
        members = np.flatnonzero(strata == value)
        weights[:, members] = random.multinomial(len(members), np.full(len(members), 1 / len(members)), RESAMPLES)
    return weights


def percentile_interval(value: float, distribution: np.ndarray) -> Interval:
    """The value with the percentiles of its resampled distribution."""
    low, high = np.nanpercentile(distribution, [2.5, 97.5])
    return Interval(float(value), float(low), float(high))
