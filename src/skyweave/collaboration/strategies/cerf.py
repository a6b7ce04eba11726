"""CERF: boxes of others, drawn as a map, join the own features before the heads read them; no features travel."""

import torch
from torch import Tensor, nn

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.strategies.no_fusion import NoFusion


class CERF(NoFusion):
    """A small network takes drawn boxes into the fused map."""

    shares = "boxes"

    def __init__(self, channels: int, boxes: int) -> None:
        super().__init__(channels, boxes)
        self.take = BoxEncoder(channels, boxes)

    def fuse(self, told: FusionInput) -> Tensor:
        """See `Strategy`."""
        alone = super().fuse(told)
        fused: Tensor = alone + self.take(alone, told.boxes)
        return fused


class BoxEncoder(nn.Module):
    """What drawn boxes add to a map; nothing, exactly, where there are none."""

    def __init__(self, channels: int, boxes: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(2 * boxes, channels, 3, 1, 1, bias=False)
        self.second = nn.Sequential(nn.Conv2d(2 * channels, channels, 1), nn.ReLU(inplace=True))
        self.third = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.third.weight)

    def forward(self, maps: Tensor, boxes: Tensor) -> Tensor:
        """(batch, channels, rows, columns) to add, of boxes (batch, peers, box channels, rows, columns)."""
        if not boxes.shape[1]:
            return torch.zeros_like(maps)
        best = boxes[:, :, :1].argmax(1, keepdim=True).expand(-1, -1, boxes.shape[2], -1, -1)
        chosen = boxes.gather(1, best)[:, 0]  # of the most certain peer, so that headings do not average out
        read = self.first(torch.cat([chosen, boxes.mean(1)], 1).to(maps.dtype))
        there = nn.functional.max_pool2d((boxes[:, :, 0].amax(1) > 0).to(maps.dtype)[:, None], 3, 1, 1)
        added: Tensor = self.third(self.second(torch.cat([read, maps], 1))) * there
        return added
