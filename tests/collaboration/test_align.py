"""Errors of a peer's pose are found from what both see, and nothing is found where there is no error."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skyweave.collaboration.align import STEP, Aligner, Correction
from skyweave.geometry.grid import MapGrid
from skyweave.wire import BoxList

MIDDLE = (500_010.0, 4_000_020.0)


def boxes(places: np.ndarray, classes: np.ndarray) -> BoxList:
    count = len(places)
    centres = np.concatenate([places, np.zeros((count, 1))], 1)
    return BoxList(centres, np.ones((count, 3)), np.zeros(count), classes, np.full(count, 0.7), np.ones((count, 2)))


def world(generator: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    places = generator.uniform(-25, 25, (count, 2)) + MIDDLE
    return places, generator.integers(0, 2, count), generator.normal(0, 4, (count, 2))


def watched(error: Correction, seed: int, noise: float = 0.3, frames: int = 8) -> Aligner:
    """Both see two thirds of the moving objects and one thing in four that is not there; the peer errs."""
    generator = np.random.default_rng(seed)
    places, classes, velocities = world(generator, 12)
    aligner = Aligner()
    for _ in range(frames):
        lists = []
        for _ in range(2):
            seen = generator.random(12) < 0.67
            false, kinds, _ = world(generator, 3)
            there = places[seen] + generator.normal(0, noise, (int(seen.sum()), 2))
            lists.append(boxes(np.concatenate([there, false]), np.concatenate([classes[seen], kinds])))
        aligner.see(lists[0], error.boxes(lists[1]), MIDDLE)
        places = places + 0.5 * velocities
    return aligner


def displaced(error: Correction, found: Correction) -> tuple[float, float]:
    """Metres by which points lie wrong in the median, before and after."""
    points = np.random.default_rng(1).uniform(-20, 20, (50, 2)) + MIDDLE
    before = np.hypot(*(error.points(points) - points).T)
    after = np.hypot(*(found.points(error.points(points)) - points).T)
    return float(np.median(before)), float(np.median(after))


def test_lasting_errors_are_undone() -> None:
    generator, undone = np.random.default_rng(0), []
    for seed in range(40):
        way, metres = generator.uniform(0, 2 * np.pi), generator.uniform(2, 7)
        turn = np.deg2rad(generator.choice([-4.5, -3, 0, 3, 4.5]))
        error = Correction((metres * np.cos(way), metres * np.sin(way)), turn, MIDDLE)
        before, after = displaced(error, watched(error, seed).correction(MIDDLE))
        undone.append(after < max(1.0, 0.3 * before))
    assert np.mean(undone) >= 0.9


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 2 * np.pi), st.floats(0, 9), st.sampled_from([-4.5, 0, 4.5]), st.integers(0, 10_000))
def test_nothing_becomes_much_worse(way: float, metres: float, degrees: float, seed: int) -> None:
    error = Correction((metres * np.cos(way), metres * np.sin(way)), np.deg2rad(degrees), MIDDLE)
    before, after = displaced(error, watched(error, seed).correction(MIDDLE))
    assert after < before + 0.75


@pytest.mark.parametrize("seed", range(10))
def test_right_poses_stay(seed: int) -> None:
    assert watched(Correction(), seed).correction(MIDDLE).nothing


def test_without_common_objects_poses_are_believed() -> None:
    aligner = Aligner()
    assert aligner.correction(MIDDLE).nothing
    generator = np.random.default_rng(0)
    places, classes, _ = world(generator, 5)
    aligner.see(boxes(places, classes), boxes(places[:0], classes[:0]), MIDDLE)
    aligner.see(boxes(places, np.zeros(5, int)), boxes(places + 3, np.ones(5, int)), MIDDLE)
    assert aligner.correction(MIDDLE).nothing


def test_maps_and_boxes_move_alike() -> None:
    grid = MapGrid(1_000_000, 8_000_080, 0.5, 80, 80)
    correction = Correction((3.0, -2.0), np.deg2rad(6), (500_020.0, 4_000_020.0))
    maps = torch.zeros(1, 80, 80)
    maps[0, 30:33, 50:53] = 1.0
    centre = np.array([[(grid.west + 51.5) * 0.5, (grid.north - 31.5) * 0.5]])
    moved = correction.boxes(boxes(centre, np.zeros(1, int)))
    row, column = (float(x.float().mean()) for x in correction.maps(maps, grid)[0].nonzero(as_tuple=True))
    there = np.array([(grid.west + column + 0.5) * 0.5, (grid.north - row - 0.5) * 0.5])
    assert np.abs(there - moved.centres[0, :2]).max() < STEP / 2
    assert moved.yaws[0] == pytest.approx(np.deg2rad(6))
    assert np.hypot(*moved.velocities[0]) == pytest.approx(np.hypot(1, 1))  # type: ignore[index]
