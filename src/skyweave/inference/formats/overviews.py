"""Coarser copies of a raster: each pixel the mean of four, or their commonest value, over those that hold data."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

MAX_COARSEST_SIDE = 256
"""Pixels of the longer side of the coarsest copy, or fewer."""

ReadWindow = Callable[[int, int, int, int], np.ndarray]
"""From (row, column, rows, columns) to (channels, rows, columns)."""
Reduce = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From (4, channels, rows, columns) and which of them hold data, (4, rows, columns), to (channels, rows, columns)."""


@dataclass(frozen=True)
class Level:
    """Size of one copy.

    Attributes:
        rows: of the copy.
        columns: of the copy.
    """

    rows: int
    columns: int

    def halve(self) -> "Level":
        """Return the next coarser level."""
        return Level(math.ceil(self.rows / 2), math.ceil(self.columns / 2))


def overview_levels(rows: int, columns: int) -> list[Level]:
    """Return the coarser levels of a raster, each half as large as the one before.

    Args:
        rows: of the raster.
        columns: of the raster.
    """
    levels, level = [], Level(rows, columns)
    while max(level.rows, level.columns) > MAX_COARSEST_SIDE:
        level = level.halve()
        levels.append(level)
    return levels


def coarsen(
    read: ReadWindow, fine: Level, nodata: float, reduce: Reduce, side: int
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield the blocks of the next coarser level: first row, first column and values.

    Args:
        read: windows of the finer level.
        fine: its size.
        nodata: value of pixels without data.
        reduce: `average` or `majority`.
        side: of a block.
    """
    coarse = fine.halve()
    for row in range(0, coarse.rows, side):
        for column in range(0, coarse.columns, side):
            rows, columns = min(2 * side, fine.rows - 2 * row), min(2 * side, fine.columns - 2 * column)
            values = read(2 * row, 2 * column, rows, columns)
            padding = ((0, 0), (0, rows % 2), (0, columns % 2))
            padded = np.pad(values, padding, constant_values=nodata)
            four = np.stack([padded[:, r::2, c::2] for r in (0, 1) for c in (0, 1)])
            valid = ~np.isnan(four[:, 0]) if math.isnan(nodata) else four[:, 0] != nodata
            reduced = reduce(four, valid).astype(values.dtype)
            yield row, column, np.where(valid.any(0), reduced, np.asarray(nodata, values.dtype))


def average(four: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return the mean of those that hold data, rounded for integers.

    Args:
        four: (4, channels, rows, columns).
        valid: (4, rows, columns) bool.
    """
    weights = valid[:, None].astype(np.float32)
    known = np.where(valid[:, None], four, 0)
    mean: np.ndarray = known.sum(0, dtype=np.float32) / np.maximum(weights.sum(0), 1)
    return mean if np.issubdtype(four.dtype, np.floating) else np.round(mean)


def majority(four: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return the commonest of those that hold data; of equally common ones, that of the upper left.

    Args:
        four: (4, channels, rows, columns).
        valid: (4, rows, columns) bool.
    """
    votes = np.stack([((four == candidate) & valid[:, None]).sum(0) for candidate in four])
    votes = np.where(valid[:, None], votes, -1)
    winner = votes.argmax(0)[None]
    chosen: np.ndarray = np.take_along_axis(four, winner, 0)[0]
    return chosen
