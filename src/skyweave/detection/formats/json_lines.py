"""JSON lines: one image a line, ``{"frame": 0, "boxes": [[left, top, right, bottom]], "scores", "categories"}``."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import DataError
from skyweave.detection.formats.box_file import BoxFile, read_text
from skyweave.detection.image_detections import ImageDetections


def read_json_lines(path: Path) -> BoxFile:
    """Read boxes of JSON lines; images have a ``frame`` (from 0) or a ``file``.

    Args:
        path: of the file.

    Raises:
        DataError: a line that is none of that, which it names.
    """
    by_frame: dict[int, ImageDetections] = {}
    by_name: dict[str, ImageDetections] = {}
    lines: dict[object, int] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            image = json.loads(line)
            detections = detections_from_json(image)
            key = int(image["frame"]) if "frame" in image else str(image["file"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DataError(
                f"{path} line {number}: {type(error).__name__} {error}; write each line as an object with frame "
                "or file, boxes ([left, top, right, bottom] each), scores and categories"
            ) from None
        if key in lines:
            raise DataError(
                f"{path}: image {key} is in line {lines[key]} and in line {number}; write all boxes of an image "
                "in one line"
            )
        lines[key] = number
        if isinstance(key, int):
            by_frame[key] = detections
        else:
            by_name[key] = detections
    return BoxFile(path, by_frame, by_name)


def detections_from_json(image: dict[str, Any]) -> ImageDetections:
    """Return the boxes of one image as JSON.

    Args:
        image: with ``boxes``, and perhaps ``scores``, ``categories`` and ``identities``.

    Raises:
        DataError: counts that differ, or boxes that are none.
    """
    boxes = np.array(image["boxes"], np.float64).reshape(-1, 4)
    identities = image.get("identities")
    return ImageDetections(
        boxes,
        np.array(image.get("scores", [1.0] * len(boxes)), np.float64),
        tuple(map(str, image.get("categories", ["object"] * len(boxes)))),
        None if identities is None else tuple(map(str, identities)),
    )


def detections_to_json(detections: ImageDetections) -> dict[str, Any]:
    """Return the boxes of one image as plain JSON types.

    Args:
        detections: in pixels.
    """
    content: dict[str, Any] = {
        "boxes": np.round(detections.boxes, 2).tolist(),
        "scores": np.round(detections.scores, 4).tolist(),
        "categories": list(detections.categories),
    }
    if detections.identities is not None:
        content["identities"] = list(detections.identities)
    return content


def write_json_lines(path: Path, images: Iterable[tuple[int, ImageDetections]]) -> None:
    """Write boxes, one image a line.

    Args:
        path: of the file.
        images: numbers, from 0, and boxes.
    """
    lines = [json.dumps({"frame": frame} | detections_to_json(detections)) + "\n" for frame, detections in images]
    with write_aside(path) as aside:
        aside.write_text("".join(lines), "utf-8")
