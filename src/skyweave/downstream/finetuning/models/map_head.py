"""A head that fuses several sensors on the map, by the modules with which drones are fused there."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from skyweave.core.geometry.grid import MapGrid
from skyweave.core.observation import GeoTransform
from skyweave.downstream.finetuning.models.dense_heads import DenseHead, convolution
from skyweave.downstream.finetuning.models.encoder_features import EncodedMaps
from skyweave.downstream.finetuning.models.heads import HeadInputs, Standardise
from skyweave.mapping import build_fusion, plan_raster, resample_raster


@dataclass(frozen=True)
class MapHeadShape:
    """What a map head is made of.

    Attributes:
        channels: of one map of one source.
        levels: number of maps of a source.
        patch: pixels per patch side of the first source.
        sources: how many sensors there are.
        outputs: numbers a pixel.
        width: channels of the map.
    """

    channels: int
    levels: int
    patch: int
    sources: int
    outputs: int
    width: int


class MapHead(DenseHead):
    """Sources placed on one map, fused there, and read off it; any of them may be missing.

    The map's cells are the patches of the first source. Features of others are resampled onto them
    (`skyweave.mapping.resample_raster`), each source has a neck of its own, and the fusion takes sources as it takes
    platforms: it ignores those that are absent, cell by cell.

    Args:
        shape: sizes.
        fusion: a name in `skyweave.mapping.FUSIONS`.
    """

    takes_any_sources = True

    def __init__(self, shape: MapHeadShape, fusion: str) -> None:
        super().__init__(shape.channels, shape.levels, shape.patch)
        inputs, width = shape.channels * shape.levels, shape.width
        self.scale = Standardise(inputs * shape.sources)
        self.necks = nn.ModuleList(nn.Sequential(nn.Conv2d(inputs, width, 1), nn.GELU()) for _ in range(shape.sources))
        self.fusion = build_fusion(fusion, width)
        self.refine = convolution(width, width)
        self.output = nn.Conv2d(width, shape.outputs, 1)
        nn.init.normal_(self.output.weight, std=0.01)

    @override
    def inputs(self, encoded: EncodedMaps) -> HeadInputs:
        # (batch, sources * levels * channels, rows, columns) on the map, and (batch, sources, rows, columns) visible
        placed = [_place(part, encoded.parts[0]) for part in encoded.parts]
        return torch.cat([features for features, _ in placed], 1), torch.stack([seen for _, seen in placed], 1)

    @override
    def leave_out(self, inputs: HeadInputs, kept: Tensor) -> HeadInputs:
        features, visible = inputs
        return features, visible & kept.to(visible.device)[:, :, None, None]

    @override
    def forward(self, inputs: HeadInputs, shape: tuple[int, int]) -> Tensor:
        # (batch, outputs, rows, columns) logits
        features, visible = inputs
        parts = self.scale(features).chunk(len(self.necks), 1)
        maps = torch.stack([neck(part) for neck, part in zip(self.necks, parts, strict=True)], 1)
        fused = self.refine(self.fusion(maps, visible))
        return self.to_pixels(self.output(fused), shape, features.shape)


def _place(part: EncodedMaps, first: EncodedMaps) -> tuple[Tensor, Tensor]:
    """Return features and visibility of a source on the patches of the first."""
    features, size, target = part.side_by_side(), part.valid.shape[1:], first.valid.shape[1:]
    if (size, part.metres) == (target, first.metres):
        return features, part.valid
    grid = MapGrid(0, 0, first.metres, target[0], target[1])
    geometry = GeoTransform(None, (part.metres, 0.0, 0.0, 0.0, -part.metres, 0.0))
    plan = plan_raster(geometry, (size[0], size[1]), grid, device=features.device)
    placed = [resample_raster(one.float(), plan, seen) for one, seen in zip(features, part.valid, strict=True)]
    return torch.stack([one.features for one in placed]), torch.stack([one.visible for one in placed])
