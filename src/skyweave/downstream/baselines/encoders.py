"""Baselines in a backbone's place: features that nothing was learned for, scored by the same head and training.

Frozen features of a large model are worth what they add to these (Corley et al. 2024, arXiv 2305.13456, make the same
point). Both give one map; their head is the one that the frozen backbone gets.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from skyweave.backbone import Features
from skyweave.backbone.backbone import MAX_DEVIATIONS
from skyweave.backbone.batch import SensorBatch
from skyweave.backbone.patches import pad_to_patches

NORM_CONSTANT = 30.0
"""Heads normalise each token over its channels. Beside two constants of this size, values pass that unchanged."""
DEFAULT_PATCH_SIZE = 8


class Baseline(nn.Module):
    """A map of simple features of every patch, in the form that backbones have.

    Args:
        patch_size: pixels per patch side where none is asked for.
    """

    def __init__(self, patch_size: int = DEFAULT_PATCH_SIZE) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.device_anchor = nn.Parameter(torch.zeros(1), requires_grad=False)  # says which device it is on

    def forward(self, batch: SensorBatch, patch_size: int | None = None) -> Features:
        """Return features of images of one sensor and size.

        Args:
            batch: of images.
            patch_size: pixels per patch side; None: its own.
        """
        size = patch_size or self.patch_size
        pixels, valid, grid = pad_to_patches(batch, size)
        means = torch.as_tensor(batch.sensor.means).view(-1, 1, 1).to(pixels)
        stds = torch.as_tensor(batch.sensor.stds).view(-1, 1, 1).to(pixels)
        values = ((pixels - means) / stds).clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS) * valid
        maps = self.features(values, valid, size)
        usable = functional.max_pool2d(valid.any(1, keepdim=True).to(values), size)[:, 0].flatten(1) > 0
        tokens = maps.flatten(2).transpose(1, 2)
        constant = tokens.new_tensor([NORM_CONSTANT, -NORM_CONSTANT]).expand(*tokens.shape[:2], 2)
        tokens = torch.cat([tokens, -tokens, constant], dim=-1) * usable.unsqueeze(-1)
        return Features(tokens, usable, grid, (), tokens, size)

    def features(self, values: Tensor, valid: Tensor, size: int) -> Tensor:
        """Return (batch, channels, rows, columns) of patches.

        Args:
            values: (batch, bands, height, width) normalised pixels, zero where not valid.
            valid: (batch, bands, height, width) bool.
            size: pixels per patch side.
        """
        raise NotImplementedError


class BandStatistics(Baseline):
    """Mean and standard deviation of each band over a patch's valid pixels."""

    @override
    def features(self, values: Tensor, valid: Tensor, size: int) -> Tensor:
        # means, then standard deviations of the bands
        share = functional.avg_pool2d(valid.to(values), size).clamp(min=1e-6)
        mean = functional.avg_pool2d(values, size) / share
        square = functional.avg_pool2d(values**2, size) / share
        return torch.cat([mean, (square - mean**2).clamp(min=0).sqrt()], dim=1)


class RandomConvolutions(Baseline):
    """Random filters of 5 x 5 pixels over all bands, rectified and averaged over a patch, both signs.

    Args:
        patch_size: pixels per patch side where none is asked for.
        filters: how many.
        seed: of the filters.
    """

    def __init__(self, patch_size: int = DEFAULT_PATCH_SIZE, filters: int = 128, seed: int = 0) -> None:
        super().__init__(patch_size)
        self.filters, self.seed = filters, seed

    @override
    def features(self, values: Tensor, valid: Tensor, size: int) -> Tensor:
        # the positive, then the negative part of each response
        bands = values.shape[1]
        generator = torch.Generator().manual_seed(self.seed * 1009 + bands)
        weight = torch.randn(self.filters, bands, 5, 5, generator=generator).to(values) / (25 * bands) ** 0.5
        bias = torch.randn(self.filters, generator=generator).to(values) * 0.5
        edge = "reflect" if min(values.shape[-2:]) > 2 else "replicate"  # a side of two pixels has no two to reflect
        response = functional.conv2d(functional.pad(values, (2, 2, 2, 2), mode=edge), weight, bias)
        parts = response.relu(), (-response).relu()
        return torch.cat([functional.avg_pool2d(part, size) for part in parts], 1)


BASELINES: dict[str, type[Baseline]] = {"statistics": BandStatistics, "random-convolutions": RandomConvolutions}
"""Baselines by the names that tables give them."""
