"""Tiles: the windows that images are cut into."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from skyweave.downstream.labels.config import TileConfig

Window = tuple[int, int, int, int]
"""Top, left, rows, columns in pixels."""
MIN_TILE_SIDE = 8
"""Pixels below which what is left at an image's edge makes no tile."""


@dataclass(frozen=True)
class TileLocation:
    """Where a sample that was not read yet lies.

    Attributes:
        path: file of the image.
        window: part of the image; None: all of it.
        held_out: windows of the same image that are held out from the part of the split that this tile is in.
        gap: pixels around them in which labels do not count.
    """

    path: Path
    window: Window | None
    held_out: tuple[Window, ...] = ()
    gap: int = 0

    @property
    def name(self) -> str:
        """File name and upper left pixel, for messages."""
        return self.path.name if self.window is None else f"{self.path.name}[{self.window[0]}:{self.window[1]}]"


def tile_windows(shape: tuple[int, int], tiles: TileConfig | None) -> list[Window | None]:
    """Return the windows that an image is cut into; None stands for the whole image.

    Args:
        shape: (rows, columns) of the image.
        tiles: size and stride; None: the image is one sample.
    """
    if tiles is None:
        return [None]
    if not tiles.partial:
        return [*_whole_tiles(shape, tiles)]
    if max(shape) <= tiles.size:
        return [None]
    return [*_partial_tiles(shape, tiles)]


def _whole_tiles(shape: tuple[int, int], tiles: TileConfig) -> Iterator[Window]:
    """Yield the windows of whole tiles."""
    tops, lefts = (range(0, side - tiles.size + 1, tiles.step) for side in shape)
    for top, left in itertools.product(tops, lefts):
        yield top, left, tiles.size, tiles.size


def _partial_tiles(shape: tuple[int, int], tiles: TileConfig) -> Iterator[Window]:
    """Yield the windows of all tiles, smaller at the right and the lower edge."""
    rows, columns = shape
    for top, left in itertools.product(range(0, rows, tiles.step), range(0, columns, tiles.step)):
        if min(rows - top, columns - left) >= MIN_TILE_SIDE:
            yield top, left, min(tiles.size, rows - top), min(tiles.size, columns - left)
