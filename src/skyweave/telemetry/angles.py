"""Angles of aircraft and gimbals as orientations over time: arrays of quaternions."""

import numpy as np

from skyweave.core.geometry.conventions import ENU_FROM_NED, FRD_FROM_CAMERA
from skyweave.core.geometry.frames import quaternion_from_rotation, rotation_from_quaternion


def body_orientations(yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """Return ``enu_from_body`` of aerospace angles: (n, 4), NaN where an angle is.

    Args:
        yaw: (n,) compass headings in degrees.
        pitch: (n,) degrees, nose up.
        roll: (n,) degrees, right wing down.
    """
    half = np.radians([roll, pitch, yaw]) / 2
    (cr, cp, cy), (sr, sp, sy) = np.cos(half), np.sin(half)
    ned_from_body = np.stack(
        [
            cr * cp * cy + sr * sp * sy,
            sr * cp * cy - cr * sp * sy,
            cr * sp * cy + sr * cp * sy,
            cr * cp * sy - sr * sp * cy,
        ],
        -1,
    )
    return multiply_quaternions(ENU_FROM_NED_QUATERNION, ned_from_body)


def camera_orientations(yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """Return ``enu_from_camera`` of a gimbal's angles: (n, 4), NaN where an angle is.

    Args:
        yaw: (n,) compass headings in degrees; straight down, of the image's top.
        pitch: (n,) degrees above the horizon; -90 is straight down.
        roll: (n,) degrees, clockwise.
    """
    return mount_camera(body_orientations(yaw, pitch, roll), FRD_FROM_CAMERA)


def mount_camera(enu_from_body: np.ndarray, body_from_camera: np.ndarray) -> np.ndarray:
    """Return the orientations of a camera that is fixed to a body: (n, 4).

    Args:
        enu_from_body: (n, 4).
        body_from_camera: (3, 3), of the body's forward, right, down axes.
    """
    return multiply_quaternions(enu_from_body, quaternion_from_rotation(body_from_camera))


def multiply_quaternions(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the products of quaternions ``wxyz``, whose rotations are first b, then a: (..., 4).

    Args:
        a: (..., 4).
        b: (..., 4).
    """
    aw, ax, ay, az = np.moveaxis(np.asarray(a, np.float64), -1, 0)
    bw, bx, by, bz = np.moveaxis(np.asarray(b, np.float64), -1, 0)
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        -1,
    )


def turn_to_heading(enu_from_body: np.ndarray) -> np.ndarray:
    """Return the orientations of level bodies with the headings of others: (n, 4).

    Args:
        enu_from_body: (n, 4).
    """
    heading = compass_headings(enu_from_body)
    return body_orientations(heading, np.zeros_like(heading), np.zeros_like(heading))


def compass_headings(enu_from_body: np.ndarray) -> np.ndarray:
    """Return the compass headings of bodies: (n,) degrees, 0 to 360; NaN where the orientation is.

    Args:
        enu_from_body: (n, 4).
    """
    headings = np.full(len(enu_from_body), np.nan)
    known = np.isfinite(enu_from_body).all(1)
    if known.any():
        forward = rotation_from_quaternion(enu_from_body[known])[:, :, 0]
        headings[known] = np.degrees(np.arctan2(forward[:, 0], forward[:, 1])) % 360
    return headings


ENU_FROM_NED_QUATERNION = quaternion_from_rotation(ENU_FROM_NED)
NED_FROM_ENU_QUATERNION = ENU_FROM_NED_QUATERNION * [1, -1, -1, -1]
