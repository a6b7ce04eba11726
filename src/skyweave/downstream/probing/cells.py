"""Targets of the cells of a mask: the class of most pixels, or a share."""

from collections.abc import Sequence

import numpy as np

from skyweave.downstream.labels.readers.stored_boxes import StoredBoxes

MINIMUM_KNOWN_SHARE = 0.5
"""Of a cell's pixels, for a share among them."""


def majority_classes(label: np.ndarray, cell: int, num_classes: int, minimum_share: float) -> np.ndarray:
    """Return the class that most pixels of a cell carry.

    Args:
        label: (rows, columns) class indices, `skyweave.downstream.labels.sample.IGNORE_INDEX` where unknown.
        cell: side in pixels.
        num_classes: of the mask.
        minimum_share: a cell is labelled if its majority class covers at least this share of all its pixels.

    Returns:
        (rows // cell, columns // cell) float32, class index or NaN.
    """
    shares = np.stack([_cell_means((label == index).astype(np.float32), cell) for index in range(num_classes)])
    return np.where(shares.max(axis=0) >= minimum_share, shares.argmax(axis=0), np.nan).astype(np.float32)


def box_classes(stored: StoredBoxes, shape: tuple[int, int], cell: int, classes: Sequence[str]) -> np.ndarray:
    """Return the class of the smallest box whose centre lies in a cell, 0 where there is none.

    Args:
        stored: boxes of an image.
        shape: (rows, columns) of the image.
        cell: side in pixels.
        classes: names; the first is that of cells without a box.

    Returns:
        (rows // cell, columns // cell) float32, class index, or NaN where the box is of another class.
    """
    target = np.zeros((shape[0] // cell, shape[1] // cell), np.float32)
    corners = stored.corners
    area = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    centres = ((corners[:, :2] + corners[:, 2:]) / 2 // cell).astype(int)
    for number in np.argsort(-area):  # the smallest last
        column, row = centres[number]
        if row < target.shape[0] and column < target.shape[1]:
            target[row, column] = _box_index(stored.classes[number], classes)
    return target


def _box_index(name: str | None, classes: Sequence[str]) -> float:
    """Return the index of a box's class, NaN for another one."""
    return classes.index(name) if name in classes[1:] else np.nan


def positive_shares(values: np.ndarray, cell: int) -> np.ndarray:
    """Return the share of a cell's known pixels that are positive.

    Args:
        values: (rows, columns) numbers, NaN where unknown.
        cell: side in pixels.

    Returns:
        (rows // cell, columns // cell) float32, NaN where less than `MINIMUM_KNOWN_SHARE` of the pixels are known.
    """
    known = _cell_means(np.isfinite(values).astype(np.float32), cell)
    positive = _cell_means((values > 0).astype(np.float32), cell)
    return np.where(known >= MINIMUM_KNOWN_SHARE, positive / np.maximum(known, 1e-6), np.nan).astype(np.float32)


def _cell_means(values: np.ndarray, cell: int) -> np.ndarray:
    rows, columns = values.shape[0] // cell, values.shape[1] // cell
    means: np.ndarray = values[: rows * cell, : columns * cell].reshape(rows, cell, columns, cell).mean(axis=(1, 3))
    return means
