"""Poses over time on a map: east, north, up on the Earth to metres and directions of a projected reference system."""

from dataclasses import dataclass

import numpy as np
from pyproj import Proj

from skyweave.core.errors import DataError
from skyweave.core.geometry.frames import make_transform, rotation_about_z, rotation_from_quaternion
from skyweave.core.geometry.geodesy import central_lon_lat, map_crs, project_lon_lat
from skyweave.telemetry.poses_over_time import HeightDatum, PosesOverTime


@dataclass(frozen=True)
class MapPoses:
    """Poses of a camera in a projected reference system.

    Attributes:
        crs: of the map.
        indices: (k,) of the poses that are whole: place, height and orientation of the camera.
        world_from_camera: (k, 4, 4), x grid east, y grid north, z up in metres.
        covariance: (k, 6, 6) of position (metres) and rotation vector (radians) about the map's axes; the error that
            all heights share is in it.
        grid_from_enu: (k, 3, 3) rotation of true east, north, up to the map's axes, by the convergence.
    """

    crs: str
    indices: np.ndarray
    world_from_camera: np.ndarray
    covariance: np.ndarray
    grid_from_enu: np.ndarray


def flight_crs(poses: PosesOverTime) -> str:
    """Return the reference system of the middle of a flight: its zone of UTM, or UPS about the poles.

    Args:
        poses: with places.

    Raises:
        DataError: it has none.
    """
    poses.require("position")
    known = poses.places[np.isfinite(poses.places).all(1)]
    longitude, latitude = central_lon_lat(known[:, ::-1])
    return map_crs(latitude, longitude)


def project_poses(poses: PosesOverTime, crs: str, datum: HeightDatum) -> MapPoses:
    """Return the poses on a map.

    Args:
        poses: with places, heights and orientations of the camera.
        crs: projected, in metres; `flight_crs` gives the zone of a flight.
        datum: which of the heights is z.

    Raises:
        DataError: place, orientation or that height is missing; the message says what, and what supplies it.
    """
    poses.require("position", "height", "orientation")
    if datum not in poses.heights:
        raise DataError(
            f"{poses.source}: it states heights above {', '.join(poses.heights)}, not above {datum}; use one of these"
        )
    height = poses.heights[datum]
    whole = np.isfinite(np.column_stack([poses.places, height.values, poses.enu_from_camera])).all(1)
    indices = np.flatnonzero(whole)
    if not len(indices):
        raise DataError(f"{poses.source}: no pose has place, height above {datum} and orientation at one time")
    latitude, longitude = poses.places[indices].T
    longitude = (longitude + 180) % 360 - 180
    position = np.column_stack([project_lon_lat(np.column_stack([longitude, latitude]), crs), height.values[indices]])
    convergence = np.radians(Proj(crs).get_factors(longitude, latitude).meridian_convergence)
    grid_from_enu = rotation_about_z(convergence)
    rotation = grid_from_enu @ rotation_from_quaternion(poses.enu_from_camera[indices])
    both = np.zeros((len(indices), 6, 6))
    both[:, :3, :3] = both[:, 3:, 3:] = grid_from_enu
    covariance = both @ np.nan_to_num(poses.covariance[indices]) @ both.swapaxes(1, 2)
    covariance[:, 2, 2] += height.bias_std**2
    return MapPoses(crs, indices, make_transform(rotation, position), covariance, grid_from_enu)
