"""Largest value over the platforms that see a cell (F-Cooper, arXiv 1909.06459)."""

from torch import Tensor

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.strategies.base import stack_platforms
from skyweave.collaboration.strategies.mean_fusion import ProjectedStrategy
from skyweave.mapping.fusion import MaxFusion


class FCooper(ProjectedStrategy):
    """Maximum over platforms, then a projection."""

    def __init__(self, channels: int, box_channels: int) -> None:
        super().__init__(channels, box_channels)
        self.largest = MaxFusion()

    def fuse(self, inputs: FusionInput) -> Tensor:
        """Return the fused map (batch, channels, rows, columns).

        Args:
            inputs: the ego's map and what came of the others'.
        """
        features, visible = stack_platforms(inputs)
        projected: Tensor = self.project(self.largest(features, visible > 0.5))
        return projected
