"""Where2comm (arXiv 2209.12836): cells are sent by the sender's confidence times the receiver's request; attention over
platforms knows the confidence. The request is one minus the receiver's own confidence, coarse.
"""

import torch
from torch import Tensor, nn

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.strategies.base import AttentionStrategy, stack_platforms


class Where2comm(AttentionStrategy):
    """Spatial confidence decides what is sent and how it is weighed."""

    def __init__(self, channels: int, box_channels: int) -> None:
        super().__init__(channels, box_channels)
        self.confidence = nn.Sequential(nn.Conv2d(channels, 24, 3, 1, 1), nn.ReLU(inplace=True), nn.Conv2d(24, 1, 1))
        self.weight = nn.Parameter(torch.tensor(0.3))

    def saliency_map(self, features: Tensor, visible: Tensor, request: Tensor, box_scores: Tensor) -> Tensor:
        """Return how much each cell is worth to others (batch, rows, columns).

        Args:
            features: (batch, channels, rows, columns) of the sender.
            visible: (batch, rows, columns) bool.
            request: (batch, rows, columns) 0 to 1: how much others asked for it.
            box_scores: (batch, rows, columns) 0 to 1: score of the box that the sender detected there.
        """
        confidence: Tensor = self.confidence(features)[:, 0].float()
        return confidence + (0.25 + 0.75 * request).log()

    def fuse(self, inputs: FusionInput) -> Tensor:
        """Return the fused map (batch, channels, rows, columns).

        Args:
            inputs: the ego's map and what came of the others'.
        """
        features, visible = stack_platforms(inputs)
        confidence = self.confidence(features.flatten(0, 1))[:, 0].unflatten(0, features.shape[:2]).float()
        fused: Tensor = self.masked(features, visible, self.weight * confidence)
        return fused
