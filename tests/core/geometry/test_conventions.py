import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyweave.core.geometry.conventions import (
    FRD_FROM_NADIR_CAMERA,
    pose_from_carla,
    pose_from_dji,
    pose_from_mavlink,
    pose_from_ned,
    yaw_from_carla,
    yaw_from_compass,
)
from skyweave.core.geometry.frames import camera_pose, quaternion_from_rotation

EAST, NORTH, UP = np.eye(3)
LEVEL = np.array([1.0, 0, 0, 0])


def axes(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right, down and forward of a camera in the world."""
    right, down, forward = pose[:3, :3].T
    return right, down, forward


def test_dji_straight_down_has_its_yaw_at_the_top_of_the_picture() -> None:
    pose = pose_from_dji(np.array([10.0, 20, 30]), yaw=0, pitch=-90)
    right, down, forward = axes(pose)
    assert forward == pytest.approx(-UP) and down == pytest.approx(-NORTH) and right == pytest.approx(EAST)
    assert pose[:3, 3].tolist() == [10, 20, 30]
    assert axes(pose_from_dji(np.zeros(3), yaw=90, pitch=-90))[1] == pytest.approx(-EAST)


def test_dji_looks_where_it_says() -> None:
    assert axes(pose_from_dji(np.zeros(3), yaw=90, pitch=0))[2] == pytest.approx(EAST)
    forward = axes(pose_from_dji(np.zeros(3), yaw=0, pitch=-45))[2]
    assert forward == pytest.approx((NORTH - UP) / np.sqrt(2))
    # half a degree by which grid north lies clockwise of true north: true north is to the left of the grid's
    turned = axes(pose_from_dji(np.zeros(3), yaw=0, pitch=0, convergence=np.radians(0.5)))[2]
    assert np.degrees(np.arctan2(turned[0], turned[1])) == pytest.approx(-0.5)


@given(st.floats(-180, 180), st.floats(-89, 89), st.floats(-90, 90))
def test_dji_is_our_camera_pose(yaw: float, pitch: float, roll: float) -> None:
    ours = camera_pose(np.array([1.0, 2, 3]), yaw_from_compass(yaw), -np.radians(pitch), np.radians(roll))
    assert pose_from_dji(np.array([1.0, 2, 3]), yaw, pitch, roll) == pytest.approx(ours, abs=1e-9)


def test_px4_level_and_north_looks_north() -> None:
    pose = pose_from_ned(np.array([100.0, 5, -40]), LEVEL)
    right, down, forward = axes(pose)
    assert forward == pytest.approx(NORTH) and right == pytest.approx(EAST) and down == pytest.approx(-UP)
    assert pose[:3, 3].tolist() == [5, 100, 40]
    nadir = axes(pose_from_ned(np.zeros(3), LEVEL, FRD_FROM_NADIR_CAMERA))
    assert nadir[2] == pytest.approx(-UP) and nadir[1] == pytest.approx(-NORTH)


def test_px4_angles_turn_the_right_way() -> None:
    assert axes(pose_from_mavlink(np.zeros(3), 0, 0, np.pi / 2))[2] == pytest.approx(EAST)
    assert axes(pose_from_mavlink(np.zeros(3), 0, np.radians(30), 0))[2][2] == pytest.approx(0.5)  # nose up
    right = axes(pose_from_mavlink(np.zeros(3), np.radians(30), 0, 0))[0]
    assert right[2] == pytest.approx(-0.5)  # rolled to the right, the right wing is low


@given(st.floats(-3, 3), st.floats(-1.5, 1.5), st.floats(-3, 3))
def test_quaternions_and_angles_agree(roll: float, pitch: float, yaw: float) -> None:
    from skyweave.core.geometry.conventions import ned_from_body

    quaternion = quaternion_from_rotation(ned_from_body(roll, pitch, yaw))
    both = pose_from_ned(np.ones(3), quaternion), pose_from_mavlink(np.ones(3), roll, pitch, yaw)
    assert both[0] == pytest.approx(both[1], abs=1e-9)


def test_carla_axes() -> None:
    pose = pose_from_carla(np.array([7.0, 3, 20]), pitch=0, yaw=0, roll=0)
    right, down, forward = axes(pose)
    assert forward == pytest.approx(EAST) and right == pytest.approx(-NORTH) and down == pytest.approx(-UP)
    assert pose[:3, 3].tolist() == [7, -3, 20]
    assert axes(pose_from_carla(np.zeros(3), 0, 90, 0))[2] == pytest.approx(-NORTH)  # to CARLA's +y, which is south
    assert axes(pose_from_carla(np.zeros(3), -90, 0, 0))[2] == pytest.approx(-UP)
    assert yaw_from_carla(90) == pytest.approx(-np.pi / 2)


@given(
    st.floats(-180, 180), st.floats(-89, 89), st.floats(-180, 180), st.lists(st.floats(-5, 5), min_size=3, max_size=3)
)
def test_carla_points_land_where_its_own_matrix_puts_them(
    yaw: float, pitch: float, roll: float, point: list[float]
) -> None:
    """A point given in the camera's own CARLA axes, through the matrix of CARLA's documentation."""
    cy, sy = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    cp, sp = np.cos(np.radians(pitch)), np.sin(np.radians(pitch))
    cr, sr = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    matrix = np.array(
        [
            [cp * cy, cy * sp * sr - sy * cr, -cy * sp * cr - sy * sr],
            [cp * sy, sy * sp * sr + cy * cr, -sy * sp * cr + cy * sr],
            [sp, -cp * sr, cp * cr],
        ]
    )
    place = np.array([4.0, -2, 9])
    theirs = matrix @ point + place
    forward, right, up = point
    ours = pose_from_carla(place, pitch, yaw, roll) @ np.array([right, -up, forward, 1.0])
    assert ours[:3] == pytest.approx(theirs * (1, -1, 1), abs=1e-9)


def test_a_quaternion_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite or has no length"):
        pose_from_ned(np.zeros(3), np.zeros(4))
