"""Maps of past frames, brought onto the grid of today."""

from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor

from skyweave.core.geometry.grid import MapGrid

MAX_TIME_OFFSET_INTERVALS = 0.25  # by which the time of a past frame may be off
NANOSECONDS = 1e9


@dataclass(frozen=True)
class TimedMap:
    """A map of one frame.

    Attributes:
        time: capture, UTC nanoseconds.
        grid: of the map.
        maps: (batch, channels, rows, columns).
    """

    time: int
    grid: MapGrid
    maps: Tensor


class MapMemory:
    """The last maps of a platform, from which those of the model's frames are taken by their time.

    Args:
        history: frames that the model sees, the present one included.
        interval: seconds between these frames.
    """

    def __init__(self, history: int, interval: float) -> None:
        self.history, self.interval = history, interval
        self._frames: deque[TimedMap] = deque(maxlen=4 * history)

    def push(self, time: int, grid: MapGrid, maps: Tensor) -> None:
        """Remember a map.

        Args:
            time: capture, UTC nanoseconds.
            grid: of the map.
            maps: (batch, channels, rows, columns).
        """
        self._frames.append(TimedMap(time, grid, maps))

    def recall(self, time: int, grid: MapGrid) -> tuple[list[Tensor], Tensor]:
        """Return the maps of the model's frames on a grid; at least one map must have been pushed.

        Args:
            time: of the present frame, UTC nanoseconds.
            grid: onto which all maps are brought.

        Returns:
            ``history`` maps (batch, channels, rows, columns), the oldest first, zero where there is none; and
            (1, history) bool: which frames there are.
        """
        recalled = [self._at(time - round(back * self.interval * NANOSECONDS), grid) for back in range(self.history)]
        recalled.reverse()
        last = self._frames[-1].maps
        empty = last.new_zeros((*last.shape[:-2], *grid.shape))
        present = torch.tensor([[maps is not None for maps in recalled]], device=last.device)
        return [empty if maps is None else maps for maps in recalled], present

    def _at(self, time: int, grid: MapGrid) -> Tensor | None:
        nearest = min(self._frames, key=lambda frame: abs(frame.time - time))
        if abs(nearest.time - time) > MAX_TIME_OFFSET_INTERVALS * self.interval * NANOSECONDS:
            return None
        return translate_map(nearest.maps, *nearest.grid.offset_to(grid), grid.shape)


def translate_map(maps: Tensor, rows: int, columns: int, shape: tuple[int, int]) -> Tensor:
    """Move maps by whole cells onto another grid; cells from beyond are zero.

    Args:
        maps: (..., rows, columns).
        rows: added to the row of each cell.
        columns: added to the column of each cell.
        shape: (rows, columns) of the other grid.
    """
    moved = maps.new_zeros((*maps.shape[:-2], *shape))
    height, width = maps.shape[-2:]
    top, left = max(rows, 0), max(columns, 0)
    bottom, right = min(height + rows, shape[0]), min(width + columns, shape[1])
    if top < bottom and left < right:
        part = maps[..., top - rows : bottom - rows, left - columns : right - columns]
        moved[..., top:bottom, left:right] = part
    return moved
