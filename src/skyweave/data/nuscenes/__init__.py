"""Recordings in the nuScenes table layout: ours, plain nuScenes, Air-Co-Pred and UAV3D, without the devkit."""

from skyweave.data.nuscenes.read import find_version, layout_name, load_recording
from skyweave.data.nuscenes.write import finish_recording, scene_is_written, write_scene

__all__ = [
    "find_version",
    "finish_recording",
    "layout_name",
    "load_recording",
    "scene_is_written",
    "write_scene",
]
