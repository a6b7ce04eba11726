"""COCO: a data set with ``images``, ``annotations`` and ``categories``, or a list of results by image number."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.images.image_names import natural_order
from skyweave.core.json_text import parse_json
from skyweave.detection.class_names import COCO_NAMES, class_names
from skyweave.detection.formats.box_file import BoxFile, gather_boxes, read_text
from skyweave.detection.image_detections import ImageDetections

RESULTS_NOTE = "a list of results names no classes: their numbers are taken as those of COCO (1 is person, 3 is car)"


def read_coco(path: Path) -> BoxFile:
    """Read boxes of a COCO file; masks without a box give theirs.

    Images count by their ``frame`` or ``frame_id`` where each has another, else in the order of the numbers in their
    file names, or by their number in a list of results.

    Args:
        path: of the file.

    Raises:
        DataError: it is no JSON, or no COCO.
    """
    try:
        content = parse_json(read_text(path))
    except ValueError as error:
        raise error if isinstance(error, DataError) else DataError(f"{path} is no JSON: {error}") from None
    try:
        if isinstance(content, list):
            return _read(path, [], content, [])
        return _read(path, content["images"], content["annotations"], content["categories"])
    except DataError as error:
        raise error if str(path) in str(error) else DataError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(
            f"{path} is no COCO: {type(error).__name__} {error}; it needs images, annotations with image_id, "
            "category_id and bbox, and categories"
        ) from None


def _boxes_of_images(annotations: list[Any], names: dict[int, str], declared: bool) -> dict[int, list[Any]]:
    """Return the boxes of each image by its number in the file."""
    rows: dict[int, list[Any]] = defaultdict(list)
    for annotation in annotations:
        if annotation.get("iscrowd"):  # one box about many
            continue
        identity = annotation.get("track_id", annotation.get("instance_id"))
        rows[int(annotation["image_id"])].append((
            _box(annotation),
            float(annotation.get("score", 1.0)),
            _category(names, int(annotation["category_id"]), declared),
            None if identity is None else str(identity),
        ))  # fmt: skip
    return rows


def _read(path: Path, images: list[Any], annotations: list[Any], categories: list[Any]) -> BoxFile:
    names = {int(category["id"]): str(category["name"]) for category in categories}
    if not categories:
        names = dict(enumerate(class_names(len(COCO_NAMES) + 11)))
    boxes = gather_boxes(_boxes_of_images(annotations, names, bool(categories)))
    numbers, counted = _frame_numbers(images)
    stated = {int(image["id"]): str(image["file_name"]) for image in images if "file_name" in image}
    return BoxFile(
        path,
        {numbers.get(image, image): detections for image, detections in boxes.items()},
        {name: boxes[image] for image, name in stated.items() if image in boxes} | _without_boxes(stated, boxes),
        {str(image.get("file_name", image["id"])): _size(image) for image in images},
        counted,
        () if images or not boxes else (f"{path}: {RESULTS_NOTE}",),
    )


def _without_boxes(stated: dict[int, str], boxes: dict[int, Any]) -> dict[str, ImageDetections]:
    """Images that are listed and have no box."""
    return {name: ImageDetections.empty() for image, name in stated.items() if image not in boxes}


def _category(names: dict[int, str], number: int, declared: bool) -> str:
    if declared and number not in names:
        raise DataError(
            f"an annotation has category_id {number}, and categories has {', '.join(map(str, names))}; add it"
        )
    return names.get(number) or f"class {number}"


def _size(image: dict[str, Any]) -> tuple[int, int]:
    """Rows and columns of an image; 0 where it does not state them."""
    return int(image.get("height") or 0), int(image.get("width") or 0)


def _frame_numbers(images: list[Any]) -> tuple[dict[int, int], int]:
    """Return the number of each image in its sequence, from 0, and how many there are if only their order says it."""
    stated = [image.get("frame", image.get("frame_id")) for image in images]
    if images and all(isinstance(number, int) for number in stated) and len(set(stated)) == len(stated):
        return {int(image["id"]): int(number) for image, number in zip(images, stated, strict=True)}, 0
    order = sorted(images, key=lambda image: natural_order(str(image.get("file_name", image["id"]))))
    return {int(image["id"]): number for number, image in enumerate(order)}, len(images)


def _box(annotation: dict[str, Any]) -> np.ndarray:
    """Return left, top, right, bottom."""
    if annotation.get("bbox") is not None:
        left, top, width, height = (float(number) for number in annotation["bbox"])
        return np.array([left, top, left + width, top + height])
    if not isinstance(annotation["segmentation"], list):
        raise DataError(
            "an annotation has a mask in run lengths and no box; write its bbox, such as with pycocotools' mask.toBbox"
        )
    points = np.concatenate([np.asarray(ring, np.float64).reshape(-1, 2) for ring in annotation["segmentation"]])
    return np.concatenate([points.min(0), points.max(0)])
