"""Windows that cover a map, in strips whose rows become final together, and in groups that are read at once."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from skyweave.core.errors import ConfigError

WINDOWS_PER_GROUP = 4
"""Windows a side of a group, which is read and computed at once: the larger, the fewer times is each part of a file
read."""


@dataclass(frozen=True)
class Window:
    """A part of a map: ``row`` and ``column`` of its upper left cell, and its size, all in cells."""

    row: int
    column: int
    rows: int
    columns: int

    @property
    def bottom(self) -> int:
        """Return the row below the last."""
        return self.row + self.rows

    @property
    def right(self) -> int:
        """Return the column behind the last."""
        return self.column + self.columns


@dataclass(frozen=True)
class WindowGroup:
    """Windows that are read and computed at once.

    Attributes:
        windows: row by row.
    """

    windows: tuple[Window, ...]

    @property
    def bounds(self) -> Window:
        """Return the smallest window that holds all of them."""
        row, column = min(w.row for w in self.windows), min(w.column for w in self.windows)
        bottom, right = max(w.bottom for w in self.windows), max(w.right for w in self.windows)
        return Window(row, column, bottom - row, right - column)


@dataclass(frozen=True)
class Strip:
    """Cells of the map that become final together, and the windows that are computed for them.

    Attributes:
        number: in the order of work.
        cells: that no later strip adds to.
        groups: from left to right.
    """

    number: int
    cells: Window
    groups: tuple[WindowGroup, ...]

    @property
    def num_windows(self) -> int:
        """Return how many windows are computed for it."""
        return sum(len(group.windows) for group in self.groups)

    def reaches(self, other: "Strip") -> bool:
        """Return whether windows of this strip add to the cells of a later one.

        Args:
            other: a later strip.
        """
        same = self.cells.column == other.cells.column
        return same and any(group.bounds.bottom > other.cells.row for group in self.groups)


@dataclass(frozen=True)
class WindowPlan:
    """How a map is cut. All is in cells, the pixels of the result.

    Attributes:
        rows: of the map.
        columns: of the map.
        size: side of a window.
        overlap: cells that neighbouring windows share, at least.
        max_columns: width of the parts in which a map is computed, one after the other from left to right: what is open
            at a time is one row of groups of that width, however wide the map. Windows on the line between two parts
            are computed for both.
        group_size: windows a side of a group.

    Raises:
        ConfigError: an overlap that is not smaller than the window.
    """

    rows: int
    columns: int
    size: int
    overlap: int
    max_columns: int = 1 << 30
    group_size: int = WINDOWS_PER_GROUP

    def __post_init__(self) -> None:
        if self.size < 1 or not 0 <= self.overlap < self.size:
            raise ConfigError(
                f"a tile of {self.size} cells of the result cannot overlap its neighbour by {self.overlap}; "
                "choose an overlap of zero or more that is smaller than the tile"
            )

    def __len__(self) -> int:
        parts = range(0, self.columns, self.max_columns)
        columns = sum(len(self._columns(left, min(left + self.max_columns, self.columns))) for left in parts)
        return len(self._starts(self.rows)) * columns

    def strips(self) -> Iterator[Strip]:
        """Yield the strips in the order of work: from north to south, one part of the columns after the other."""
        starts = self._starts(self.rows)
        groups = [starts[first : first + self.group_size] for first in range(0, len(starts), self.group_size)]
        limits = [*(group[0] for group in groups[1:]), self.rows]
        number = 0
        for left in range(0, self.columns, self.max_columns):
            right = min(left + self.max_columns, self.columns)
            for group, until in zip(groups, limits, strict=True):
                cells = Window(group[0], left, until - group[0], right - left)
                yield Strip(number, cells, self._groups(group, left, right))
                number += 1

    def windows(self) -> Iterator[Window]:
        """Yield all windows in the order of work."""
        for strip in self.strips():
            for group in strip.groups:
                yield from group.windows

    def weight(self, window: Window) -> np.ndarray:
        """Return (rows, columns) float32: 1 inside, falling linearly over the overlap to edges with a neighbour.

        Args:
            window: of the plan.
        """
        vertical = self._ramp(window.row, window.rows, self.rows)
        horizontal = self._ramp(window.column, window.columns, self.columns)
        weight: np.ndarray = vertical[:, None] * horizontal[None, :]
        return weight

    def core(self, window: Window) -> Window:
        """Return the part of a window that is no other's: overlaps are halved, so cores cover the map once.

        Args:
            window: of the plan.
        """
        top, bottom = self._core(self._starts(self.rows), window.row, self.rows)
        left, right = self._core(self._starts(self.columns), window.column, self.columns)
        return Window(top, left, bottom - top, right - left)

    def _core(self, starts: list[int], start: int, length: int) -> tuple[int, int]:
        size, at = min(self.size, length), starts.index(start)
        first = 0 if at == 0 else (start + starts[at - 1] + size) // 2
        last = length if at == len(starts) - 1 else (starts[at + 1] + start + size) // 2
        return first, last

    def _groups(self, rows: list[int], left: int, right: int) -> tuple[WindowGroup, ...]:
        """Return the windows at some rows that touch some columns, in groups."""
        height, width = min(self.size, self.rows), min(self.size, self.columns)
        columns = self._columns(left, right)
        return tuple(
            WindowGroup(
                tuple(
                    Window(row, column, height, width) for row in rows for column in columns[at : at + self.group_size]
                )
            )
            for at in range(0, len(columns), self.group_size)
        )

    def _columns(self, left: int, right: int) -> list[int]:
        """Return the first columns of the windows that touch some columns."""
        width = min(self.size, self.columns)
        return [start for start in self._starts(self.columns) if start < right and start + width > left]

    def _starts(self, length: int) -> list[int]:
        last = max(length - self.size, 0)  # the last window moves inwards, so that it sees a whole one of context
        return [*range(0, last, self.size - self.overlap), last]

    def _ramp(self, start: int, size: int, length: int) -> np.ndarray:
        ramp = np.ones(size, np.float32)
        if size == length:
            return ramp
        slope = np.arange(1, self.overlap + 1, dtype=np.float32) / (self.overlap + 1)
        if start > 0:
            ramp[: self.overlap] = slope
        if start + size < length:
            ramp[size - self.overlap :] = np.minimum(ramp[size - self.overlap :], slope[::-1])
        return ramp
