"""Panoptic quality, by itself and over time, against the published rule written down plainly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from skyweave.perception.metrics import InstanceMetrics, panoptic_quality, sum_instance_metrics, video_panoptic_quality


def plain_rule(truth: np.ndarray, predicted: np.ndarray, follow: bool) -> tuple[float, int, int, int]:
    """Sum of IoU, TP, FP, FN of (frames, rows, columns), as FIERY's paper and released metric have it."""
    iou_sum, hits, false, missed = 0.0, 0, 0, 0
    remembered: dict[int, int] = {}
    for t, p in zip(truth, predicted, strict=True):
        objects, names = set(t[t > 0].tolist()), set(p[p > 0].tolist())
        matched_objects, matched_names = set(), set()
        for identity in sorted(objects):
            for name in sorted(names):
                shared = int(((t == identity) & (p == name)).sum())
                union = int(((t == identity) | (p == name)).sum())
                if not shared / union > 0.5:
                    continue
                matched_objects.add(identity)
                matched_names.add(name)
                if follow and remembered.get(identity, name) != name:
                    false, missed = false + 1, missed + 1
                else:
                    hits, iou_sum = hits + 1, iou_sum + shared / union
                remembered[identity] = name
        missed += len(objects - matched_objects)
        false += len(names - matched_names)
    return iou_sum, hits, false, missed


shapes = st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 4))
maps = shapes.flatmap(
    lambda shape: st.tuples(*[arrays.arrays(np.int32, shape, elements=st.sampled_from([0, 0, 1, 2, 7]))] * 2)
)


@given(maps, st.booleans())
@settings(max_examples=200, deadline=None)
def test_sums_are_those_of_the_plain_rule(pair: tuple[np.ndarray, np.ndarray], alike: bool) -> None:
    truth, predicted = pair
    if alike:  # mostly the same, so that much matches
        predicted = np.where(predicted == 7, truth, np.where(truth > 0, truth + (predicted == 2), 0))
    for follow, measure in ((True, video_panoptic_quality), (False, panoptic_quality)):
        found = measure(truth, predicted)
        iou_sum, hits, false, missed = plain_rule(truth, predicted, follow)
        assert (found.true_positives, found.false_positives, found.false_negatives) == (hits, false, missed)
        assert found.iou_sum == pytest.approx(iou_sum)
        size = hits + false / 2 + missed / 2
        assert found.pq == pytest.approx(iou_sum / size if size else np.nan, nan_ok=True)
        assert found.pq == pytest.approx(found.sq * found.rq, nan_ok=True)
        both, either = ((truth > 0) & (predicted > 0)).sum(), ((truth > 0) | (predicted > 0)).sum()
        assert found.iou == pytest.approx(both / either if either else np.nan, nan_ok=True)


def sequence(*frames: list[int]) -> np.ndarray:
    return np.array(frames, np.int32)[:, None]


def test_a_switch_is_a_false_alarm_and_a_miss_and_then_the_new_name_holds() -> None:
    truth = sequence([1, 1, 0], [1, 1, 0], [1, 1, 0], [1, 1, 0])
    named = sequence([5, 5, 0], [6, 6, 0], [6, 6, 0], [5, 5, 0])
    found = video_panoptic_quality(truth, named)
    assert (found.true_positives, found.false_positives, found.false_negatives, found.identity_switches) == (2, 2, 2, 2)
    assert found.pq == pytest.approx(0.5)
    assert panoptic_quality(truth, named).pq == 1


def test_a_gap_does_not_break_the_memory() -> None:
    truth = sequence([1, 1], [1, 1], [1, 1])
    assert video_panoptic_quality(truth, sequence([5, 5], [0, 0], [6, 6])).identity_switches == 1
    gone = sequence([1, 1], [0, 0], [1, 1])
    assert video_panoptic_quality(gone, sequence([5, 5], [0, 0], [6, 6])).identity_switches == 1


def test_two_objects_may_be_given_one_name_in_turn() -> None:
    """The rule asks of each object what it was called; that another had the name before does not matter."""
    found = video_panoptic_quality(sequence([1, 1, 0], [0, 2, 2]), sequence([5, 5, 0], [0, 5, 5]))
    assert (found.true_positives, found.identity_switches) == (2, 0)


def test_exactly_half_is_no_match() -> None:
    found = panoptic_quality(np.array([[1, 1]]), np.array([[1, 0]]))
    assert (found.true_positives, found.pq) == (0, 0)
    assert panoptic_quality(np.array([[1, 1, 1]]), np.array([[1, 1, 0]])).pq == pytest.approx(2 / 3)


def test_cells_that_do_not_count_are_nowhere() -> None:
    truth, predicted = np.array([[1, 1, 2]]), np.array([[1, 1, 0]])
    assert panoptic_quality(truth, predicted).pq == pytest.approx(1 / 1.5)
    assert panoptic_quality(truth, predicted, np.array([[True, True, False]])).pq == 1


def test_sequences_are_added_up() -> None:
    one = video_panoptic_quality(sequence([1, 0]), sequence([1, 0]))
    two = video_panoptic_quality(sequence([1, 1]), sequence([0, 0]))
    both = sum_instance_metrics([one, two])
    assert both == one + two
    assert both.pq == pytest.approx(1 / 1.5)
    assert both.iou == pytest.approx(1 / 3)


def test_nothing_is_nan_and_said() -> None:
    nothing = panoptic_quality(np.zeros((2, 2), int), np.zeros((2, 2), int))
    assert np.isnan([nothing.pq, nothing.sq, nothing.rq, nothing.iou]).all()
    assert "no objects and no predictions" in nothing.notes[0]
    assert nothing.to_dict("V")["VPQ"] is None
    assert "no frame" in InstanceMetrics().notes[0]
    missed = panoptic_quality(np.ones((2, 2), int), np.zeros((2, 2), int))
    assert (missed.pq, missed.sq, missed.rq, missed.notes) == (0, 0, 0, ())


def test_large_names_are_names() -> None:
    big = 2**31 - 1
    assert panoptic_quality(np.array([[big, 0]]), np.array([[big - 1, 0]])).pq == 1


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int), "resample one"),
        (np.zeros((2, 3, 4), int), np.zeros((2, 4, 3), int), "resample one"),
        (np.zeros((2, 2)), np.zeros((2, 2), int), "whole numbers"),
        (np.full((2, 2), -1), np.zeros((2, 2), int), "start at 0"),
    ],
)
def test_bad_input_is_refused(truth: np.ndarray, predicted: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        panoptic_quality(truth, predicted)


def test_a_sequence_has_frames() -> None:
    with pytest.raises(ValueError, match="a sequence is"):
        video_panoptic_quality(np.zeros((2, 2), int), np.zeros((2, 2), int))
