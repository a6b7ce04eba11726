"""Flights whose errors are known: truths lie within ellipses as often as they say, and calibration helps."""

import numpy as np
import pytest
from locating_flight import FlightConfig

from locating import CHI_SQUARED_90, fly, score_detections, score_tracks


@pytest.mark.parametrize(("altitude", "pitch"), [(20.0, 90.0), (60.0, 45.0), (120.0, 25.0)])
def test_nine_of_ten_truths_lie_within_the_ellipses(altitude: float, pitch: float) -> None:
    config = FlightConfig(altitude, pitch, seconds=0.1, objects=12)
    squares = np.concatenate([score_detections(*fly(config, seed))[0] for seed in range(35)])
    assert 0.83 < (squares < CHI_SQUARED_90).mean() < 0.97


def test_ellipses_without_the_errors_of_poses_would_lie() -> None:
    config = FlightConfig(60.0, 45.0, seconds=0.1, objects=12)
    squares = []
    for seed in range(10):
        world, result = fly(config, seed)
        for image in result.located.values():
            image.by_camera[:] = 0.0
        squares.append(score_detections(world, result)[0])
    assert (np.concatenate(squares) < CHI_SQUARED_90).mean() < 0.5


def test_what_stands_still_halves_the_error() -> None:
    config = FlightConfig(60.0, 45.0, seconds=12.0, rate=2.0, objects=14)
    before, after = [], []
    for seed in range(2):
        world, result = fly(config, seed)
        before.append(score_tracks(world, result)["error"])
        world, result = fly(config, seed, rounds=2)
        after.append(score_tracks(world, result)["error"])
        assert result.calibration.num_static >= 3
    assert np.median(np.concatenate(after)) < 0.5 * np.median(np.concatenate(before))
