"""V2X-ViT (arXiv 2203.10638): attention between platforms at each cell and attention within windows of the map, in
turn; the delay of a message is a positional encoding. One block, at half resolution, to fit a CPU.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.strategies.base import MIN_VISIBILITY, AttentionStrategy, stack_platforms

NUM_HEADS, WINDOW_CELLS = 4, 4


class V2XViT(AttentionStrategy):
    """One block of heterogeneous and window attention around the plain fusion."""

    def __init__(self, channels: int, box_channels: int) -> None:
        super().__init__(channels, box_channels)
        self.down = nn.Conv2d(channels + 1, channels, 2, 2)
        self.delay = nn.Linear(1, channels)
        self.kind = nn.Parameter(torch.zeros(2, channels))  # the ego and the peers
        self.between, self.within = (nn.Linear(channels, 3 * channels) for _ in range(2))
        self.norm = nn.ModuleList(nn.LayerNorm(channels) for _ in range(3))
        self.feed_forward = nn.Sequential(
            nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels)
        )
        self.up = nn.ConvTranspose2d(channels, channels, 2, 2)

    def fuse(self, inputs: FusionInput) -> Tensor:
        """Return the fused map (batch, channels, rows, columns).

        Args:
            inputs: the ego's map and what came of the others'.
        """
        features, visible = stack_platforms(inputs)
        low = self._embedded(features, visible, inputs.age)
        cells = self._between_platforms(low, visible)
        refined = self._within_windows(cells, low.shape[-2:])
        fused: Tensor = self.masked(features, visible) + self.up(refined)
        return fused

    def _embedded(self, features: Tensor, visible: Tensor, age: Tensor) -> Tensor:
        """Return (batch, platforms, channels, rows / 2, columns / 2) features with delay and kind of platform."""
        batch, platforms = features.shape[:2]
        joined = torch.cat([features, visible.unsqueeze(2).to(features.dtype)], 2)
        low = self.down(joined.flatten(0, 1)).unflatten(0, (batch, platforms))
        age = torch.cat([age.new_zeros(batch, 1), age], 1)
        kind = torch.cat([self.kind[:1], self.kind[1:].expand(platforms - 1, -1)])
        embedded: Tensor = low + (self.delay(age[..., None]) + kind).to(low.dtype)[..., None, None]
        return embedded

    def _between_platforms(self, low: Tensor, visible: Tensor) -> Tensor:
        """Return (batch * rows / 2 * columns / 2, channels) of the ego after attention over platforms at each cell."""
        platforms, channels = low.shape[1:3]
        tokens = low.permute(0, 3, 4, 1, 2).reshape(-1, platforms, channels)  # of a cell, by platform
        hidden = functional.avg_pool2d(visible, 2).permute(0, 2, 3, 1).reshape(-1, platforms) < MIN_VISIBILITY
        hidden = hidden & (torch.arange(platforms, device=hidden.device) > 0)
        attended = _attend(self.between(self.norm[0](tokens)), hidden)[:, 0]
        ego: Tensor = tokens[:, 0] + attended
        return ego

    def _within_windows(self, cells: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return (batch, channels, rows / 2, columns / 2) after attention within windows."""
        (rows, columns), channels, window = shape, cells.shape[-1], WINDOW_CELLS
        windows = cells.view(-1, rows // window, window, columns // window, window, channels)
        windows = windows.transpose(2, 3).reshape(-1, window * window, channels)
        windows = windows + _attend(self.within(self.norm[1](windows)))
        windows = windows + self.feed_forward(self.norm[2](windows))
        back = windows.view(-1, rows // window, columns // window, window, window, channels).transpose(2, 3)
        refined: Tensor = back.reshape(-1, rows, columns, channels).permute(0, 3, 1, 2)
        return refined


def _attend(projected: Tensor, hidden: Tensor | None = None) -> Tensor:
    """Return multi-head attention of (groups, tokens, 3 channels); tokens where ``hidden`` are not attended to."""
    query, key, value = (torch.unflatten(x, -1, (NUM_HEADS, -1)).transpose(1, 2) for x in projected.chunk(3, -1))
    mask = None if hidden is None else ~hidden[:, None, None, :]
    mixed = functional.scaled_dot_product_attention(query, key, value, mask)
    return mixed.transpose(1, 2).flatten(2)
