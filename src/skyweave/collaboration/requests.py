"""Request maps (Where2comm, arXiv 2209.12836): which parts of its map a platform does not see, coarse to travel."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from skyweave.collaboration.map_memory import translate_map
from skyweave.core.geometry.grid import MapGrid
from skyweave.wire import FrameContent, Request, WireGrid

REQUEST_FACTOR = 16  # cells of the map along a side of one of a request's
REQUEST_LEVELS = 3


def make_request(visible: np.ndarray, grid: MapGrid) -> Request:
    """Make the request of a platform for the parts of its map that it does not see.

    Args:
        visible: (rows, columns) bool: cells that it sees.
        grid: of the map.
    """
    f, wire = REQUEST_FACTOR, WireGrid.from_map(grid)
    coarse = wire.coarser(f)
    counted = np.zeros((2, coarse.rows * f, coarse.columns * f), np.float32)
    top, left = coarse.north * f - wire.north, wire.west - coarse.west * f
    counted[0, top : top + wire.rows, left : left + wire.columns] = visible
    counted[1, top : top + wire.rows, left : left + wire.columns] = 1
    seen, cells = counted.reshape(2, coarse.rows, f, coarse.columns, f).sum((2, 4))
    return Request(np.rint((1 - seen / np.maximum(cells, 1)) * REQUEST_LEVELS).astype(np.uint8), f)


def request_map(requests: Sequence[FrameContent], grid: MapGrid) -> np.ndarray:
    """Draw the requests of several frames on a platform's grid; where they overlap, the largest counts.

    Args:
        requests: frames, of which those with a request count.
        grid: of the platform that is asked.

    Returns:
        (rows, columns) float32, 0 to 1.
    """
    drawn_map = np.zeros(grid.shape, np.float32)
    for frame in requests:
        if frame.request is None:
            continue
        factor = frame.request.factor
        coarse = frame.grid.coarser(factor)
        levels = np.minimum(frame.request.levels / REQUEST_LEVELS, 1).astype(np.float32)
        full = torch.from_numpy(levels.repeat(factor, 0).repeat(factor, 1))
        whole = replace(frame.grid, west=coarse.west * factor, north=coarse.north * factor, rows=full.shape[0],
                        columns=full.shape[1])  # fmt: skip
        moved = translate_map(full, *whole.to_map().offset_to(grid), grid.shape).numpy()
        drawn_map = np.maximum(drawn_map, moved)
    return drawn_map


def coarse_request(seen: Sequence[np.ndarray]) -> np.ndarray:
    """Draw what platforms would request, as a request that travels says it: constant in blocks of few levels.

    Args:
        seen: (rows, columns) bool of each platform, all on one grid.

    Returns:
        (rows, columns) float32, 0 to 1.
    """
    (rows, columns), factor = seen[0].shape, REQUEST_FACTOR
    shape = (-(-rows // factor), factor, -(-columns // factor), factor)
    levels = np.zeros((shape[0], shape[2]), np.float32)
    for visible in seen:
        whole = np.ones((shape[0] * factor, shape[2] * factor), np.float32)
        whole[:rows, :columns] = visible
        unseen = 1 - whole.reshape(shape).mean((1, 3))
        levels = np.maximum(levels, np.round(unseen * REQUEST_LEVELS) / REQUEST_LEVELS)
    return np.asarray(levels.repeat(factor, 0).repeat(factor, 1)[:rows, :columns], np.float32)
