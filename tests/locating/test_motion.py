"""The filter of motions: what it averages, what it must not average, and how it turns."""

import numpy as np
import pytest

from skyweave.locating.motion import _step, correct_states, predict_states, start_states

WHITE = np.diag([0.04, 0.04])[None]
BY_ERROR = np.array([[[3.0], [0.0]]])  # one error that moves everything 3 m to the east
NONE = np.ones(1)


def measured(images: int, by: np.ndarray, point: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and covariance of the place of an object that was located so many times at one point."""
    point = np.zeros((1, 2)) if point is None else point
    states = start_states(point, WHITE, by, np.eye(1), np.array([0.01]))
    for _ in range(images - 1):
        states = predict_states(states, 0.1, np.array([0.01]), NONE)
        states = correct_states(states, point, WHITE, by, np.eye(1))
    mean, covariance, _ = states.merged()
    return mean[0, :2], covariance[0, :2, :2]


def test_white_errors_average_out_and_shared_ones_do_not() -> None:
    few, many = measured(2, BY_ERROR)[1], measured(60, BY_ERROR)[1]
    assert many[1, 1] < 0.15 * few[1, 1]
    assert 9.0 <= many[0, 0] < 9.05


def test_another_camera_with_an_error_of_its_own_helps_as_it_should() -> None:
    by = np.zeros((2, 1, 2, 2))
    by[0, 0, 0, 0] = by[1, 0, 0, 1] = 3.0
    states = start_states(np.zeros((1, 2)), WHITE, by[0], np.eye(2), np.array([0.01]))
    for number in range(1, 40):
        states = predict_states(states, 0.1, np.array([0.01]), np.ones(2))
        states = correct_states(states, np.zeros((1, 2)), WHITE, by[number % 2], np.eye(2))
    covariance = states.merged()[1][0]
    assert covariance[0, 0] == pytest.approx(4.5, rel=0.05)


def test_a_turn_and_its_derivatives() -> None:
    state = np.array([[1.0, 2, 8, -3, 0.4]])
    moved, slopes = _step(state, 0.7, 1)
    angle = 0.4 * 0.7
    c, s = np.cos(angle), np.sin(angle)
    assert np.allclose(moved[0, 2:4], [8 * c + 3 * s, 8 * s - 3 * c])
    assert np.hypot(*moved[0, 2:4]) == pytest.approx(np.hypot(8, 3))
    for number in range(5):
        step = 1e-6 * np.eye(5)[number]
        difference = (_step(state + step, 0.7, 1)[0] - _step(state - step, 0.7, 1)[0]) / 2e-6
        assert np.allclose(difference[0], slopes[0, :, number], atol=1e-6)


def test_a_turn_raises_the_probability_of_manoeuvring() -> None:
    states = start_states(np.zeros((1, 2)), WHITE, 0 * BY_ERROR, np.eye(1), np.array([9.0]))
    share = []
    for number in range(1, 60):
        time = 0.1 * number
        angle = max(time - 3.0, 0.0) * 0.6
        straight = np.array([8 * min(time, 3.0), 0.0])
        point = straight + 8 / 0.6 * np.array([np.sin(angle), 1 - np.cos(angle)])
        states = predict_states(states, 0.1, np.array([2.0]), NONE)
        states = correct_states(states, point[None], WHITE, 0 * BY_ERROR, np.eye(1))
        share.append(states.modes[0, 1])
    assert np.mean(share[-15:]) > np.mean(share[15:30])
    assert np.linalg.norm(states.merged()[0][0, :2] - point) < 0.5
