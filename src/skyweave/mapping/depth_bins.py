"""Bins at absolute depths (Lift-Splat-Shoot)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from skyweave.mapping.rays import GroundRays


@dataclass(frozen=True)
class DepthBins:
    """Absolute depths ``start, start + step, ...`` below ``stop`` (Lift-Splat-Shoot, arXiv 2008.05711).

    Needs no ground: rays above the horizon are lifted too, and nodes below the ground are placed as published.

    Attributes:
        start: first depth in metres > 0.
        stop: no node at or beyond this depth.
        step: metres between nodes.

    Raises:
        ValueError: not 0 < start < stop, or a step that is not above 0.
    """

    start: float = 4.0
    stop: float = 45.0
    step: float = 1.0

    def __post_init__(self) -> None:
        if not (0 < self.start < self.stop < np.inf and self.step > 0):
            raise ValueError(
                f"DepthBins need 0 < start < stop and step > 0 in metres, got start {self.start}, stop {self.stop}, "
                f"step {self.step}"
            )

    @property
    def count(self) -> int:
        """Number of nodes along a ray."""
        return int(np.ceil((self.stop - self.start) / self.step - 1e-9))

    def depths(self, rays: GroundRays) -> Tensor:
        """Return (pixels, count) depths, the same for every pixel.

        Args:
            rays: of a camera's pixels.
        """
        depths = self.start + self.step * np.arange(self.count, dtype=np.float64)
        return torch.as_tensor(depths, device=rays.directions.device).expand(len(rays.directions), -1)

    def reach(self, clearance: float) -> float:
        """Return 0: only the footprint on the ground counts as visible.

        Args:
            clearance: of the camera above the ground, metres; not used.
        """
        return 0.0
