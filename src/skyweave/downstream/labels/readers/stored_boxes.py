"""Boxes of images as any file stores them: compared with their image, cleaned, cut to windows."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.downstream.labels.image_files import ImageFiles
from skyweave.downstream.labels.images import image_header
from skyweave.downstream.labels.tiles import Window

Corners = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels from the image's upper left corner."""
MAX_OVERHANG = 1.0
"""Pixels by which a box may leave its image without a note."""


@dataclass(frozen=True)
class Box:
    """One box as a file stores it.

    Attributes:
        corners: left, top, right, bottom in pixels.
        class_name: None where the file names no classes.
        source: file and line or number, for messages.
    """

    corners: Corners
    class_name: str | None
    source: str

    @property
    def place(self) -> str:
        """Where it is stored, without the folder."""
        return Path(self.source).name


@dataclass(frozen=True)
class StoredBoxes:
    """Boxes of an image or of a window of it.

    Attributes:
        corners: (boxes, 4) float32: left, top, right, bottom in pixels.
        classes: name of each box's class; None where the file names no classes.
    """

    corners: np.ndarray
    classes: list[str | None]

    def cut(self, window: Window) -> "StoredBoxes":
        """Return the boxes whose centre lies in a window, in its pixels and cut to it.

        Args:
            window: top, left, rows, columns.
        """
        top, left, rows, columns = window
        corners = self.corners - np.array([left, top, left, top], np.float32)
        x, y = (corners[:, 0] + corners[:, 2]) / 2, (corners[:, 1] + corners[:, 3]) / 2
        inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
        corners = corners[inside]
        corners[:, [0, 2]] = corners[:, [0, 2]].clip(0, columns)
        corners[:, [1, 3]] = corners[:, [1, 3]].clip(0, rows)
        return StoredBoxes(corners, [name for name, kept in zip(self.classes, inside, strict=True) if kept])


class ImageBoxes:
    """The boxes of images, without those that are none.

    Args:
        boxes: of each image, perhaps none.
        images: of the data.

    Attributes:
        left_out: what was left out or cut, by the reason.

    Raises:
        DataError: a box whose sides are exchanged, or that lies outside its image; boxes in shares of their image.
    """

    def __init__(self, boxes: Mapping[Path, Iterable[Box]], images: ImageFiles) -> None:
        self.left_out: dict[str, list[str]] = defaultdict(list)
        listed = {path: list(members) for path, members in boxes.items()}
        _check_units([box for members in listed.values() for box in members])
        self._boxes = {path: self._kept(members, path, images.relative(path)) for path, members in listed.items()}

    def __contains__(self, path: Path) -> bool:
        return path in self._boxes

    def of(self, path: Path) -> StoredBoxes:
        """Return the boxes of an image.

        Args:
            path: of the image.
        """
        boxes = self._boxes[path]
        corners = np.array([box.corners for box in boxes], np.float32).reshape(-1, 4)
        return StoredBoxes(corners, [box.class_name for box in boxes])

    def _kept(self, boxes: list[Box], path: Path, name: str) -> list[Box]:
        """Return the boxes with an area, each once, cut to the image."""
        rows, columns = image_header(path).shape if boxes else (0, 0)
        kept: dict[tuple[Corners, str | None], Box] = {}
        for box in boxes:
            left, top, right, bottom = box.corners
            if left == right or top == bottom:
                self.left_out["boxes without an area"].append(box.place)
            elif (box.corners, box.class_name) in kept:
                self.left_out["boxes that are given twice"].append(box.place)
            else:
                kept[box.corners, box.class_name] = self._cut_to_image(box, rows, columns, path, name)
        return list(kept.values())

    def _cut_to_image(self, box: Box, rows: int, columns: int, path: Path, name: str) -> Box:
        """Return the part of a box that lies in its image. Raises ``DataError`` where none does."""
        left, top, right, bottom = box.corners
        corners = (max(left, 0.0), max(top, 0.0), min(right, float(columns)), min(bottom, float(rows)))
        if corners[2] <= corners[0] or corners[3] <= corners[1]:
            raise DataError(_outside(box, path, name))
        if min(left, top, columns - right, rows - bottom) < -MAX_OVERHANG:
            self.left_out["boxes cut at the edge of their image"].append(box.place)
        return replace(box, corners=corners)


def _check_units(boxes: list[Box]) -> None:
    """Refuse sides that are exchanged, and boxes whose sides are all shares of the image."""
    for box in boxes:
        _check_sides(box)
    if boxes and max(max(box.corners) for box in boxes) <= 1:
        raise DataError(
            f"{boxes[0].source}: no box has a side beyond 1, so they are shares of the image, not pixels; multiply x "
            "by the columns and y by the rows of each image"
        )


def _check_sides(box: Box) -> None:
    """Refuse sides that are exchanged."""
    left, top, right, bottom = box.corners
    if right < left or bottom < top:
        raise DataError(
            f"{box.source}: no box goes from x {left:g} to {right:g} and y {top:g} to {bottom:g}; the columns are "
            "left, top, right, bottom: add a width and a height to left and top"
        )


def _outside(box: Box, path: Path, name: str) -> str:
    """Return the message of a box outside of its image."""
    header = image_header(path)
    rows, columns = header.shape
    sides = ", ".join(f"{side:.10g}" for side in box.corners)
    message = f"{box.source}: the box {sides} (left, top, right, bottom) lies outside {name}, {columns} x {rows} pixels"
    west, south, east, north = header.bounds
    x, y = (box.corners[0] + box.corners[2]) / 2, (box.corners[1] + box.corners[3]) / 2
    if header.crs and west <= x <= east and south <= y <= north:
        return f"{message}; these are coordinates of its map: declare labels.box_crs: {header.crs!r}"
    return f"{message}; were they drawn on another size of the image, or on another image?"
