"""Average precision at an overlap of oriented boxes: by hand, and against a plain reading with known overlaps."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyweave.core.geometry.boxes import Boxes
from skyweave.perception.metrics import evaluate_bev_ap
from skyweave.perception.metrics.bev_ap import average_precision
from skyweave.perception.results import Detections
from skyweave.recordings.recording import Annotations


def row(places: Any, yaw: float = 0.0) -> Boxes:
    """Boxes of 4 x 2 m along x, turned with the line that they stand on."""
    along = np.asarray(places, float).reshape(-1)
    centres = np.column_stack([along * np.cos(yaw), along * np.sin(yaw), np.zeros(len(along))])
    return Boxes(centres, np.tile([4.0, 2, 1], (len(along), 1)), np.full(len(along), yaw))


def objects(places: Any, name: str = "car", yaw: float = 0.0, **options: Any) -> Annotations:
    of = row(places, yaw)
    return Annotations(of, np.zeros((len(of), 2)), (name,) * len(of), tuple(map(str, range(len(of)))), **options)


def found(places: Any, scores: Any, name: str = "car", yaw: float = 0.0) -> Detections:
    of = row(places, yaw)
    return Detections(of, np.zeros((len(of), 2)), (name,) * len(of), np.asarray(scores, float))


@pytest.mark.parametrize("yaw", [0.0, 0.7, -2.0])
def test_by_hand(yaw: float) -> None:
    """Moved by 1 of 4 m, the overlap is 3/5: enough at 0.5, too little at 0.7."""
    truth, predicted = [objects([0, 10], yaw=yaw)], [found([1, 10, 20], [0.9, 0.8, 0.7], yaw=yaw)]
    result = evaluate_bev_ap(truth, predicted)
    assert result.ap["car"] == {0.5: pytest.approx(1), 0.7: pytest.approx(0.25)}  # second of two, at precision 1/2
    assert result.mean(0.5) == pytest.approx(1)


def test_the_area_is_under_the_envelope() -> None:
    assert average_precision(np.array([True, False, True]), 2) == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert average_precision(np.array([False, True, True]), 2) == pytest.approx(2 / 3)  # precision rises again
    assert average_precision(np.zeros(0, bool), 3) == 0
    assert np.isnan(average_precision(np.zeros(0, bool), 0))


def test_predictions_of_all_frames_are_sorted_together() -> None:
    truth = [objects([0]), objects([0])]
    predicted = [found([50], [0.5]), found([0], [0.9])]
    assert evaluate_bev_ap(truth, predicted).ap["car"][0.5] == pytest.approx(0.5)
    worse = [found([50], [0.95]), found([0], [0.9])]
    assert evaluate_bev_ap(truth, worse).ap["car"][0.5] == pytest.approx(0.25)


def test_an_object_is_found_once_and_the_next_takes_what_is_free() -> None:
    result = evaluate_bev_ap([objects([0, 1])], [found([0.4, 0.4], [0.9, 0.8])])
    assert result.ap["car"][0.5] == pytest.approx(1)
    twice = evaluate_bev_ap([objects([0, 50])], [found([0, 0], [0.9, 0.8])])
    assert twice.ap["car"][0.5] == pytest.approx(0.5)


def test_nothing_to_measure_is_said() -> None:
    result = evaluate_bev_ap([objects([])], [found([0], [0.9])], ("car",))
    assert np.isnan(result.mean(0.5))
    assert result.to_dict()["AP@0.5"] is None
    assert "class 'car' has no objects" in result.notes[0]
    assert evaluate_bev_ap([objects([0])], [found([], [])]).ap["car"][0.7] == 0
    hidden = evaluate_bev_ap([objects([0, 10], visibility={"UAV_1": np.array([1, 0.0])})], [found([0], [0.9])])
    assert hidden.ap["car"][0.5] == pytest.approx(1)
    assert evaluate_bev_ap([], []).to_dict() == {"classes": {}, "notes": []}


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="1 frames of truth"):
        evaluate_bev_ap([objects([])], [])
    with pytest.raises(ValueError, match="in \\(0, 1\\]"):
        evaluate_bev_ap([], [], iou_thresholds=(0.5, 70))
    with pytest.raises(ValueError, match="give origins"):
        evaluate_bev_ap([objects([])], [found([], [])], ("car",), class_ranges={"car": 1})


frame = st.tuples(
    st.lists(st.integers(0, 12), max_size=5),
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from([0.1, 0.5, 0.9])), max_size=8),
)


@given(st.lists(frame, min_size=1, max_size=3))
@settings(max_examples=40, deadline=None)
def test_it_is_that_of_a_plain_reading(frames: list[Any]) -> None:
    truth = [objects(places) for places, _ in frames]
    predicted = [found([p for p, _ in said], [s for _, s in said]) for _, said in frames]
    result = evaluate_bev_ap(truth, predicted, ("car",), iou_thresholds=(0.45, 0.55))
    turns = sorted((s, f, i, p) for f, (_, said) in enumerate(frames) for i, (p, s) in enumerate(said))[::-1]
    for threshold in (0.45, 0.55):  # overlaps of boxes on a line: max(4 - d, 0) / (4 + d), never near these
        free = [list(places) for places, _ in frames]
        hits = []
        for _, f, _, place in turns:
            overlaps = [max(4 - abs(place - other), 0) / (4 + abs(place - other)) for other in free[f]]
            hits.append(bool(overlaps) and max(overlaps) >= threshold)
            if hits[-1]:
                del free[f][int(np.argmax(overlaps))]
        count = sum(len(places) for places, _ in frames)
        points = [(sum(hits[: k + 1]) / count, sum(hits[: k + 1]) / (k + 1)) for k in range(len(hits))] if count else []
        expected = sum(
            max(p for _, p in points[k:]) * (points[k][0] - (points[k - 1][0] if k else 0)) for k in range(len(points))
        )
        assert result.ap["car"][threshold] == pytest.approx(expected if count else np.nan, nan_ok=True)
