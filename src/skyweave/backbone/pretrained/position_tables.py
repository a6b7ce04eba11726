"""Tables of positions, one row a patch of a square image and one for the class token."""

import torch
from torch import Tensor
from torch.nn import functional

from skyweave.backbone.positions import sinusoidal_encoding


def fixed_positions(side: int, width: int) -> Tensor:
    """Return zeros for the class token, then codes of column and row: (1, 1 + side * side, width) (MAE, arXiv
    2111.06377).

    Args:
        side: patches per side.
        width: channels of a token.
    """
    row = torch.arange(side, dtype=torch.float32).repeat_interleave(side)
    column = torch.arange(side, dtype=torch.float32).repeat(side)
    codes = [sinusoidal_encoding(place, width // 2, longest=10_000.0) for place in (column, row)]
    return torch.cat([torch.zeros(1, width), torch.cat(codes, dim=1)]).unsqueeze(0)


def resize_positions(table: Tensor, side: int, grid: tuple[int, int]) -> Tensor:
    """Return a table of positions for another grid of patches, bicubic; the class token's stays.

    Args:
        table: (1, 1 + side * side, width).
        side: patches per side of the table.
        grid: (rows, columns) of patches.
    """
    if grid == (side, side):
        return table
    square = table[:, 1:].transpose(1, 2).unflatten(2, (side, side))
    resized = functional.interpolate(square, size=grid, mode="bicubic", align_corners=False, antialias=True)
    return torch.cat([table[:, :1], resized.flatten(2).transpose(1, 2)], dim=1)
