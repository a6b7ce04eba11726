"""The rays of a feature map's pixels, and where they meet the ground."""

from dataclasses import dataclass

import torch
from torch import Tensor

from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.ground import Ground


@dataclass(frozen=True, eq=False)
class GroundRays:
    """The rays of a feature map's pixels and where they meet the ground.

    Attributes:
        position: (3,) world position of the camera, metres, float64.
        directions: (pixels, 3) world directions of unit depth, float64.
        ground_depth: (pixels,) depth where each meets the ground; NaN at or above the horizon and off the terrain.
        ground: the surface that they meet.
    """

    position: Tensor
    directions: Tensor
    ground_depth: Tensor
    ground: Ground


def ground_rays(
    geometry: CameraGeometry, ground: Ground, shape: tuple[int, int], device: torch.device | str = "cpu"
) -> GroundRays:
    """Return the rays through the cell centres of a feature map over a camera's image.

    Args:
        geometry: camera and pose.
        ground: that the rays meet.
        shape: rows and columns of the feature map.
        device: of the result.
    """
    directions = geometry.world_rays(geometry.camera.pixel_centres(*shape).reshape(-1, 2))
    depth = ground.depth(geometry.position, directions)
    tensors = [torch.as_tensor(values, device=device) for values in (geometry.position, directions, depth)]
    return GroundRays(tensors[0], tensors[1], tensors[2], ground)
