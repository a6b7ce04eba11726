"""What a camera shows of the ground, laid on the map."""

import numpy as np

from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground
from skyweave.core.observation import Observation

MAX_RANGE_HEIGHTS = 6.0  # horizontal distance, in heights above the ground, beyond which a view is too flat
MAX_RANGE_M = 150.0
COARSE_CELL_M = 1.0  # from which lengths that bound the work grow with the cells: imagery from aircraft and satellites
SUBSAMPLES = 3  # a side, of each cell


def place_view(image: np.ndarray, geometry: CameraGeometry, ground: Ground, grid: MapGrid) -> np.ndarray:
    """Return (rows, columns) of a grid what an image shows of the ground there, NaN where it shows nothing.

    Args:
        image: (rows, columns) grey values.
        geometry: camera and pose.
        ground: under it.
        grid: the map.
    """
    row, column = np.mgrid[: grid.rows * SUBSAMPLES, : grid.columns * SUBSAMPLES]
    cells = (np.stack([row, column], -1) + 0.5) / SUBSAMPLES
    points = np.concatenate([grid.world_from_cells(cells), np.zeros((*cells.shape[:2], 1))], -1)
    points[..., 2] = ground.height(points)
    pixels, depth = geometry.project(points)
    values = sample_bilinear(image, pixels[..., ::-1])
    values[~(depth > 0)] = np.nan
    fine = values.reshape(grid.rows, SUBSAMPLES, grid.columns, SUBSAMPLES)
    return np.asarray(fine.mean((1, 3)))


def viewed_grid(geometry: CameraGeometry, ground: Ground, resolution: float, crs: str | None) -> MapGrid | None:
    """Return the grid over the ground that a camera sees near enough; None where it sees none.

    Args:
        geometry: camera and pose.
        ground: under it.
        resolution: metres a cell.
        crs: of the grid.
    """
    height = float(geometry.position[2] - ground.height(geometry.position[None])[0])
    if not height > 0:
        return None
    camera = geometry.camera
    u, v = np.meshgrid(np.linspace(0, camera.columns, 17), np.linspace(0, camera.rows, 17))
    rays = geometry.world_rays(np.stack([u, v], -1)).reshape(-1, 3)
    depth = np.asarray(ground.depth(geometry.position, rays))
    with np.errstate(invalid="ignore"):
        points = geometry.position + depth[:, None] * rays
        distance = np.linalg.norm(points[:, :2] - geometry.position[:2], axis=1)
        near = np.isfinite(distance) & (distance <= min(MAX_RANGE_HEIGHTS * height, longer(MAX_RANGE_M, resolution)))
    if near.sum() < 4:
        return None
    (west, south), (east, north) = points[near, :2].min(0), points[near, :2].max(0)
    return MapGrid.covering((west, south, max(east, west + 1), max(north, south + 1)), resolution, crs)


def longer(length: float, resolution: float) -> float:
    """Return a length that bounds the work, longer where cells are large.

    Args:
        length: metres.
        resolution: metres a cell.
    """
    return length * max(1.0, resolution / COARSE_CELL_M)


def sample_bilinear(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return values between the centres of cells; NaN beyond the border or beside a NaN.

    Args:
        values: (rows, columns).
        places: (..., 2) row and column, of which the first cell's centre is (0.5, 0.5).
    """
    with np.errstate(invalid="ignore"):
        inside = np.asarray(((places >= 0) & (places <= values.shape)).all(-1))
    at = np.where(inside[..., None], places, 0.5) - 0.5
    low = np.clip(np.floor(at), 0, np.array(values.shape) - 2).astype(np.int64)
    share = np.clip(at - low, 0, 1)
    (row, column), (down, right) = np.moveaxis(low, -1, 0), np.moveaxis(share, -1, 0)
    above = values[row, column] * (1 - right) + values[row, column + 1] * right
    below = values[row + 1, column] * (1 - right) + values[row + 1, column + 1] * right
    return np.where(inside, above * (1 - down) + below * down, np.nan)


def grey_values(observation: Observation) -> np.ndarray:
    """Return (rows, columns) mean of the first three bands, NaN where one is not valid.

    Args:
        observation: an image.
    """
    return np.where(observation.valid.all(0), observation.pixels[:3].mean(0), np.nan).astype(np.float64)
