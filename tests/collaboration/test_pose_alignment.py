"""Errors of a peer's pose are found from what both see, and nothing is found where there is no error."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from skyweave.collaboration.pose_alignment import (
    MIN_DEPRESSION_RAD,
    PRIOR_STD,
    PoseAligner,
    PoseAligners,
    PoseCorrection,
    PoseError,
)
from skyweave.core.geometry.grid import MapGrid
from skyweave.wire import BoxList, FrameContent, Pose, WireGrid

MIDDLE = np.array([500_010.0, 4_000_020.0])
CAMERA = np.array([*(MIDDLE - (0, 30)), 25.0])  # looks north over flat ground at 0


def boxes(places: np.ndarray, classes: np.ndarray) -> BoxList:
    count = len(places)
    centres = np.concatenate([places, np.zeros((count, 1))], 1)
    return BoxList(centres, np.ones((count, 3)), np.zeros(count), classes, np.full(count, 0.7), np.ones((count, 2)))


def world(generator: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    places = generator.uniform(-20, 25, (count, 2)) + MIDDLE
    return places, generator.integers(0, 2, count), generator.normal(0, 4, (count, 2))


def told(points: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Where things on the ground, (n, 3), are placed by a camera at CAMERA whose told pose lacks ``error``: they are
    seen from where the camera really is, along rays that are really turned.
    """
    rays = Rotation.from_rotvec(error[3:]).inv().apply(points - (CAMERA + error[:3]))
    return CAMERA + rays * ((points[:, 2] - CAMERA[2]) / rays[:, 2])[:, None]


def watched(error: np.ndarray, seed: int, noise: float = 0.3, frames: int = 8) -> PoseAligner:
    """Both see two thirds of the moving objects and one thing in four that is not there; the peer errs."""
    generator = np.random.default_rng(seed)
    places, classes, velocities = world(generator, 12)
    aligner = PoseAligner()
    for _ in range(frames):
        lists = []
        for _ in range(2):
            seen = generator.random(12) < 0.67
            false, kinds, _ = world(generator, 3)
            there = places[seen] + generator.normal(0, noise, (int(seen.sum()), 2))
            lists.append(boxes(np.concatenate([there, false]), np.concatenate([classes[seen], kinds])))
        theirs = lists[1]
        theirs.centres[:] = told(theirs.centres, error)
        aligner.update(lists[0], theirs, CAMERA)
        places = places + 0.5 * velocities * (np.abs(places - MIDDLE) < 25)
    return aligner


def displaced(error: np.ndarray, found: PoseError) -> tuple[float, float]:
    """Metres by which points lie wrong in the median, before and after."""
    points = np.random.default_rng(1).uniform(-15, 20, (50, 2)) + MIDDLE
    points = np.concatenate([points, np.zeros((50, 1))], 1)
    placed = told(points, error)
    correction = found.correction(CAMERA)
    after = placed if correction is None else correction.correct_points(placed)
    return tuple(float(np.median(np.hypot(*(x - points)[:, :2].T))) for x in (placed, after))  # type: ignore[return-value]


def test_points_return_to_where_they_are() -> None:
    error = np.array([1.2, -0.8, 0.5, *np.deg2rad([2.0, -3.0, 4.0])])
    points = np.random.default_rng(0).uniform(-15, 20, (20, 3)) * (1, 1, 0.1) + [*MIDDLE, 0]
    assert np.allclose(PoseCorrection(CAMERA, error).correct_points(told(points, error)), points, atol=1e-8)


def test_lasting_errors_are_undone() -> None:
    generator, undone = np.random.default_rng(0), []
    for seed in range(40):
        error = generator.normal(0, PRIOR_STD)
        before, after = displaced(error, watched(error, seed).estimate())
        undone.append(after < max(0.7, 0.2 * before))
    assert np.mean(undone) >= 0.9


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-2, 2), min_size=6, max_size=6), st.integers(0, 10_000))
def test_what_is_trusted_is_nearly_right(sigmas: list[float], seed: int) -> None:
    error = PRIOR_STD * sigmas
    found = watched(error, seed).estimate()
    before, after = displaced(error, found)
    assert not found.trusted or after < max(1.5, before)


@pytest.mark.parametrize("seed", range(10))
def test_right_poses_stay(seed: int) -> None:
    found = watched(np.zeros(6), seed).estimate()
    assert found.trusted and found.correction(CAMERA) is None


def test_a_frame_that_comes_again_counts_once() -> None:
    own = boxes(MIDDLE + np.array([[0.0, 5.0], [4.0, 9.0]]), np.array([0, 1]))
    grid, pose = WireGrid(0, 0, 500_000, 8, 8), Pose(CAMERA, np.array([1.0, 0, 0, 0]))
    frames = [FrameContent(3, n, n * 10**9, grid, pose=pose, boxes=own) for n in (1, 1, 2)]
    known = PoseAligners()
    for now, frame in enumerate(frames, start=1):
        known.update(own, [frame], now * 10**9)
    assert len(known._tracks[3].aligner.frames) == 2


def test_without_common_objects_poses_are_believed() -> None:
    aligner = PoseAligner()
    assert aligner.estimate().trusted and aligner.estimate().correction(CAMERA) is None
    generator = np.random.default_rng(0)
    places, classes, _ = world(generator, 5)
    aligner.update(boxes(places, classes), boxes(places[:0], classes[:0]), CAMERA)
    aligner.update(boxes(places, np.zeros(5, int)), boxes(places + 3, np.ones(5, int)), CAMERA)
    assert aligner.estimate().trusted and aligner.estimate().correction(CAMERA) is None


def test_several_explanations_are_no_reason_to_trust() -> None:
    """Six like things in a row, 4 m apart, of which five are told between their places: it may be either way."""
    row = np.stack([np.arange(6) * 4.0, np.zeros(6)], 1) + MIDDLE
    between = row[:5] + np.array([2.0, 0.0])
    aligner = PoseAligner()
    for _ in range(8):
        aligner.update(boxes(row, np.zeros(6, int)), boxes(between, np.zeros(5, int)), CAMERA)
    assert not aligner.estimate().trusted


@pytest.mark.parametrize("camera", [(1, 1, -1), (1, 1, 1e8), (1e5, 1, 1)])
def test_impossible_poses_say_nothing(camera: tuple[float, float, float]) -> None:
    place = CAMERA * camera
    places, classes, _ = world(np.random.default_rng(0), 8)
    aligner = PoseAligner()
    aligner.update(boxes(places, classes), boxes(places + 2, classes), place)
    found = aligner.estimate()
    correction = found.correction(place)
    assert np.isfinite(found.vector).all()
    assert correction is None or np.isfinite(correction.correct_boxes(boxes(places, classes)).centres).all()


def test_maps_and_boxes_move_alike() -> None:
    grid = MapGrid(1_000_000, 8_000_080, 0.5, 80, 80)
    correction = PoseCorrection(CAMERA, np.array([1.0, -0.5, 0.0, *np.deg2rad([2.0, 1.0, 3.0])]))
    maps = torch.zeros(1, 80, 80)
    maps[0, 38:41, 28:31] = 1.0
    centre = np.array([[(grid.west + 29.5) * 0.5, (grid.north - 39.5) * 0.5]])
    moved = correction.correct_boxes(boxes(centre, np.zeros(1, int)))
    there = correction.correct_map(maps, grid, np.zeros(grid.shape))[0].nonzero()
    assert len(there) >= 4
    row, column = (float(x) for x in there.float().mean(0))
    place = np.array([(grid.west + column + 0.5) * 0.5, (grid.north - row - 0.5) * 0.5])
    assert np.hypot(*(moved.centres[0, :2] - centre[0])) > 1
    assert np.abs(place - moved.centres[0, :2]).max() < grid.resolution
    assert moved.yaws[0] == pytest.approx(np.deg2rad(3))
    assert np.hypot(*moved.velocities[0]) == pytest.approx(np.hypot(1, 1))  # type: ignore[index]


def test_flat_rays_do_not_fly_away() -> None:
    correction = PoseCorrection(CAMERA, np.array([0, 0, 0, np.deg2rad(30), 0, 0]))
    far = correction.correct_points(np.array([[MIDDLE[0], MIDDLE[1] + 40, 0.0]]))
    assert np.isfinite(far).all() and np.abs(far - CAMERA).max() < 1.01 * CAMERA[2] / np.tan(MIN_DEPRESSION_RAD)
