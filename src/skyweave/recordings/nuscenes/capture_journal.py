"""Which images of a scene are written whole, so that a scene whose writing was killed goes on with the next one."""

from pathlib import Path
from typing import Any

import msgspec

from skyweave.core.line_journal import LineJournal
from skyweave.recordings.nuscenes.tables import CaptureExtras

Written = tuple[CaptureExtras, dict[str, dict[str, Any]]]
"""What is known of an image's pixels, and the sensors that took it by name."""


class CaptureJournal:
    """Images of one scene that are written.

    Args:
        folder: of the recording.
        scene: its name.
        made_from: what the scene is made from, from `skyweave.core.line_journal.fingerprint_of`.
        resume: keep the images that an earlier run has written.

    Raises:
        DataError: the earlier run was of another scene.
    """

    def __init__(self, folder: Path, scene: str, made_from: str, resume: bool) -> None:
        self._folder = folder
        self._journal = LineJournal(folder / self.file_name(scene), made_from, resume)
        self._lines = {line["image"]: line for line in self._journal.lines}

    @staticmethod
    def file_name(scene: str) -> str:
        """Return the name of the file within the recording.

        Args:
            scene: its name.
        """
        return f"fragments/{scene}.captures.jsonl"

    def find(self, image: str) -> Written | None:
        """Return what an earlier run knew of an image; None where it is to be written.

        Args:
            image: path within the recording.
        """
        line = self._lines.get(image)
        if line is None or not (self._folder / image).is_file():
            return None
        return msgspec.convert(line["extras"], CaptureExtras), line["sensors"]

    def add(self, image: str, written: Written) -> Written:
        """Note that an image is written; return what was given.

        Args:
            image: path within the recording.
            written: what is known of it.
        """
        extras, sensors = written
        self._journal.add({"image": image, "extras": msgspec.to_builtins(extras), "sensors": sensors})
        return written

    def remove(self) -> None:
        """Forget it: the scene is whole."""
        self._journal.remove()
