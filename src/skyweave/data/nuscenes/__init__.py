"""Recordings in the nuScenes table layout: ours, plain nuScenes, Air-Co-Pred and UAV3D, without the devkit."""

from skyweave.data.nuscenes.write import finish_recording, scene_is_written, write_scene

__all__ = ["finish_recording", "scene_is_written", "write_scene"]
