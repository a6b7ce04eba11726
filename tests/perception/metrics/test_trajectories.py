"""Errors of forecasts: by hand, against a plain reading, and with unknown futures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyweave.core.geometry.boxes import Boxes
from skyweave.perception.metrics import constant_velocity_trajectories, evaluate_trajectories, match_objects
from skyweave.perception.results import Detections
from skyweave.recordings.recording import Annotations


def test_by_hand() -> None:
    truth = np.array([[[1.0, 0], [2, 0]]])
    modes = np.array([[[[1.0, 0], [2, 3]], [[1.0, 1], [2, 1]], [[1.0, 2], [2, 0]]]])
    result = evaluate_trajectories(truth, modes, np.array([[0.5, 0.3, 0.2]]), ks=(1, 2, 3, 10))
    assert result.min_ade == {1: 1.5, 2: 1, 3: 1, 10: 1}
    assert result.min_fde == {1: 3, 2: 1, 3: 0, 10: 0}
    assert result.miss_rate == {1: 1, 2: 0, 3: 0, 10: 0}  # exactly 2 m off at any step is a miss
    assert result.final_miss_rate == {1: 1, 2: 0, 3: 0, 10: 0}


def test_a_mode_that_is_2_m_off_on_the_way_is_missed_but_not_at_the_end() -> None:
    result = evaluate_trajectories(np.zeros((1, 2, 2)), np.array([[[[2.0, 0], [2, 0]]]]), np.ones((1, 1)), ks=(1,))
    assert result.miss_rate[1] == 1
    assert result.final_miss_rate[1] == 0


def test_of_equal_probabilities_the_later_goes_first() -> None:
    modes = np.array([[[[1.0, 0]], [[3.0, 0]]]])
    assert evaluate_trajectories(np.zeros((1, 1, 2)), modes, np.array([[0.5, 0.5]]), ks=(1,)).min_ade[1] == 3


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_errors_are_those_of_a_plain_reading(seed: int) -> None:
    random = np.random.default_rng(seed)
    n, count, steps = random.integers(1, 6, 3)
    truth, modes = random.normal(0, 2, (n, steps, 2)), random.normal(0, 2, (n, count, steps, 2))
    probabilities = random.dirichlet(np.ones(count), n)
    truth[random.random((n, steps)) < 0.2] = np.nan
    result = evaluate_trajectories(truth, modes, probabilities, ks=(1, 2, 9))
    for k in (1, 2, 9):
        ade, fde, miss_threshold = [], [], []
        for path, of, chance in zip(truth, modes, probabilities, strict=True):
            best = [of[i] for i in np.argsort(-chance)[:k]]
            known = [step for step in range(steps) if not np.isnan(path[step]).any()]
            off = [[float(np.hypot(*(mode[step] - path[step]))) for step in known] for mode in best]
            if known:
                ade.append(min(np.mean(distances) for distances in off))
                miss_threshold.append(all(max(distances) >= 2 for distances in off))
            if steps - 1 in known:
                fde.append(min(distances[-1] for distances in off))
        assert result.min_ade[k] == pytest.approx(np.mean(ade) if ade else np.nan, nan_ok=True)
        assert result.min_fde[k] == pytest.approx(np.mean(fde) if fde else np.nan, nan_ok=True)
        assert result.miss_rate[k] == pytest.approx(np.mean(miss_threshold) if miss_threshold else np.nan, nan_ok=True)
        assert (result.objects, result.complete) == (len(ade), len(fde))


def test_unknown_futures_are_said() -> None:
    nothing = evaluate_trajectories(np.full((2, 3, 2), np.nan), np.zeros((2, 1, 3, 2)), np.ones((2, 1)))
    assert nothing.to_dict()["minADE_1"] is None
    assert "no object has a known future" in nothing.notes[0]
    empty = evaluate_trajectories(np.zeros((0, 3, 2)), np.zeros((0, 1, 3, 2)), np.ones((0, 1)))
    assert np.isnan(empty.min_fde[1])
    partly = np.zeros((2, 3, 2))
    partly[1, 2] = np.nan
    result = evaluate_trajectories(partly, np.zeros((2, 1, 3, 2)), np.ones((2, 1)))
    assert "1 objects are unknown at the last step" in result.notes[0]
    assert result.complete == 1


def test_constant_velocity_keeps_going() -> None:
    modes, probabilities = constant_velocity_trajectories(
        np.array([[1.0, 2, 0], [0, 0, 0]]), np.array([[2.0, 0], [np.nan, np.nan]]), np.array([0.5, 1.0])
    )
    assert modes.tolist() == [[[[2, 2], [3, 2]]], [[[0, 0], [0, 0]]]]
    assert probabilities.tolist() == [[1], [1]]


def test_objects_and_predictions_are_matched_by_class_and_distance() -> None:
    def of(places: list[list[float]]) -> Boxes:
        return Boxes(np.array(places).reshape(-1, 3), np.ones((len(places), 3)), np.zeros(len(places)))

    truth = Annotations(
        of([[0, 0, 0], [5, 0, 0], [9, 0, 0]]), np.zeros((3, 2)), ("bus", "car", "car"), ("a", "b", "c"),
        {"UAV_1": np.array([1.0, 1, 0])},
    )  # fmt: skip
    found = Detections(
        of([[0.1, 0, 0], [5.5, 0, 0], [4.9, 0, 0], [9, 0, 0]]),
        np.zeros((4, 2)),
        ("car", "car", "car", "car"),
        np.array([0.9, 0.5, 0.8, 0.9]),
    )
    mine, theirs = match_objects(truth, found)
    assert (mine.tolist(), theirs.tolist()) == ([1], [2])  # the bus is no car, the last object nobody sees
    mine, theirs = match_objects(truth, found, counted=np.ones(3, bool))
    assert (mine.tolist(), theirs.tolist()) == ([1, 2], [2, 3])


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="must be"):
        evaluate_trajectories(np.zeros((2, 3, 2)), np.zeros((2, 1, 4, 2)), np.ones((2, 1)))
    with pytest.raises(ValueError, match="at least 1"):
        evaluate_trajectories(np.zeros((2, 3, 2)), np.zeros((2, 1, 3, 2)), np.ones((2, 1)), ks=(0,))
    with pytest.raises(ValueError, match="NaN or infinity"):
        evaluate_trajectories(np.zeros((2, 3, 2)), np.full((2, 1, 3, 2), np.nan), np.ones((2, 1)))
