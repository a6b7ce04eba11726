"""When2com (arXiv 2006.00176) and Who2com (arXiv 2003.09575): a small query and key decide whom to ask for a map.

A receiver's query (16 numbers of 16 bits) is matched with every sender's key; only those whose share of the attention
is large enough are asked for their maps. Which cells go is not chosen.
"""

import torch
from torch import Tensor, nn

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.strategies.base import AttentionStrategy, stack_platforms

KEY_CHANNELS = 16


class When2com(AttentionStrategy):
    """Scaled attention over platforms, whole maps at a time; below ``1 / (1 + peers)`` a peer is not asked."""

    handshake_bytes = 2 * KEY_CHANNELS * 2
    keeps_best_only = False

    def __init__(self, channels: int, box_channels: int) -> None:
        super().__init__(channels, box_channels)
        self.summary = nn.Sequential(
            nn.Conv2d(channels + 1, 32, 4, 4), nn.ReLU(inplace=True), nn.Conv2d(32, 32, 4, 4), nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        )  # fmt: skip
        self.query, self.key = nn.Linear(128, KEY_CHANNELS), nn.Linear(128, KEY_CHANNELS)

    def fuse(self, inputs: FusionInput) -> Tensor:
        """Return the fused map (batch, channels, rows, columns).

        Args:
            inputs: the ego's map and what came of the others'.
        """
        features, visible = stack_platforms(inputs)
        batch, platforms = features.shape[:2]
        joined = torch.cat([features, visible.unsqueeze(2).to(features.dtype)], 2)
        summaries = self.summary(joined.flatten(0, 1)).unflatten(0, (batch, platforms))
        score = (self.key(summaries[:, 1:]) * self.query(summaries[:, :1])).sum(-1).float() / KEY_CHANNELS**0.5
        share = self._shares(score, visible[:, 1:].amax((2, 3)) > 0)
        weights = torch.cat([torch.ones_like(visible[:, 0, 0, :1]), share.to(visible.dtype)], 1)[:, :, None, None]
        fused: Tensor = self.masked(features, visible * weights.clamp(max=1), (weights + 1e-4).log())
        return fused

    def _shares(self, score: Tensor, there: Tensor) -> Tensor:
        """Return (batch, peers) each peer's share of the attention; in evaluation 0 for those that are not asked."""
        if not score.shape[1]:
            return score
        share = score.masked_fill(~there, -1e4).softmax(1) * there
        if self.training:
            return share
        threshold = share.amax(1, keepdim=True) if self.keeps_best_only else 1 / (1 + score.shape[1])
        return share * (share >= threshold)
