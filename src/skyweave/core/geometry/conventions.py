"""Poses of other systems, converted at the border: NED and FRD (PX4, ArduPilot, AirSim), CARLA, DJI gimbals.

Inside, a world is x east, y north, z up and a camera looks along z with x right and y down. Each function takes what
the other system gives, in its units, and returns ``world_from_camera`` (4, 4). Where true north is not the grid's
north, pass the grid convergence (`skyweave.core.geometry.geodesy.grid_convergence`).
"""

import numpy as np

from skyweave.core.geometry.frames import check_transform, make_transform, rotation_about_z, rotation_from_quaternion

ENU_FROM_NED = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, -1]])
"""North, east, down to east, north, up; its own inverse."""
FRD_FROM_CAMERA = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
"""A camera that looks forward: its z is the body's forward, its x right, its y down."""
FRD_FROM_NADIR_CAMERA = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
"""A camera that looks straight down from a level body, the top of the image forward."""
CARLA_MIRROR = np.diag([1.0, -1, 1])
FLU_FROM_CAMERA = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])


def pose_from_ned(
    position: np.ndarray, quaternion: np.ndarray, body_from_camera: np.ndarray | None = None, convergence: float = 0.0
) -> np.ndarray:
    """Convert the pose of a vehicle or a camera in local NED, as PX4, ArduPilot and AirSim give it.

    Args:
        position: (3,) north, east, down in metres.
        quaternion: (4,) ``wxyz`` that turns the body's FRD axes to NED (MAVLink's ATTITUDE_QUATERNION; AirSim's
            orientation).
        body_from_camera: (3, 3) how the camera is mounted; default: it looks forward, as AirSim's own cameras do.
        convergence: radians that grid north lies clockwise of true north.

    Returns:
        (4, 4) ``world_from_camera``.

    Raises:
        DataError: position or quaternion is not finite, or the mounting is no rotation.
    """
    mounting = FRD_FROM_CAMERA if body_from_camera is None else np.asarray(body_from_camera, np.float64)
    return _placed(position, rotation_from_quaternion(quaternion) @ mounting, convergence)


def pose_from_mavlink(
    position: np.ndarray,
    roll: float,
    pitch: float,
    yaw: float,
    body_from_camera: np.ndarray | None = None,
    convergence: float = 0.0,
) -> np.ndarray:
    """Convert a pose in local NED with the angles of MAVLink's ATTITUDE message.

    Args:
        position: (3,) north, east, down in metres.
        roll: radians, right wing down.
        pitch: radians, nose up.
        yaw: radians from north to east.
        body_from_camera: (3, 3) how the camera is mounted; default: it looks forward.
        convergence: radians that grid north lies clockwise of true north.

    Returns:
        (4, 4) ``world_from_camera``.

    Raises:
        DataError: position or angles are not finite, or the mounting is no rotation.
    """
    mounting = FRD_FROM_CAMERA if body_from_camera is None else np.asarray(body_from_camera, np.float64)
    return _placed(position, ned_from_body(roll, pitch, yaw) @ mounting, convergence)


def pose_from_dji(
    position: np.ndarray, yaw: float, pitch: float, roll: float = 0.0, convergence: float = 0.0
) -> np.ndarray:
    """Convert DJI's gimbal angles (XMP ``GimbalYawDegree`` and so on).

    Args:
        position: (3,) east, north, up in metres of the world.
        yaw: degrees clockwise from true north; straight down, of the image's top.
        pitch: degrees; 0 looks to the horizon, -90 straight down.
        roll: degrees, clockwise.
        convergence: radians that grid north lies clockwise of true north.

    Returns:
        (4, 4) ``world_from_camera``.

    Raises:
        DataError: position or angles are not finite.
    """
    rotation = ned_from_body(*np.radians((roll, pitch, yaw))) @ FRD_FROM_CAMERA
    return _placed(ENU_FROM_NED @ np.asarray(position, np.float64), rotation, convergence)


def pose_from_carla(location: np.ndarray, pitch: float, yaw: float, roll: float) -> np.ndarray:
    """Convert a ``carla.Transform`` of a camera: left-handed, x forward, y right, z up.

    The world becomes x as CARLA's (east), y against it (CARLA's y points south), z up.

    Args:
        location: (3,) metres.
        pitch: degrees.
        yaw: degrees.
        roll: degrees.

    Returns:
        (4, 4) ``world_from_camera``.

    Raises:
        DataError: location or angles are not finite.
    """
    p, y, r = np.radians((pitch, yaw, roll))
    turned = rotation_about_z(y) @ _about_y(-p) @ _about_x(-r)
    rotation = CARLA_MIRROR @ turned @ CARLA_MIRROR @ FLU_FROM_CAMERA
    pose = make_transform(rotation, CARLA_MIRROR @ np.asarray(location, np.float64))
    return check_transform(pose, "the pose from CARLA")


def yaw_from_carla(yaw: float) -> float:
    """Convert CARLA's yaw to radians, counter-clockwise from east.

    Args:
        yaw: degrees, clockwise from above.
    """
    return float(-np.radians(yaw))


def yaw_from_compass(heading: float) -> float:
    """Convert a compass heading to radians, counter-clockwise from east.

    Args:
        heading: degrees clockwise from north.
    """
    return float(np.radians(90.0 - heading))


def ned_from_body(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """Return the (3, 3) rotation of aerospace angles: yaw first, then pitch, then roll.

    Args:
        roll: radians.
        pitch: radians.
        yaw: radians.
    """
    return np.asarray(rotation_about_z(yaw) @ _about_y(pitch) @ _about_x(roll))


def _placed(ned: np.ndarray, ned_from_camera: np.ndarray, convergence: float) -> np.ndarray:
    """Convert to the grid: where grid north lies clockwise of true north, true directions turn counter-clockwise."""
    rotation = rotation_about_z(convergence) @ ENU_FROM_NED @ ned_from_camera
    return check_transform(make_transform(rotation, ENU_FROM_NED @ np.asarray(ned, np.float64)), "the converted pose")


def _about_x(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0, 0], [0, c, -s], [0, s, c]])


def _about_y(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1.0, 0], [-s, 0, c]])
