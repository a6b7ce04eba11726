"""Where a token lies and how much ground it covers."""

from typing import Literal

import torch
from torch import Tensor, nn

GroundSampleDistanceMode = Literal["ignored", "embedded", "scaled"]

REFERENCE_PATCH_METRES = 80.0
"""Ground size of a patch whose places are unscaled in ``scaled`` mode: 8 pixels of 10 m."""


class Positions(nn.Module):
    """Places of patches for rotary attention, aware of the ground sample distance in a switchable way.

    ``ignored``: places count patches. ``embedded``: the same, and every token receives a learned function of
    log2(metres per patch). ``scaled``: places count multiples of 80 m instead of patches (the idea of Scale-MAE,
    arXiv 2212.14532). Published evidence is divided on whether the true resolution helps, hence the switch.

    Args:
        width: channels of a token.
        mode: see above.
    """

    def __init__(self, width: int, mode: GroundSampleDistanceMode = "embedded") -> None:
        super().__init__()
        self.width = width
        self.mode = mode
        self.ground = nn.Linear(32, width) if mode == "embedded" else None

    def coordinates(self, grid: tuple[int, int], metres_per_patch: Tensor) -> Tensor:
        """Return row and column of each patch, (batch, rows * columns, 2).

        Args:
            grid: (rows, columns) of patches.
            metres_per_patch: (batch,) ground size of a patch.
        """
        rows, columns = grid
        device = metres_per_patch.device
        row = torch.arange(rows, device=device, dtype=torch.float32).unsqueeze(1).expand(rows, columns)
        column = torch.arange(columns, device=device, dtype=torch.float32).expand(rows, columns)
        coordinates = torch.stack([row, column], dim=-1).flatten(0, 1).expand(metres_per_patch.shape[0], -1, -1)
        if self.mode == "scaled":
            coordinates = coordinates * (metres_per_patch / REFERENCE_PATCH_METRES).view(-1, 1, 1)
        return coordinates

    def forward(self, metres_per_patch: Tensor) -> Tensor:
        """Return what to add to every token of an image, (batch, 1, width).

        Args:
            metres_per_patch: (batch,) ground size of a patch.
        """
        if self.ground is None:
            return metres_per_patch.new_zeros(metres_per_patch.shape[0], 1, self.width)
        octaves = torch.log2(metres_per_patch.clamp(min=1e-3))
        added: Tensor = self.ground(sinusoidal_encoding(octaves, 32, longest=64.0, shortest=2.0))
        return added.unsqueeze(1)


def sinusoidal_encoding(values: Tensor, width: int, longest: float, shortest: float = 1.0) -> Tensor:
    """Return sines and cosines of numbers, (..., width), with scales geometric from the shortest to the longest.

    Args:
        values: (...) numbers.
        width: sines and cosines together.
        longest: scale, in units of the values.
        shortest: scale, in units of the values.
    """
    steps = torch.arange(width // 2, device=values.device, dtype=torch.float32) / (width // 2)
    angles = values.unsqueeze(-1).float() / (shortest * (longest / shortest) ** steps)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
