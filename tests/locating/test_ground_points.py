"""Jacobians of places on the ground, beside differences of the places themselves."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from skyweave.core.geometry import CameraGeometry, PinholeCamera, camera_pose, make_transform, rotation_from_vector
from skyweave.locating.ground_points import CAMERA_ERRORS, CameraState, GroundPoints, level_axes, locate_pixels

CAMERA = PinholeCamera(
    np.array([[900.0, 0, 640], [0, 910, 360], [0, 0, 1]]), 720, 1280, (-0.1, 0.02, 0.001, -0.002, 0.0)
)
PIXELS = np.random.default_rng(0).uniform([50, 100], [1230, 700], (20, 2))


@dataclass(frozen=True)
class Slope:
    """Ground that rises to the east and falls to the north."""

    z: float = 3.0

    def height(self, points: np.ndarray) -> np.ndarray:
        return 0.05 * points[..., 0] - 0.03 * points[..., 1] + self.z

    def depth(self, position: np.ndarray, rays: np.ndarray) -> np.ndarray:
        normal = np.array([-0.05, 0.03, 1.0])
        return (self.z - normal @ position) / (rays @ normal)


def state(pitch: float = 45.0) -> CameraState:
    pose = camera_pose(np.array([10.0, 20, 60]), 0.7, np.radians(pitch), 0.05)
    return CameraState(CameraGeometry(CAMERA, pose), np.array([5.0, 3, -1]), np.array([0.02, -0.03, 0.1]))


def located(errors: np.ndarray, before: CameraState, elevation: float = 0.0, shift: float = 0.0) -> GroundPoints:
    """Return where pixels lie if the camera has errors, each made exactly."""
    pose = before.geometry.world_from_camera
    turn = level_axes(pose) @ errors[3:6] + errors[7] * before.turn_rate
    moved = make_transform(
        rotation_from_vector(turn) @ pose[:3, :3], pose[:3, 3] + errors[:3] + errors[7] * before.velocity
    )
    intrinsics = CAMERA.intrinsics.copy()
    intrinsics[[0, 1], [0, 1]] *= 1 + errors[6]
    geometry = CameraGeometry(replace(CAMERA, intrinsics=intrinsics), moved)
    return locate_pixels(replace(before, geometry=geometry), PIXELS + np.array([shift, 0.0]), Slope(3.0 + elevation))


@pytest.mark.parametrize("pitch", [45.0, 90.0])
@pytest.mark.parametrize("number", range(len(CAMERA_ERRORS)), ids=CAMERA_ERRORS)
def test_places_move_with_each_error_as_the_jacobian_says(number: int, pitch: float) -> None:
    before, small = state(pitch), 1e-5
    errors = small * np.eye(len(CAMERA_ERRORS))[number]
    difference = (located(errors, before).points - located(-errors, before).points)[:, :2] / (2 * small)
    expected = locate_pixels(before, PIXELS, Slope()).by_camera[:, :, number]
    assert np.allclose(difference, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_places_move_with_elevation_and_pixels_as_the_jacobians_say() -> None:
    before, none, exact = state(), np.zeros(8), locate_pixels(state(), PIXELS, Slope())
    rise = located(none, before, 1e-4).points - located(none, before, -1e-4).points
    assert np.allclose(rise[:, :2] / 2e-4, exact.by_elevation, atol=1e-6)
    shift = located(none, before, shift=1e-3).points - located(none, before, shift=-1e-3).points
    assert np.allclose(shift[:, :2] / 2e-3, exact.by_pixel[:, :, 0], atol=1e-6)


def test_axes_of_errors_do_not_jump_where_a_camera_looks_straight_down() -> None:
    before, after = (level_axes(camera_pose(np.zeros(3), 0.7, np.radians(pitch))) for pitch in (89.5, 90.5))
    assert np.allclose(before, after, atol=1e-9)
    assert np.allclose(before[:, 1], [np.sin(0.7), -np.cos(0.7), 0])


def test_above_the_horizon_nothing_is_located() -> None:
    level = CameraState(CameraGeometry(CAMERA, camera_pose(np.array([0.0, 0, 60]), 0.0, 0.0)), np.zeros(3), np.zeros(3))
    from skyweave.core.geometry import GroundPlane

    points = locate_pixels(level, np.array([[640.0, 100.0], [640.0, 600.0]]), GroundPlane(0.0)).points
    assert np.isnan(points[0]).all() and np.allclose(points[1, :2], [60 * 910 / 240, 0], rtol=0.02, atol=0.1)
