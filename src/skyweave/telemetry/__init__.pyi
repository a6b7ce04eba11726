from .interpolation import interpolate_poses, pose_rates
from .map_poses import MapPoses, flight_crs, project_poses
from .poses_over_time import Heights, PosesOverTime

__all__ = [
    "Heights",
    "MapPoses",
    "PosesOverTime",
    "flight_crs",
    "interpolate_poses",
    "pose_rates",
    "project_poses",
]
