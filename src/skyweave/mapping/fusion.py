"""Fusion of the maps of several platforms, or of several sensors' images, to one, when all their features are at hand.

It is the upper bound for any communication. Every fusion takes any number of platforms, ignores absent ones and cells
that nobody saw, and does not depend on the order of the others. Other packages add fusions through the entry points
``skyweave.fusions``.
"""

import functools
from typing import ClassVar

import torch
from torch import Tensor, nn

from skyweave.core.registry import Registry

MASKED_LOGIT = -1e4  # of platforms that do not see a cell; its exponential is 0 in every precision


class Fusion(nn.Module):
    """Base of the fusions.

    Args:
        channels: channels of the maps.
    """

    uses_peers: ClassVar[bool] = True
    """Whether the result depends on platforms other than the ego."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, features: Tensor, visible: Tensor) -> Tensor:
        """Fuse the maps of all platforms.

        Args:
            features: (batch, platforms, channels, rows, columns); the first platform is the ego.
            visible: (batch, platforms, rows, columns) bool; False everywhere for an absent platform.

        Returns:
            (batch, channels, rows, columns); a cell that nobody sees gets what empty features give.
        """
        raise NotImplementedError


class EgoOnlyFusion(Fusion):
    """The map of the ego platform, which is the first, alone."""

    uses_peers = False

    def forward(self, features: Tensor, visible: Tensor) -> Tensor:
        """Return the first platform's map."""
        return features[:, 0]


class MeanFusion(Fusion):
    """Mean over the platforms that see a cell."""

    def forward(self, features: Tensor, visible: Tensor) -> Tensor:
        """Return the mean of the maps."""
        weight = visible.unsqueeze(2).to(features.dtype)
        return (features * weight).sum(1) / weight.sum(1).clamp(min=1)


class MaxFusion(Fusion):
    """Maximum over the platforms that see a cell (F-Cooper, arXiv 1909.06459)."""

    def __init__(self, channels: int = 0) -> None:
        super().__init__(channels)

    def forward(self, features: Tensor, visible: Tensor) -> Tensor:
        """Return the element-wise maximum of the maps."""
        visible = visible.unsqueeze(2)
        lowest = torch.finfo(features.dtype).min
        # not ``masked_fill``, which takes twice as long and loses the order in memory that convolutions like
        maximum = functools.reduce(torch.maximum, torch.where(visible, features, lowest).unbind(1))
        return torch.where(visible.any(1), maximum, 0)


class AttentionFusion(Fusion):
    """Softmax over platforms of a score of each cell's features, beside their maximum."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.score = nn.Sequential(nn.Conv2d(channels, 16, 1), nn.ReLU(inplace=True), nn.Conv2d(16, 1, 1))
        self.max = MaxFusion()
        self.join = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, features: Tensor, visible: Tensor) -> Tensor:
        """Return the attention-weighted sum and the maximum of the maps, joined by a 1x1 convolution."""
        batch, platforms = features.shape[:2]
        scores = self.score(features.flatten(0, 1)).unflatten(0, (batch, platforms)).float()
        scores = scores.masked_fill(~visible.unsqueeze(2), MASKED_LOGIT)
        weights = (scores.softmax(1) * visible.unsqueeze(2)).to(features.dtype)
        # platform by platform: a sum over the second axis is several times slower on CPUs
        weighted = functools.reduce(torch.add, (features * weights).unbind(1))
        joined: Tensor = self.join(torch.cat([weighted, self.max(features, visible)], 1))
        return joined


FUSIONS: Registry[type[Fusion]] = Registry(
    "fusions",
    "fusion",
    {
        "ego_only": "skyweave.mapping.fusion:EgoOnlyFusion",
        "mean": "skyweave.mapping.fusion:MeanFusion",
        "max": "skyweave.mapping.fusion:MaxFusion",
        "attention": "skyweave.mapping.fusion:AttentionFusion",
    },
)


def build_fusion(name: str, channels: int) -> Fusion:
    """Return a new fusion.

    Args:
        name: in `FUSIONS`.
        channels: channels of the maps.

    Raises:
        UnknownNameError: there is none of that name.
    """
    return FUSIONS[name](channels)
