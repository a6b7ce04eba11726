"""DHD's sliding-window selection (arXiv 2405.14674): cells are sent by how much they differ from their neighbours,
times what the receiver lacks; gaps are filled by a Gaussian window; weights over platforms at each cell fuse.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.strategies.base import Strategy, VisibilityAttention, stack_platforms

WINDOW_CELLS = 7  # cells


class DHD(Strategy):
    """Selection by local discrepancy, interpolation by a window of learned width."""

    def __init__(self, channels: int, boxes: int) -> None:
        super().__init__(channels, boxes)
        self.information = nn.Sequential(nn.Conv2d(channels, 8, 1), nn.ReLU(inplace=True), nn.Conv2d(8, 1, 1))
        self.width = nn.Parameter(torch.tensor(0.0))  # logarithm, cells
        self.masked = VisibilityAttention(channels)

    def start_from(self, fusion: nn.Module) -> None:
        """See `Strategy`."""
        self.masked.start_from(fusion)

    def usefulness(self, features: Tensor, visible: Tensor, wanted: Tensor, certain: Tensor) -> Tensor:
        """See `Strategy`."""
        information = self.information(features).float().sigmoid()
        around = functional.avg_pool2d(information, 3, 1, 1)
        discrepancy = (around - information).abs() + 0.1 * information
        return (discrepancy[:, 0] + 1e-4).log() + (0.25 + 0.75 * wanted).log()

    def fuse(self, told: FusionInput) -> Tensor:
        """See `Strategy`."""
        features, visible = stack_platforms(told)
        reach = torch.arange(WINDOW_CELLS, device=features.device, dtype=features.dtype) - WINDOW_CELLS // 2
        line = (-(reach**2) / (2 * (2 * self.width.clamp(-2, 2)).exp())).exp()
        exact = told.exact.flatten(0, 1).unsqueeze(1).to(features.dtype)
        peers = features[:, 1:].flatten(0, 1) * exact
        total, weight = (_blurred(maps, line) for maps in (peers, exact))
        filled = torch.where(exact > 0.5, peers, total / weight.clamp(min=1e-3))
        near = (weight[:, 0] > 0.3 * float(line[WINDOW_CELLS // 2])).to(visible.dtype)
        sure = torch.maximum(exact[:, 0].to(visible.dtype), 0.5 * near)
        shape = told.visible.shape
        features = torch.cat([features[:, :1], filled.view_as(told.features).to(features.dtype)], 1)
        fused: Tensor = self.masked(features, torch.cat([visible[:, :1], sure.view(shape)], 1))
        return fused


def _blurred(maps: Tensor, line: Tensor) -> Tensor:
    """Maps (batch, channels, rows, columns) summed over a separable window."""
    channels, half = maps.shape[1], len(line) // 2
    if not len(maps):
        return maps
    across = functional.conv2d(maps, line.view(1, 1, 1, -1).expand(channels, 1, 1, -1), None, 1, (0, half), 1, channels)
    return functional.conv2d(across, line.view(1, 1, -1, 1).expand(channels, 1, -1, 1), None, 1, (half, 0), 1, channels)
