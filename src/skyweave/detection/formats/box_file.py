"""Boxes of a file as a detector: by the number of the image, or by the name of its file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.registry import Registry
from skyweave.detection.image_detections import ImageDetections

BOX_FORMATS: Registry[Callable[[Path], "BoxFile"]] = Registry(
    "box_formats",
    "format of boxes",
    {
        "coco": "skyweave.detection.formats.coco:read_coco",
        "mot": "skyweave.detection.formats.mot:read_mot",
        "json-lines": "skyweave.detection.formats.json_lines:read_json_lines",
    },
)
FORMAT_OF_SUFFIX = {".json": "coco", ".txt": "mot", ".csv": "mot", ".jsonl": "json-lines", ".ndjson": "json-lines"}


@dataclass(frozen=True)
class BoxFile:
    """Boxes by image.

    Attributes:
        path: of the file.
        by_frame: boxes by the number of the image, from 0.
        by_name: boxes by the name of the image's file, without folders and suffix.
    """

    path: Path
    by_frame: Mapping[int, ImageDetections]
    by_name: Mapping[str, ImageDetections]
    needs_images: bool = False

    def detect(self, image: np.ndarray | None, frame: int, name: str = "") -> ImageDetections:
        """Return the boxes of one image; none where the file has none.

        Args:
            image: not looked at.
            frame: number of the image, from 0.
            name: of its file; where the file of boxes has names, they count.
        """
        stem = PurePath(name).stem
        if name and self.by_name:
            return self.by_name.get(stem, ImageDetections.empty())
        return self.by_frame.get(frame, ImageDetections.empty())


def read_boxes(path: Path, format_name: str | None = None) -> BoxFile:
    """Read a file of boxes.

    Args:
        path: of the file.
        format_name: of `BOX_FORMATS`; default: by the suffix.

    Raises:
        FileNotFoundError: no such file.
        DataError: another suffix, or what is wrong in the file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of boxes {path}")
    name = format_name or FORMAT_OF_SUFFIX.get(path.suffix.lower())
    if name is None:
        raise DataError(
            f"{path} is neither an ONNX model nor a file of boxes by its name ({', '.join(FORMAT_OF_SUFFIX)}); say "
            f"what it is with --boxes-format ({', '.join(BOX_FORMATS)})"
        )
    return BOX_FORMATS[name](path)


def gather_boxes(
    rows: Mapping[int, list[tuple[np.ndarray, float, str, str | None]]],
) -> dict[int, ImageDetections]:
    """Return detections by image.

    Args:
        rows: of each image its boxes (left, top, right, bottom), scores, classes and identities.
    """
    return {
        frame: ImageDetections(
            np.array([box for box, _, _, _ in boxes], np.float64).reshape(-1, 4),
            np.array([score for _, score, _, _ in boxes], np.float64),
            tuple(name for _, _, name, _ in boxes),
            None if any(identity is None for *_, identity in boxes) else tuple(str(identity) for *_, identity in boxes),
        )
        for frame, boxes in rows.items()
    }
