"""Masked autoencoders' encoders: MAE (arXiv 2111.06377), SatMAE (arXiv 2207.08051) and Prithvi-EO (arXiv 2310.18660,
2412.02732), one date at a time.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.backbone.batch import SensorBatch
from skyweave.backbone.positions import sinusoidal_encoding
from skyweave.backbone.pretrained.position_tables import resize_positions
from skyweave.backbone.pretrained.vision_transformer import PublishedConfig, PublishedEncoder
from skyweave.core.sensors.sensor import Sensor

SATMAE_GROUPS = ((0, 1, 2, 6), (3, 4, 5, 7), (8, 9))
"""Channels of SatMAE's three patch embeddings: the 10 m bands, the red edge, the short-wave infrared."""


class Projection(nn.Module):
    """Embed patches by one linear map of their pixels.

    Args:
        channels: of the images.
        config: shape of the encoder.
    """

    def __init__(self, channels: int, config: PublishedConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, config.width, config.patch_size, config.patch_size)

    def forward(self, images: Tensor) -> Tensor:
        """Return patch embeddings, (batch, patches, width).

        Args:
            images: (batch, channels, rows, columns), whole patches.
        """
        result: Tensor = self.proj(images).flatten(2).transpose(1, 2)
        return result


class MAE(PublishedEncoder):
    """Encode images as a masked autoencoder does; its position table is resized for images of other sizes.

    Args:
        config: its shape.
        sensor: its bands are the channels.
        norm_after_mean: the norm belongs behind the mean of the tokens.
    """

    def __init__(self, config: PublishedConfig, sensor: Sensor, norm_after_mean: bool = False) -> None:
        super().__init__(config, sensor, norm_after_mean)
        self.patch_embed = Projection(len(sensor), config)
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + config.side**2, config.width))

    def tokenise(
        self, images: Tensor, grid: tuple[int, int], batch: SensorBatch | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return patch embeddings, positions to add to them, and the class token with its position.

        Args:
            images: (batch, channels, rows, columns), normalised, whole patches.
            grid: (rows, columns) of patches.
            batch: not used.
        """
        positions = resize_positions(self.pos_embed, self.config.side, grid)
        return self.patch_embed(images), positions[:, 1:], self.cls_token + positions[:, :1]


class SatMAE(PublishedEncoder):
    """The group-channel variant: every group of channels has a patch embedding and tokens of its own.

    Positions fill the first channels of a token, the group's embedding the rest. As published, values are limited to
    two standard deviations and mapped to 0 to 1; the rounding to 8 bits of its data pipeline is left out.

    Args:
        config: its shape.
        sensor: its bands are the channels.
        groups: channels of each group.
        channel_width: channels of a token that encode its group.
        norm_after_mean: the norm belongs behind the mean of the tokens.
    """

    def __init__(
        self,
        config: PublishedConfig,
        sensor: Sensor,
        groups: tuple[tuple[int, ...], ...] = SATMAE_GROUPS,
        channel_width: int = 256,
        norm_after_mean: bool = False,
    ) -> None:
        super().__init__(config, sensor, norm_after_mean)
        self.groups = groups
        self.patch_embed = nn.ModuleList(Projection(len(group), config) for group in groups)
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + config.side**2, config.width - channel_width))
        self.channel_embed = nn.Parameter(torch.zeros(1, len(groups), channel_width))
        self.channel_cls_embed = nn.Parameter(torch.zeros(1, 1, channel_width))

    def normalise(self, pixels: Tensor, valid: Tensor, sensor: Sensor) -> Tensor:
        """Map pixels to 0 to 1, from two standard deviations below the mean to two above.

        Args:
            pixels: (batch, bands, rows, columns) in the bands' units.
            valid: same shape, bool.
            sensor: its bands are the channels.
        """
        return super().normalise(pixels, valid, sensor).clamp(-2, 2) / 4 + 0.5

    def tokenise(
        self, images: Tensor, grid: tuple[int, int], batch: SensorBatch | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return patch embeddings, positions to add to them, and the class token with its position.

        Args:
            images: (batch, channels, rows, columns), normalised, whole patches.
            grid: (rows, columns) of patches.
            batch: not used.
        """
        stems = [embed(images[:, list(group)]) for embed, group in zip(self.patch_embed, self.groups, strict=True)]
        positions = resize_positions(self.pos_embed, self.config.side, grid)
        coordinates = positions[:, 1:].repeat(1, len(self.groups), 1)
        kinds = self.channel_embed.repeat_interleave(grid[0] * grid[1], dim=1)
        start = self.cls_token + torch.cat([positions[:, :1], self.channel_cls_embed], dim=-1)
        return torch.cat(stems, dim=1), torch.cat([coordinates, kinds], dim=-1), start


class Prithvi(PublishedEncoder):
    """Encode one date as Prithvi-EO 1 and 2 do: patches are volumes of one frame, positions fixed in time and space.

    Acquisition time and place, which the TL variants can read, are left out, as their authors do at random.

    Args:
        config: its shape.
        sensor: its bands are the channels.
    """

    positions: Tensor

    def __init__(self, config: PublishedConfig, sensor: Sensor) -> None:
        super().__init__(config, sensor)
        self.patch_embed = Projection(len(sensor), config)
        self.register_buffer("positions", first_frame_positions(config.side, config.width), persistent=False)

    def tokenise(
        self, images: Tensor, grid: tuple[int, int], batch: SensorBatch | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return patch embeddings, positions to add to them, and the class token with its position.

        Args:
            images: (batch, channels, rows, columns), normalised, whole patches.
            grid: (rows, columns) of patches.
            batch: not used.
        """
        side, table = self.config.side, self.positions
        if grid != (side, side):  # corners stay on corners, unlike in MAE
            square = table.transpose(1, 2).unflatten(2, (side, side))
            resized = functional.interpolate(square, size=grid, mode="bicubic", align_corners=True)
            table = resized.flatten(2).transpose(1, 2)
        return self.patch_embed(images), table, self.cls_token


def first_frame_positions(side: int, width: int) -> Tensor:
    """Return sines and cosines of column, row and frame (0), (1, side * side, width), sharing the width as 6 : 6 : 4.

    Args:
        side: patches per side.
        width: channels of a token.
    """
    row = torch.arange(side, dtype=torch.float32).repeat_interleave(side)
    column = torch.arange(side, dtype=torch.float32).repeat(side)
    part = width // 16
    codes = [
        sinusoidal_encoding(place, part * share, longest=10_000.0)
        for place, share in ((column, 6), (row, 6), (torch.zeros_like(row), 4))
    ]
    return torch.cat(codes, dim=1).unsqueeze(0)
