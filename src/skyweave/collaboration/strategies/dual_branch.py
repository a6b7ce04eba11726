"""Ours: a coarse map of everything and the most useful cells in full, beside boxes; taken in through a gate.

What is useful is what carries much, a cell's energy, which stands out at objects; then where one found something
oneself, and what a small request asks for, whose weight is learned through a soft threshold at the budget.

Drawn boxes join the own map as in CERF; where features came, a gated difference takes their place. So without messages
the fused map is the own one to the last bit, and a message that disagrees can be kept out cell by cell. Lists of boxes
merge as in late fusion, so that the smallest budgets lose nothing against either.
"""

import torch
from torch import Tensor, nn

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.strategies.base import Strategy, VisibilityAttention, stack_platforms
from skyweave.collaboration.strategies.cerf import BoxEncoder

FLAG_CHANNELS = 4  # visible, exact, age, own visibility
MIN_CELL_ENERGY = 1e-6  # energy of a cell
BOX_SALIENCY = 2.0  # logarithm of the energy that a certain box is worth


class DualBranch(Strategy):
    """See the module."""

    shares = "both"
    low = True
    merges_boxes = True
    aligns = True

    def __init__(self, channels: int, boxes: int) -> None:
        super().__init__(channels, boxes)
        self.asked = nn.Parameter(torch.tensor(0.5))
        self.masked = VisibilityAttention(channels)
        self.agreement = nn.Sequential(
            nn.Conv2d(2 * channels + FLAG_CHANNELS, 32, 1), nn.ReLU(inplace=True), nn.Conv2d(32, 1, 3, 1, 1)
        )
        nn.init.zeros_(self.agreement[-1].weight)  # type: ignore[arg-type]
        self.gate = nn.Sequential(
            nn.Conv2d(2 * channels + 2, 32, 3, 1, 1), nn.ReLU(inplace=True), nn.Conv2d(32, channels, 1)
        )
        nn.init.zeros_(self.gate[-1].weight)  # type: ignore[arg-type]
        nn.init.constant_(self.gate[-1].bias, 3.0)  # type: ignore[arg-type]
        self.take = BoxEncoder(channels, boxes)

    def start_from(self, fusion: nn.Module) -> None:
        """See `Strategy`."""
        self.masked.start_from(fusion)
        self.__dict__["own_fusion"] = fusion  # perception's, frozen, and not ours to store

    def usefulness(self, features: Tensor, visible: Tensor, wanted: Tensor, certain: Tensor) -> Tensor:
        """See `Strategy`."""
        energy = features.float().square().mean(1).clamp(min=MIN_CELL_ENERGY).log()
        return energy + BOX_SALIENCY * certain + self.asked * wanted

    def fuse(self, told: FusionInput) -> Tensor:
        """See `Strategy`."""
        features, visible = stack_platforms(told)
        batch, peers = told.features.shape[:2]
        alone = self._alone(features[:, :1], visible[:, :1])
        if not peers:
            return alone
        own = told.own.unsqueeze(1).expand(-1, peers, -1, -1, -1)
        flags = [told.visible, told.exact, told.age[..., None, None].expand_as(told.visible),
                 visible[:, :1].expand_as(told.visible)]  # fmt: skip
        both = torch.cat([own, features[:, 1:], torch.stack(flags, 2).to(features.dtype)], 2)
        trust = self.agreement(both.flatten(0, 1))[:, 0].unflatten(0, (batch, peers)).float()
        bias = torch.cat([torch.zeros_like(trust[:, :1]), trust], 1)
        weighted = torch.cat([visible[:, :1], visible[:, 1:] * (trust + 4).sigmoid()], 1)
        joint = self.masked(features, weighted, bias)
        came = (told.visible.amax(1, keepdim=True) > 0.02).to(joint.dtype)
        heard = torch.cat([told.visible.amax(1, keepdim=True), told.exact.amax(1, keepdim=True)], 1).to(joint.dtype)
        base = alone + self.take(alone, told.boxes)
        gate = self.gate(torch.cat([base, joint, heard], 1)).sigmoid() * came
        return base + gate * (joint - base)

    def _alone(self, features: Tensor, visible: Tensor) -> Tensor:
        """What perception makes of one platform: where nothing comes, training for messages must not cost anything."""
        fusion: nn.Module | None = self.__dict__.get("own_fusion")
        alone: Tensor = self.masked(features, visible) if fusion is None else fusion(features, visible > 0.5)
        return alone
