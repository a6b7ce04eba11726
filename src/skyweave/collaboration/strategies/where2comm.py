"""Where2comm (arXiv 2209.12836): cells are sent by the sender's confidence times the receiver's request; attention over
platforms knows the confidence. The request is one minus the receiver's own confidence, coarse.
"""

import torch
from torch import Tensor, nn

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.strategies.base import Strategy, VisibilityAttention, stack_platforms


class Where2comm(Strategy):
    """Spatial confidence decides what is sent and how it is weighed."""

    def __init__(self, channels: int, boxes: int) -> None:
        super().__init__(channels, boxes)
        self.masked = VisibilityAttention(channels)
        self.confidence = nn.Sequential(nn.Conv2d(channels, 24, 3, 1, 1), nn.ReLU(inplace=True), nn.Conv2d(24, 1, 1))
        self.weight = nn.Parameter(torch.tensor(0.3))

    def start_from(self, fusion: nn.Module) -> None:
        """See `Strategy`."""
        self.masked.start_from(fusion)

    def usefulness(self, features: Tensor, visible: Tensor, wanted: Tensor, certain: Tensor) -> Tensor:
        """See `Strategy`."""
        confidence = self.confidence(features)[:, 0].float()
        return confidence + (0.25 + 0.75 * wanted).log()

    def fuse(self, told: FusionInput) -> Tensor:
        """See `Strategy`."""
        features, visible = stack_platforms(told)
        confidence = self.confidence(features.flatten(0, 1))[:, 0].unflatten(0, features.shape[:2]).float()
        fused: Tensor = self.masked(features, visible, self.weight * confidence)
        return fused
