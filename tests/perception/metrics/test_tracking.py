"""Tracking figures worked out by hand; the devkit's own are in ``test_parity.py``."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from skyweave.core.geometry.boxes import Boxes
from skyweave.perception.metrics import TrackedSequence, TrackingConfig, evaluate_tracking
from skyweave.perception.results import Detections
from skyweave.recordings.recording import Annotations

Rows = Sequence[tuple[Any, ...]]  # name, x, score


def of(rows: Rows) -> Boxes:
    centres = np.array([[row[1], 0, 0] for row in rows], float).reshape(-1, 3)
    return Boxes(centres, np.ones_like(centres), np.zeros(len(rows)))


def objects(*rows: tuple[str, float], names: str = "car", **options: Any) -> Annotations:
    return Annotations(of(rows), np.zeros((len(rows), 2)), (names,) * len(rows), tuple(r[0] for r in rows), **options)


def tracks(*rows: tuple[str, float, float], names: str = "car") -> Detections:
    scores = np.array([row[2] for row in rows], float)
    names_ = (names,) * len(rows)
    return Detections(of(rows), np.zeros((len(rows), 2)), names_, scores, instances=tuple(r[0] for r in rows))


def scene(truth: list[Annotations], predicted: list[Detections], **options: Any) -> TrackedSequence:
    return TrackedSequence(truth, predicted, np.arange(len(truth)) * 0.5, **options)


def test_everything_is_followed() -> None:
    truth = [objects(("a", x), ("b", x + 50)) for x in range(4)]
    predicted = [tracks(("1", x, 0.9), ("2", x + 50.5, 0.8)) for x in range(4)]
    result = evaluate_tracking([scene(truth, predicted)])
    assert result.amota == 1
    # between recall 4/8 and 5/8 the score falls from 0.9 to 0.8: only from there on the second track counts
    num_recall_levels = np.linspace(0.1, 1, 40)
    assert result.amotp == pytest.approx(np.where(num_recall_levels < 5 / 8, 0, 0.25).mean())
    figures = result.classes["car"]
    assert (figures["mota"], figures["tp"], figures["ids"], figures["mt"], figures["tid"]) == (1, 8, 0, 2, 0)
    assert result.notes == ()


def test_a_change_of_identity_is_a_switch() -> None:
    truth = [objects(("a", 0)) for _ in range(4)]
    predicted = [tracks((name, 0, 0.9)) for name in "1122"]
    figures = evaluate_tracking([scene(truth, predicted)]).classes["car"]
    assert (figures["ids"], figures["tp"], figures["fn"], figures["fp"]) == (1, 3, 0, 0)
    assert figures["mota"] == pytest.approx(3 / 4)
    assert figures["motar"] == pytest.approx(1 - (1 - (1 - 3 / 4) * 4) / 3)


def test_a_pair_stays_while_it_is_near_enough() -> None:
    """A nearer track appears, but the object keeps the one it has."""
    truth = [objects(("a", 0)), objects(("a", 0))]
    predicted = [tracks(("1", 0, 0.9)), tracks(("1", 1.5, 0.9), ("2", 0, 0.9))]
    figures = evaluate_tracking([scene(truth, predicted)]).classes["car"]
    assert (figures["ids"], figures["fp"], figures["motp"]) == (0, 1, pytest.approx(0.75))


def test_gaps_are_filled_as_the_devkit_does_or_rightly_or_not() -> None:
    truth = [objects(("a", 3.0 * x)) for x in range(4)]
    predicted = [tracks(("1", 0, 0.9)), tracks(), tracks(), tracks(("1", 9, 0.9))]

    def motp(interpolation: Any) -> tuple[float, float]:
        figures = evaluate_tracking(
            [scene(truth, predicted)], config=TrackingConfig(interpolation=interpolation)
        ).classes["car"]
        return figures["recall"], figures["motp"]

    assert motp("linear") == (1, pytest.approx(0))
    assert motp(None) == (0.5, pytest.approx(0))
    assert motp("devkit") == (0.5, pytest.approx(0))  # the weights are exchanged: 3 m off in both frames
    hidden = [*truth[:1], objects(("a", 3), visibility={"UAV_1": np.zeros(1)}), *truth[2:]]
    refilled = evaluate_tracking([scene(hidden, predicted)], config=TrackingConfig(interpolation="linear"))
    assert refilled.classes["car"]["gt"] == 4  # hidden in between comes back


def test_a_track_has_one_score() -> None:
    """The mean of its boxes: a confident box does not make a confident track."""
    truth = [objects(("a", 0), ("b", 50)) for _ in range(2)]
    predicted = [tracks(("1", 0, 1.0), ("2", 50, 0.6)), tracks(("1", 0, 0.0), ("2", 50, 0.6))]
    figures = evaluate_tracking([scene(truth, predicted)]).classes["car"]
    assert (figures["recall"], figures["mota"]) == (1, 1)


def test_identities_belong_to_their_scene() -> None:
    one = scene([objects(("a", 0))], [tracks(("1", 0, 0.9))])
    two = scene([objects(("a", 0))], [tracks(("2", 0, 0.9))])
    assert evaluate_tracking([one, two]).overall("ids") == 0


def test_durations_and_fragments() -> None:
    truth = [objects(("a", 0)) for _ in range(7)]
    predicted = [tracks(*[("1", 0, 0.9)] * there) for there in (0, 0, 1, 0, 0, 1, 0)]
    config = TrackingConfig(interpolation=None)
    figures = evaluate_tracking([scene(truth, predicted)], config=config).classes["car"]
    assert (figures["tid"], figures["lgd"], figures["frag"], figures["mt"], figures["ml"]) == (1, 1, 1, 0, 0)


def test_ranges_leave_out_what_is_far() -> None:
    options = {"origins": np.zeros((1, 2))}
    far = scene([objects(("a", 0), ("b", 60))], [tracks(("1", 0, 0.9))], **options)
    config = TrackingConfig(class_ranges={"car": 50.0})
    assert evaluate_tracking([far], config=config).amota == 1
    with pytest.raises(ValueError, match="give each scene origins"):
        evaluate_tracking([scene([objects()], [tracks()])], ("car",), config)


def test_nothing_to_measure_is_said() -> None:
    nothing = evaluate_tracking([scene([objects()], [tracks(("1", 0, 0.9))])], ("car",))
    assert np.isnan([nothing.amota, nothing.amotp]).all()
    assert nothing.to_dict()["amota"] is None
    assert "class 'car' has no objects" in nothing.notes[0]
    silent = evaluate_tracking([scene([objects(("a", 0))], [tracks()])])
    assert (silent.amota, silent.amotp) == (0, 2)
    assert "class 'car' has no tracks" in silent.notes[0]
    assert np.isnan(evaluate_tracking([]).amota)
    strangers = evaluate_tracking([scene([objects(("a", 0))], [tracks(("1", 0, 1.0), names="ufo")])])
    assert "1 predictions of class 'ufo'" in strangers.notes[0]


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="1 frames of truth, 0 of tracks"):
        scene([objects()], [])
    with pytest.raises(ValueError, match="must rise"):
        TrackedSequence([objects()] * 2, [tracks()] * 2, np.zeros(2))
    with pytest.raises(ValueError, match="one track more than once"):
        scene([objects()], [tracks(("1", 0, 0.9), ("1", 5, 0.9))])
    with pytest.raises(ValueError, match="one object more than once"):
        scene([objects(("a", 0), ("a", 5))], [tracks()])
    with pytest.raises(ValueError, match="run a tracker first"):
        scene([objects()], [Detections(of([("", 0)]), np.zeros((1, 2)), ("car",), np.ones(1))])
