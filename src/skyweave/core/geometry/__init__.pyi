from .boxes import Boxes, intersection_area, intersection_over_union_3d, intersection_over_union_bev
from .camera import CameraGeometry, PinholeCamera
from .conventions import (
    pose_from_carla,
    pose_from_dji,
    pose_from_mavlink,
    pose_from_ned,
    yaw_from_carla,
    yaw_from_compass,
)
from .frames import (
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
from .geodesy import LocalFrame, grid_convergence, project_lon_lat, unproject_lon_lat
from .grid import MapGrid
from .ground import ElevationModel, Ground, GroundPlane
from .outlines import camera_footprint, name_colour, project_box_edges
from .triangulation import triangulate
from .utm import utm_crs

__all__ = [
    "Boxes",
    "CameraGeometry",
    "ElevationModel",
    "Ground",
    "GroundPlane",
    "LocalFrame",
    "MapGrid",
    "PinholeCamera",
    "camera_angles",
    "camera_footprint",
    "camera_pose",
    "check_transform",
    "grid_convergence",
    "intersection_area",
    "intersection_over_union_3d",
    "intersection_over_union_bev",
    "invert_transform",
    "look_at",
    "make_transform",
    "name_colour",
    "pose_from_carla",
    "pose_from_dji",
    "pose_from_mavlink",
    "pose_from_ned",
    "project_box_edges",
    "project_lon_lat",
    "quaternion_from_rotation",
    "rotation_about_z",
    "rotation_from_quaternion",
    "rotation_from_vector",
    "transform_points",
    "triangulate",
    "unproject_lon_lat",
    "utm_crs",
    "yaw_from_carla",
    "yaw_from_compass",
    "yaw_from_rotation",
]
