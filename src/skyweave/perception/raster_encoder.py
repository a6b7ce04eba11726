"""Orthorectified images to features on the map: the shared backbone, a neck of their own, resampling."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.backbone import Backbone, Features
from skyweave.core.geometry.grid import MapGrid
from skyweave.mapping import BEVFeatures, plan_raster, resample_raster
from skyweave.perception.balance import BalanceConfig, balance_images
from skyweave.perception.config import RasterConfig
from skyweave.perception.views import RasterGroup, RasterView

PROPERTIES = 5  # numbers by which an image tells what it is, see `encode_properties`
DAY_S = 86_400.0
NORM_GROUPS = 8


class RasterEncoder(nn.Module):
    """Features of orthorectified images, one a pixel, with what each image says of itself.

    A patch is several metres wide, a pixel may be less than a cell of the map: what patches average away comes in from
    the backbone's own tokenizer on single pixels, as in `skyweave.perception.neck.Neck`.

    Args:
        config: of the encoder.
        width: channels of a token.
        levels: number of encoder levels.
        outputs: channels of the map.
    """

    def __init__(self, config: RasterConfig, width: int, levels: int, outputs: int) -> None:
        super().__init__()
        self.config = config
        self.deep = nn.Conv2d(levels * width, config.channels, 1)
        self.detail = nn.Conv2d(width, config.channels, 1)
        self.refine = nn.Sequential(_convolution(config.channels), _convolution(config.channels))
        self.output = nn.Conv2d(config.channels, outputs, 1)
        self.properties = nn.Linear(PROPERTIES, outputs, bias=False)  # what is not known is 0, and adds nothing

    def forward(
        self, backbone: Backbone, group: RasterGroup, grids: Sequence[MapGrid], balance: BalanceConfig
    ) -> list[BEVFeatures]:
        """Return each image's features on the map of its sample.

        Args:
            backbone: of the model.
            group: images of one sensor, size and resolution.
            grids: of each image its map.
            balance: how exposure and colour are evened out.
        """
        patch_size = self.config.patch_size(group.views[0].observation.ground_sample_distance)
        images = balance_images(group.images, balance)
        encoded = self.encode(backbone(images, patch_size, detail=1, detail_head=self.detail), group.views)
        valid = group.images.valid.any(1)
        placed = []
        for view, features, mask, grid in zip(group.views, encoded, valid, grids, strict=True):
            plan = plan_raster(view.geometry, view.observation.shape, grid, device=features.device)
            placed.append(resample_raster(features.float(), plan, mask))
        return placed

    def encode(self, features: Features, views: Sequence[RasterView]) -> Tensor:
        """Return (images, outputs, rows, columns), one feature a pixel.

        Args:
            features: of the backbone, with a detail of single pixels through ``self.detail``.
            views: of the images.
        """
        assert features.detail is not None  # asked for in `forward`
        joined = torch.unflatten(features.concatenated_levels().transpose(1, 2), 2, features.grid)
        rows, columns = features.detail.shape[-2:]
        size = [side * round(features.patch_size) for side in features.grid]  # images were padded to whole patches
        deep = functional.interpolate(self.deep(joined), size, mode="bilinear", align_corners=False)
        mixed = deep[..., :rows, :columns] + features.detail
        output = self.output(self.refine(mixed.contiguous(memory_format=torch.channels_last)))
        known = torch.stack([encode_properties(view) for view in views]).to(output)
        encoded: Tensor = output + self.properties(known)[..., None, None]
        return encoded


def _convolution(channels: int) -> nn.Sequential:
    """A 3x3 convolution, group norm and ReLU.

    No batch norm: images of 1 m and of 10 m are different batches of different statistics, and its running ones would
    fit neither.
    """
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
        nn.GroupNorm(math.gcd(channels, NORM_GROUPS), channels),
        nn.ReLU(inplace=True),
    )


def encode_properties(view: RasterView) -> Tensor:
    """Return (PROPERTIES,) what an image says of itself, each about 0 to 1: resolution, age, and how sure its place is.

    Age and place are two numbers each, the second 1 where they are known; both are 0 where they are not.

    Args:
        view: of the image.
    """
    resolution = math.log2(view.observation.ground_sample_distance) / 4
    return torch.tensor([resolution, *_logarithm(view.age, DAY_S, 6.0), *_logarithm(view.position_std, 1.0, 3.0)])


def _logarithm(value: float | None, unit: float, span: float) -> tuple[float, float]:
    """Return the logarithm of 1 and a value in a unit, over a span, and that it is known."""
    return (0.0, 0.0) if value is None else (math.log1p(max(value, 0.0) / unit) / span, 1.0)
