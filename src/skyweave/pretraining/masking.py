"""Masked views of images: what the encoder sees of a training image, and what stays hidden from it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from skyweave.backbone.backbone import Backbone, Patches
from skyweave.backbone.batch import SensorBatch
from skyweave.core.errors import ConfigError


@dataclass(frozen=True)
class MaskingConfig:
    """How views of an image are made; every view is drawn anew.

    Attributes:
        ratios: share of the patches that each view hides from the encoder; as many views are made of every image.
        band_dropout: largest share of an image's bands hidden from a view (drawn uniformly from zero to it, the same
            for a batch), so that the encoder learns how bands go together.
        coarsening: factors of which one coarsens each view after the first (means of factor x factor pixels, with the
            ground sample distance that goes with them), so that features of one ground at several resolutions can
            be compared; 1 leaves it.
        missing: largest share of an image's pixels that are missing (a cloud, the edge of a swath) in each view after
            the first, drawn uniformly from zero to it; the share is missing on one side of a random line.
        radiometric_noise: standard deviation of a gain (log) and of an offset (in standard deviations of the band)
            of each band in each view after the first: calibration, haze and light differ between two looks.

    Raises:
        ConfigError: a ratio or share outside 0 to 1, no view, or a factor below 1.
    """

    ratios: tuple[float, ...] = (0.5, 0.75)
    band_dropout: float = 0.5
    coarsening: tuple[int, ...] = (1, 1, 2, 3)
    missing: float = 0.3
    radiometric_noise: float = 0.1

    def __post_init__(self) -> None:
        if not self.ratios or not all(0 <= ratio < 1 for ratio in self.ratios):
            raise ConfigError(f"masking.ratios is {list(self.ratios)}, must be a list of at least 0 and below 1 each")
        for name in ("band_dropout", "missing"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"masking.{name} is {getattr(self, name)}, must be at least 0 and below 1")
        if not self.coarsening or min(self.coarsening) < 1:
            raise ConfigError(f"masking.coarsening is {self.coarsening}, must be factors of at least 1")


@dataclass(frozen=True)
class MaskedView:
    """One view of the images of a batch.

    Attributes:
        patches: all of them, with every band.
        input_patches: the same, with hidden bands removed (the encoder's input).
        visible: (batch, visible) indices that the encoder sees.
        visible_valid: (batch, visible) bool; False fills up the rows of images with few usable patches.
        hidden: (batch, hidden) indices of the others; where an image has fewer usable ones, some stand twice.
    """

    patches: Patches
    input_patches: Patches
    visible: Tensor
    visible_valid: Tensor
    hidden: Tensor


@dataclass(frozen=True)
class EncodedView:
    """A masked view and what the encoder made of it.

    Attributes:
        view: which patches were seen.
        tokens: (batch, visible, width) float, the encoder's last output; undefined where not ``visible_valid``.
    """

    view: MaskedView
    tokens: Tensor


def draw_views(
    backbone: Backbone, batch: SensorBatch, patch_size: int, config: MaskingConfig, generator: torch.Generator
) -> list[MaskedView]:
    """Return the masked views of a batch.

    Args:
        backbone: that normalises and cuts into patches.
        batch: images of one sensor and size.
        patch_size: pixels per patch side.
        config: of the views.
        generator: source of all randomness.
    """
    views = []
    for number, ratio in enumerate(config.ratios):
        varied = batch if number == 0 else vary(backbone, batch, patch_size, config, generator)
        views.append(mask_patches(backbone.patches(varied, patch_size), ratio, config.band_dropout, generator))
    return views


def vary(
    backbone: Backbone, batch: SensorBatch, patch_size: int, config: MaskingConfig, generator: torch.Generator
) -> SensorBatch:
    """Return another look at the same ground: coarser, with other radiometry, and with pixels missing.

    Args:
        backbone: that knows the bands' standard deviations.
        batch: images of one sensor and size.
        patch_size: pixels per patch side; the coarsened image has whole patches.
        config: of the views.
        generator: source of all randomness.
    """
    factor = _draw_factor(config.coarsening, batch.pixels.shape[-1] // patch_size, generator)
    varied = coarsen(batch, factor)
    if config.radiometric_noise > 0:
        _, stds = backbone.statistics(batch.sensor)
        varied = _change_radiometry(varied, stds.to(varied.pixels), config.radiometric_noise, generator)
    if config.missing > 0:
        gone = _beyond_a_line(varied, config.missing, generator).to(varied.valid.device)
        varied = replace(varied, valid=varied.valid & ~gone.unsqueeze(1))
    return varied


def _draw_factor(factors: Sequence[int], extent: int, generator: torch.Generator) -> int:
    """Return one of the factors that leave whole patches, and two a side at least; 1 if there is none."""
    possible = [factor for factor in factors if extent % factor == 0 and extent >= 2 * factor] or [1]
    return possible[int(torch.randint(len(possible), (), generator=generator))]


def _change_radiometry(batch: SensorBatch, stds: Tensor, noise: float, generator: torch.Generator) -> SensorBatch:
    """Give every band of every image a gain and an offset."""
    shape = (len(batch), len(batch.sensor), 1, 1)
    gain, offset = (torch.randn(shape, generator=generator).to(batch.pixels) * noise for _ in range(2))
    return replace(batch, pixels=batch.pixels * gain.exp() + offset * stds)


def coarsen(batch: SensorBatch, factor: int) -> SensorBatch:
    """Return images of a coarser ground sample distance: means over the valid pixels of blocks.

    Args:
        batch: images whose sides are multiples of the factor.
        factor: pixels per side of a block.
    """
    if factor == 1:
        return batch
    weight = batch.valid.float()
    share = functional.avg_pool2d(weight, factor)
    pixels = functional.avg_pool2d(batch.pixels * weight, factor) / share.clamp(min=1e-6)
    return replace(
        batch,
        pixels=pixels,
        valid=share >= 0.5,
        ground_sample_distance=batch.ground_sample_distance * factor,
    )


def mask_patches(patches: Patches, ratio: float, band_dropout: float, generator: torch.Generator) -> MaskedView:
    """Choose at random which patches and bands the encoder sees.

    Args:
        patches: of images of one sensor and size.
        ratio: share of the patches that are hidden.
        band_dropout: largest share of the bands that are hidden.
        generator: source of all randomness.
    """
    usable = patches.usable
    # Usable patches in random order, then those without any valid pixel, which nobody sees or asks for.
    order = (torch.rand(usable.shape, generator=generator).to(usable.device) + 2.0 * ~usable).argsort(dim=1)
    visible_count = (usable.sum(1) * (1 - ratio)).round().clamp(min=1).long()
    longest = torch.arange(int(visible_count.max()), device=order.device)
    slots = torch.arange(max(1, int((usable.sum(1) - visible_count).max())), device=order.device)
    hidden = order.gather(1, (visible_count[:, None] + slots).clamp(max=order.shape[1] - 1))
    visible = order[:, : len(longest)]
    visible_valid = (longest < visible_count[:, None]) & usable.gather(1, visible)
    return MaskedView(patches, _drop_bands(patches, band_dropout, generator), visible, visible_valid, hidden)


def sample_hidden(view: MaskedView, share: float) -> Tensor:
    """Return (batch, queries) indices of some of the hidden patches, which are in random order already.

    Args:
        view: of a batch.
        share: of the hidden patches.
    """
    return view.hidden[:, : max(1, round(view.hidden.shape[1] * share))]


def _drop_bands(patches: Patches, dropout: float, generator: torch.Generator) -> Patches:
    bands = len(patches.sensor)
    if dropout == 0 or bands < 2:
        return patches
    share = float(torch.rand((), generator=generator)) * dropout
    kept = torch.randperm(bands, generator=generator)[: max(1, round(bands * (1 - share)))].sort().values
    return patches.select_bands(kept)


def _beyond_a_line(batch: SensorBatch, share: float, generator: torch.Generator) -> Tensor:
    """Return (batch, rows, columns) bool: pixels beyond a line of random direction, up to a share of each image."""
    rows, columns = batch.pixels.shape[-2:]
    row, column = torch.meshgrid(torch.linspace(-1, 1, rows), torch.linspace(-1, 1, columns), indexing="ij")
    angle, level = (torch.rand((len(batch), 1, 1), generator=generator) for _ in range(2))
    projection = row * (2 * torch.pi * angle).sin() + column * (2 * torch.pi * angle).cos()
    limits = torch.stack(
        [
            torch.quantile(one.flatten(), 1 - share * float(part))
            for one, part in zip(projection, level.flatten(), strict=True)
        ]
    )
    return projection > limits.view(-1, 1, 1)


def visible_cells(view: MaskedView, cells: int) -> Tensor:
    """Return (batch, visible) the cell of a ``cells`` x ``cells`` grid over the image that each visible patch lies in.

    Args:
        view: of a batch.
        cells: per side of the image.
    """
    rows, columns = view.patches.grid
    row, column = view.visible // columns, view.visible % columns
    return (row * cells // rows) * cells + column * cells // columns


def mean_in_cells(tokens: Tensor, view: MaskedView, cells: int) -> tuple[Tensor, Tensor]:
    """Return the means of a view's tokens in the cells of a grid over the image.

    Args:
        tokens: (batch, visible, width).
        view: that they are of.
        cells: per side of the image.

    Returns:
        (batch, cells * cells, width), zero for a cell without tokens, and (batch, cells * cells) bool.
    """
    weight = view.visible_valid.to(tokens.dtype)
    index = visible_cells(view, cells)
    counts = torch.zeros(len(tokens), cells * cells, dtype=tokens.dtype, device=tokens.device)
    counts = counts.scatter_add(1, index, weight)
    sums = tokens.new_zeros(len(tokens), cells * cells, tokens.shape[-1])
    sums = sums.scatter_add(1, index.unsqueeze(-1).expand_as(tokens), tokens * weight.unsqueeze(-1))
    return sums / counts.clamp(min=1).unsqueeze(-1), counts > 0
