"""Tracks through crossings of ways, gaps and noise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyweave.core.geometry.boxes import Boxes
from skyweave.perception.results import Detections
from skyweave.perception.tracking import Tracker, TrackerConfig

STEP = 500_000_000  # nanoseconds


def detections(places: list[tuple[float, float]], number: int, **changes: object) -> Detections:
    n = len(places)
    boxes = Boxes(np.array([(x, y, 1.0) for x, y in places]).reshape(-1, 3), np.ones((n, 3)), np.zeros(n))
    values: dict[str, object] = {
        "velocities": np.full((n, 2), np.nan),
        "categories": ("car",) * n,
        "scores": np.linspace(0.9, 0.5, n),
        "time": number * STEP,
    }
    return Detections(boxes, **(values | changes))  # type: ignore[arg-type]


def test_two_that_meet_keep_their_names() -> None:
    """Without velocities nearest places would swap them; how they moved tells them apart."""
    tracker = Tracker()
    names = []
    for number in range(12):
        t = number * 0.5
        found = tracker.update(detections([(-10 + 4 * t, 0.4), (12 - 4 * t, -0.4)], number))
        assert found.instances is not None
        names.append(dict(zip(found.instances, np.sign(found.boxes.centres[:, 1]).tolist(), strict=True)))
    assert all(one == names[0] for one in names)


def test_a_track_lives_through_a_gap_and_ends_after_it() -> None:
    tracker = Tracker(TrackerConfig(max_age=1.0))
    first = tracker.update(detections([(0, 0)], 0, velocities=np.array([[6.0, 0]]))).instances
    assert tracker.update(detections([(6, 0)], 2)).instances == first
    assert tracker.update(detections([(20, 0)], 6)).instances != first


def test_the_unsure_only_continue() -> None:
    tracker = Tracker(TrackerConfig(min_start_score=0.5))
    assert tracker.update(detections([(0, 0)], 0, scores=np.array([0.3]))).instances == ()
    assert tracker.associate(detections([(0, 0)], 0, scores=np.array([0.3]))).instances == ("",)
    name = tracker.update(detections([(0, 0)], 1)).instances
    assert tracker.update(detections([(0.5, 0)], 2, scores=np.array([0.1]))).instances == name


def test_what_is_uncertain_may_jump_by_as_much() -> None:
    def uncertain(x: float, std: float, number: int) -> Detections:
        return detections([(x, 0)], number, covariances=np.eye(2)[None] * std**2)

    for std, same in ((0.5, False), (2.5, True)):
        tracker = Tracker()
        first = tracker.update(uncertain(0, std, 0)).instances
        assert (tracker.update(uncertain(7, std, 1)).instances == first) == same
    unknown = Tracker()
    first = unknown.update(detections([(0, 0)], 0, covariances=np.full((1, 2, 2), np.nan))).instances
    assert unknown.update(detections([(7, 0)], 1)).instances != first


def test_classes_do_not_mix_and_time_goes_on() -> None:
    tracker = Tracker(prefix="a")
    tracker.update(detections([(0, 0)], 0))
    other = tracker.update(detections([(0, 0)], 1, categories=("bus",)))
    assert other.instances == ("a2",)
    assert tracker.update(detections([(0, 0)], -2)).instances == ("a3",)  # begun anew
    with pytest.raises(ValueError, match="no time"):
        tracker.update(detections([(0, 0)], 0, time=None))
    assert tracker.update(Detections.empty(time=3 * STEP)).instances == ()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 12), noise=st.floats(0, 0.3))
def test_a_name_is_given_once_a_frame_and_apart_from_others_kept(seed: int, count: int, noise: float) -> None:
    generator = np.random.default_rng(seed)
    start = np.stack([20.0 * np.arange(count), generator.uniform(-5, 5, count)], 1)
    speed = generator.uniform(-3, 3, (count, 2))
    tracker, seen = Tracker(), {}
    for number in range(8):
        places = start + 0.5 * number * speed * (1, 1) + generator.normal(0, noise, (count, 2))
        order = generator.permutation(count)
        found = tracker.update(detections([tuple(places[i]) for i in order], number))
        assert found.instances is not None and len(set(found.instances)) == count
        back = np.linalg.norm(found.boxes.centres[:, None, :2] - places, axis=-1).argmin(1)
        for name, car in zip(found.instances, back, strict=True):
            assert seen.setdefault(int(car), name) == name or np.abs(np.diff(places[:, 0])).min(initial=99) < 12
