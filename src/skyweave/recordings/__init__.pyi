from .calibration import load_calibration
from .nuscenes import find_version, finish_recording, load_recording, recording_layout, scene_is_written, write_scene
from .recording import Annotations, Capture, Frame, RecordedScene, Recording

__all__ = [
    "Annotations",
    "Capture",
    "Frame",
    "RecordedScene",
    "Recording",
    "find_version",
    "finish_recording",
    "load_calibration",
    "load_recording",
    "recording_layout",
    "scene_is_written",
    "write_scene",
]
