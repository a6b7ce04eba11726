"""Gimbals of MAVLink's protocol, version 2, which PX4 logs by the same names."""

import numpy as np

from skyweave.core.geometry.conventions import FRD_FROM_CAMERA
from skyweave.telemetry.angles import ENU_FROM_NED_QUATERNION, mount_camera, multiply_quaternions, turn_to_heading

YAW_IN_VEHICLE_FRAME = 32  # flag of GIMBAL_DEVICE_FLAGS: the gimbal's yaw counts from the vehicle's heading
YAW_IN_EARTH_FRAME = 64
YAW_LOCK = 16  # meant the earth's frame before the two flags above were there


def gimbal_orientations(quaternions: np.ndarray, flags: np.ndarray, enu_from_body: np.ndarray) -> np.ndarray:
    """Return the orientations of a camera on a gimbal of MAVLink's protocol, version 2: (n, 4).

    Pitch and roll count from the horizon; the yaw counts from north, or from the vehicle's heading, as the flags say.

    Args:
        quaternions: (n, 4) as GIMBAL_DEVICE_ATTITUDE_STATUS has them.
        flags: (n,) GIMBAL_DEVICE_FLAGS.
        enu_from_body: (n, 4) of the vehicle at the same times.
    """
    to_earth = (flags & YAW_IN_EARTH_FRAME) | ((flags & YAW_LOCK) * ((flags & YAW_IN_VEHICLE_FRAME) == 0))
    from_north = multiply_quaternions(ENU_FROM_NED_QUATERNION, quaternions)
    from_heading = multiply_quaternions(turn_to_heading(enu_from_body), quaternions)
    forward = np.where((to_earth != 0)[:, None], from_north, from_heading)
    return mount_camera(forward, FRD_FROM_CAMERA)
