"""Rigid transforms and rotations. A 4x4 matrix ``a_from_b`` maps points of frame b to frame a.

World frames are right-handed with x east, y north, z up, in metres. Camera frames are OpenCV's: x right, y down,
z forward. Quaternions are ``wxyz``, as in nuScenes. Yaw is counter-clockwise from east. Other conventions are
converted at the border, in `skyweave.core.geometry.conventions`.
"""

import numpy as np

from skyweave.core.errors import DataError

VERTICAL = 1e-9  # horizontal part of an optical axis below which it has no heading
ORTHONORMAL_TOLERANCE = 1e-5  # largest deviation of R R' from the identity


def make_transform(rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """Build rigid transforms from rotations and translations; leading axes are batches.

    Args:
        rotation: (..., 3, 3).
        translation: (..., 3) metres.

    Returns:
        (..., 4, 4) float64.
    """
    rotation, translation = np.asarray(rotation, np.float64), np.asarray(translation, np.float64)
    batch = np.broadcast_shapes(rotation.shape[:-2], translation.shape[:-1])
    matrix = np.zeros((*batch, 4, 4))
    matrix[..., :3, :3] = rotation
    matrix[..., :3, 3] = translation
    matrix[..., 3, 3] = 1.0
    return matrix


def invert_transform(a_from_b: np.ndarray) -> np.ndarray:
    """Return ``b_from_a``, without a general matrix inversion.

    Args:
        a_from_b: (..., 4, 4) rigid transforms.
    """
    rotation = np.swapaxes(a_from_b[..., :3, :3], -1, -2)
    return make_transform(rotation, -np.einsum("...ij,...j->...i", rotation, a_from_b[..., :3, 3]))


def transform_points(a_from_b: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map points of frame b to frame a.

    Args:
        a_from_b: (4, 4), or a batch (..., 4, 4).
        points: (..., 3) metres; (..., n, 3) with a batch of transforms.
    """
    translation = a_from_b[..., :3, 3] if a_from_b.ndim == 2 else a_from_b[..., None, :3, 3]
    moved: np.ndarray = np.asarray(points) @ np.swapaxes(a_from_b[..., :3, :3], -1, -2) + translation
    return moved


def check_transform(matrix: np.ndarray, name: str) -> np.ndarray:
    """Return the matrix as float64 (4, 4) if it is a proper rigid transform.

    Args:
        matrix: (4, 4).
        name: of the transform, for messages.

    Raises:
        DataError: not 4x4, not finite, not orthonormal, or mirrored; the message names the transform.
    """
    matrix = np.asarray(matrix, np.float64)
    if matrix.shape != (4, 4):
        raise DataError(f"{name} has shape {matrix.shape}; a rigid transform is 4x4")
    if not np.isfinite(matrix).all():
        raise DataError(f"{name} holds NaN or infinity; drop the frame or repair the pose")
    if not np.allclose(matrix[3], (0, 0, 0, 1)):
        raise DataError(f"{name} has the last row {matrix[3].tolist()}; it must be 0 0 0 1")
    _check_rotation(matrix[:3, :3], name)
    return matrix


def _check_rotation(rotation: np.ndarray, name: str) -> None:
    """Refuse a (3, 3) matrix that is not orthonormal, or mirrors."""
    error = float(np.abs(rotation @ rotation.T - np.eye(3)).max())
    if error > ORTHONORMAL_TOLERANCE:
        raise DataError(
            f"{name} has a rotation that is not orthonormal (off by {error:.2g}); normalise the quaternion or "
            "orthonormalise the matrix"
        )
    if np.linalg.det(rotation) < 0:
        raise DataError(f"{name} mirrors (determinant -1); convert left-handed axes with geometry.conventions")


def rotation_from_quaternion(quaternion: np.ndarray) -> np.ndarray:
    """Convert quaternions to rotations.

    Args:
        quaternion: (..., 4) ``wxyz``, of any length above 0.

    Returns:
        (..., 3, 3).

    Raises:
        DataError: a quaternion is not finite or has no length.
    """
    quaternion = np.asarray(quaternion, np.float64)
    length = np.linalg.norm(quaternion, axis=-1, keepdims=True)
    if not np.isfinite(quaternion).all() or (length < 1e-9).any():
        raise DataError(f"quaternion {quaternion.tolist()} is not finite or has no length; expected wxyz")
    w, x, y, z = np.moveaxis(quaternion / length, -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def quaternion_from_rotation(rotation: np.ndarray) -> np.ndarray:
    """Convert rotations to quaternions; the largest component is the divisor (Shepperd's method).

    Args:
        rotation: (..., 3, 3).

    Returns:
        (..., 4) ``wxyz`` with w >= 0.
    """
    m = np.asarray(rotation, np.float64)
    d = np.einsum("...ii->...i", m)
    squares = np.stack(
        [
            1 + d.sum(-1),
            1 + d[..., 0] - d[..., 1] - d[..., 2],
            1 - d[..., 0] + d[..., 1] - d[..., 2],
            1 - d[..., 0] - d[..., 1] + d[..., 2],
        ],
        -1,
    )
    xy, xz, yz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    candidates = np.stack(
        [
            np.stack([squares[..., 0], wx, wy, wz], -1),
            np.stack([wx, squares[..., 1], xy, xz], -1),
            np.stack([wy, xy, squares[..., 2], yz], -1),
            np.stack([wz, xz, yz, squares[..., 3]], -1),
        ],
        -2,
    )
    best = np.take_along_axis(candidates, squares.argmax(-1)[..., None, None], -2)[..., 0, :]
    best = best / np.linalg.norm(best, axis=-1, keepdims=True)
    return np.asarray(np.where(best[..., :1] < 0, -best, best))


def rotation_about_z(angle: np.ndarray | float) -> np.ndarray:
    """Return counter-clockwise rotations about z: (..., 3, 3).

    Args:
        angle: (...,) radians.
    """
    angle = np.asarray(angle, np.float64)
    c, s, zero, one = np.cos(angle), np.sin(angle), np.zeros_like(angle), np.ones_like(angle)
    return np.stack([np.stack([c, -s, zero], -1), np.stack([s, c, zero], -1), np.stack([zero, zero, one], -1)], -2)


def rotation_from_vector(vector: np.ndarray) -> np.ndarray:
    """Return the rotation about an axis by the axis' length (Rodrigues' formula): (3, 3).

    Args:
        vector: (3,) axis times angle in radians.
    """
    angle = float(np.linalg.norm(vector))
    x, y, z = np.asarray(vector, np.float64) / max(angle, 1e-300)
    across = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turned: np.ndarray = np.eye(3) + np.sin(angle) * across + (1 - np.cos(angle)) * across @ across
    return turned


def yaw_from_rotation(rotation: np.ndarray) -> np.ndarray:
    """Return the heading of a frame's x axis: (...,) radians, counter-clockwise from east.

    Args:
        rotation: (..., 3, 3).
    """
    return np.asarray(np.arctan2(rotation[..., 1, 0], rotation[..., 0, 0]))


def camera_pose(position: np.ndarray, yaw: float, pitch: float, roll: float = 0.0) -> np.ndarray:
    """Return ``world_from_camera`` of a camera at a world position: (4, 4).

    Args:
        position: (3,) metres, x east, y north, z up.
        yaw: radians, counter-clockwise from east, of the optical axis (straight down: of the image's top).
        pitch: radians below the horizon; pi/2 looks straight down.
        roll: radians about the optical axis, clockwise as seen by the camera.
    """
    forward = np.array([np.cos(pitch) * np.cos(yaw), np.cos(pitch) * np.sin(yaw), -np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    rotation = np.stack([c * right + s * down, c * down - s * right, forward], -1)
    return make_transform(rotation, np.asarray(position, np.float64))


def camera_angles(world_from_camera: np.ndarray) -> tuple[float, float, float]:
    """Return yaw, pitch and roll of a camera, the inverse of `camera_pose`: radians.

    Straight up and down yaw is that of the image's top and bottom, and roll is 0.

    Args:
        world_from_camera: (4, 4) pose, or its (3, 3) rotation.
    """
    right, down, forward = np.asarray(world_from_camera, np.float64)[:3, :3].T
    pitch = float(np.arcsin(np.clip(-forward[2], -1, 1)))
    if np.hypot(forward[0], forward[1]) < VERTICAL:
        top = -down * np.sign(-forward[2])
        return float(np.arctan2(top[1], top[0])), pitch, 0.0
    yaw = float(np.arctan2(forward[1], forward[0]))
    level = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    return yaw, pitch, float(np.arctan2(-(level @ down), level @ right))


def look_at(position: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return ``world_from_camera`` of a level camera whose optical axis goes through a target: (4, 4).

    Args:
        position: (3,) of the camera in metres.
        target: (3,) metres.

    Raises:
        DataError: both are the same point.
    """
    x, y, z = np.asarray(target, np.float64) - np.asarray(position, np.float64)
    horizontal = np.hypot(x, y)
    if horizontal == 0 and z == 0:
        raise DataError(f"the camera at {np.asarray(position).tolist()} cannot look at its own position")
    return camera_pose(position, float(np.arctan2(y, x)), float(np.arctan2(-z, horizontal)))
