"""V2X-ViT (arXiv 2203.10638): attention between platforms at each cell and attention within windows of the map, in
turn; the delay of a message is a positional encoding. One block, at half resolution, to fit a CPU.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.strategies.base import Strategy, VisibilityAttention, stack_platforms

NUM_HEADS, WINDOW_CELLS = 4, 4


class V2XViT(Strategy):
    """One block of heterogeneous and window attention around the plain fusion."""

    def __init__(self, channels: int, boxes: int) -> None:
        super().__init__(channels, boxes)
        self.masked = VisibilityAttention(channels)
        self.down = nn.Conv2d(channels + 1, channels, 2, 2)
        self.delay = nn.Linear(1, channels)
        self.kind = nn.Parameter(torch.zeros(2, channels))  # oneself and others
        self.between, self.within = (nn.Linear(channels, 3 * channels) for _ in range(2))
        self.norm = nn.ModuleList(nn.LayerNorm(channels) for _ in range(3))
        self.feed = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))
        self.up = nn.ConvTranspose2d(channels, channels, 2, 2)

    def start_from(self, fusion: nn.Module) -> None:
        """See `Strategy`."""
        self.masked.start_from(fusion)

    def fuse(self, told: FusionInput) -> Tensor:
        """See `Strategy`."""
        features, visible = stack_platforms(told)
        batch, platforms, channels = features.shape[:3]
        joined = torch.cat([features, visible.unsqueeze(2).to(features.dtype)], 2)
        low = self.down(joined.flatten(0, 1)).unflatten(0, (batch, platforms))
        age = torch.cat([told.age.new_zeros(batch, 1), told.age], 1)
        kind = torch.cat([self.kind[:1], self.kind[1:].expand(platforms - 1, -1)])
        low = low + (self.delay(age[..., None]) + kind).to(low.dtype)[..., None, None]
        rows, columns = low.shape[-2:]
        tokens = low.permute(0, 3, 4, 1, 2).reshape(-1, platforms, channels)  # of a cell, by platform
        hidden = functional.avg_pool2d(visible, 2).permute(0, 2, 3, 1).reshape(-1, platforms) < 0.02
        hidden = hidden & (torch.arange(platforms, device=hidden.device) > 0)
        own = tokens[:, 0] + _attend(self.between(self.norm[0](tokens)), hidden)[:, 0]
        windows = own.view(batch, rows // WINDOW_CELLS, WINDOW_CELLS, columns // WINDOW_CELLS, WINDOW_CELLS, channels)
        windows = windows.transpose(2, 3).reshape(-1, WINDOW_CELLS * WINDOW_CELLS, channels)
        windows = windows + _attend(self.within(self.norm[1](windows)))
        windows = windows + self.feed(self.norm[2](windows))
        back = windows.view(
            batch, rows // WINDOW_CELLS, columns // WINDOW_CELLS, WINDOW_CELLS, WINDOW_CELLS, channels
        ).transpose(2, 3)
        fused: Tensor = self.masked(features, visible) + self.up(
            back.reshape(batch, rows, columns, channels).permute(0, 3, 1, 2)
        )
        return fused


def _attend(projected: Tensor, hidden: Tensor | None = None) -> Tensor:
    """Multi-head attention of (groups, tokens, 3 channels)."""
    query, key, value = (x.unflatten(-1, (NUM_HEADS, -1)).transpose(1, 2) for x in projected.chunk(3, -1))
    mask = None if hidden is None else ~hidden[:, None, None, :]
    mixed = functional.scaled_dot_product_attention(query, key, value, mask)
    return mixed.transpose(1, 2).flatten(2)
