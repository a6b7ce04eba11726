"""Points in space from pixels in several cameras (Hartley and Zisserman, Multiple View Geometry, chapter 12)."""

from collections.abc import Sequence

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import CameraGeometry

GAUSS_NEWTON_STEPS = 10  # at most


def triangulate(pixels: np.ndarray, cameras: Sequence[CameraGeometry]) -> tuple[np.ndarray, np.ndarray]:
    """Triangulate points: linear, from undistorted rays, then Gauss-Newton on the reprojection error.

    Args:
        pixels: (cameras, points, 2) (u, v); NaN where a camera does not see a point.
        cameras: in one world frame.

    Returns:
        (points, 3) world positions in metres, and (cameras, points, 2) reprojection errors in pixels (projected minus
        given). A point that fewer than two cameras see, or that ends behind one of them, is NaN.

    Raises:
        DataError: the pixels have another shape.
    """
    pixels = np.asarray(pixels, np.float64)
    _check_shape(pixels, len(cameras))
    points = _nearest_to_rays(pixels, cameras)
    known = np.isfinite(pixels).all(-1) & np.isfinite(points).all(-1)
    for _ in range(GAUSS_NEWTON_STEPS):
        errors, slopes = _errors(points, pixels, cameras)
        usable = known[..., None] & np.isfinite(errors)
        errors = np.where(usable, errors, 0)
        slopes = np.where(usable[..., None], slopes, 0)
        normal = np.einsum("cpij,cpik->pjk", slopes, slopes)
        gradient = np.einsum("cpij,cpi->pj", slopes, errors)
        solvable = np.linalg.cond(normal) < 1e12
        step = np.zeros_like(points)
        step[solvable] = np.linalg.solve(normal[solvable], gradient[solvable][..., None])[..., 0]
        points = points - step
        if np.abs(step).max(initial=0) < 1e-10:
            break
    errors, _ = _errors(points, pixels, cameras)
    behind = (known & ~np.isfinite(errors).all(-1)).any(0)
    points = np.where(behind[:, None], np.nan, points)
    return points, np.where(known[..., None] & ~behind[:, None], errors, np.nan)


def _nearest_to_rays(pixels: np.ndarray, cameras: Sequence[CameraGeometry]) -> np.ndarray:
    """Return the least-squares points of all rays: (points, 3); NaN with fewer than two rays, or parallel ones."""
    total = np.zeros((pixels.shape[1], 3, 3))
    weighted = np.zeros((pixels.shape[1], 3))
    seen = np.zeros(pixels.shape[1], int)
    for observed, camera in zip(pixels, cameras, strict=True):
        rays = camera.world_rays(observed)
        rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
        valid = np.isfinite(rays).all(-1)
        across = np.eye(3) - rays[:, :, None] * rays[:, None]
        total += np.where(valid[:, None, None], across, 0)
        weighted += np.where(valid[:, None], across @ camera.position, 0)
        seen += valid
    good = (seen >= 2) & (np.linalg.cond(np.where(seen[:, None, None] >= 2, total, np.eye(3))) < 1e9)
    points = np.full((pixels.shape[1], 3), np.nan)
    points[good] = np.linalg.solve(total[good], weighted[good][..., None])[..., 0]
    return points


def _errors(points: np.ndarray, pixels: np.ndarray, cameras: Sequence[CameraGeometry]) -> tuple[np.ndarray, np.ndarray]:
    """Return errors (cameras, points, 2) and their derivatives (cameras, points, 2, 3), by central differences."""
    small = 1e-5
    moved = points + small * np.stack([np.eye(3), -np.eye(3)]).reshape(6, 1, 3)
    errors, slopes = [], []
    for observed, camera in zip(pixels, cameras, strict=True):
        errors.append(camera.project(points)[0] - observed)
        both = camera.project(moved)[0]
        slopes.append(np.moveaxis((both[:3] - both[3:]) / (2 * small), 0, -1))
    return np.stack(errors), np.stack(slopes)


def _check_shape(pixels: np.ndarray, cameras: int) -> None:
    """Refuse pixels that are not (cameras, points, 2)."""
    if pixels.ndim != 3 or pixels.shape[0] != cameras or pixels.shape[2] != 2:
        raise DataError(f"pixels have shape {pixels.shape}; give (cameras, points, 2) for {cameras} cameras")
