"""Windows of the pages of a TIFF, tile by tile or strip by strip, so that memory does not grow with the page."""

import math
import os
from typing import Any

import numpy as np

from skyweave.core.errors import DataError

NO_BYTES = 0  # of a tile that was never written


def read_page(page: Any, rows: np.ndarray, columns: np.ndarray, fill: float) -> np.ndarray:
    """Return (samples, rows, columns) of a page.

    Args:
        page: of tifffile, of an open file.
        rows: numbers of the rows that are read.
        columns: numbers of the columns that are read.
        fill: of tiles that were never written.

    Raises:
        DataError: the file is cut off.
    """
    result = np.zeros((page.samplesperpixel, len(rows), len(columns)), page.dtype)
    for index in _find_segments(page, rows, columns).tolist():
        segment, (sample, *_, top, left, _) = _decode(page, index, fill)
        inside_rows = _inside(rows - top, segment.shape[0])
        inside_columns = _inside(columns - left, segment.shape[1])
        part = segment[np.ix_(rows[inside_rows] - top, columns[inside_columns] - left)]
        samples = np.arange(sample, sample + part.shape[2])
        result[np.ix_(samples, inside_rows, inside_columns)] = part.transpose(2, 0, 1)
    return result


def _inside(positions: np.ndarray, length: int) -> np.ndarray:
    """Return which positions lie in a segment."""
    return np.flatnonzero((positions >= 0) & (positions < length))


def _find_segments(page: Any, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the numbers of the tiles or strips that hold some rows and columns, of all planes."""
    height, width = _segment_shape(page)
    across, down = math.ceil(page.imagewidth / width), math.ceil(page.imagelength / height)
    planes = np.arange({1: 1, 2: page.samplesperpixel}[page.planarconfig])
    lines = planes[:, None] * down + np.unique(rows // height)
    return np.asarray(lines[:, :, None] * across + np.unique(columns // width)).ravel()


def _segment_shape(page: Any) -> tuple[int, int]:
    return (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)


def _decode(page: Any, index: int, fill: float) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return a tile or strip, (rows, columns, samples), and where it lies: sample, ..., row, column, channel."""
    count, offset = page.databytecounts[index], page.dataoffsets[index]
    file = page.parent.filehandle
    data = os.pread(file.fileno(), count, offset)  # several threads read one file
    if len(data) < count:
        raise DataError(f"{file.path}: truncated; copy or download it again") from OSError("truncated")
    segment, place, shape = page.decode(data or None, index, jpegtables=page.jpegtables)
    if count == NO_BYTES:
        segment = np.full(shape, fill, page.dtype)
    _, rows, columns, _ = shape
    return segment[0, :rows, :columns], place
