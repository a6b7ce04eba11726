"""Heads for an output at every pixel: linear, a light feature pyramid, UPerNet."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from skyweave.downstream.finetuning.models.encoder_features import EncodedMaps
from skyweave.downstream.finetuning.models.heads import Head, HeadInputs, Standardise

POOLED_SIDES = (1, 2, 3, 6)
"""Sides of the pooled maps of pyramid pooling, as published."""


class DenseHead(Head):
    """What the dense heads share: they read all maps, and their outputs are on the grid of pixels.

    Args:
        channels: of one map; every level has as many.
        levels: number of maps.
        patch: pixels per patch side.
    """

    def __init__(self, channels: int, levels: int, patch: int) -> None:
        super().__init__()
        self.levels, self.patch = levels, patch
        self.scale = Standardise(channels * levels)

    @override
    def inputs(self, encoded: EncodedMaps) -> HeadInputs:
        # (batch, levels * channels, rows, columns) of patches
        return (encoded.side_by_side(),)

    def to_pixels(self, maps: Tensor, shape: tuple[int, int], grid: torch.Size) -> Tensor:
        """Resample to pixels bilinearly; what was padded to whole patches is cut off.

        Args:
            maps: (batch, outputs, ...) of any resolution.
            shape: (rows, columns) of the images.
            grid: shape of the maps of patches.
        """
        size = (grid[-2] * self.patch, grid[-1] * self.patch)
        if maps.shape[-2:] != size:
            maps = functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)
        return maps[..., : shape[0], : shape[1]]


class LinearDense(DenseHead):
    """One matrix on every patch, then bilinear to pixels.

    Args:
        channels: of one map; every level has as many.
        levels: number of maps.
        patch: pixels per patch side.
        outputs: numbers a pixel.
    """

    def __init__(self, channels: int, levels: int, patch: int, outputs: int) -> None:
        super().__init__(channels, levels, patch)
        self.linear = nn.Conv2d(channels * levels, outputs, 1)
        nn.init.normal_(self.linear.weight, std=0.01)
        nn.init.zeros_(self.linear.bias)  # type: ignore[arg-type]

    @override
    def forward(self, inputs: HeadInputs, shape: tuple[int, int]) -> Tensor:
        # (batch, outputs, rows, columns) logits
        return self.to_pixels(self.linear(self.scale(inputs[0])), shape, inputs[0].shape)


class Pyramid(DenseHead):
    """The levels merged on the way from patches to pixels: deep ones first, shallower ones where it is finer.

    A light feature pyramid for plain ViTs, whose levels all have the patches' grid: each step doubles the resolution,
    adds the next shallower level and convolves. It ends at 2 to 3 pixels; the rest is bilinear, since convolutions on
    single pixels cost more than everything before and features of patches hold nothing finer.

    Args:
        channels: of one map; every level has as many.
        levels: number of maps.
        patch: pixels per patch side.
        outputs: numbers a pixel.
        width: channels inside.
    """

    def __init__(self, channels: int, levels: int, patch: int, outputs: int, width: int = 64) -> None:
        super().__init__(channels, levels, patch)
        self.laterals = nn.ModuleList(nn.Conv2d(channels, width, 1) for _ in range(levels))
        self.merge = convolution(width, width)
        steps = max(0, patch.bit_length() - 2)  # up to a stride of 2 or 3 pixels
        widths = [max(16, width >> step) for step in range(steps + 1)]
        self.finer = nn.ModuleList(convolution(widths[i], widths[i + 1]) for i in range(steps))
        self.skips = nn.ModuleList(nn.Conv2d(width, widths[i], 1) for i in range(min(steps, levels - 1)))
        self.output = nn.Conv2d(widths[-1], outputs, 1)
        nn.init.normal_(self.output.weight, std=0.01)

    @override
    def forward(self, inputs: HeadInputs, shape: tuple[int, int]) -> Tensor:
        # (batch, outputs, rows, columns) logits
        maps = self.scale(inputs[0]).chunk(self.levels, dim=1)
        laterals = [layer(values) for layer, values in zip(self.laterals, maps, strict=True)]
        merged = self.merge(torch.stack(laterals).sum(0))
        for number, finer in enumerate(self.finer):
            if number < len(self.skips):  # shallow levels are the sharp ones
                merged = merged + functional.interpolate(
                    self.skips[number](laterals[len(self.skips) - 1 - number]), size=merged.shape[-2:], mode="bilinear"
                )
            merged = finer(functional.interpolate(merged, scale_factor=2, mode="bilinear", align_corners=False))
        return self.to_pixels(self.output(merged), shape, inputs[0].shape)


class UPerNet(DenseHead):
    """Pyramid pooling on the deepest level and a feature pyramid of scales 4, 2, 1 and 1/2 (arXiv 1807.10221).

    A plain ViT's levels are brought to those scales by transposed convolutions and pooling, as ViT benchmarks do
    (arXiv 2204.02681 for detection, and the segmentation heads of DOFA and PANGAEA).

    Args:
        channels: of one map; every level has as many.
        levels: number of maps.
        patch: pixels per patch side.
        outputs: numbers a pixel.
        width: channels inside; 512 as published, fewer suffice for few labels.
    """

    def __init__(self, channels: int, levels: int, patch: int, outputs: int, width: int = 64) -> None:
        super().__init__(channels, levels, patch)
        self.used = min(4, levels)
        scales = (4, 2, 1, 0.5)[4 - self.used :]
        self.rescale = nn.ModuleList(_rescale(channels, width, scale) for scale in scales)
        self.pooled = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in POOLED_SIDES)
        self.bottleneck = convolution(width * (1 + len(POOLED_SIDES)), width)
        self.smooth = nn.ModuleList(convolution(width, width) for _ in range(self.used - 1))
        self.fuse = convolution(width * self.used, width)
        self.output = nn.Conv2d(width, outputs, 1)
        nn.init.normal_(self.output.weight, std=0.01)

    @override
    def forward(self, inputs: HeadInputs, shape: tuple[int, int]) -> Tensor:
        # (batch, outputs, rows, columns) logits
        maps = self.scale(inputs[0]).chunk(self.levels, dim=1)[-self.used :]
        scaled = [layer(values) for layer, values in zip(self.rescale, maps, strict=True)]
        top = scaled[-1]
        context = [
            functional.interpolate(
                layer(functional.adaptive_avg_pool2d(top, side)), top.shape[-2:], mode="bilinear", align_corners=False
            )
            for side, layer in zip(POOLED_SIDES, self.pooled, strict=True)
        ]
        scaled[-1] = self.bottleneck(torch.cat([top, *context], dim=1))
        for number in range(self.used - 2, -1, -1):
            above = functional.interpolate(
                scaled[number + 1], scaled[number].shape[-2:], mode="bilinear", align_corners=False
            )
            scaled[number] = scaled[number] + above
        smooth = [*(layer(values) for layer, values in zip(self.smooth, scaled, strict=False)), scaled[-1]]
        size = smooth[0].shape[-2:]
        level = [functional.interpolate(values, size, mode="bilinear", align_corners=False) for values in smooth]
        return self.to_pixels(self.output(self.fuse(torch.cat(level, dim=1))), shape, inputs[0].shape)


def convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return a convolution with group norm: batches are small here.

    Args:
        in_channels: of what it reads.
        out_channels: of what it gives.
    """
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.GroupNorm(_groups(out_channels), out_channels),
        nn.GELU(),
    )


def _groups(channels: int) -> int:
    return next(groups for groups in (8, 4, 2, 1) if channels % groups == 0)


def _rescale(channels: int, width: int, scale: float) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 1)]
    while scale > 1:
        layers += [nn.ConvTranspose2d(width, width, 2, stride=2), nn.GELU()]
        scale /= 2
    if scale < 1:
        layers.append(nn.AvgPool2d(2, ceil_mode=True))
    return nn.Sequential(*layers)
