"""Tracks on the map: identities over crossings, gaps, classes and cameras."""

import numpy as np

from skyweave.detection.image_detections import ImageDetections
from skyweave.locating.located import LocatedDetections
from skyweave.locating.map_tracker import MapTracker, MapTrackerConfig


def located(
    time: float, points: list[tuple[float, float]], categories: list[str] | None = None, platform: int = 0,
    bias: float = 0.0, scores: list[float] | None = None,
) -> LocatedDetections:  # fmt: skip
    """Return detections at places, 0.2 m of white error, 5 m of an error east that the camera always makes."""
    count = len(points)
    categories = categories or ["car"] * count
    by_camera = np.zeros((count, 2, 8))
    by_camera[:, 0, 0] = 5.0
    places = np.array([[x + 5.0 * bias, y, 0.0] for x, y in points]).reshape(count, 3)
    return LocatedDetections(
        places, np.tile(0.04 * np.eye(2), (count, 1, 1)), np.zeros((count, 2, 2)), by_camera,
        np.zeros((count, 2, 2)), np.zeros((count, 2, 2)), np.ones((count, 3)), np.zeros(count),
        ImageDetections(np.zeros((count, 4)), np.array(scores or [0.9] * count), tuple(categories)),
        time, platform, round(time * 10),
    )  # fmt: skip


def test_cars_that_pass_each_other_keep_their_identities_under_a_large_shared_error() -> None:
    tracker = MapTracker()
    numbers = [
        tracker.update(located(0.1 * step, [(10 * 0.1 * step, 0), (30 - 10 * 0.1 * step, 3)])) for step in range(31)
    ]
    assert {tuple(pair) for pair in numbers} == {(1, 2)}
    first, second = tracker.finish()
    assert first.points[-1].position[0] > 25 and second.points[-1].position[0] < 5
    assert abs(first.points[-1].velocity[0] - 10) < 0.5
    assert first.points[-1].covariance[0, 0] > 20  # 5 m, squared: thirty images by one camera do not help


def test_a_car_is_found_again_behind_a_bridge() -> None:
    tracker = MapTracker()
    for step in range(60):
        visible = step < 20 or step >= 45
        numbers = tracker.update(located(0.1 * step, [(1.2 * step, 0)] if visible else []))
    assert numbers.tolist() == [1] and len(tracker.finish()) == 1


def test_a_car_that_is_gone_for_long_is_another() -> None:
    tracker = MapTracker(config=MapTrackerConfig(max_gap=1.0))
    for step in range(60):
        numbers = tracker.update(located(0.1 * step, [(1.2 * step, 0)] if step < 20 or step >= 45 else []))
    assert numbers.tolist() == [2]


def test_a_pedestrian_is_not_taken_for_a_car_but_a_van_may_be() -> None:
    tracker = MapTracker()
    for step in range(10):
        tracker.update(located(0.1 * step, [(0, 0)], ["car"]))
    assert tracker.update(located(1.0, [(0, 0.3)], ["van"])).tolist() == [1]
    assert tracker.update(located(1.1, [(0, 0.3), (0, 0)], ["person", "car"])).tolist() == [2, 1]


def test_low_scores_continue_and_do_not_start() -> None:
    tracker = MapTracker()
    for step in range(10):
        score = 0.9 if step < 5 else 0.15
        numbers = tracker.update(located(0.1 * step, [(0, 0), (50, 50)], scores=[score, 0.15]))
    assert numbers.tolist() == [1, 0]


def test_two_cameras_with_different_errors_share_a_track_and_shrink_it() -> None:
    tracker = MapTracker(2)
    for step in range(40):
        tracker.update(located(0.1 * step, [(step, 0)], bias=0.5))
        tracker.update(located(0.1 * step, [(step, 0)], bias=-0.4, platform=1))
    (track,) = tracker.finish()
    assert {point.platform for point in track.points} == {0, 1}
    assert 11 < track.points[-1].covariance[0, 0] < 14  # half of 25


def test_one_detection_is_no_track() -> None:
    tracker = MapTracker()
    tracker.update(located(0.0, [(0, 0)]))
    for step in range(1, 20):
        tracker.update(located(0.1 * step, []))
    assert tracker.finish() == []
