"""Base maps join what platforms see: a residual on the encoded map, which is nothing where no base map is."""

import torch
from torch import Tensor, nn

from skyweave.mapping.fusion import AttentionFusion


class BaseMapFusion(nn.Module):
    """Add to the encoded map of platforms what base maps say beside it.

    Imagery of another time is no platform: what moves on it is not there any more, and to a fusion that was trained on
    platforms it is a stranger. So it comes in behind everything that reads platforms, as a residual whose last layer
    starts at zero (as in ControlNet, arXiv 2302.05543): a model without base maps stays what it was, exactly, and one
    with them starts from there.

    Args:
        inputs: channels of the base maps' features.
        channels: of the encoded map.
    """

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.fusion = AttentionFusion(inputs)
        # no batch norm: in training every second map is without base maps, and would have its say in the statistics
        self.join = nn.Sequential(
            nn.Conv2d(channels + inputs, channels, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1),
            nn.ReLU(),
        )
        self.output = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)  # type: ignore[arg-type]

    def forward(self, maps: Tensor, features: Tensor, visible: Tensor) -> Tensor:
        """Return the encoded map (samples, channels, rows, columns) with the base maps.

        Args:
            maps: encoded, of platforms.
            features: (samples, base maps, inputs, rows, columns); zero for absent ones.
            visible: (samples, base maps, rows, columns) bool.
        """
        prior = self.fusion(features.to(maps.dtype), visible)
        residual = self.output(self.join(torch.cat([maps, prior.to(maps.dtype)], 1)))
        joined: Tensor = maps + residual * visible.any(1, keepdim=True)
        return joined
