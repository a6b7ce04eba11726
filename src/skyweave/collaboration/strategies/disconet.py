"""DiscoNet (arXiv 2111.00643): a matrix-valued weight for every pair of platforms and cell, taught by a model that sees
everything (the ``match`` loss, which here all strategies have).
"""

import torch
from torch import Tensor, nn

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.strategies.base import Strategy, VisibilityAttention, stack_platforms


class DiscoNet(Strategy):
    """Edge weights from the features of both ends, softmax over platforms, weighted sum."""

    def __init__(self, channels: int, boxes: int) -> None:
        super().__init__(channels, boxes)
        self.edge = nn.Sequential(
            nn.Conv2d(2 * channels, 48, 1), nn.ReLU(inplace=True), nn.Conv2d(48, 16, 1), nn.ReLU(inplace=True),
            nn.Conv2d(16, 1, 1),
        )  # fmt: skip
        self.masked = VisibilityAttention(channels)

    def start_from(self, fusion: nn.Module) -> None:
        """See `Strategy`."""
        self.masked.start_from(fusion)

    def fuse(self, told: FusionInput) -> Tensor:
        """See `Strategy`."""
        features, visible = stack_platforms(told)
        own = features[:, :1].expand_as(features)
        weight = self.edge(torch.cat([own, features], 2).flatten(0, 1))[:, 0].unflatten(0, features.shape[:2])
        fused: Tensor = self.masked(features, visible, weight.float())
        return fused
