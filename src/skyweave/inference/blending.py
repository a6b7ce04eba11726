"""Overlapping windows averaged by weight, in memory for the rows that are not final."""

import numpy as np

from skyweave.inference.windows import Window


class BlendedStrip:
    """Sums of the values of windows and of their weights, for some columns of a map and the rows that are open.

    Args:
        channels: of the values.
        columns: first column, and the one behind the last.
        row: the first that is open.
    """

    def __init__(self, channels: int, columns: tuple[int, int], row: int) -> None:
        self.first_column, self.last_column = columns
        self.row = row
        self.total = np.zeros((channels, 0, columns[1] - columns[0]), np.float32)
        self.weight = np.zeros((0, columns[1] - columns[0]), np.float32)

    def add(self, window: Window, values: np.ndarray, weight: np.ndarray) -> None:
        """Add the values of a window; what is outside the columns or above the open rows is left out.

        Args:
            window: where they lie.
            values: (channels, rows, columns).
            weight: (rows, columns), zero where not valid.
        """
        self._open(window.bottom)
        top, bottom = max(window.row, self.row), window.bottom
        left, right = max(window.column, self.first_column), min(window.right, self.last_column)
        if top >= bottom or left >= right:
            return
        part = slice(top - self.row, bottom - self.row), slice(left - self.first_column, right - self.first_column)
        taken = slice(top - window.row, bottom - window.row), slice(left - window.column, right - window.column)
        weighted = weight[taken]
        self.total[:, *part] += np.where(weighted > 0, values[:, *taken], 0) * weighted
        self.weight[part] += weighted

    def finish(self, until: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows before a limit, which are open no more: values (channels, rows, columns), valid (rows,
        columns).

        Args:
            until: first row that stays open.
        """
        self._open(until)
        count = until - self.row
        weight = self.weight[:count]
        valid = weight > 0
        values = self.total[:, :count] / np.where(valid, weight, 1)
        self.total, self.weight = self.total[:, count:].copy(), self.weight[count:].copy()
        self.row = until
        return values, valid

    def _open(self, bottom: int) -> None:
        """Make room for rows down to a limit."""
        missing = bottom - self.row - len(self.weight)
        if missing > 0:
            columns = self.weight.shape[1]
            self.total = np.concatenate([self.total, np.zeros((len(self.total), missing, columns), np.float32)], axis=1)
            self.weight = np.concatenate([self.weight, np.zeros((missing, columns), np.float32)])
