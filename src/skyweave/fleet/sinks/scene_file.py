"""Fused scenes in a file, a line of JSON each."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skyweave.core.errors import FleetError
from skyweave.fleet.node.node import Node
from skyweave.fleet.sinks.base import SinkConfig
from skyweave.fleet.sinks.scene_content import PublishedScene


@dataclass(frozen=True)
class FileSinkConfig(SinkConfig):
    """A file to which every scene is appended, a line of JSON each; ``kind: file``.

    Attributes:
        path: of the file.
    """

    path: str

    def build(self, node: Node) -> "FileSink":
        """Open the file.

        Args:
            node: whose scenes are written.

        Raises:
            OSError: it cannot be written.
        """
        return FileSink(self.path)


class FileSink:
    """Appends scenes to a file.

    Args:
        path: of the file.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self._stream = open(path, "a", buffering=1, encoding="utf-8")  # noqa: SIM115

    def write(self, published: PublishedScene) -> None:
        """Append a scene.

        Args:
            published: the scene.
        """
        self._stream.write(json.dumps(published.json_content) + "\n")

    def close(self) -> None:
        """Close the file: no scene will follow."""
        self._stream.close()


def read_saved_scenes(path: str | Path, begin: float = 0.0, end: float = float("inf")) -> list[dict[str, Any]]:
    """Return the scenes that a node wrote to a file. A line that is cut off is left out.

    Args:
        path: of the file; without it there are no scenes.
        begin: UTC seconds of the first capture.
        end: UTC seconds of the last capture.

    Raises:
        FleetError: it holds no scenes of a fleet.
    """
    if not Path(path).exists():
        return []
    scenes = []
    for line in Path(path).read_text("utf-8").splitlines():
        try:
            content = json.loads(line)
        except ValueError:
            continue
        if not isinstance(content, dict) or "time" not in content:
            raise FleetError(f"{path} holds no scenes of a fleet")
        if begin <= content["time"] <= end:
            scenes.append(content)
    return scenes
