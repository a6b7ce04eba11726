"""Blocks of a view, and how their edges correlate with a reference at every shift."""

import itertools
from dataclasses import dataclass

import numpy as np

from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground
from skyweave.core.images.edge_directions import edge_directions
from skyweave.locating.placed_view import longer, place_view, viewed_grid
from skyweave.locating.reference_image import Reference

BLOCK_CELLS = 12
MIN_KNOWN = 0.5  # share of a block's cells
MIN_BLOCKS = 6
SEARCH_STDS = 3.0
MAX_SEARCH_M = 45.0
TURN_ARM_HEIGHTS = 1.5  # by which a turn moves what is seen
BLURS = (3.0, 1.5, 0.75, 0.0)
"""Cells by which surfaces are blurred, from the first round of the search to the last."""


@dataclass(frozen=True)
class Blocks:
    """What correlates where.

    Attributes:
        offsets: (n, 3) metres from the camera to the middle of each block on the ground.
        surfaces: by blur, (n, side, side) correlation at each shift of whole cells, in units of its noise over all
            blocks together; the middle is no shift.
        resolution: metres a cell.
    """

    offsets: np.ndarray
    surfaces: tuple[np.ndarray, ...]
    resolution: float


def correlate_blocks(
    image: np.ndarray, geometry: CameraGeometry, ground: Ground, reference: Reference, search_covariance: np.ndarray
) -> Blocks | str:
    """Return the blocks of a view and how they correlate with the reference; or why there are too few.

    Args:
        image: (rows, columns) grey values.
        geometry: camera and pose.
        ground: under it.
        reference: image of the place.
        search_covariance: (6, 6) covariance of what is looked for.
    """
    grid = viewed_grid(geometry, ground, reference.grid.resolution, reference.grid.crs)
    if grid is None:
        return "the camera does not look at ground that is near enough"
    radius = _search_radius(geometry, ground, search_covariance, grid.resolution)
    placed = edge_directions(place_view(image, geometry, ground, grid))
    target = edge_directions(reference.crop(grid, radius))
    offsets, surfaces = [], []
    for top, left in itertools.product(*(range(0, side - BLOCK_CELLS + 1, BLOCK_CELLS) for side in grid.shape)):
        block = placed[top : top + BLOCK_CELLS, left : left + BLOCK_CELLS]
        window = target[top : top + BLOCK_CELLS + 2 * radius, left : left + BLOCK_CELLS + 2 * radius]
        if min(np.count_nonzero(part) / part.size for part in (block, window)) >= MIN_KNOWN:
            offsets.append(_middle(grid, top, left, ground) - geometry.position)
            surfaces.append(_correlate(block, window))
    if len(offsets) < MIN_BLOCKS:
        return f"only {len(offsets)} parts of the view show ground that the reference shows, {MIN_BLOCKS} are needed"
    values = np.array(surfaces)
    values -= values.mean((1, 2), keepdims=True)
    values /= np.sqrt(values.var((1, 2)).sum())
    return Blocks(np.array(offsets), tuple(_blurred(values, blur) for blur in BLURS), grid.resolution)


def _search_radius(geometry: CameraGeometry, ground: Ground, search_covariance: np.ndarray, resolution: float) -> int:
    """Return how many cells a block may lie from where it should."""
    height = float(geometry.position[2] - ground.height(geometry.position[None])[0])
    position, turn = (
        np.sqrt((search_covariance[0, 0] + search_covariance[1, 1]) / 2),
        np.sqrt(np.trace(search_covariance[3:, 3:]) / 3),
    )
    reach = SEARCH_STDS * (position + TURN_ARM_HEIGHTS * height * turn)
    return int(np.ceil(min(float(reach), longer(MAX_SEARCH_M, resolution)) / resolution)) + 2


def _middle(grid: MapGrid, top: int, left: int, ground: Ground) -> np.ndarray:
    """Return the (3,) middle of a block on the ground."""
    point = np.append(grid.world_from_cells(np.array([top, left]) + BLOCK_CELLS / 2), 0.0)
    return np.append(point[:2], ground.height(point[None])[0])


def _correlate(block: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Return (side, side) real correlation of a block with a window at all shifts that keep it inside."""
    spectrum = np.fft.fft2(window) * np.fft.fft2(block, window.shape).conj()
    side = window.shape[0] - block.shape[0] + 1
    return np.asarray(np.fft.ifft2(spectrum).real[:side, :side])


def _blurred(values: np.ndarray, cells: float) -> np.ndarray:
    """Return surfaces blurred by a Gaussian, with the same noise over all of them together."""
    if not cells:
        return values.astype(np.float32)
    rows, columns = values.shape[1:]
    row, column = np.fft.fftfreq(rows), np.fft.rfftfreq(columns)
    gain = np.exp(-2 * (np.pi * cells) ** 2 * (row[:, None] ** 2 + column[None] ** 2)).astype(np.float32)
    smooth = np.fft.irfft2(np.fft.rfft2(values.astype(np.float32)) * gain, (rows, columns))
    return np.asarray(smooth / np.sqrt(smooth.var((1, 2)).sum()), np.float32)


def look_up(surface: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Return (t, n) values between the cells of surfaces; 0 beyond them.

    Args:
        surface: (n, side, side).
        row: (t, n).
        column: (t, n).
    """
    side = surface.shape[1]
    with np.errstate(invalid="ignore"):
        inside = (row >= 0) & (column >= 0) & (row <= side - 1) & (column <= side - 1)
    row, column = np.where(inside, row, 0), np.where(inside, column, 0)
    low_row, low_column = (np.minimum(axis.astype(np.int64), side - 2) for axis in (row, column))
    down, right = row - low_row, column - low_column
    number = np.arange(len(surface))[None]
    flat, index = surface.reshape(-1), (number * side + low_row) * side + low_column
    above = flat[index] * (1 - right) + flat[index + 1] * right
    below = flat[index + side] * (1 - right) + flat[index + side + 1] * right
    return np.where(inside, above * (1 - down) + below * down, 0)
