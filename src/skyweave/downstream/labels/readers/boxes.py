"""Labels as boxes: rows of a table, in pixels of the image."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from typing_extensions import override

from skyweave.core.errors import DataError
from skyweave.downstream.labels.config import LabelConfig
from skyweave.downstream.labels.readers.base import LabelReader
from skyweave.downstream.labels.tables import read_table
from skyweave.downstream.labels.tiles import Window


@dataclass(frozen=True)
class StoredBoxes:
    """Boxes of an image or of a window of it.

    Attributes:
        corners: (boxes, 4) float32: left, top, right, bottom in pixels.
        classes: name of each box's class; None where the table has no column of classes.
    """

    corners: np.ndarray
    classes: list[str | None]


class BoxReader(LabelReader):
    """One row a box; a row without numbers says that the image has none."""

    needs_files = True

    def __init__(self, config: LabelConfig, root: Path, name_pattern: str | None = None) -> None:
        super().__init__(config, root, name_pattern)
        columns = [*config.box_columns, *([config.label_column] if config.label_column else [])]
        self._rows = read_table(root / (config.files or ""), config.file_column, columns)

    @override
    def read(self, path: Path, window: Window | None, shape: tuple[int, int]) -> StoredBoxes:
        # the boxes whose centre lies in the window, cut to it
        corners: list[list[float]] = []
        classes: list[str | None] = []
        for row in self._rows[path.stem]:
            sides = [row[column].strip() for column in self.config.box_columns]
            if all(sides):
                corners.append([_number(side, path) for side in sides])
                classes.append(row[self.config.label_column] if self.config.label_column else None)
        boxes = StoredBoxes(np.array(corners, np.float32).reshape(-1, 4), classes)
        return boxes if window is None else _cut(boxes, window)

    @override
    def column_value(self, path: Path, column: str) -> str | None:
        # a cell of the image's first row
        rows = self._rows.get(path.stem)
        return rows[0].get(column) if rows else None

    def _is_stored(self, path: Path) -> bool:
        return path.stem in self._rows


def _cut(boxes: StoredBoxes, window: Window) -> StoredBoxes:
    """Keep the boxes whose centre lies in a window, in its pixels."""
    top, left, rows, columns = window
    corners = boxes.corners.copy()
    corners[:, [0, 2]] -= left
    corners[:, [1, 3]] -= top
    x, y = (corners[:, 0] + corners[:, 2]) / 2, (corners[:, 1] + corners[:, 3]) / 2
    inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    corners = corners[inside]
    corners[:, [0, 2]] = corners[:, [0, 2]].clip(0, columns)
    corners[:, [1, 3]] = corners[:, [1, 3]].clip(0, rows)
    return StoredBoxes(corners, [name for name, kept in zip(boxes.classes, inside, strict=True) if kept])


def _number(text: str, path: Path) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise DataError(f"{path}: the side {text!r} of a box is no number; correct the table") from error
