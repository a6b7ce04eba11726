"""When2com (arXiv 2006.00176) and Who2com (arXiv 2003.09575): a small query and key decide whom to listen to.

A receiver's query (16 numbers of 16 bits) is matched with every sender's key; only those whose share of the attention
is large enough are asked for their maps. Which cells go is not chosen.
"""

import torch
from torch import Tensor, nn

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.strategies.base import Strategy, VisibilityAttention

KEY_CHANNELS = 16


class When2com(Strategy):
    """Scaled attention over platforms, whole maps at a time; below ``1 / (1 + peers)`` a peer is not asked."""

    handshake = 2 * KEY_CHANNELS * 2
    keep_best_only = False

    def __init__(self, channels: int, boxes: int) -> None:
        super().__init__(channels, boxes)
        self.masked = VisibilityAttention(channels)
        self.summary = nn.Sequential(
            nn.Conv2d(channels + 1, 32, 4, 4), nn.ReLU(inplace=True), nn.Conv2d(32, 32, 4, 4), nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        )  # fmt: skip
        self.query, self.key = nn.Linear(128, KEY_CHANNELS), nn.Linear(128, KEY_CHANNELS)

    def start_from(self, fusion: nn.Module) -> None:
        """See `Strategy`."""
        self.masked.start_from(fusion)

    def fuse(self, told: FusionInput) -> Tensor:
        """See `Strategy`."""
        features = torch.cat([told.own.unsqueeze(1), told.features.to(told.own.dtype)], 1)
        visible = torch.cat([told.own_visible.unsqueeze(1).to(told.visible.dtype), told.visible], 1)
        batch, platforms = features.shape[:2]
        joined = torch.cat([features, visible.unsqueeze(2).to(features.dtype)], 2)
        summaries = self.summary(joined.flatten(0, 1)).unflatten(0, (batch, platforms))
        score = (self.key(summaries[:, 1:]) * self.query(summaries[:, :1])).sum(-1).float() / KEY_CHANNELS**0.5
        there = visible[:, 1:].amax((2, 3)) > 0
        score = score.masked_fill(~there, -1e4)
        share = score.softmax(1) * there if score.shape[1] else score
        if not self.training and score.shape[1]:
            best = share.amax(1, keepdim=True)
            kept = share >= best if self.keep_best_only else share >= 1 / (1 + score.shape[1])
            share = share * kept
        weights = torch.cat([torch.ones_like(visible[:, 0, 0, :1]), share.to(visible.dtype)], 1)[:, :, None, None]
        fused: Tensor = self.masked(features, visible * weights.clamp(max=1), (weights + 1e-4).log())
        return fused
