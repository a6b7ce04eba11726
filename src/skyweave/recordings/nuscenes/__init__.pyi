from .capture_journal import CaptureJournal
from .read import find_version, load_recording, recording_layout
from .write import finish_recording, scene_is_written, write_scene

__all__ = [
    "CaptureJournal",
    "find_version",
    "finish_recording",
    "load_recording",
    "recording_layout",
    "scene_is_written",
    "write_scene",
]
