"""Tables of positions, one row a patch of a square image and one for the class token."""

import torch
from torch import Tensor
from torch.nn import functional

from skyweave.backbone.positions import sinusoidal_encoding


def fixed_positions(side: int, width: int) -> Tensor:
    """(1, 1 + side * side, width): zeros for the class token, then column and row codes (MAE, arXiv 2111.06377)."""
    row = torch.arange(side, dtype=torch.float32).repeat_interleave(side)
    column = torch.arange(side, dtype=torch.float32).repeat(side)
    codes = [sinusoidal_encoding(place, width // 2, longest=10_000.0) for place in (column, row)]
    return torch.cat([torch.zeros(1, width), torch.cat(codes, dim=1)]).unsqueeze(0)


def resize_positions(table: Tensor, side: int, grid: tuple[int, int]) -> Tensor:
    """The position table (1, 1 + side * side, width) for another grid of patches, bicubic; the class token's stays."""
    if grid == (side, side):
        return table
    square = table[:, 1:].transpose(1, 2).unflatten(2, (side, side))
    resized = functional.interpolate(square, size=grid, mode="bicubic", align_corners=False, antialias=True)
    return torch.cat([table[:, :1], resized.flatten(2).transpose(1, 2)], dim=1)
