"""Mean over the platforms that see a cell."""

from torch import Tensor, nn

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.strategies.base import Strategy, stack_platforms


class ProjectedStrategy(Strategy):
    """A pooling over platforms, then a projection into the space that the heads read."""

    def __init__(self, channels: int, box_channels: int) -> None:
        super().__init__(channels, box_channels)
        self.project = nn.Sequential(
            nn.Conv2d(channels, 2 * channels, 1), nn.GELU(), nn.Conv2d(2 * channels, channels, 1)
        )


class MeanStrategy(ProjectedStrategy):
    """Mean over platforms weighted by visibility, then a projection."""

    def fuse(self, inputs: FusionInput) -> Tensor:
        """Return the fused map (batch, channels, rows, columns).

        Args:
            inputs: the ego's map and what came of the others'.
        """
        features, visible = stack_platforms(inputs)
        weight = visible.unsqueeze(2).to(features.dtype)
        projected: Tensor = self.project((features * weight).sum(1) / weight.sum(1).clamp(min=1e-3))
        return projected
