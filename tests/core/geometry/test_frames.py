import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from skyweave.core.geometry.frames import (
    camera_angles,
    camera_pose,
    check_transform,
    invert_transform,
    look_at,
    make_transform,
    quaternion_from_rotation,
    rotation_about_z,
    rotation_from_quaternion,
    rotation_from_vector,
    transform_points,
    yaw_from_rotation,
)

angle = st.floats(-np.pi, np.pi)
metres = st.lists(st.floats(-1e4, 1e4), min_size=3, max_size=3)


def test_quaternions_of_known_rotations() -> None:
    assert rotation_from_quaternion(np.array([1.0, 0, 0, 0])) == pytest.approx(np.eye(3))
    quarter = np.array([np.sqrt(0.5), 0, 0, np.sqrt(0.5)])  # 90 degrees about z, as in nuScenes
    assert rotation_from_quaternion(quarter) @ [1, 0, 0] == pytest.approx([0, 1, 0])
    assert yaw_from_rotation(rotation_from_quaternion(quarter)) == pytest.approx(np.pi / 2)
    half = np.diag([1.0, -1, -1])  # where w is 0
    assert abs(quaternion_from_rotation(half)) == pytest.approx([0, 1, 0, 0])


@given(angle, st.floats(-1.5, 1.5), angle)
def test_quaternions_there_and_back(yaw: float, pitch: float, roll: float) -> None:
    rotation = camera_pose(np.zeros(3), yaw, pitch, roll)[:3, :3]
    quaternion = quaternion_from_rotation(rotation)
    assert quaternion[0] >= 0 and np.linalg.norm(quaternion) == pytest.approx(1)
    assert rotation_from_quaternion(quaternion) == pytest.approx(rotation, abs=1e-12)
    both = quaternion_from_rotation(np.stack([rotation, np.eye(3)]))
    assert both[0] == pytest.approx(quaternion) and both[1] == pytest.approx([1, 0, 0, 0])


@given(angle, st.floats(-1.5, 1.5), angle, metres, metres)
def test_a_transform_and_its_inverse_cancel(
    yaw: float, pitch: float, roll: float, place: list[float], point: list[float]
) -> None:
    pose = camera_pose(np.array(place), yaw, pitch, roll)
    check_transform(pose, "pose")
    assert transform_points(invert_transform(pose), transform_points(pose, np.array(point))) == pytest.approx(
        point, abs=1e-8
    )
    assert invert_transform(pose) @ pose == pytest.approx(np.eye(4), abs=1e-8)
    batch = np.stack([pose, np.eye(4)])
    assert transform_points(batch, np.stack([[point], [point]]))[1, 0] == pytest.approx(point)


def test_a_camera_that_looks_down_has_its_yaw_at_the_top() -> None:
    right, down, forward = camera_pose(np.zeros(3), np.pi / 2, np.pi / 2)[:3, :3].T
    assert (
        forward == pytest.approx([0, 0, -1]) and down == pytest.approx([0, -1, 0]) and right == pytest.approx([1, 0, 0])
    )


@given(metres, metres)
def test_a_camera_looks_at_its_target(position: list[float], target: list[float]) -> None:
    if np.linalg.norm(np.subtract(target, position)) < 1e-3:
        return
    seen = transform_points(invert_transform(look_at(np.array(position), np.array(target))), np.array(target))
    assert seen[:2] == pytest.approx([0, 0], abs=1e-6) and seen[2] > 0


def test_roll_turns_the_camera_clockwise() -> None:
    level = camera_pose(np.zeros(3), 0, 0)
    rolled = camera_pose(np.zeros(3), 0, 0, roll=np.radians(30))
    assert level[:3, 0] == pytest.approx([0, -1, 0])
    assert rolled[2, 0] == pytest.approx(-0.5)  # its right side goes down


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.eye(3), "has shape"),
        (np.full((4, 4), np.nan), "NaN"),
        (make_transform(1.1 * np.eye(3), np.zeros(3)), "not orthonormal"),
        (make_transform(np.diag([1.0, -1, 1]), np.zeros(3)), "mirrors"),
        (np.eye(4) + np.eye(4)[[3, 2, 1, 0]], "last row"),
    ],
)
def test_what_is_no_rigid_transform_is_named(matrix: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=f"world_from_camera.*{message}"):
        check_transform(matrix, "world_from_camera")


def test_the_camera_cannot_look_at_itself() -> None:
    with pytest.raises(ValueError, match="own position"):
        look_at(np.ones(3), np.ones(3))


def test_turns_about_z() -> None:
    assert rotation_about_z(np.pi / 2) @ [1, 0, 0] == pytest.approx([0, 1, 0])
    assert rotation_about_z(np.zeros(5)).shape == (5, 3, 3)


@given(st.lists(st.floats(-4, 4), min_size=3, max_size=3))
def test_rotations_from_vectors_are_scipys(vector: list[float]) -> None:
    found = rotation_from_vector(np.array(vector))
    assert found == pytest.approx(Rotation.from_rotvec(vector).as_matrix(), abs=1e-9)


@given(st.floats(-3.1, 3.1), st.floats(-np.pi / 2, np.pi / 2), st.floats(-3.1, 3.1))
def test_angles_of_a_camera_give_its_pose_again(yaw: float, pitch: float, roll: float) -> None:
    pose = camera_pose(np.zeros(3), yaw, pitch, roll)
    assert camera_pose(np.zeros(3), *camera_angles(pose)) == pytest.approx(pose, abs=1e-6)


@pytest.mark.parametrize("pitch", [np.pi / 2, -np.pi / 2])
def test_angles_straight_down_and_up(pitch: float) -> None:
    pose = camera_pose(np.zeros(3), 0.7, pitch, 0.2)
    assert camera_pose(np.zeros(3), *camera_angles(pose)) == pytest.approx(pose, abs=1e-9)
