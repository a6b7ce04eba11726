"""Tiles that cover a grid of patches, and the rows that come out of blending them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from skyweave.core.errors import DataError


@dataclass(frozen=True)
class Tile:
    """A part of the patch grid: ``row`` and ``column`` of its upper left patch, and its size, all in patches."""

    row: int
    column: int
    rows: int
    columns: int


@dataclass(frozen=True)
class TilePlan:
    """How a scene is cut.

    Attributes:
        rows, columns: the scene, in patches; the last ones may be partial.
        size: tile side, in patches.
        overlap: patches that neighbouring tiles share, at least.
    """

    rows: int
    columns: int
    size: int
    overlap: int

    def __post_init__(self) -> None:
        if self.size < 1 or not 0 <= self.overlap < self.size:
            raise DataError(
                f"a tile of {self.size} patches cannot overlap its neighbour by {self.overlap}; "
                "choose an overlap of zero or more that is smaller than the tile"
            )

    def __len__(self) -> int:
        return len(self._starts(self.rows)) * len(self._starts(self.columns))

    def tile_rows(self) -> Iterator[tuple[list[Tile], int]]:
        """Yield the tiles of one row after the other, each with the first patch row that later tiles still add to."""
        starts = self._starts(self.rows)
        rows, columns = min(self.size, self.rows), min(self.size, self.columns)
        for row, following in zip(starts, [*starts[1:], self.rows], strict=True):
            yield [Tile(row, column, rows, columns) for column in self._starts(self.columns)], following

    def weight(self, tile: Tile) -> np.ndarray:
        """Return (rows, columns) float32: 1 inside, falling linearly over the overlap to edges with a neighbour.

        Args:
            tile: of the plan.
        """
        vertical = self._ramp(tile.row, tile.rows, self.rows)
        horizontal = self._ramp(tile.column, tile.columns, self.columns)
        weight: np.ndarray = vertical[:, None] * horizontal[None, :]
        return weight

    def _starts(self, length: int) -> list[int]:
        last = max(length - self.size, 0)  # the last tile moves inwards, so that it sees a whole tile of context
        return [*range(0, last, self.size - self.overlap), last]

    def _ramp(self, start: int, size: int, length: int) -> np.ndarray:
        ramp = np.ones(size, np.float32)
        slope = np.arange(1, self.overlap + 1, dtype=np.float32) / (self.overlap + 1)
        if start > 0:
            ramp[: self.overlap] = slope
        if start + size < length:
            ramp[size - self.overlap :] = np.minimum(ramp[size - self.overlap :], slope[::-1])
        return ramp


class BlendedRows:
    """Average overlapping tiles by weight, in memory only for the rows that are not finished: one row of tiles.

    Args:
        channels: of the features.
        rows: largest number of rows that are open at a time, the height of a tile.
        columns: width of the scene, in patches.
    """

    def __init__(self, channels: int, rows: int, columns: int) -> None:
        self.total = np.zeros((channels, rows, columns), np.float32)
        self.weight = np.zeros((rows, columns), np.float32)
        self.first = 0

    def add(self, tile: Tile, features: np.ndarray, weight: np.ndarray) -> None:
        """Add the features of a tile.

        Args:
            tile: where they lie.
            features: (channels, rows, columns).
            weight: (rows, columns), zero where not valid.
        """
        top = tile.row - self.first
        part = (slice(top, top + tile.rows), slice(tile.column, tile.column + tile.columns))
        self.total[:, *part] += features * weight
        self.weight[part] += weight

    def finish(self, until: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows before a limit, and make room below: features (channels, rows, columns) and valid (rows,
        columns).

        Args:
            until: first row that stays open.
        """
        count = until - self.first
        weight = self.weight[:count].copy()
        valid = weight > 0
        features = self.total[:, :count] / np.where(valid, weight, 1)
        for array in (self.total, self.weight):
            array[..., : array.shape[-2] - count, :] = array[..., count:, :].copy()
            array[..., array.shape[-2] - count :, :] = 0
        self.first = until
        return features, valid
