"""Results check what they are made of."""

from typing import Any

import numpy as np
import pytest

from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.grid import MapGrid
from skyweave.perception.results import Detections, InstanceMap, Trajectories

BOXES = Boxes(np.zeros((2, 3)), np.ones((2, 3)), np.zeros(2))
GRID = MapGrid(0, 4, 0.5, 3, 4)


def detections(**changes: Any) -> Detections:
    content: dict[str, Any] = {
        "boxes": BOXES,
        "velocities": np.zeros((2, 2)),
        "categories": ("car", "bus"),
        "scores": np.array([0.5, 0.9]),
    }
    return Detections(**{**content, **changes})


def trajectories(**changes: Any) -> Trajectories:
    content: dict[str, Any] = {
        "modes": np.zeros((1, 2, 3, 2)),
        "probabilities": np.array([[0.4, 0.6]]),
        "times": np.array([0.5, 1.0, 1.5]),
        "categories": ("car",),
    }
    return Trajectories(**{**content, **changes})


def test_some_of_the_detections() -> None:
    every = detections(instances=("a", "b"), attributes=("", "vehicle.moving"), crs="EPSG:32632", time=7)
    one = every.select(every.scores > 0.6)
    assert (len(one), one.categories, one.instances, one.attributes) == (1, ("bus",), ("b",), ("vehicle.moving",))
    assert (one.crs, one.time) == ("EPSG:32632", 7)
    assert every.select(np.argsort(-every.scores)).categories == ("bus", "car")
    assert len(every.select(np.zeros(2, bool))) == len(Detections.empty()) == 0


def test_an_instance_map_knows_who_is_there() -> None:
    found = InstanceMap(GRID, np.eye(3, 4, dtype=np.int64) * 9, {9: "car"}, {9: 0.5})
    assert found.instance_ids() == [9]
    assert found.identities.dtype == np.int32
    assert found.crs is None


def test_the_best_of_several_futures() -> None:
    modes = np.stack([np.zeros((3, 2)), np.ones((3, 2))])[None]
    assert trajectories(modes=modes).best_modes().tolist() == np.ones((1, 3, 2)).tolist()


@pytest.mark.parametrize(
    ("make", "changes", "message"),
    [
        (detections, {"scores": np.ones(3)}, "2 boxes, but 3 scores"),
        (detections, {"categories": ("car",), "instances": ("a",)}, "1 categories, 1 instances"),
        (detections, {"scores": np.array([0.5, np.nan])}, "found nan"),
        (detections, {"scores": np.array([0.5, -3.0])}, "sigmoid"),
        (trajectories, {"modes": np.zeros((1, 2, 3))}, "needed are"),
        (trajectories, {"probabilities": np.ones((1, 3)) / 3}, "need probabilities"),
        (trajectories, {"probabilities": np.ones((1, 2))}, "sum to 1"),
        (trajectories, {"probabilities": np.array([[-1.0, 2.0]])}, "at least 0"),
        (trajectories, {"times": np.array([0.5, 0.5, 1.0])}, "rise"),
        (trajectories, {"times": np.array([0.0, 0.5, 1.0])}, "above 0"),
        (trajectories, {"categories": ("car", "bus")}, "2 categories"),
        (trajectories, {"modes": np.full((1, 2, 3, 2), np.nan)}, "NaN"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**changes)


@pytest.mark.parametrize(
    ("identities", "scores", "message"),
    [
        (np.zeros((4, 3), int), {}, "their grid has"),
        (np.zeros((3, 4)), {}, "whole numbers"),
        (np.full((3, 4), -1), {}, "whole numbers from 0"),
        (np.full((3, 4), 2**31), {}, "whole numbers from 0"),
        (np.zeros((3, 4), int), {1: -1.0}, "at least 0"),
    ],
)
def test_instance_maps_that_are_none_are_refused(identities: np.ndarray, scores: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InstanceMap(GRID, identities, {}, scores)
