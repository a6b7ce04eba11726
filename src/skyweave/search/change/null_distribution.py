"""Which distances chance alone would show, and where to draw the line.

Two dates of unchanged ground differ, too: by season, light, haze and the sensor's noise. A threshold means something
only against the distribution of those differences, the null.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from skyweave.core.errors import DataError

MIN_PATCHES = 100
MAX_MISFIT = 0.05
"""Largest difference of the shares below a distance, over the lower half, up to which a fit is good."""
LOWER_QUANTILE = 0.1586553  # one standard deviation below the median of a normal distribution


@dataclass(frozen=True)
class BulkNull:
    """A log-normal distribution fitted to the lower half of the distances (Efron 2004, an empirical null).

    It holds where more than half of the patches are unchanged: their median and the spread below it are then barely
    moved by what changed.

    Attributes:
        median: of the logarithms.
        deviation: standard deviation of the logarithms.
        misfit: largest difference between the fitted and the actual share of patches below a distance, over the lower
            half.
        description: in words.
    """

    median: float
    deviation: float
    misfit: float
    description: str = "a log-normal distribution fitted to the lower half of the distances"

    @classmethod
    def fit(cls, distances: np.ndarray) -> "BulkNull":
        """Fit the distribution.

        Args:
            distances: (patches,), of changed and unchanged patches.

        Raises:
            DataError: too few patches, or distances that do not differ.
        """
        if len(distances) < MIN_PATCHES:
            raise DataError(f"{len(distances)} patches are too few to tell change from chance; give {MIN_PATCHES}")
        logarithms = np.sort(np.log(np.maximum(distances, np.finfo(np.float32).tiny)))
        median, lower = np.quantile(logarithms, [0.5, LOWER_QUANTILE])
        if not median > lower:
            raise DataError("more than a third of the patches do not differ at all: are both files of one date?")
        half = logarithms[: len(logarithms) // 2]
        shares = (np.arange(len(half)) + 0.5) / len(logarithms)
        misfit = np.abs(_normal_cdf((half - median) / (median - lower)) - shares).max()
        return cls(float(median), float(median - lower), float(misfit))

    def p_values(self, distances: np.ndarray) -> np.ndarray:
        """Return how probable so large a distance is without change, (patches,) float64.

        Args:
            distances: (patches,).
        """
        logarithms = np.log(np.maximum(distances, np.finfo(np.float32).tiny))
        values: np.ndarray = _normal_cdf((self.median - logarithms) / self.deviation)
        return values

    def doubts(self) -> list[str]:
        """Return why the distribution may not be that of unchanged patches."""
        if self.misfit <= MAX_MISFIT:
            return []
        return [
            f"the distances below the median are not log-normal (shares differ by up to {self.misfit:.2f}): p values "
            "are rough; outline ground that did not change and give it with --unchanged"
        ]


@dataclass(frozen=True)
class EmpiricalNull:
    """The distances of patches that are known not to have changed.

    Attributes:
        distances: (patches,), rising.
        description: in words.
    """

    distances: np.ndarray
    description: str = "the distances of patches that are known not to have changed"

    @classmethod
    def fit(cls, distances: np.ndarray) -> "EmpiricalNull":
        """Keep the distances of unchanged patches.

        Args:
            distances: (patches,).

        Raises:
            DataError: too few patches.
        """
        if len(distances) < MIN_PATCHES:
            raise DataError(
                f"{len(distances)} patches of the embeddings lie in the polygons of unchanged ground, too few for a "
                f"distribution; outline {MIN_PATCHES} or more, in longitude and latitude"
            )
        return cls(np.sort(distances))

    def p_values(self, distances: np.ndarray) -> np.ndarray:
        """Return how probable so large a distance is without change, (patches,) float64.

        One is added to counts (conformal p values), so that a value is never zero and holds for few patches, too.

        Args:
            distances: (patches,).
        """
        at_least = len(self.distances) - np.searchsorted(self.distances, distances, side="left")
        values: np.ndarray = (1 + at_least) / (1 + len(self.distances))
        return values

    def doubts(self) -> list[str]:
        """Return why a change may be missed."""
        return []


def control_false_discoveries(p_values: np.ndarray, rate: float) -> np.ndarray:
    """Return which p values are small enough to count as change (Benjamini and Hochberg 1995), (patches,) bool.

    Of those at most ``rate`` are expected to be unchanged, also where neighbouring patches are alike (Benjamini and
    Yekutieli 2001, positive dependence).

    Args:
        p_values: (patches,).
        rate: of false discoveries, 0 to 1.
    """
    ordered = np.sort(p_values)
    below = np.flatnonzero(ordered <= rate * np.arange(1, len(ordered) + 1) / len(ordered))
    return p_values <= ordered[below[-1]] if len(below) else np.zeros(len(p_values), bool)


def _normal_cdf(values: np.ndarray) -> np.ndarray:
    """Return the share of a standard normal distribution below values; small tails keep their digits."""
    scaled = torch.from_numpy(np.asarray(values, np.float64) / -math.sqrt(2))
    return np.asarray(torch.special.erfc(scaled).numpy()) / 2
