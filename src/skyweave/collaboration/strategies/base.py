"""What every fusion strategy does: say which cells are worth sending, and fuse what came."""

import functools
from typing import ClassVar

import torch
from torch import Tensor, nn

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.mapping.fusion import AttentionFusion

MIN_VISIBILITY = 0.02  # below which a cell counts as not seen


class Strategy(nn.Module):
    """A way to collaborate. Everything but this (features, codec, wire format, heads) is the same for all.

    What a strategy shares it declares by the class attributes below; another package adds one through the entry-point
    group ``skyweave.strategies``.

    Args:
        channels: of the maps.
        box_channels: of rasterised boxes (`skyweave.collaboration.boxes.rasterize_boxes`).

    Attributes:
        sends_boxes: detected boxes travel.
        sends_features: features travel, coded.
        sends_uncoded: features travel without any coding: an upper bound that no link carries.
        sends_request: a request map travels: which parts of its map the sender does not see.
        low_branch: the codec's coarse branch travels beside the full one.
        handshake_bytes: that a receiver spends in each frame before anything is sent.
        merges_boxes: received boxes join the final list of detections.
        aligns_poses: errors of peers' poses are estimated and undone (`skyweave.collaboration.pose_alignment`).
        needs_training: the strategy has weights of its own, which the perception model does not have.
    """

    sends_boxes: ClassVar[bool] = False
    sends_features: ClassVar[bool] = True
    sends_uncoded: ClassVar[bool] = False
    sends_request: ClassVar[bool] = False
    low_branch: ClassVar[bool] = False
    handshake_bytes: ClassVar[int] = 0
    merges_boxes: ClassVar[bool] = False
    aligns_poses: ClassVar[bool] = False
    needs_training: ClassVar[bool] = True

    def __init__(self, channels: int, box_channels: int) -> None:
        super().__init__()
        self.channels, self.box_channels = channels, box_channels

    def start_from(self, fusion: nn.Module) -> None:
        """Take what is useful of the perception model's fusion, before training.

        Args:
            fusion: of the perception model.
        """

    def saliency_map(self, features: Tensor, visible: Tensor, request: Tensor, box_scores: Tensor) -> Tensor:
        """Return how much each cell is worth to others, on any scale; the largest are sent first.

        By default no cell is worth more than another, and a budget cuts at pseudo-random cells.

        Args:
            features: (batch, channels, rows, columns) of the sender.
            visible: (batch, rows, columns) bool.
            request: (batch, rows, columns) 0 to 1: how much others asked for it.
            box_scores: (batch, rows, columns) 0 to 1: score of the box that the sender detected there by itself.

        Returns:
            (batch, rows, columns).
        """
        return random_saliency(visible)

    def fuse(self, inputs: FusionInput) -> Tensor:
        """Fuse the maps of all platforms into one, as the perception model's heads expect it.

        Args:
            inputs: the ego's map and what came of the others'.

        Returns:
            (batch, channels, rows, columns).
        """
        raise NotImplementedError


class AttentionStrategy(Strategy):
    """A strategy around the perception model's attention over platforms, from whose weights it starts."""

    def __init__(self, channels: int, box_channels: int) -> None:
        super().__init__(channels, box_channels)
        self.masked = VisibilityAttention(channels)

    def start_from(self, fusion: nn.Module) -> None:
        """Start from the weights of the perception model's fusion.

        Args:
            fusion: of the perception model.
        """
        self.masked.start_from(fusion)

    def fuse(self, inputs: FusionInput) -> Tensor:
        """Return the fused map (batch, channels, rows, columns).

        Args:
            inputs: the ego's map and what came of the others'.
        """
        fused: Tensor = self.masked(*stack_platforms(inputs))
        return fused


def random_saliency(visible: Tensor) -> Tensor:
    """Return fixed pseudo-random numbers from 0 to 1: no cell is worth more than another.

    Args:
        visible: (batch, rows, columns), for the shape.
    """
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
        """Fuse maps of several platforms.

        Args:
            features: (batch, platforms, channels, rows, columns).
            visible: (batch, platforms, rows, columns) 0 to 1: how far each cell is seen.
            bias: (batch, platforms, rows, columns) on the attention's scores.

        Returns:
            (batch, channels, rows, columns).
        """
        attention, (batch, platforms) = self.attention, features.shape[:2]
        seen = visible > MIN_VISIBILITY
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
        """Copy the weights of an attention fusion; another kind of fusion changes nothing.

        Args:
            fusion: of the perception model.
        """
        if isinstance(fusion, AttentionFusion):
            self.attention.load_state_dict(fusion.state_dict())


def stack_platforms(inputs: FusionInput) -> tuple[Tensor, Tensor]:
    """Stack the maps of the ego and of all peers.

    Args:
        inputs: of a batch.

    Returns:
        features (batch, 1 + peers, channels, rows, columns), the ego first, and visibility (batch, 1 + peers, rows,
        columns) 0 to 1.
    """
    features = torch.cat([inputs.ego.unsqueeze(1), inputs.features.to(inputs.ego.dtype)], 1)
    visible = torch.cat([inputs.ego_visible.unsqueeze(1).to(inputs.visible.dtype), inputs.visible], 1)
    return features, visible
