"""Paired comparisons of two rows of a task, and the smallest difference that a task can show."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from skyweave.downstream.scoring.bootstrap import Interval, percentile_interval

POWER_FACTOR = 1.959964 + 0.841621
"""Normal quantiles of 97.5 % and 80 %: a difference of so many standard errors is seen by a two-sided test at 5 % in
four of five data sets (Cohen 1988, section 2)."""


@dataclass(frozen=True)
class Comparison:
    """One row minus another, on the same resampled groups.

    Attributes:
        source: of the row.
        method: of the row.
        opponent: source of the other row.
        opponent_method: of the other row.
        share: of the training labels.
        difference: of the task's metric.
        detectable: the smallest difference that the task can show between two such rows.
        resampled: (resamples,) the difference of each.
    """

    source: str
    method: str
    opponent: str
    opponent_method: str
    share: float
    difference: Interval
    detectable: float
    resampled: np.ndarray

    @property
    def verdict(self) -> str:
        """``above`` or ``below`` where the whole 95 % interval is, else ``equal``."""
        return verdict(self.difference)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, without the resamples."""
        kept = {key: value for key, value in vars(self).items() if key not in ("difference", "resampled")}
        return {**kept, **self.difference.to_dict(), "verdict": self.verdict}


def verdict(difference: Interval) -> str:
    """Return ``above`` or ``below`` where the whole interval of a difference is, else ``equal``.

    Args:
        difference: with its interval.
    """
    return "above" if difference.low > 0 else "below" if difference.high < 0 else "equal"


def minimal_detectable_difference(resampled: np.ndarray) -> float:
    """Return the smallest difference that a paired test at 5 % shows with a power of 80 %.

    Args:
        resampled: (resamples,) differences with the groups drawn anew; their spread is the standard error.
    """
    return float(POWER_FACTOR * np.nanstd(resampled))


@dataclass(frozen=True)
class MeanComparison:
    """A source minus another, on the mean of the tasks that both read.

    Attributes:
        source: of the rows.
        method: of the rows.
        opponent: of the other rows.
        share: of the training labels.
        difference: mean over the tasks; groups are drawn anew inside each of them.
        above: tasks in which the whole interval is above zero.
        below: tasks in which it is below zero.
        tasks: how many both read.
    """

    source: str
    method: str
    opponent: str
    share: float
    difference: Interval
    above: int
    below: int
    tasks: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types of everything in it."""
        kept = {key: value for key, value in vars(self).items() if key != "difference"}
        return {**kept, **self.difference.to_dict()}


def mean_comparison(comparisons: list[Comparison]) -> MeanComparison:
    """Return the mean of the comparisons of two sources on several tasks.

    Args:
        comparisons: one a task.
    """
    first = comparisons[0]
    # The resamples of every task are drawn with one seed: shuffled, so that tasks of equal size are independent.
    drawn = [np.random.default_rng(number).permutation(one.resampled) for number, one in enumerate(comparisons)]
    mean = float(np.mean([one.difference.mean for one in comparisons]))
    verdicts = [one.verdict for one in comparisons]
    return MeanComparison(
        first.source,
        first.method,
        first.opponent,
        first.share,
        percentile_interval(mean, np.mean(drawn, axis=0)),
        verdicts.count("above"),
        verdicts.count("below"),
        len(comparisons),
    )
