"""DHD's sliding-window selection (arXiv 2405.14674): cells are sent by how much they differ from their neighbours,
times what the receiver lacks; gaps are filled by a Gaussian window; weights over platforms at each cell fuse.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.strategies.base import Strategy, VisibilityAttention, stack_platforms

WINDOW_CELLS = 7


class DHD(Strategy):
    """Selection by local discrepancy, interpolation by a window of learned width."""

    def __init__(self, channels: int, box_channels: int) -> None:
        super().__init__(channels, box_channels)
        self.information = nn.Sequential(nn.Conv2d(channels, 8, 1), nn.ReLU(inplace=True), nn.Conv2d(8, 1, 1))
        self.width = nn.Parameter(torch.tensor(0.0))  # logarithm, cells
        self.masked = VisibilityAttention(channels)

    def start_from(self, fusion: nn.Module) -> None:
        """Start from the weights of the perception model's fusion.

        Args:
            fusion: of the perception model.
        """
        self.masked.start_from(fusion)

    def saliency_map(self, features: Tensor, visible: Tensor, request: Tensor, box_scores: Tensor) -> Tensor:
        """Return how much each cell is worth to others (batch, rows, columns).

        Args:
            features: (batch, channels, rows, columns) of the sender.
            visible: (batch, rows, columns) bool.
            request: (batch, rows, columns) 0 to 1: how much others asked for it.
            box_scores: (batch, rows, columns) 0 to 1: score of the box that the sender detected there.
        """
        information = self.information(features).float().sigmoid()
        neighbourhood = functional.avg_pool2d(information, 3, 1, 1)
        discrepancy: Tensor = (neighbourhood - information).abs() + 0.1 * information
        return (discrepancy[:, 0] + 1e-4).log() + (0.25 + 0.75 * request).log()

    def fuse(self, inputs: FusionInput) -> Tensor:
        """Return the fused map (batch, channels, rows, columns).

        Args:
            inputs: the ego's map and what came of the others'.
        """
        features, visible = stack_platforms(inputs)
        reach = torch.arange(WINDOW_CELLS, device=features.device, dtype=features.dtype) - WINDOW_CELLS // 2
        kernel = (-(reach**2) / (2 * (2 * self.width.clamp(-2, 2)).exp())).exp()
        exact = inputs.exact.flatten(0, 1).unsqueeze(1).to(features.dtype)
        peers = features[:, 1:].flatten(0, 1) * exact
        total, weight = (_window_sum(maps, kernel) for maps in (peers, exact))
        filled = torch.where(exact > 0.5, peers, total / weight.clamp(min=1e-3))
        near = (weight[:, 0] > 0.3 * float(kernel[WINDOW_CELLS // 2])).to(visible.dtype)
        confidence = torch.maximum(exact[:, 0].to(visible.dtype), 0.5 * near)
        features = torch.cat([features[:, :1], filled.view_as(inputs.features).to(features.dtype)], 1)
        confidence = confidence.view(inputs.visible.shape)
        fused: Tensor = self.masked(features, torch.cat([visible[:, :1], confidence], 1))
        return fused


def _window_sum(maps: Tensor, kernel: Tensor) -> Tensor:
    """Return maps (batch, channels, rows, columns) summed over a separable window (cells,)."""
    channels, half = maps.shape[1], len(kernel) // 2
    if not len(maps):
        return maps
    across, down = (kernel.view(shape).expand(channels, *shape[1:]) for shape in ((1, 1, 1, -1), (1, 1, -1, 1)))
    summed = functional.conv2d(maps, across, None, 1, (0, half), 1, channels)
    return functional.conv2d(summed, down, None, 1, (half, 0), 1, channels)
