"""V2VNet (arXiv 2008.07519): messages between platforms, aggregated by their mean and taken in by a gated unit."""

import torch
from torch import Tensor, nn

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.strategies.base import Strategy, VisibilityAttention


class V2VNet(Strategy):
    """One round of message passing over the map, at half resolution."""

    def __init__(self, channels: int, boxes: int) -> None:
        super().__init__(channels, boxes)
        self.own = VisibilityAttention(channels)
        self.message = nn.Sequential(
            nn.Conv2d(2 * channels + 2, channels, 3, 2, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, 1, 1),
        )
        self.state = nn.Conv2d(channels, channels, 2, 2)
        self.gates = nn.Conv2d(2 * channels, 2 * channels, 3, 1, 1)
        self.candidate = nn.Conv2d(2 * channels, channels, 3, 1, 1)
        self.output = nn.ConvTranspose2d(channels, channels, 2, 2)
        self.mix = nn.Conv2d(2 * channels, channels, 1)

    def start_from(self, fusion: nn.Module) -> None:
        """See `Strategy`."""
        self.own.start_from(fusion)

    def fuse(self, told: FusionInput) -> Tensor:
        """See `Strategy`."""
        own, seen = told.own, told.own_visible.unsqueeze(1).to(told.own.dtype)
        total, count = None, told.own.new_zeros(len(own), 1, 1, 1)
        for peer in range(told.features.shape[1]):
            visible = told.visible[:, peer, None].to(own.dtype)
            message = self.message(torch.cat([own, told.features[:, peer].to(own.dtype), seen, visible], 1))
            there = visible.amax((1, 2, 3), keepdim=True) > 0
            total = message * there if total is None else total + message * there
            count = count + there
        state = self.state(own)
        received = torch.zeros_like(state) if total is None else total / count.clamp(min=1)
        reset, update = self.gates(torch.cat([state, received], 1)).sigmoid().chunk(2, 1)
        new = self.candidate(torch.cat([reset * state, received], 1)).tanh()
        state = update * state + (1 - update) * new
        alone = self.own(told.own.unsqueeze(1), told.own_visible.unsqueeze(1).to(told.visible.dtype))
        peers = torch.cat([own.unsqueeze(1), told.features.to(own.dtype)], 1).amax(1)
        fused: Tensor = alone + self.output(state) + self.mix(torch.cat([own, peers], 1))
        return fused
