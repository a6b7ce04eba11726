"""Attention over platforms at each cell, as in OpenCOOD's attentive fusion (arXiv 2109.07644)."""

from torch import Tensor, nn

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.strategies.base import Strategy, VisibilityAttention, stack_platforms


class AttentiveFusion(Strategy):
    """Softmax over platforms, beside their maximum."""

    def __init__(self, channels: int, boxes: int) -> None:
        super().__init__(channels, boxes)
        self.masked = VisibilityAttention(channels)

    def start_from(self, fusion: nn.Module) -> None:
        """See `Strategy`."""
        self.masked.start_from(fusion)

    def fuse(self, told: FusionInput) -> Tensor:
        """See `Strategy`."""
        return self.masked(*stack_platforms(told))
