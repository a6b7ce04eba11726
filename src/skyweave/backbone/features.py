"""What a backbone returns: tokens on a grid, and the readouts people ask for."""

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Features:
    """Features of a batch of images of one size.

    Attributes:
        tokens: (batch, rows * columns, channels), the encoder's last output, normalised and, where the weights have a
            whitening, whitened; zero where not valid.
        valid: (batch, rows * columns) bool, False where a patch holds no valid pixel.
        grid: (rows, columns) of patches.
        levels: the outputs after a quarter, half, three quarters and all of the blocks, each
            (batch, rows * columns, channels), before the final norm.
        stem: (batch, rows * columns, channels), the patch embedding, before positions and blocks.
        patch_size: pixels per patch side.
        detail: (batch, channels, finer rows, finer columns), the embedding of smaller patches as a map, through
            a convolution where one was given, where it was asked for.
    """

    tokens: Tensor
    valid: Tensor
    grid: tuple[int, int]
    levels: tuple[Tensor, ...]
    stem: Tensor
    patch_size: int
    detail: Tensor | None = field(default=None, kw_only=True)

    @property
    def pooled(self) -> Tensor:
        """(batch, channels): mean over valid patches; zero for an image without any."""
        weight = self.valid.unsqueeze(-1).to(self.tokens.dtype)
        return (self.tokens * weight).sum(1) / weight.sum(1).clamp(min=1)

    def dense(self) -> Tensor:
        """(batch, channels, rows, columns): the last output as a map, row 0 north."""
        return self._as_map(self.tokens)

    def level_maps(self) -> list[Tensor]:
        """Each level as (batch, channels, rows, columns), shallow to deep."""
        return [self._as_map(level) for level in self.levels]

    def _as_map(self, tokens: Tensor) -> Tensor:
        result: Tensor = tokens.transpose(1, 2).unflatten(2, self.grid).contiguous()
        return result

    def concatenated_levels(self) -> Tensor:
        """(batch, rows * columns, 4 * channels): all levels side by side, each layer-normalised without weights."""
        return torch.cat([torch.nn.functional.layer_norm(level, level.shape[-1:]) for level in self.levels], dim=-1)
