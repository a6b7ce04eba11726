"""DiscoNet (arXiv 2111.00643): a matrix-valued weight for every pair of platforms and cell, taught by a model that sees
everything (the ``distillation`` loss, which here all strategies have).
"""

import torch
from torch import Tensor, nn

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.strategies.base import Strategy, VisibilityAttention, stack_platforms


class DiscoNet(Strategy):
    """Edge weights from the features of both ends, softmax over platforms, weighted sum."""

    def __init__(self, channels: int, box_channels: int) -> None:
        super().__init__(channels, box_channels)
        self.edge = nn.Sequential(
            nn.Conv2d(2 * channels, 48, 1), nn.ReLU(inplace=True), nn.Conv2d(48, 16, 1), nn.ReLU(inplace=True),
            nn.Conv2d(16, 1, 1),
        )  # fmt: skip
        self.masked = VisibilityAttention(channels)

    def start_from(self, fusion: nn.Module) -> None:
        """Start from the weights of the perception model's fusion.

        Args:
            fusion: of the perception model.
        """
        self.masked.start_from(fusion)

    def fuse(self, inputs: FusionInput) -> Tensor:
        """Return the fused map (batch, channels, rows, columns).

        Args:
            inputs: the ego's map and what came of the others'.
        """
        features, visible = stack_platforms(inputs)
        ego = features[:, :1].expand_as(features)
        weight = self.edge(torch.cat([ego, features], 2).flatten(0, 1))[:, 0].unflatten(0, features.shape[:2])
        fused: Tensor = self.masked(features, visible, weight.float())
        return fused
