"""Targets of the cells of a mask: the class of most pixels, or a share."""

import numpy as np

from skyweave.downstream.labels.config import LabelConfig
from skyweave.downstream.labels.kinds.masks import check_stored_values


def majority_classes(mask: np.ndarray, cell: int, labels: LabelConfig, minimum_share: float, source: str) -> np.ndarray:
    """Return the class that most pixels of a cell carry.

    Args:
        mask: (rows, columns) stored label values.
        cell: side in pixels.
        labels: with classes and ignored values.
        minimum_share: a cell is labelled if its majority class covers at least this share of all its pixels.
        source: path of the mask, for messages.

    Returns:
        (rows // cell, columns // cell) float32, class index or NaN.

    Raises:
        DataError: a stored value that is neither a class nor ignored.
    """
    check_stored_values(mask, labels, source)
    shares = np.stack([_cell_means((mask == value).astype(np.float32), cell) for value in labels.stored_values])
    return np.where(shares.max(axis=0) >= minimum_share, shares.argmax(axis=0), np.nan).astype(np.float32)


def positive_shares(mask: np.ndarray, cell: int) -> np.ndarray:
    """Return (rows // cell, columns // cell) float32, share of a cell's pixels that are positive.

    Args:
        mask: (rows, columns) stored values.
        cell: side in pixels.
    """
    return _cell_means((mask > 0).astype(np.float32), cell)


def _cell_means(values: np.ndarray, cell: int) -> np.ndarray:
    rows, columns = values.shape[0] // cell, values.shape[1] // cell
    means: np.ndarray = values[: rows * cell, : columns * cell].reshape(rows, cell, columns, cell).mean(axis=(1, 3))
    return means
