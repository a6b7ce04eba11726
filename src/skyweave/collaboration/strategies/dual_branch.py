"""Dual branch: a coarse map of everything and the most salient cells in full, beside boxes; taken in through a gate.

Salient is what carries much, a cell's energy, which stands out at objects; then where the sender detected something by
itself, and what a small request asks for, whose weight is learned through a soft threshold at the budget.

Rasterised boxes join the ego's map as in CERF; where features came, a gated difference takes their place. So without
messages the fused map is the ego's to the last bit, and a message that disagrees can be kept out cell by cell. Lists of
boxes merge as in late fusion, so that the smallest budgets lose nothing against either.
"""

import torch
from torch import Tensor, nn

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.strategies.base import MIN_VISIBILITY, AttentionStrategy, stack_platforms
from skyweave.collaboration.strategies.cerf import BoxEncoder

FLAG_CHANNELS = 4  # visible, exact, age, visibility of the ego
MIN_CELL_ENERGY = 1e-6
BOX_SALIENCY = 2.0  # logarithm of the energy that a box of score 1 is worth


class DualBranch(AttentionStrategy):
    """Coded features of two resolutions and boxes, fused by attention through a gate for each cell and channel."""

    sends_boxes = True
    sends_request = True
    low_branch = True
    merges_boxes = True
    aligns_poses = True

    def __init__(self, channels: int, box_channels: int) -> None:
        super().__init__(channels, box_channels)
        self.asked = nn.Parameter(torch.tensor(0.5))
        self.agreement = nn.Sequential(
            nn.Conv2d(2 * channels + FLAG_CHANNELS, 32, 1), nn.ReLU(inplace=True), last := nn.Conv2d(32, 1, 3, 1, 1)
        )
        nn.init.zeros_(last.weight)
        self.gate = nn.Sequential(
            nn.Conv2d(2 * channels + 2, 32, 3, 1, 1), nn.ReLU(inplace=True), last := nn.Conv2d(32, channels, 1)
        )
        nn.init.zeros_(last.weight)
        if last.bias is not None:
            nn.init.constant_(last.bias, 3.0)
        self.take = BoxEncoder(channels, box_channels)

    def start_from(self, fusion: nn.Module) -> None:
        """Start from the weights of the perception model's fusion.

        Args:
            fusion: of the perception model.
        """
        super().start_from(fusion)
        self.__dict__["ego_fusion"] = fusion  # perception's and frozen: not among the weights of this module

    def saliency_map(self, features: Tensor, visible: Tensor, request: Tensor, box_scores: Tensor) -> Tensor:
        """Return how much each cell is worth to others (batch, rows, columns).

        Args:
            features: (batch, channels, rows, columns) of the sender.
            visible: (batch, rows, columns) bool.
            request: (batch, rows, columns) 0 to 1: how much others asked for it.
            box_scores: (batch, rows, columns) 0 to 1: score of the box that the sender detected there.
        """
        energy = features.float().square().mean(1).clamp(min=MIN_CELL_ENERGY).log()
        return energy + BOX_SALIENCY * box_scores + self.asked * request

    def fuse(self, inputs: FusionInput) -> Tensor:
        """Return the fused map (batch, channels, rows, columns).

        Args:
            inputs: the ego's map and what came of the others'.
        """
        features, visible = stack_platforms(inputs)
        unfused = self._unfused(features[:, :1], visible[:, :1])
        if not inputs.features.shape[1]:
            return unfused
        trust = self._agreement(inputs, features, visible)
        bias = torch.cat([torch.zeros_like(trust[:, :1]), trust], 1)
        weighted = torch.cat([visible[:, :1], visible[:, 1:] * (trust + 4).sigmoid()], 1)
        joint = self.masked(features, weighted, bias)
        seen, exact = inputs.visible.amax(1, keepdim=True), inputs.exact.amax(1, keepdim=True)
        base = unfused + self.take(unfused, inputs.boxes)
        gate = self.gate(torch.cat([base, joint, torch.cat([seen, exact], 1).to(joint.dtype)], 1)).sigmoid()
        gate = gate * (seen > MIN_VISIBILITY).to(joint.dtype)
        fused: Tensor = base + gate * (joint - base)
        return fused

    def _agreement(self, inputs: FusionInput, features: Tensor, visible: Tensor) -> Tensor:
        """Return (batch, peers, rows, columns) how well the peers' features agree with the ego's."""
        batch, peers = inputs.features.shape[:2]
        ego = inputs.ego.unsqueeze(1).expand(-1, peers, -1, -1, -1)
        age = inputs.age[..., None, None].expand_as(inputs.visible)
        flags = torch.stack([inputs.visible, inputs.exact, age, visible[:, :1].expand_as(inputs.visible)], 2)
        both = torch.cat([ego, features[:, 1:], flags.to(features.dtype)], 2)
        agreement: Tensor = self.agreement(both.flatten(0, 1))[:, 0]
        return torch.unflatten(agreement, 0, (batch, peers)).float()

    def _unfused(self, features: Tensor, visible: Tensor) -> Tensor:
        """Return what perception makes of the ego: without messages, training for them must not cost anything."""
        fusion: nn.Module | None = self.__dict__.get("ego_fusion")
        unfused: Tensor = self.masked(features, visible) if fusion is None else fusion(features, visible > 0.5)
        return unfused
