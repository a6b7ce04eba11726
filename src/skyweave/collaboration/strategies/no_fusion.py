"""No fusion: what one platform sees by itself."""

from torch import Tensor

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.strategies.base import AttentionStrategy


class NoFusion(AttentionStrategy):
    """The lower bound: nothing travels."""

    sends_features = False
    needs_training = False

    def fuse(self, inputs: FusionInput) -> Tensor:
        """Return the fused map (batch, channels, rows, columns).

        Args:
            inputs: the ego's map and what came of the others'.
        """
        visible = inputs.ego_visible.unsqueeze(1).to(inputs.visible.dtype)
        fused: Tensor = self.masked(inputs.ego.unsqueeze(1), visible)
        return fused
