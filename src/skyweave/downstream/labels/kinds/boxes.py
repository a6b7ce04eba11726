"""Labels as boxes: any number an image."""

from typing import ClassVar

import numpy as np
from typing_extensions import override

from skyweave.core.errors import DataError
from skyweave.downstream.labels.config import LabelConfig
from skyweave.downstream.labels.kinds.base import LabelKind
from skyweave.downstream.labels.kinds.image_labels import class_index
from skyweave.downstream.labels.readers.stored_boxes import StoredBoxes
from skyweave.downstream.labels.sample import Label


class BoxLabel(LabelKind):
    """Boxes: (boxes, 5) float32 of left, top, right, bottom in pixels, and class index."""

    readers: ClassVar[tuple[str, ...]] = ("boxes", "coco", "yolo", "voc")
    may_be_empty = True

    @override
    def parse(self, stored: StoredBoxes, config: LabelConfig, source: str) -> Label:
        # the boxes with the indices of their classes
        classes = [0 if name is None else class_index(name, config, f"{source}: box") for name in stored.classes]
        column = np.array(classes, np.float32).reshape(-1, 1)
        return np.concatenate([stored.corners, column], axis=1)

    @override
    def check(self, label: np.ndarray, num_classes: int, shape: tuple[int, int], where: str) -> None:
        # that boxes are finite, have an area and a class
        if label.ndim != 2 or label.shape[1] != 5 or not np.isfinite(label).all():
            raise DataError(
                f"{where}: boxes have shape {label.shape}; give finite (boxes, 5): left, top, right, bottom, class"
            )
        if (label[:, 2:4] <= label[:, :2]).any() or not set(label[:, 4]) <= set(range(num_classes)):
            raise DataError(
                f"{where}: a box has no area, or a class outside 0 to {num_classes - 1}; correct or leave it out"
            )

    @override
    def class_counts(self, label: Label, num_classes: int) -> np.ndarray:
        # the boxes of each class
        return np.bincount(np.asarray(label)[:, 4].astype(int), minlength=num_classes)

    @override
    def dihedral(self, label: Label, shape: tuple[int, int], mirrored: bool, quarter_turns: int) -> Label:
        # the boxes of the mirrored and turned image
        return dihedral_boxes(np.asarray(label), shape, mirrored, quarter_turns)


def dihedral_boxes(boxes: np.ndarray, shape: tuple[int, int], mirrored: bool, quarter_turns: int) -> np.ndarray:
    """Mirror boxes left-right, then turn them counter-clockwise, with their image.

    Args:
        boxes: (boxes, 5 or more) of left, top, right, bottom in pixels and more.
        shape: (rows, columns) of the image before.
        mirrored: whether it is mirrored.
        quarter_turns: how often it is turned by 90 degrees.

    Returns:
        (boxes, 5 or more) float32.
    """
    rows, columns = shape
    boxes = np.array(boxes, np.float32)
    if mirrored:
        boxes[:, [0, 2]] = columns - boxes[:, [2, 0]]
    for _ in range(quarter_turns):
        left, top, right, bottom = boxes[:, :4].T.copy()
        boxes[:, :4] = np.stack([top, columns - right, bottom, columns - left], axis=1)
        rows, columns = columns, rows
    return boxes
