"""COCO: a data set with ``images``, ``annotations`` and ``categories``, or a list of results by image number."""

import json
from collections import defaultdict
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.detection.class_names import COCO_NAMES, class_names
from skyweave.detection.formats.box_file import BoxFile, gather_boxes


def read_coco(path: Path) -> BoxFile:
    """Read boxes of a COCO file; masks without a box give theirs.

    Images count by their ``frame`` where each has another, else in the order of their file names, or by their number
    in a list of results.

    Args:
        path: of the file.

    Raises:
        DataError: it is no JSON, or no COCO.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON: {error}") from None
    try:
        if isinstance(content, list):
            return _read(path, [], content, [])
        return _read(path, content["images"], content["annotations"], content["categories"])
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(
            f"{path} is no COCO: {type(error).__name__} {error}; it needs images, annotations with image_id, "
            "category_id and bbox, and categories"
        ) from None


def _read(path: Path, images: list[Any], annotations: list[Any], categories: list[Any]) -> BoxFile:
    names = {int(category["id"]): str(category["name"]) for category in categories}
    if not categories:
        names = dict(enumerate(class_names(len(COCO_NAMES) + 11)))
    rows: dict[int, list[Any]] = defaultdict(list)
    for annotation in annotations:
        identity = annotation.get("track_id", annotation.get("instance_id"))
        category = int(annotation["category_id"])
        rows[int(annotation["image_id"])].append((
            _box(annotation),
            float(annotation.get("score", 1.0)),
            names.get(category) or f"class {category}",
            None if identity is None else str(identity),
        ))  # fmt: skip
    boxes = gather_boxes(rows)
    numbers = _frame_numbers(images)
    by_frame = {numbers.get(image, image): detections for image, detections in boxes.items()}
    stems = {int(image["id"]): PurePath(str(image["file_name"])).stem for image in images if "file_name" in image}
    return BoxFile(path, by_frame, {stems[image]: detections for image, detections in boxes.items() if image in stems})


def _frame_numbers(images: list[Any]) -> dict[int, int]:
    """Return the number of each image in its sequence, from 0."""
    stated = [image.get("frame", image.get("frame_id")) for image in images]
    if images and all(isinstance(number, int) for number in stated) and len(set(stated)) == len(stated):
        return {int(image["id"]): int(number) for image, number in zip(images, stated, strict=True)}
    order = sorted(images, key=lambda image: str(image.get("file_name", image["id"])))
    return {int(image["id"]): number for number, image in enumerate(order)}


def _box(annotation: dict[str, Any]) -> np.ndarray:
    """Return left, top, right, bottom."""
    if annotation.get("bbox") is not None:
        left, top, width, height = (float(number) for number in annotation["bbox"])
        return np.array([left, top, left + max(width, 0), top + max(height, 0)])
    points = np.concatenate([np.asarray(ring, np.float64).reshape(-1, 2) for ring in annotation["segmentation"]])
    return np.concatenate([points.min(0), points.max(0)])
