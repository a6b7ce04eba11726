"""CERF: boxes of others, drawn as a map, join the ego's features before the heads read them; no features travel."""

import torch
from torch import Tensor, nn

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.strategies.no_fusion import NoFusion


class CERF(NoFusion):
    """A small network takes rasterised boxes into the fused map."""

    sends_boxes = True
    needs_training = True

    def __init__(self, channels: int, box_channels: int) -> None:
        super().__init__(channels, box_channels)
        self.take = BoxEncoder(channels, box_channels)

    def fuse(self, inputs: FusionInput) -> Tensor:
        """Return the fused map (batch, channels, rows, columns).

        Args:
            inputs: the ego's map and what came of the others'.
        """
        ego = super().fuse(inputs)
        fused: Tensor = ego + self.take(ego, inputs.boxes)
        return fused


class BoxEncoder(nn.Module):
    """What rasterised boxes add to a map; nothing, exactly, where there are none.

    Args:
        channels: of the map.
        box_channels: of the rasterised boxes.
    """

    def __init__(self, channels: int, box_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(2 * box_channels, channels, 3, 1, 1, bias=False)
        self.second = nn.Sequential(nn.Conv2d(2 * channels, channels, 1), nn.ReLU(inplace=True))
        self.third = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.third.weight)

    def forward(self, maps: Tensor, boxes: Tensor) -> Tensor:
        """Return what boxes add to a map.

        Args:
            maps: (batch, channels, rows, columns).
            boxes: (batch, peers, box channels, rows, columns), rasterised.

        Returns:
            (batch, channels, rows, columns).
        """
        if not boxes.shape[1]:
            return torch.zeros_like(maps)
        best = boxes[:, :, :1].argmax(1, keepdim=True).expand(-1, -1, boxes.shape[2], -1, -1)
        chosen = boxes.gather(1, best)[:, 0]  # of the most certain peer, so that headings do not average out
        encoded = self.first(torch.cat([chosen, boxes.mean(1)], 1).to(maps.dtype))
        there = nn.functional.max_pool2d((boxes[:, :, 0].amax(1) > 0).to(maps.dtype)[:, None], 3, 1, 1)
        added: Tensor = self.third(self.second(torch.cat([encoded, maps], 1))) * there
        return added
