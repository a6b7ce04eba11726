from .camera_track import CameraTrack
from .config import LocatingConfig
from .ground_points import CameraState, locate_pixels
from .image_locator import ImageLocator
from .located import BoxErrorConfig, LocatedDetections, locate_detections
from .map_matching import PoseEstimate, match_pose
from .map_tracker import MapTracker, MapTrackerConfig
from .placed_view import grey_values
from .pose_error_model import PoseErrorConfig
from .pose_filter import NavigationErrorConfig, PoseFilter
from .reference_image import Reference
from .track_table import TrackTable, tables_of
from .tracking import CameraStream, SeenImage, track_streams

__all__ = [
    "BoxErrorConfig",
    "CameraState",
    "CameraStream",
    "CameraTrack",
    "ImageLocator",
    "LocatedDetections",
    "LocatingConfig",
    "MapTracker",
    "MapTrackerConfig",
    "NavigationErrorConfig",
    "PoseErrorConfig",
    "PoseEstimate",
    "PoseFilter",
    "Reference",
    "SeenImage",
    "TrackTable",
    "grey_values",
    "locate_detections",
    "locate_pixels",
    "match_pose",
    "tables_of",
    "track_streams",
]
