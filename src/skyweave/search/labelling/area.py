"""Areas and accuracies from a stratified random sample of a map (Olofsson et al. 2014, doi 10.1016/j.rse.2014.02.015).

Counting a map's patches gives the area of what the classifier calls a class, errors included. The reference classes of
a random sample of patches, drawn class by class, correct that, and say how certain the result is.
"""

from dataclasses import dataclass

import numpy as np

from skyweave.core.errors import DataError

NORMAL_95 = 1.959963984540054
"""Standard errors on each side that a 95 % confidence interval reaches."""
MIN_SAMPLES = 2  # of a class of the map, for a variance


@dataclass(frozen=True)
class AreaEstimates:
    """Estimates with their standard errors, by class; all but the areas are shares, 0 to 1.

    Attributes:
        areas: (classes,) in the unit of the map's areas.
        area_errors: (classes,) standard errors of the areas.
        users_accuracy: (classes,) of what the map calls a class, the share that is; NaN where it never does.
        users_errors: (classes,) standard errors.
        producers_accuracy: (classes,) of what is a class, the share that the map calls so; NaN where none was sampled.
        producers_errors: (classes,) standard errors.
        overall_accuracy: of the whole map.
        overall_error: its standard error.
    """

    areas: np.ndarray
    area_errors: np.ndarray
    users_accuracy: np.ndarray
    users_errors: np.ndarray
    producers_accuracy: np.ndarray
    producers_errors: np.ndarray
    overall_accuracy: float
    overall_error: float

    @property
    def area_intervals(self) -> np.ndarray:
        """Return half the width of the 95 % confidence interval of each area, (classes,)."""
        half: np.ndarray = NORMAL_95 * self.area_errors
        return half


def estimate_areas(counts: np.ndarray, map_areas: np.ndarray) -> AreaEstimates:
    """Estimate areas and accuracies from an error matrix of a stratified random sample; equations 1 to 11 of the paper.

    Args:
        counts: (classes, classes) samples by class of the map (rows) and by reference class (columns).
        map_areas: (classes,) area that the map gives each class.

    Raises:
        DataError: a class of the map with less than two samples, or no map at all.
    """
    counts, map_areas = np.asarray(counts, np.float64), np.asarray(map_areas, np.float64)
    sampled = counts.sum(1)
    mapped = map_areas > 0
    if not mapped.any():
        raise DataError("the map has no area")
    if (sampled[mapped] < MIN_SAMPLES).any():
        raise DataError(f"give reference classes for at least {MIN_SAMPLES} samples of each class of the map")
    weights = map_areas / map_areas.sum()
    shares = np.divide(counts, sampled[:, None], out=np.zeros_like(counts), where=sampled[:, None] > 0)
    proportions = weights[:, None] * shares  # equation 4, as areas
    variances = np.zeros_like(shares)
    variances[mapped] = shares[mapped] * (1 - shares[mapped]) / (sampled[mapped] - 1)[:, None]
    columns = proportions.sum(0)  # equation 9
    area_errors = np.sqrt((weights[:, None] ** 2 * variances).sum(0))  # equation 10
    users = np.where(mapped, np.diag(shares), np.nan)
    diagonal = np.diag(variances)
    return AreaEstimates(
        areas=columns * map_areas.sum(),
        area_errors=area_errors * map_areas.sum(),
        users_accuracy=users,
        users_errors=np.where(mapped, np.sqrt(diagonal), np.nan),  # equation 6
        producers_accuracy=_divide(np.diag(proportions), columns),
        producers_errors=_producers_errors(shares, variances, map_areas),
        overall_accuracy=float(np.diag(proportions).sum()),  # equation 1
        overall_error=float(np.sqrt((weights**2 * diagonal).sum())),  # equation 5
    )


def allocate_samples(map_areas: np.ndarray, total: int, minimum: int) -> np.ndarray:
    """Divide a sample among the classes of a map: so many of each, the rest by area (section 5.1.1 of the paper).

    Args:
        map_areas: (classes,) area that the map gives each class.
        total: of samples; more where the minima ask for it.
        minimum: of samples in each class that the map has.

    Returns:
        (classes,) int64.
    """
    mapped = np.asarray(map_areas) > 0
    sizes = np.where(mapped, minimum, 0)
    rest = max(0, total - int(sizes.sum()))
    exact = rest * np.asarray(map_areas) / max(np.sum(map_areas), 1e-300)
    extra = np.floor(exact).astype(np.int64)
    largest_first = np.argsort(-(exact - extra), kind="stable")
    extra[largest_first[: rest - int(extra.sum())]] += 1
    return np.asarray(sizes + extra)


def _divide(numerators: np.ndarray, denominators: np.ndarray) -> np.ndarray:
    """Return quotients, NaN where the denominator is 0."""
    quotients = np.full(len(denominators), np.nan)
    np.divide(numerators, denominators, out=quotients, where=denominators > 0)
    return quotients


def _producers_errors(shares: np.ndarray, variances: np.ndarray, map_areas: np.ndarray) -> np.ndarray:
    """Return standard errors of the producer's accuracies; equation 7, NaN where no sample is of the class."""
    classes = len(map_areas)
    errors = np.full(classes, np.nan)
    for number in range(classes):
        estimated = float((map_areas * shares[:, number]).sum())
        if estimated == 0:
            continue
        producers = map_areas[number] * shares[number, number] / estimated
        others = np.arange(classes) != number
        commission = map_areas[number] ** 2 * (1 - producers) ** 2 * variances[number, number]
        omission = producers**2 * (map_areas[others] ** 2 * variances[others, number]).sum()
        errors[number] = np.sqrt(commission + omission) / estimated
    return errors
