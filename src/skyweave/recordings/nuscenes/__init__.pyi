from .read import find_version, layout_name, load_recording
from .write import finish_recording, scene_is_written, write_scene

__all__ = [
    "find_version",
    "finish_recording",
    "layout_name",
    "load_recording",
    "scene_is_written",
    "write_scene",
]
