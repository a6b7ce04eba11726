"""Depths of heights above terrain: the raised terrain is intersected with the rays."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from skyweave.core.geometry.ground import ElevationModel, Ground, GroundPlane
from skyweave.mapping.rays import GroundRays

MAX_TERRAIN_SURFACES = 9  # that are really intersected above relief; depths between them are interpolated


def terrain_depths(rays: GroundRays, heights: np.ndarray) -> Tensor:
    """Return (pixels, heights) depths at which rays first meet the terrain raised by each height.

    A higher surface is always met earlier.

    Args:
        rays: of a camera's pixels.
        heights: metres above the terrain, rising.

    Raises:
        TypeError: a ground that cannot be raised.
    """
    knots = np.linspace(heights[0], heights[-1], min(MAX_TERRAIN_SURFACES, len(heights)))
    position, directions = rays.position.cpu().numpy(), rays.directions.cpu().numpy()
    surfaces = [_raise_ground(rays.ground, float(height)) for height in knots]
    depths = np.stack([surface.depth(position, directions) for surface in surfaces], -1)
    depths[np.isnan(rays.ground_depth.cpu().numpy())] = np.nan
    if len(knots) == len(heights) == 1:
        return torch.as_tensor(depths, device=rays.directions.device)
    knot = (heights - knots[0]) / (knots[1] - knots[0])
    low = np.minimum(knot.astype(np.int64), len(knots) - 2)
    share = knot - low
    between = np.where(share == 0, depths[:, low], depths[:, low] * (1 - share) + depths[:, low + 1] * share)
    return in_front(torch.as_tensor(between, device=rays.directions.device))


def in_front(depths: Tensor) -> Tensor:
    """Return depths, NaN where they are not in front of the camera.

    Args:
        depths: any shape, metres.
    """
    return depths.masked_fill(depths <= 0, torch.nan)


def _raise_ground(ground: Ground, height: float) -> Ground:
    if isinstance(ground, GroundPlane):
        return replace(ground, z=ground.z + height)
    if isinstance(ground, ElevationModel):
        return replace(ground, heights=ground.heights + height)
    raise TypeError(
        f"cannot follow the terrain of a {type(ground).__name__}; use GroundPlane, ElevationModel, or "
        "HeightBins(follow_terrain=False)"
    )
