"""Maps of several platforms to one, when all of every platform's features are at hand: the upper bound for any
communication. Every fusion takes any number of platforms, ignores absent ones and cells that nobody saw, and does not
depend on the order of the others.
"""

import functools

import torch
from torch import Tensor, nn

from skyweave.perception.config import FusionKind


class EgoOnlyFusion(nn.Module):
    """The first platform alone."""

    def forward(self, features: Tensor, visible: Tensor) -> Tensor:
        """See ``AttentionFusion``."""
        return features[:, 0]


class MeanFusion(nn.Module):
    """Mean over the platforms that see a cell."""

    def forward(self, features: Tensor, visible: Tensor) -> Tensor:
        """See ``AttentionFusion``."""
        weight = visible.unsqueeze(2).to(features.dtype)
        return (features * weight).sum(1) / weight.sum(1).clamp(min=1)


class MaxFusion(nn.Module):
    """Largest value over the platforms that see a cell (F-Cooper, arXiv 1909.06459)."""

    def forward(self, features: Tensor, visible: Tensor) -> Tensor:
        """See ``AttentionFusion``."""
        seen = visible.unsqueeze(2)
        lowest = torch.finfo(features.dtype).min
        # not ``masked_fill``, which takes twice as long and loses the order in memory that convolutions like
        largest = functools.reduce(torch.maximum, torch.where(seen, features, lowest).unbind(1))
        return torch.where(seen.any(1), largest, 0)


class AttentionFusion(nn.Module):
    """Softmax over platforms of a score that each cell's features get, beside their maximum.

    Args:
        channels: of the maps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Conv2d(channels, 16, 1), nn.ReLU(inplace=True), nn.Conv2d(16, 1, 1))
        self.largest = MaxFusion()
        self.join = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, features: Tensor, visible: Tensor) -> Tensor:
        """Fuse.

        Args:
            features: (batch, platforms, channels, rows, columns); the first platform is the one that perceives.
            visible: (batch, platforms, rows, columns) bool; False everywhere for an absent platform.

        Returns:
            (batch, channels, rows, columns); a cell that nobody sees gets what empty features give.
        """
        batch, platforms = features.shape[:2]
        scores = self.score(features.flatten(0, 1)).unflatten(0, (batch, platforms)).float()
        scores = scores.masked_fill(~visible.unsqueeze(2), -1e4)
        weights = (scores.softmax(1) * visible.unsqueeze(2)).to(features.dtype)
        # platform by platform: a sum over the second axis is several times slower on CPUs
        mixed = functools.reduce(torch.add, (features * weights).unbind(1))
        joined: Tensor = self.join(torch.cat([mixed, self.largest(features, visible)], 1))
        return joined


def make_fusion(kind: FusionKind, channels: int) -> nn.Module:
    """A fusion by its name in configurations."""
    if kind == "attention":
        return AttentionFusion(channels)
    return {"own": EgoOnlyFusion, "mean": MeanFusion, "max": MaxFusion}[kind]()
