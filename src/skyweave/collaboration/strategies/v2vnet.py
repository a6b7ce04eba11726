"""V2VNet (arXiv 2008.07519): messages between platforms, aggregated by their mean and taken in by a gated unit."""

import torch
from torch import Tensor, nn

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.strategies.base import Strategy, VisibilityAttention


class V2VNet(Strategy):
    """One round of message passing over the map, at half resolution."""

    def __init__(self, channels: int, box_channels: int) -> None:
        super().__init__(channels, box_channels)
        self.ego = VisibilityAttention(channels)
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
        """Start from the weights of the perception model's fusion.

        Args:
            fusion: of the perception model.
        """
        self.ego.start_from(fusion)

    def fuse(self, inputs: FusionInput) -> Tensor:
        """Return the fused map (batch, channels, rows, columns).

        Args:
            inputs: the ego's map and what came of the others'.
        """
        ego = inputs.ego
        state = self.state(ego)
        received = self._received(inputs, state)
        reset, update = self.gates(torch.cat([state, received], 1)).sigmoid().chunk(2, 1)
        new = self.candidate(torch.cat([reset * state, received], 1)).tanh()
        state = update * state + (1 - update) * new
        unfused = self.ego(ego.unsqueeze(1), inputs.ego_visible.unsqueeze(1).to(inputs.visible.dtype))
        largest = torch.cat([ego.unsqueeze(1), inputs.features.to(ego.dtype)], 1).amax(1)
        fused: Tensor = unfused + self.output(state) + self.mix(torch.cat([ego, largest], 1))
        return fused

    def _received(self, inputs: FusionInput, state: Tensor) -> Tensor:
        """Return the mean of the peers' messages, of the shape of ``state``; zero without peers."""
        ego, seen = inputs.ego, inputs.ego_visible.unsqueeze(1).to(inputs.ego.dtype)
        total, count = None, ego.new_zeros(len(ego), 1, 1, 1)
        for peer in range(inputs.features.shape[1]):
            visible = inputs.visible[:, peer, None].to(ego.dtype)
            message = self.message(torch.cat([ego, inputs.features[:, peer].to(ego.dtype), seen, visible], 1))
            there = visible.amax((1, 2, 3), keepdim=True) > 0
            total = message * there if total is None else total + message * there
            count = count + there
        return torch.zeros_like(state) if total is None else total / count.clamp(min=1)
