"""The learned lift: depth weights and map features predicted from a camera's feature map."""

import torch
from torch import Tensor, nn

from skyweave.mapping.bins import Bins
from skyweave.mapping.placement import BEVFeatures, Normalisation, lift_cameras
from skyweave.mapping.plan import LiftPlan


class Lift(nn.Module):
    """One 1x1 convolution predicts logits over the bins and the features to place (Lift-Splat-Shoot; RS-DFM).

    Args:
        in_channels: of the feature maps.
        channels: of the map.
        bins: parametrisation of depth; any of `skyweave.mapping.BINS`.
        normalisation: ``sum`` of weighted features as published, or their weighted ``mean``.
    """

    def __init__(self, in_channels: int, channels: int, bins: Bins, normalisation: Normalisation = "sum") -> None:
        super().__init__()
        self.bins, self.channels, self.normalisation = bins, channels, normalisation
        self.head = nn.Conv2d(in_channels, bins.count + channels, 1)

    def forward(self, features: Tensor, plan: LiftPlan, valid: Tensor | None = None) -> tuple[BEVFeatures, Tensor]:
        """Lift a batch of cameras.

        Args:
            features: (cameras, in_channels, rows, columns).
            plan: of these cameras and bins.
            valid: (cameras, rows, columns) bool feature pixels that count; default: all.

        Returns:
            the maps (maps, channels, rows, columns), and the logits (cameras, bins, rows, columns) for `depth_loss`.
        """
        if plan.bins != self.bins:
            raise ValueError(f"the plan is for {plan.bins}, this lift predicts {self.bins}")
        logits, context = self.head(features).split([self.bins.count, self.channels], 1)
        weights = logits.float().softmax(1)
        placed = lift_cameras(context, plan, weights=weights, valid=valid, normalisation=self.normalisation)
        return placed, logits


def depth_loss(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Mean cross-entropy of depth logits where the depth is known; 0 where it is nowhere.

    Args:
        logits: (cameras, bins, rows, columns).
        targets: (cameras, rows, columns, bins) from `skyweave.mapping.depth_targets`.
        mask: (cameras, rows, columns) bool.
    """
    entropy = -(targets.to(logits.dtype) * logits.log_softmax(1).permute(0, 2, 3, 1)).sum(-1)
    return torch.where(mask, entropy, 0).sum() / mask.sum().clamp(min=1)
