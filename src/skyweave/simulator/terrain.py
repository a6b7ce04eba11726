"""Level ground or gentle hills, and the depth of either in a camera's picture."""

import numpy as np

from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import MIN_DESCENT, ElevationModel, Ground, GroundPlane
from skyweave.simulator.config import TerrainConfig

TERRAIN_EXTENT_FACTOR = 2.0  # of the elevation model, in sides of the world
ITERATIONS = 25
DEPTH_TOLERANCE_M = 5e-5  # metres of depth by which a ray may miss
MIN_CAMERA_HEIGHT_M = 1e-6  # metres above a plane at which a camera lies on it and sees nothing of it


def build_terrain(config: TerrainConfig, base: float, size: float, generator: np.random.Generator) -> Ground:
    """Build the ground about the middle of the world.

    Args:
        config: relief and wavelength.
        base: height of its lowest place, metres.
        size: side of the world, metres.
        generator: of random numbers.
    """
    if config.relief == 0:
        return GroundPlane(base)
    grid = MapGrid.around(0.0, 0.0, TERRAIN_EXTENT_FACTOR * size, config.resolution)
    x, y = np.moveaxis(grid.cell_centres(), -1, 0)
    heights = np.zeros(grid.shape)
    for share in (1.0, 0.5, 0.3):  # waves of several lengths and directions
        for _ in range(3):
            direction, phase = generator.uniform(0, 2 * np.pi, 2)
            number = 2 * np.pi / (config.wavelength * (0.6 + 0.8 * share))
            heights += share * np.sin(number * (np.cos(direction) * x + np.sin(direction) * y) + phase)
    low, high = heights.min(), heights.max()
    return ElevationModel(base + (heights - low) / (high - low) * config.relief, grid)


def heights_at(ground: Ground, points: np.ndarray) -> np.ndarray:
    """Return heights of the ground; beyond an elevation model as at its edge.

    Args:
        ground: level or with relief.
        points: (n, 2) local metres.

    Returns:
        (n,) metres.
    """
    if isinstance(ground, ElevationModel):
        points = np.stack(_inside(ground, points[..., 0], points[..., 1]), -1)
    return np.asarray(ground.height(points), np.float64)


def ground_inverse_depth(ground: Ground, geometry: CameraGeometry) -> np.ndarray:
    """Return one over the depth of the ground, 0 where a ray meets none.

    Args:
        ground: level or with relief.
        geometry: of the camera.

    Returns:
        (rows, columns) float64.
    """
    camera, position = geometry.camera, geometry.position
    rotation = geometry.world_from_camera[:3, :3]
    per_pixel = rotation @ np.linalg.inv(camera.intrinsics)  # world ray = per_pixel @ (u, v, 1)
    u, v = np.arange(camera.columns) + 0.5, np.arange(camera.rows)[:, None] + 0.5
    fall = -(per_pixel[2, 0] * u + per_pixel[2, 1] * v + per_pixel[2, 2])
    if isinstance(ground, GroundPlane):
        height = position[2] - ground.z
        return (
            np.where(fall > MIN_DESCENT, fall / height, 0.0) if height > MIN_CAMERA_HEIGHT_M else np.zeros(fall.shape)
        )
    assert isinstance(ground, ElevationModel)
    east = per_pixel[0, 0] * u + per_pixel[0, 1] * v + per_pixel[0, 2]
    north = per_pixel[1, 0] * u + per_pixel[1, 1] * v + per_pixel[1, 2]
    return _relief(ground, position, east, north, fall)


def _relief(
    ground: ElevationModel, position: np.ndarray, east: np.ndarray, north: np.ndarray, fall: np.ndarray
) -> np.ndarray:
    """Steep rays meet gentle hills once: a secant search finds the place. Grazing rays are marched."""
    depth = np.zeros(fall.shape)
    slopes = [np.abs(np.diff(ground.heights, axis=axis)).max() for axis in (0, 1)]
    steepest = float(np.hypot(*slopes)) / ground.grid.resolution
    speed = np.hypot(east, north)
    steep = (fall > MIN_DESCENT) & (fall > 1.2 * steepest * speed)
    e, n, f = east[steep], north[steep], fall[steep]
    # the ray is between the highest and the lowest ground here
    low = np.maximum((position[2] - ground.heights.max()) / f, 0.0)
    high = np.maximum((position[2] - ground.heights.min()) / f, low)
    above = _clearance(ground, position, e, n, f, low)
    below = _clearance(ground, position, e, n, f, high)
    depths = high.copy()
    for _ in range(ITERATIONS):  # regula falsi with the Illinois change: the ends stay on both sides
        share = np.clip(above / np.maximum(above - below, 1e-12), 0.0, 1.0)
        depths = low + (high - low) * share
        gap = _clearance(ground, position, e, n, f, depths)
        if np.abs(gap / f).max(initial=0.0) < DEPTH_TOLERANCE_M:
            break
        over = gap > 0
        low, high = np.where(over, depths, low), np.where(over, high, depths)
        above, below = np.where(over, gap, above / 2), np.where(over, below / 2, gap)
    depth[steep] = np.where(below <= 0, depths, 0.0)
    grazing = (fall > MIN_DESCENT) & ~steep
    if grazing.any():
        rays = np.stack([east[grazing], north[grazing], -fall[grazing]], -1)
        met = ground.depth(position, rays)
        plane = (position[2] - ground.heights.mean()) / fall[grazing]  # beyond the model the land is level
        depth[grazing] = np.where(np.isfinite(met), met, np.maximum(plane, 0.0))
    return np.where(depth > 0, 1 / np.maximum(depth, 1e-9), 0.0)


def _clearance(
    ground: ElevationModel,
    position: np.ndarray,
    east: np.ndarray,
    north: np.ndarray,
    fall: np.ndarray,
    depth: np.ndarray,
) -> np.ndarray:
    """Metres of the ray above the ground at a depth."""
    x, y = _inside(ground, position[0] + depth * east, position[1] + depth * north)
    return np.asarray(position[2] - depth * fall - ground.height(np.stack([x, y], -1)))


def _inside(ground: ElevationModel, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    west, south, east, north = ground.grid.bounds
    half = ground.grid.resolution / 2
    return np.clip(x, west + half, east - half), np.clip(y, south + half, north - half)
