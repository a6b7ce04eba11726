"""The learned lift: depth weights and map features predicted from a camera's feature map (Lift-Splat, RS-DFM)."""

from torch import Tensor, nn

from skyweave.mapping.bins import Bins
from skyweave.mapping.placement import BEVFeatures, Normalisation, lift_cameras
from skyweave.mapping.plan import LiftPlan


class Lift(nn.Module):
    """Predict logits over the bins and the features to lift by one 1x1 convolution.

    As Lift-Splat-Shoot (arXiv 2008.05711) and RS-DFM (arXiv 2406.07032).

    Args:
        in_channels: channels of the feature maps.
        channels: channels of the map.
        bins: parametrisation of depth; any of `skyweave.mapping.BINS`.
        normalisation: ``sum`` of weighted features as published, or their weighted ``mean``.
    """

    def __init__(self, in_channels: int, channels: int, bins: Bins, normalisation: Normalisation = "sum") -> None:
        super().__init__()
        self.bins, self.channels, self.normalisation = bins, channels, normalisation
        self.head = nn.Conv2d(in_channels, bins.count + channels, 1)

    def forward(self, features: Tensor, plan: LiftPlan, valid: Tensor | None = None) -> tuple[BEVFeatures, Tensor]:
        """Lift the feature maps of a batch of cameras.

        Args:
            features: (cameras, in_channels, rows, columns).
            plan: of these cameras and bins.
            valid: (cameras, rows, columns) bool feature pixels that count; default: all.

        Returns:
            the maps (maps, channels, rows, columns), and the logits (cameras, bins, rows, columns) for
            `skyweave.mapping.depth_loss`.

        Raises:
            ValueError: the plan is for other bins.
        """
        if plan.bins != self.bins:
            raise ValueError(f"the plan is for {plan.bins}, this lift predicts {self.bins}")
        logits, context = self.head(features).split([self.bins.count, self.channels], 1)
        weights = logits.float().softmax(1)
        lifted = lift_cameras(context, plan, weights=weights, valid=valid, normalisation=self.normalisation)
        return lifted, logits
