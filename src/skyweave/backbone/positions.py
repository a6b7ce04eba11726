"""Where a token lies and how much ground it covers."""

from typing import Literal

import torch
from torch import Tensor, nn

GroundSampleDistanceMode = Literal["ignored", "embedded", "scaled"]

REFERENCE_PATCH_METRES = 80.0
"""Ground size of a patch whose positions are unscaled in ``scaled`` mode: 8 pixels of 10 m."""


class Positions(nn.Module):
    """Sine-cosine positions of patches, aware of the ground sample distance in a switchable way.

    ``ignored``: positions count patches. ``embedded``: the same, and every token receives a learned function of
    log2(metres per patch). ``scaled``: positions count multiples of 80 m instead of patches (Scale-MAE,
    arXiv 2212.14532). Published evidence is divided on whether the true resolution helps, hence the switch.

    Args:
        width: channels of a token, a multiple of 4.
        mode: see above.
    """

    def __init__(self, width: int, mode: GroundSampleDistanceMode = "embedded") -> None:
        super().__init__()
        if width % 4:
            raise ValueError(f"token width {width} must be a multiple of 4 for two-dimensional sine-cosine positions")
        self.width = width
        self.mode = mode
        self.ground = nn.Linear(32, width) if mode == "embedded" else None

    def forward(self, grid: tuple[int, int], metres_per_patch: Tensor) -> Tensor:
        """(batch, rows * columns, width) for a grid of patches of (batch,) metres on the ground."""
        rows, columns = grid
        device = metres_per_patch.device
        row = torch.arange(rows, device=device, dtype=torch.float32).repeat_interleave(columns)
        column = torch.arange(columns, device=device, dtype=torch.float32).repeat(rows)
        coordinates = torch.stack([row, column]).unsqueeze(0)
        if self.mode == "scaled":
            coordinates = coordinates * (metres_per_patch / REFERENCE_PATCH_METRES).view(-1, 1, 1)
        encoded = sine_cosine(coordinates, self.width // 2, longest=10_000.0)
        positions = torch.cat([encoded[:, 0], encoded[:, 1]], dim=-1)
        if self.ground is not None:
            octaves = torch.log2(metres_per_patch.clamp(min=1e-3))
            features = sine_cosine(octaves, 32, longest=64.0, shortest=2.0)
            positions = positions + self.ground(features).unsqueeze(1)
        return positions.expand(len(metres_per_patch), -1, -1)


def sine_cosine(values: Tensor, width: int, longest: float, shortest: float = 1.0) -> Tensor:
    """(..., width) sines and cosines of (...) values, scales geometric from ``shortest`` to ``longest``."""
    steps = torch.arange(width // 2, device=values.device, dtype=torch.float32) / (width // 2)
    angles = values.unsqueeze(-1).float() / (shortest * (longest / shortest) ** steps)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
