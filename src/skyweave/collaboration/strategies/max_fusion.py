"""Largest value over the platforms that see a cell (F-Cooper, arXiv 1909.06459)."""

from torch import Tensor, nn

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.strategies.base import Strategy, stack_platforms
from skyweave.perception.fusion import MaxFusion


class FCooper(Strategy):
    """Maximum, then a projection into the space that the heads read."""

    def __init__(self, channels: int, boxes: int) -> None:
        super().__init__(channels, boxes)
        self.largest = MaxFusion()
        self.project = nn.Sequential(
            nn.Conv2d(channels, 2 * channels, 1), nn.GELU(), nn.Conv2d(2 * channels, channels, 1)
        )

    def fuse(self, told: FusionInput) -> Tensor:
        """See `Strategy`."""
        features, visible = stack_platforms(told)
        projected: Tensor = self.project(self.largest(features, visible > 0.5))
        return projected
