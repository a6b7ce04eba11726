"""Mean over the platforms that see a cell."""

from torch import Tensor, nn

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.strategies.base import Strategy, stack_platforms


class MeanStrategy(Strategy):
    """Mean, then a projection into the space that the heads read."""

    def __init__(self, channels: int, boxes: int) -> None:
        super().__init__(channels, boxes)
        self.project = nn.Sequential(
            nn.Conv2d(channels, 2 * channels, 1), nn.GELU(), nn.Conv2d(2 * channels, channels, 1)
        )

    def fuse(self, told: FusionInput) -> Tensor:
        """See `Strategy`."""
        features, visible = stack_platforms(told)
        weight = visible.unsqueeze(2).to(features.dtype)
        projected: Tensor = self.project((features * weight).sum(1) / weight.sum(1).clamp(min=1e-3))
        return projected
