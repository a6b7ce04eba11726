from .camera_track import CameraTrack
from .config import LocatingConfig
from .ground_points import CameraState, locate_pixels
from .image_locator import ImageLocator
from .located import BoxErrorConfig, LocatedDetections, locate_detections
from .map_tracker import MapTracker, MapTrackerConfig
from .pose_error_model import PoseErrorConfig
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
    "PoseErrorConfig",
    "SeenImage",
    "TrackTable",
    "locate_detections",
    "locate_pixels",
    "tables_of",
    "track_streams",
]
