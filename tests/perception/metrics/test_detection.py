"""Detection scores: numbers worked out by hand, a plain reading of the definition, and bad input."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyweave.core.geometry.boxes import Boxes
from skyweave.perception.metrics import NUSCENES_RANGES, DetectionConfig, evaluate_detection, visible_objects
from skyweave.perception.results import Detections
from skyweave.recordings.recording import Annotations


def boxes(places: Any, size: Any = (4, 2, 1.5), yaw: float = 0.0) -> Boxes:
    places = np.asarray(places, float).reshape(-1, 2)
    sizes = np.broadcast_to(np.asarray(size, float), (len(places), 3))
    return Boxes(np.column_stack([places, np.zeros(len(places))]), sizes, np.full(len(places), yaw))


def objects(places: Any, names: Any = "car", **options: Any) -> Annotations:
    of = boxes(places, options.pop("size", (4, 2, 1.5)), options.pop("yaw", 0.0))
    names = (names,) * len(of) if isinstance(names, str) else tuple(names)
    velocities = options.pop("velocities", np.zeros((len(of), 2)))
    return Annotations(of, velocities, names, tuple(map(str, range(len(of)))), **options)


def found(places: Any, scores: Any, names: Any = "car", **options: Any) -> Detections:
    of = boxes(places, options.pop("size", (4, 2, 1.5)), options.pop("yaw", 0.0))
    names = (names,) * len(of) if isinstance(names, str) else tuple(names)
    return Detections(of, options.pop("velocities", np.zeros((len(of), 2))), names, np.asarray(scores, float))


def test_everything_found_exactly() -> None:
    result = evaluate_detection([objects([[0, 0], [9, 9]])], [found([[0, 0], [9, 9]], [0.9, 0.8])])
    assert result.mean_ap == pytest.approx(1)
    assert [result.errors[name] for name in ("translation", "scale", "orientation", "velocity")] == [0, 0, 0, 0]
    assert result.errors["attribute"] == 1  # as the devkit has it: nobody knows an attribute
    assert result.nds == pytest.approx(0.9)
    assert result.score("without_attributes") == pytest.approx(1)
    assert result.score("uav3d") == pytest.approx(1)


def test_average_precision_by_hand() -> None:
    """One of two objects, after one false alarm: precision 1/2 up to recall 1/2, from where it is 0."""
    result = evaluate_detection([objects([[0, 0], [50, 0]])], [found([[20, 0], [0.3, 0]], [0.9, 0.5])])
    # of the 90 recall levels above 0.1, the precision rises over the first hit's interpolation to 1/2 at level 0.5
    levels = np.linspace(0, 1, 101)[11:]
    precision = np.interp(levels, [0, 0.5], [0, 0.5], right=0)
    assert result.classes["car"].ap[0.5] == pytest.approx(np.maximum(precision - 0.1, 0).mean() / 0.9)
    assert result.errors["translation"] == pytest.approx(0.3)


def test_thresholds_are_exclusive_and_the_nearest_is_taken() -> None:
    truth = objects([[0, 0], [1.0, 0]], size=[(4, 2, 1), (8, 2, 1)])
    result = evaluate_detection([truth], [found([[2.0, 0]], [1.0], size=(8, 2, 1))])
    assert [ap > 0 for ap in result.classes["car"].ap.values()] == [False, False, True, True]
    assert result.errors["scale"] == pytest.approx(0)  # matched the second
    exact = evaluate_detection([objects([[0, 0]])], [found([[0.5, 0]], [1.0])])
    assert [ap > 0 for ap in exact.classes["car"].ap.values()] == [False, True, True, True]


def test_of_equal_scores_the_later_goes_first_and_of_equal_distances_the_first_object_is_taken() -> None:
    one = evaluate_detection([objects([[0, 0]])], [found([[1.5, 0], [0.1, 0]], [0.5, 0.5])])
    assert one.errors["translation"] == pytest.approx(0.1)
    truth = objects([[1, 0], [-1, 0]], size=[(4, 2, 1), (2, 2, 1)])
    two = evaluate_detection([truth], [found([[0, 0]], [0.5], size=(4, 2, 1))])
    assert two.errors["scale"] == pytest.approx(0)


def test_barriers_have_no_front_and_cones_no_heading() -> None:
    truth = [objects([[0, 0], [9, 0], [18, 0]], ["barrier", "car", "traffic_cone"], yaw=0.2)]
    turned = [found([[0, 0], [9, 0], [18, 0]], [1, 1, 1], ["barrier", "car", "traffic_cone"], yaw=0.2 + np.pi)]
    result = evaluate_detection(truth, turned)
    assert result.classes["barrier"].errors["orientation"] == pytest.approx(0, abs=1e-9)
    assert result.classes["car"].errors["orientation"] == pytest.approx(np.pi)
    assert np.isnan(result.classes["traffic_cone"].errors["orientation"])
    assert result.errors["orientation"] == pytest.approx(np.pi / 2)


@pytest.mark.parametrize(("name", "count"), [("nuscenes", 5), ("without_attributes", 4), ("uav3d", 3)])
def test_the_score_says_its_definition_and_divisor(name: str, count: int) -> None:
    result = evaluate_detection(
        [objects([[0, 0]])], [found([[0.5, 0]], [1.0], yaw=0.4)], config=DetectionConfig(nds=name)
    )
    errors = [0.5, 0, 0.4, 0, 1][:count]
    assert result.nds == pytest.approx((5 * result.mean_ap + sum(1 - e for e in errors)) / (5 + count))
    assert result.nds_definition.endswith(f"/ {5 + count}")
    assert result.nds_definition == result.to_dict()["NDS_definition"]


def test_objects_that_nobody_sees_are_left_out_and_do_not_excuse_predictions() -> None:
    visibility = {"UAV_1": np.array([0.0, 0.4, np.nan]), "UAV_2": np.array([0.0, 0.0, 0.0])}
    truth = objects([[0, 0], [10, 0], [20, 0]], visibility=visibility)
    assert visible_objects(truth).tolist() == [False, True, True]
    assert visible_objects(objects([[0, 0]])).tolist() == [True]
    predicted = [found([[0, 0], [10, 0], [20, 0]], [0.9, 0.8, 0.7])]
    result = evaluate_detection([truth], predicted)
    assert result.classes["car"].objects == 2
    assert result.mean_ap < 1  # the prediction on the hidden one is a false alarm, as in nuScenes
    assert "1 objects that nobody sees" in result.notes[0]
    everything = evaluate_detection([truth], predicted, counted=[np.ones(3, bool)])
    assert everything.mean_ap == pytest.approx(1)


def test_ranges_are_about_the_origin_of_each_frame() -> None:
    truth = [objects([[0, 0], [60, 0]]), objects([[0, 0], [60, 0]])]
    predicted = [found([[0, 0]], [0.9]), found([[60, 0]], [0.9])]
    config = DetectionConfig(class_ranges={"car": 50.0})
    result = evaluate_detection(truth, predicted, config=config, origins=np.array([[0, 0], [60.0, 0]]))
    assert result.mean_ap == pytest.approx(1)
    with pytest.raises(ValueError, match="give origins"):
        evaluate_detection(truth, predicted, config=config)
    with pytest.raises(ValueError, match="no range for class 'car'"):
        evaluate_detection(truth, predicted, config=DetectionConfig(class_ranges={"bus": 1}), origins=np.zeros((2, 2)))
    assert NUSCENES_RANGES["pedestrian"] == 40


@pytest.mark.parametrize(
    ("truth", "predicted", "classes", "mean_ap", "remark"),
    [
        ([], [], None, np.nan, "no classes"),
        ([objects([])], [found([], [])], None, np.nan, "no classes"),
        ([objects([])], [found([[0, 0]], [1.0])], ("car",), 0, "class 'car' has no objects"),
        ([objects([[0, 0]])], [found([], [])], None, 0, "class 'car' has no predictions"),
        ([objects([[0, 0]])], [found([[0, 0]], [1.0], "ufo")], None, 0, "1 predictions of class 'ufo'"),
        ([objects([[0, 0]], "ufo")], [found([[0, 0]], [1.0])], ("car",), 0, "1 objects of class 'ufo'"),
        ([objects([[0, 0]])], [found(np.zeros((501, 2)), np.ones(501))], None, 89 / 90, "500 predictions"),
        (
            [objects([[0, 0]], velocities=[[np.nan, 0]])],
            [found([[0, 0]], [1.0])],
            None,
            1,
            "objects of unknown velocity",
        ),
    ],
)
def test_nothing_to_measure_is_said(
    truth: list[Annotations], predicted: list[Detections], classes: Any, mean_ap: float, remark: str
) -> None:
    result = evaluate_detection(truth, predicted, classes)
    assert result.mean_ap == pytest.approx(mean_ap, nan_ok=True)
    assert any(remark in note for note in result.notes), result.notes
    assert result.to_dict()["mAP"] is None or 0 <= result.to_dict()["NDS"] <= 1


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="1 frames of truth, but 2"):
        evaluate_detection([objects([])], [found([], []), found([], [])])
    with pytest.raises(ValueError, match="unknown definition of NDS 'x'"):
        DetectionConfig(nds="x")
    with pytest.raises(ValueError, match=r"tp_distance_threshold 2\.0"):
        DetectionConfig(distance_thresholds=(0.5,))
    with pytest.raises(ValueError, match="given twice"):
        evaluate_detection([], [], ("car", "car"))
    with pytest.raises(ValueError, match="one entry an object"):
        evaluate_detection([objects([[0, 0]])], [found([], [])], attributes=[["a", "b"]])


@st.composite
def frames(draw: st.DrawFn) -> tuple[list[Annotations], list[Detections]]:
    place = st.tuples(*[st.integers(-4, 4).map(lambda x: x / 2)] * 2)
    truth, predicted = [], []
    for _ in range(draw(st.integers(1, 3))):
        there = draw(st.lists(st.tuples(place, st.sampled_from(["car", "bus"])), max_size=6))
        said = draw(
            st.lists(st.tuples(place, st.sampled_from(["car", "bus", "ufo"]), st.sampled_from([0.0, 0.3, 0.5, 0.9])))
        )
        truth.append(objects([p for p, _ in there], [n for _, n in there]))
        predicted.append(found([p for p, _, _ in said], [s for _, _, s in said], [n for _, n, _ in said]))
    return truth, predicted


@given(frames())
@settings(max_examples=60, deadline=None)
def test_average_precision_is_that_of_a_plain_reading(case: tuple[list[Annotations], list[Detections]]) -> None:
    truth, predicted = case
    result = evaluate_detection(truth, predicted, ("car", "bus"))
    for name, score in result.classes.items():
        for threshold, ap in score.ap.items():
            assert ap == pytest.approx(plain_average_precision(truth, predicted, name, threshold), abs=1e-9)
    assert 0 <= result.nds <= 1


def plain_average_precision(
    truth: list[Annotations], predicted: list[Detections], name: str, threshold: float
) -> float:
    """One prediction after the other, as the paper tells it."""
    turns = [
        (float(d.scores[i]), frame, i)
        for frame, d in enumerate(predicted)
        for i in range(len(d))
        if d.categories[i] == name
    ]
    turns = sorted(turns)[::-1]
    count = sum(a.categories.count(name) for a in truth)
    free = {(f, i) for f, a in enumerate(truth) for i in range(len(a.boxes)) if a.categories[i] == name}
    hits = []
    for _, frame, i in turns:
        place = predicted[frame].boxes.centres[i, :2]
        near = [
            (float(np.linalg.norm(truth[f].boxes.centres[j, :2] - place)), j) for f, j in sorted(free) if f == frame
        ]
        distance, j = min(near, default=(np.inf, -1))
        hits.append(distance < threshold)
        if hits[-1]:
            free.remove((frame, j))
    if not any(hits):
        return 0.0
    precision = [sum(hits[: k + 1]) / (k + 1) for k in range(len(hits))]
    recall = [sum(hits[: k + 1]) / count for k in range(len(hits))]
    levels = np.interp(np.linspace(0, 1, 101), recall, precision, right=0)[11:]
    return float(np.maximum(levels - 0.1, 0).mean() / 0.9)
