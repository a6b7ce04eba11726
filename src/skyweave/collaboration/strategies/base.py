"""What every strategy does: say which cells are worth sending, and fuse what came."""

import functools
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.perception.fusion import AttentionFusion

Shares = Literal["nothing", "boxes", "features", "both", "everything"]


class Strategy(nn.Module):
    """A way to collaborate. Everything but this (features, codec, wire format, heads) is the same for all.

    Attributes:
        shares: what travels; ``everything`` is features without any coding, the upper bound.
        low: whether the codec's coarse branch travels too.
        handshake: bytes that a receiver spends in each frame before anything is sent.
        merges_boxes: whether received boxes join the final list of detections.
        aligns: whether errors of peers' poses are estimated and undone (`skyweave.collaboration.pose_alignment`).
    """

    shares: ClassVar[Shares] = "features"
    low: ClassVar[bool] = False
    handshake: ClassVar[int] = 0
    merges_boxes: ClassVar[bool] = False
    aligns: ClassVar[bool] = False

    def __init__(self, channels: int, boxes: int) -> None:
        """For maps and drawn boxes of so many channels."""
        super().__init__()
        self.channels, self.box_channels = channels, boxes

    def start_from(self, fusion: nn.Module) -> None:
        """Take what is useful of the perception model's own fusion, before training."""

    def usefulness(self, features: Tensor, visible: Tensor, wanted: Tensor, certain: Tensor) -> Tensor:
        """How much each cell is worth to others, any scale; by default all are the same, and a budget cuts anywhere.

        Args:
            features: (batch, channels, rows, columns) of the sender.
            visible: (batch, rows, columns) bool.
            wanted: (batch, rows, columns) 0 to 1: how much others asked for it.
            certain: (batch, rows, columns) 0 to 1: how sure the sender is of a box that it found alone there.

        Returns:
            (batch, rows, columns).
        """
        return random_saliency(visible)

    def fuse(self, told: FusionInput) -> Tensor:
        """(batch, channels, rows, columns) as the perception model's own fusion gives."""
        raise NotImplementedError


def random_saliency(visible: Tensor) -> Tensor:
    """(batch, rows, columns) fixed pseudo-random numbers from 0 to 1: no cell is more useful than another."""
    count = visible[0].numel()
    order = torch.arange(count, device=visible.device) * 40503 % 65536
    return (order.float() / 65536).view(visible.shape[1:]).expand(visible.shape)


class VisibilityAttention(nn.Module):
    """The perception model's attention over platforms, with soft visibility and a bias for each.

    Args:
        channels: of the maps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = AttentionFusion(channels)

    def forward(self, features: Tensor, visible: Tensor, bias: Tensor | None = None) -> Tensor:
        """Fuse (batch, platforms, channels, rows, columns), each seen as far as ``visible`` from 0 to 1 says.

        Args:
            bias: (batch, platforms, rows, columns) on the attention's scores.
        """
        attention, (batch, platforms) = self.attention, features.shape[:2]
        seen = visible > 0.02
        scores = attention.score(features.flatten(0, 1)).unflatten(0, (batch, platforms)).float()
        scores = scores[:, :, 0] + visible.clamp(min=1e-3).log()
        if bias is not None:
            scores = scores + bias
        scores = scores.masked_fill(~seen, -1e4)
        weights = (scores.softmax(1) * seen).unsqueeze(2).to(features.dtype)
        mixed = functools.reduce(torch.add, (features * weights).unbind(1))
        weighted = features * visible.unsqueeze(2).to(features.dtype)
        maximum = attention.max(weighted, seen)
        joined: Tensor = attention.join(torch.cat([mixed, maximum], 1))
        return joined

    def start_from(self, fusion: nn.Module) -> None:
        """Copy the weights of an attention fusion."""
        if isinstance(fusion, AttentionFusion):
            self.attention.load_state_dict(fusion.state_dict())


def stack_platforms(told: FusionInput) -> tuple[Tensor, Tensor]:
    """Features (batch, 1 + peers, channels, rows, columns) and visibility of the own platform and all peers."""
    features = torch.cat([told.own.unsqueeze(1), told.features.to(told.own.dtype)], 1)
    visible = torch.cat([told.own_visible.unsqueeze(1).to(told.visible.dtype), told.visible], 1)
    return features, visible
