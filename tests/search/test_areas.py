"""Areas are estimated as in the worked example of the paper, and their intervals hold what they promise."""

import numpy as np
import pytest

from skyweave.core.errors import DataError
from skyweave.search.labelling import allocate_samples, estimate_areas

# Olofsson et al. 2014, tables 8 and 9: deforestation, forest gain, stable forest, stable non-forest; pixels of 30 m.
COUNTS = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
MAPPED = np.array([200_000, 150_000, 3_200_000, 6_450_000])
HECTARES = 0.09


def test_the_worked_example_of_the_paper() -> None:
    estimates = estimate_areas(COUNTS, MAPPED * HECTARES)
    np.testing.assert_allclose(estimates.areas, [21_158, 11_686, 285_770, 581_386], atol=1)
    np.testing.assert_allclose(estimates.area_intervals, [6158, 3756, 15_510, 16_282], atol=1)
    np.testing.assert_allclose(estimates.users_accuracy, [0.88, 0.73, 0.93, 0.96], atol=0.005)
    np.testing.assert_allclose(1.96 * estimates.users_errors, [0.07, 0.10, 0.04, 0.02], atol=0.005)
    np.testing.assert_allclose(estimates.producers_accuracy, [0.75, 0.85, 0.93, 0.96], atol=0.005)
    assert 1.96 * estimates.producers_errors[0] == pytest.approx(0.21, abs=0.005)
    assert estimates.overall_accuracy == pytest.approx(0.95, abs=0.005)
    assert 1.96 * estimates.overall_error == pytest.approx(0.02, abs=0.005)


def test_intervals_hold_the_true_area_nearly_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    truth = random.choice(3, 20_000, p=[0.1, 0.3, 0.6])
    mapped = np.where(random.random(20_000) < 0.8, truth, random.choice(3, 20_000))
    areas = np.bincount(mapped, minlength=3)
    held = []
    for _ in range(200):
        matrix = np.zeros((3, 3), int)
        for label, size in enumerate(allocate_samples(areas, 150, 30)):
            drawn = random.choice(np.flatnonzero(mapped == label), size, replace=False)
            np.add.at(matrix, (label, truth[drawn]), 1)
        estimates = estimate_areas(matrix, areas)
        held.append(np.abs(estimates.areas - np.bincount(truth)) <= estimates.area_intervals)
        assert estimates.areas.sum() == pytest.approx(20_000)
    assert 0.90 <= np.mean(held) <= 0.99


def test_counting_the_map_is_what_the_estimate_corrects() -> None:
    perfect = estimate_areas(np.diag([10, 20]), np.array([30.0, 70.0]))
    np.testing.assert_allclose(perfect.areas, [30, 70])
    np.testing.assert_allclose(perfect.area_errors, 0)
    biased = estimate_areas(np.array([[5, 5], [0, 10]]), np.array([40.0, 60.0]))
    np.testing.assert_allclose(biased.areas, [20, 80])


def test_a_class_that_the_map_never_calls_is_estimated_too() -> None:
    estimates = estimate_areas(np.array([[8, 2], [0, 0]]), np.array([10.0, 0.0]))
    np.testing.assert_allclose(estimates.areas, [8, 2])
    assert np.isnan(estimates.users_accuracy[1]) and estimates.producers_accuracy[1] == 0


@pytest.mark.parametrize(("counts", "areas"), [([[1, 0], [0, 5]], [1, 1]), ([[5, 0], [0, 5]], [0, 0])])
def test_too_few_samples_are_refused(counts: list[list[int]], areas: list[float]) -> None:
    with pytest.raises(DataError):
        estimate_areas(np.array(counts), np.array(areas))


def test_samples_are_allocated_by_area_above_a_minimum() -> None:
    assert allocate_samples(np.array([10, 90, 0]), 60, 5).tolist() == [10, 50, 0]
    assert allocate_samples(np.array([1, 1, 1]), 10, 3).sum() == 10
    assert allocate_samples(np.array([1, 99]), 4, 5).tolist() == [5, 5]
