from .interpolation import interpolate_poses, pose_rates
from .map_poses import MapPoses, flight_crs, project_poses
from .poses_over_time import Heights, PosesOverTime
from .reading import READERS, ReadOptions, TelemetryReader, read_telemetry
from .samples import LogSamples

__all__ = [
    "READERS",
    "Heights",
    "LogSamples",
    "MapPoses",
    "PosesOverTime",
    "ReadOptions",
    "TelemetryReader",
    "flight_crs",
    "interpolate_poses",
    "pose_rates",
    "project_poses",
    "read_telemetry",
]
