"""All features of all platforms, uncoded, through the perception model's own fusion: the upper bound."""

from torch import Tensor, nn

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.strategies.base import Strategy, VisibilityAttention, stack_platforms


class FullFeatures(Strategy):
    """The upper bound; its bytes are those of 16-bit floats of the cells that are seen."""

    shares = "everything"

    def __init__(self, channels: int, boxes: int) -> None:
        super().__init__(channels, boxes)
        self.masked = VisibilityAttention(channels)

    def start_from(self, fusion: nn.Module) -> None:
        """See `Strategy`."""
        self.masked.start_from(fusion)

    def fuse(self, told: FusionInput) -> Tensor:
        """See `Strategy`."""
        return self.masked(*stack_platforms(told))
