"""A camera's pose is found on an image of the place, with a covariance that holds, and not where it is not there."""

from dataclasses import replace

import numpy as np
import pytest

from skyweave.core.errors import ConfigError, DataError
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import look_at, rotation_from_vector
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import GroundPlane
from skyweave.core.observation import GeoTransform, Observation
from skyweave.core.sensors import get_sensor
from skyweave.locating.block_correlation import Blocks
from skyweave.locating.map_matching import apply_pose_error, match_pose, prior_covariance
from skyweave.locating.placed_view import sample_bilinear
from skyweave.locating.pose_adjustment import PoseAdjustment
from skyweave.locating.pose_filter import NavigationErrorConfig, PoseFilter, joined_errors
from skyweave.locating.pose_search import PoseSearch
from skyweave.locating.reference_image import Reference

GROUND = GroundPlane(100.0)
GRID = MapGrid(-100, 100, 1.0, 200, 200, "EPSG:32633")
SECOND = 10**9


def drawn_place(seed: int) -> np.ndarray:
    """Fields, roofs and roads."""
    random, grey = np.random.default_rng(seed), np.full(GRID.shape, 90.0)
    for row, column, down, right in random.integers((0, 0, 4, 4), (190, 190, 30, 30), (90, 4)):
        grey[row : row + down, column : column + right] = random.uniform(20, 230)
    return grey


def view_of(place: np.ndarray, geometry: CameraGeometry) -> np.ndarray:
    """What a camera sees of a flat place, in other light and with noise."""
    camera = geometry.camera
    rays = geometry.world_rays(camera.pixel_centres())
    points = geometry.position + np.asarray(GROUND.depth(geometry.position, rays))[..., None] * rays
    seen = sample_bilinear(place, GRID.cells_from_world(points))
    return np.asarray(255 - 0.7 * seen + np.random.default_rng(1).normal(0, 4, seen.shape))


def camera_at(x: float, y: float) -> CameraGeometry:
    camera = PinholeCamera.from_field_of_view(np.radians(60), 96, 128)
    pose = look_at(np.array([x, y, 140.0]), np.array([x + 25.0, y + 10.0, 100.0]))
    return CameraGeometry(camera, pose, "EPSG:32633")


def stated(geometry: CameraGeometry, error: np.ndarray) -> CameraGeometry:
    """The pose of which an error makes the true one."""
    pose = geometry.world_from_camera.copy()
    pose[:3, :3] = rotation_from_vector(-error[3:]) @ pose[:3, :3]
    pose[:3, 3] -= error[:3]
    return replace(geometry, world_from_camera=pose)


def test_an_error_of_metres_and_degrees_is_found_with_its_covariance() -> None:
    place, true = drawn_place(0), camera_at(-20, 5)
    reference = Reference(place, GRID)
    error = np.array([6.0, -4.0, 1.0, *np.radians([0.5, -0.5, 4.0])])
    np.testing.assert_allclose(
        apply_pose_error(stated(true, error), error).world_from_camera, true.world_from_camera, atol=1e-9
    )
    found = match_pose(view_of(place, true), stated(true, error), GROUND, reference, prior_covariance([5, 2, 3, 1]))
    assert found.known, found.reason
    missed = found.error - error
    assert np.hypot(*missed[:2]) < 1.2 and abs(np.degrees(missed[5])) < 1.0  # of 7.2 m and 4 degrees
    assert missed @ np.linalg.solve(found.covariance, missed) < 6 * 9
    elsewhere = match_pose(
        view_of(drawn_place(1), true), stated(true, error), GROUND, reference, prior_covariance([5, 2, 3, 1])
    )
    assert not elsewhere.known
    np.testing.assert_array_equal(elsewhere.error, 0)


def test_over_time_it_grows_less_sure_where_nothing_is_seen() -> None:
    place, true = drawn_place(0), camera_at(-20, 5)
    config = NavigationErrorConfig(horizontal=3, drift=0.5, turn=0.1)
    located = PoseFilter(Reference(place, GRID, std=0.5), config)
    error = np.array([2.0, -1.0, 0.5, 0, 0, np.radians(2.0)])
    nothing = np.full((96, 128), 80.0)
    first = located.update(nothing, stated(true, error), GROUND, 0)
    later = located.update(nothing, stated(true, error), GROUND, 100 * SECOND)
    assert not first.known and not later.known
    assert later.covariance[0, 0] == pytest.approx(3.0**2 + 100 * 0.5**2)
    seen = located.update(view_of(place, true), stated(true, error), GROUND, 101 * SECOND)
    assert seen.known, seen.reason
    assert np.hypot(*(seen.error - error)[:2]) < 1.2
    assert 0.5 < np.sqrt(seen.covariance[0, 0]) < 1.5  # with how far the reference itself may be off
    dark = located.update(nothing, stated(true, error), GROUND, 102 * SECOND)
    np.testing.assert_array_equal(dark.error, located.estimate.error)
    np.testing.assert_allclose(dark.error, seen.error)


def test_errors_one_after_the_other() -> None:
    first, second = (np.array([1.0, 2, 3, 0.2, -0.1, 0.4]), np.array([0.5, 0, -1, -0.1, 0.3, 0.2]))
    camera = camera_at(0, 0)
    once = apply_pose_error(camera, joined_errors(first, second))
    twice = apply_pose_error(apply_pose_error(camera, first), second)
    np.testing.assert_allclose(once.world_from_camera, twice.world_from_camera, atol=1e-9)
    np.testing.assert_allclose(joined_errors(first, -first)[:3], 0)


def test_a_reference_comes_from_an_orthorectified_image() -> None:
    pixels = np.broadcast_to(np.arange(8.0), (3, 8, 8)).astype(np.float32)
    image = Observation.from_pixels(
        pixels, get_sensor("rgb"), 2.0, geometry=GeoTransform("EPSG:32633", (2.0, 0, 10.0, 0, -2.0, 50.0))
    )
    reference = Reference.from_observation(image)
    assert reference.grid.resolution == 1 and reference.grid.shape == (16, 16)
    np.testing.assert_allclose(reference.grey[8, 2:6], [0.75, 1.25, 1.75, 2.25])
    coarse = reference.coarser(4)
    assert coarse.grid.resolution == 4
    np.testing.assert_allclose(coarse.grid.cell_centres()[0, 0], [10, 50])  # snapped: half of it is beyond
    with pytest.raises(DataError, match="gdalwarp"):
        Reference.from_observation(replace(image, geometry=GeoTransform("EPSG:32633", (0, 2.0, 10.0, 2.0, 0, 50.0))))
    with pytest.raises(DataError, match="georeference it"):
        Reference.from_observation(replace(image, geometry=None))
    with pytest.raises(ConfigError, match="above 0"):
        NavigationErrorConfig(heading=0)


def fabricated_blocks(error: np.ndarray, scatter: float) -> Blocks:
    """Correlations of a camera 40 m above level ground, with a peak where an error of the pose moves each block."""
    east, north = np.meshgrid(np.arange(-30, 31, 4.0), np.arange(-30, 31, 4.0))
    offsets = np.stack([east.ravel(), north.ravel(), np.full(east.size, -40.0)], -1)
    moved = PoseSearch(Blocks(offsets, (), 0.5), np.zeros(6), np.eye(6)).shifts(error[None])[0] / 0.5
    part = ((offsets[:, :2] + 30) // 10.1).astype(int)
    moved += np.random.default_rng(0).normal(0, scatter, (7, 7, 2))[part[:, 0], part[:, 1]]
    row, column = np.mgrid[-15:16, -15:16]
    squares = (row[None] + moved[:, 1, None, None]) ** 2 + (column[None] - moved[:, 0, None, None]) ** 2
    return Blocks(offsets, (np.exp(-squares / 4).astype(np.float32),) * 4, 0.5)


def test_parts_that_disagree_make_a_pose_less_sure() -> None:
    error, precision = np.array([0.6, -0.4, 0.3, 0.004, -0.003, 0.01]), np.linalg.inv(prior_covariance([2, 1, 2, 1]))
    stds = []
    for scatter in (0.0, 2.0):  # cells
        solved = PoseAdjustment(PoseSearch(fabricated_blocks(error, scatter), np.zeros(6), precision)).solve(
            np.zeros(6)
        )
        assert solved is not None
        stds.append(np.sqrt(np.diag(solved[1])))
        assert (np.abs(solved[0] - error) < 3 * stds[-1]).all()
    assert (stds[1][:2] > 1.4 * stds[0][:2]).all()
    nothing = replace(fabricated_blocks(error, 0.0), surfaces=(np.ones((256, 31, 31), np.float32),) * 4)
    assert PoseAdjustment(PoseSearch(nothing, np.zeros(6), precision)).solve(np.zeros(6)) is None
