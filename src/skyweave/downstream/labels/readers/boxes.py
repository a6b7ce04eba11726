"""Labels as boxes: rows of a table, in pixels of the image or in coordinates of a map."""

import math
import re
from pathlib import Path

import numpy as np
from typing_extensions import override

from skyweave.core.csv_table import CsvRow
from skyweave.core.errors import ConfigError, DataError
from skyweave.data.header import RasterHeader
from skyweave.downstream.labels.config import LabelConfig
from skyweave.downstream.labels.image_files import ImageFiles
from skyweave.downstream.labels.images import image_header
from skyweave.downstream.labels.readers.base import LabelReader
from skyweave.downstream.labels.readers.stored_boxes import Box, Corners, ImageBoxes, StoredBoxes
from skyweave.downstream.labels.tables import LabelTable
from skyweave.downstream.labels.tiles import Window

SIZE_NAME = re.compile(r"(^|[^a-z])(w|h|width|height)$", re.I)  # of a column
NO_NUMBER = {"", "nan", "na", "none", "null"}


class BoxReader(LabelReader):
    """One row a box; a row without numbers says that the image has none."""

    needs_files = True
    keys = ("files", "label_column", "box_columns", "box_crs")

    def __init__(self, config: LabelConfig, images: ImageFiles, is_exclusive: bool = False) -> None:
        super().__init__(config, images, is_exclusive)
        columns = [*config.box_columns]
        if config.label_column:
            columns.append(config.label_column)
        self._table = LabelTable(images.root / (config.files or ""), config.file_column, columns, images)
        selected = {image: rows for image, rows in self._table.rows.items() if self._is_selected(image)}
        self._boxes = ImageBoxes({image: self._row_boxes(rows, image) for image, rows in selected.items()}, images)

    @override
    @classmethod
    def check_config(cls, config: LabelConfig) -> None:
        # that there are four columns and a known reference system
        super().check_config(config)
        if len(set(config.box_columns)) != 4 or len(config.box_columns) != 4:
            raise ConfigError(f"labels.box_columns are {config.box_columns}; name four: left, top, right, bottom")
        if sizes := [column for column in config.box_columns[2:] if SIZE_NAME.search(column)]:
            raise ConfigError(
                f"labels.box_columns are left, top, right, bottom, and {sizes[0]!r} is called like a width or a "
                "height: add those to left and top in the table, or rename the column"
            )
        if len(config.class_names) > 1 and not config.label_column:
            raise ConfigError(f"boxes of {len(config.class_names)} classes need `label_column`, the class of each")

    @override
    def read(self, path: Path, window: Window | None, shape: tuple[int, int]) -> StoredBoxes:
        # the boxes whose centre lies in the window, cut to it
        boxes = self._boxes.of(path)
        return boxes if window is None else boxes.cut(window)

    @override
    def source(self, path: Path) -> str:
        # the image and the table
        return f"{path} ({self._table.path})"

    @override
    def column_value(self, path: Path, column: str) -> str | None:
        # another cell of the image's rows
        return self._table.column_value(path, column)

    @override
    def left_out(self) -> dict[str, list[str]]:
        # what is wrong with rows and boxes
        return {**super().left_out(), **self._table.left_out(), **self._boxes.left_out}

    def _is_stored(self, path: Path) -> bool:
        return path in self._boxes

    def _row_boxes(self, rows: list[CsvRow], image: Path) -> list[Box]:
        """Return the boxes of the rows of an image."""
        return [box for row in rows if (box := self._box(row, image))]

    def _box(self, row: CsvRow, image: Path) -> Box | None:
        source = f"{self._table.path}, line {row.line}"
        sides = [row.cells[column] for column in self.config.box_columns]
        if all(side.lower() in NO_NUMBER for side in sides):
            return None
        left, top, right, bottom = (_number(side, source) for side in sides)
        corners = (left, top, right, bottom)
        if self.config.box_crs is not None:
            corners = self._pixels_of_map(corners, image, source)
        return Box(corners, row.cells[self.config.label_column] if self.config.label_column else None, source)

    def _pixels_of_map(self, corners: Corners, image: Path, source: str) -> Corners:
        """Return a box in pixels of the image; x and y that are exchanged are refused by name."""
        from pyproj.exceptions import ProjError

        header, crs = image_header(image), self.config.box_crs or ""
        if header.crs is None:
            raise DataError(f"{image} has no reference system to place {source} by, in {crs}; remove labels.box_crs")
        left, top, right, bottom = corners
        try:
            pixels, exchanged = (_pixels(sides, crs, header) for sides in (corners, (top, left, bottom, right)))
        except ProjError as error:
            raise DataError(
                f"{source}: its box in {crs} cannot be placed on {image} in {header.crs}: {error}"
            ) from error
        if _covers(exchanged, header) and not _covers(pixels, header):
            first, second, third, fourth = self.config.box_columns
            raise DataError(
                f"{source}: x and y are exchanged, x is the east or the longitude; declare labels.box_columns: "
                f"[{second}, {first}, {fourth}, {third}]"
            )
        return pixels


def _number(text: str, source: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{source}: the side {text!r} of a box is no number; correct the table")
    return number


def _pixels(corners: Corners, crs: str, header: RasterHeader) -> Corners:
    """Return what a box in coordinates of a map covers of an image, in pixels: the rectangle around its corners."""
    from pyproj import Transformer

    x, y = np.array(corners)[[0, 2, 2, 0]], np.array(corners)[[1, 1, 3, 3]]
    x, y = Transformer.from_crs(crs, header.crs, always_xy=True).transform(x, y)
    a, b, c, d, e, f = header.affine
    columns, rows = np.linalg.solve([[a, b], [d, e]], np.stack([np.asarray(x) - c, np.asarray(y) - f]))
    return float(columns.min()), float(rows.min()), float(columns.max()), float(rows.max())


def _covers(corners: Corners, header: RasterHeader) -> bool:
    """Return whether a box has pixels in common with an image."""
    left, top, right, bottom = corners
    return bool(min(right, header.shape[1]) > max(left, 0) and min(bottom, header.shape[0]) > max(top, 0))
