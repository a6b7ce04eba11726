"""Own only: what one platform sees."""

from typing import ClassVar

from torch import Tensor, nn

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.strategies.base import Shares, Strategy, VisibilityAttention


class NoFusion(Strategy):
    """The lower bound: nothing travels."""

    shares: ClassVar[Shares] = "nothing"

    def __init__(self, channels: int, boxes: int) -> None:
        super().__init__(channels, boxes)
        self.masked = VisibilityAttention(channels)

    def start_from(self, fusion: nn.Module) -> None:
        """See `Strategy`."""
        self.masked.start_from(fusion)

    def fuse(self, told: FusionInput) -> Tensor:
        """See `Strategy`."""
        return self.masked(told.own.unsqueeze(1), told.own_visible.unsqueeze(1).to(told.visible.dtype))
