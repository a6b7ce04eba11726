"""Which cells a camera sees: the points over a cell's centre that project into the image."""

import numpy as np
import torch
from torch import Tensor

from skyweave.core.geometry.camera import NEAR_PLANE_M, CameraGeometry
from skyweave.core.geometry.frames import invert_transform
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground, GroundPlane
from skyweave.mapping.bins import Bins

NUM_HEIGHTS = 4  # points over a cell's centre that are projected, from the ground to the bins' reach
MAX_DISTORTION_ERROR = (
    1e-3  # a lens model that folds over maps points outside its field back into the picture; relative
)


def project_cells(
    camera: CameraGeometry,
    grid: MapGrid,
    ground: Ground,
    bins: Bins,
    feature_shape: tuple[int, int],
    device: torch.device | str = "cpu",
) -> Tensor:
    """Project points over each cell at several heights onto the feature map.

    What stands in front (buildings, a ridge) is not taken into account: it is not known from the geometry alone.

    Args:
        camera: camera and pose.
        grid: the map.
        ground: under it.
        bins: whose reach is the largest height.
        feature_shape: (rows, columns) of the feature map.
        device: of the result.

    Returns:
        (heights, rows x columns) int32 flat feature pixel, -1 where the point is not in the image, the ground is
        unknown there, or the camera is below the ground.
    """
    base, clearance = _base(camera, grid, ground, device)
    reach = bins.reach(clearance) if np.isfinite(clearance) else 0.0
    above = (
        torch.linspace(0, reach, NUM_HEIGHTS, dtype=torch.float64, device=device) if reach > 0 else base.new_zeros(1)
    )
    heights = base + above[:, None, None]  # (heights, rows or 1, columns or 1)
    u, v = _project(camera, grid, heights, device)
    rows, columns = feature_shape
    u, v = u * (columns / camera.camera.columns), v * (rows / camera.camera.rows)
    inside = (u >= 0) & (u < columns) & (v >= 0) & (v < rows)  # false for NaN
    if isinstance(ground, GroundPlane) and clearance <= 0:
        inside = torch.zeros_like(inside)
    pixel = v.floor() * columns + u.floor()
    return pixel.masked_fill(~inside, -1).int().reshape(len(above), -1)


def _base(camera: CameraGeometry, grid: MapGrid, ground: Ground, device: torch.device | str) -> tuple[Tensor, float]:
    """Heights of the ground, (1, 1) or (rows, columns), and the camera's height above the highest of it."""
    if isinstance(ground, GroundPlane):
        return torch.full((1, 1), ground.z, dtype=torch.float64, device=device), float(camera.position[2] - ground.z)
    heights = ground.height(grid.cell_centres())
    lowest = np.nanmin(heights) if np.isfinite(heights).any() else np.nan
    return torch.as_tensor(heights, device=device), float(camera.position[2] - lowest)


def _project(
    camera: CameraGeometry, grid: MapGrid, heights: Tensor, device: torch.device | str
) -> tuple[Tensor, Tensor]:
    """Image coordinates (heights, rows, columns) of points over the cells' centres; NaN behind the camera."""
    centres = grid.cell_centres()
    if any(camera.camera.distortion):
        return _project_distorted(camera, centres, heights)
    matrix = camera.camera.intrinsics @ invert_transform(camera.world_from_camera)[:3]
    matrix, origin = torch.as_tensor(matrix, device=device), centres[0, 0]
    x = torch.as_tensor(centres[0, :, 0] - origin[0], device=device)  # relative to the corner, for precision
    y = torch.as_tensor(centres[:, 0, 1] - origin[1], device=device)[:, None]
    corner = torch.as_tensor([*origin, 0.0, 1.0], dtype=torch.float64, device=device)
    a, b, c = (row[0] * x + row[1] * y + (row[2] * heights + row @ corner) for row in matrix)
    depth = torch.where(c > NEAR_PLANE_M, c, torch.nan)
    return a / depth, b / depth


def _project_distorted(camera: CameraGeometry, centres: np.ndarray, heights: Tensor) -> tuple[Tensor, Tensor]:
    z = np.broadcast_to(heights.cpu().numpy(), (len(heights), *centres.shape[:2]))
    points = np.concatenate([np.broadcast_to(centres, (*z.shape, 2)), z[..., None]], -1)
    pixels, depth = camera.project(points)
    inside = camera.camera.inside(pixels)
    true = (points[inside] - camera.position) / depth[inside][:, None]
    error = np.abs(camera.world_rays(pixels[inside]) - true).max(-1)
    valid = np.zeros(inside.shape, bool)
    with np.errstate(invalid="ignore"):
        valid[inside] = error < MAX_DISTORTION_ERROR * np.linalg.norm(true, axis=-1)
    u, v = (torch.as_tensor(np.where(valid, pixels[..., i], np.nan), device=heights.device) for i in (0, 1))
    return u, v
