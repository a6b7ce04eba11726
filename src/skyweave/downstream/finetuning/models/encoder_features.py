"""What a head reads: the backbone's levels as maps, of one observation or of several of the same ground."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from skyweave.backbone import Features
from skyweave.backbone.batch import SensorBatch


class BatchEncoder(Protocol):
    """Whatever encodes images of a sensor: Skyweave's backbone, or published encoders behind the same interface."""

    def __call__(self, batch: SensorBatch, patch_size: int | None = None) -> Features:
        """Return the features of a batch.

        Args:
            batch: of one sensor and size.
            patch_size: pixels per patch side; None: the encoder's own.
        """
        ...


@dataclass(frozen=True)
class EncodedMaps:
    """Maps of a batch.

    Attributes:
        maps: shallow to deep, each (batch, channels, rows, columns) of patches; zero where not valid.
        valid: (batch, rows, columns) bool, patches that hold a valid pixel of any observation.
        shape: (rows, columns) of the image in pixels.
        patch: pixels per patch side.
    """

    maps: tuple[Tensor, ...]
    valid: Tensor
    shape: tuple[int, int]
    patch: int

    def side_by_side(self) -> Tensor:
        """Return (batch, levels * channels, rows, columns)."""
        return torch.cat(self.maps, dim=1)


def encode_observations(
    backbone: BatchEncoder,
    batches: Sequence[SensorBatch],
    patch_size: int | None,
    readout: Literal["levels", "last"],
    dates: bool = False,
) -> EncodedMaps:
    """Encode every observation of a sample with the same weights and lay the maps side by side.

    Args:
        backbone: encodes images.
        batches: one an observation, all of the same ground, samples in the same order.
        patch_size: pixels per patch side; None: the encoder's own.
        readout: patch embedding and four depths, or the last output.
        dates: the two observations are two dates: how far they are apart, whichever way, is laid beside them, as in
            FC-Siam-diff (Daudt et al. 2018, arXiv 1810.08462). A linear head could tell no change from another without.
    """
    shape = (batches[0].pixels.shape[-2], batches[0].pixels.shape[-1])
    return join_features([backbone(batch, patch_size) for batch in batches], shape, readout, dates)


def join_features(
    features: Sequence[Features], shape: tuple[int, int], readout: Literal["levels", "last"], dates: bool = False
) -> EncodedMaps:
    """Lay the maps of a sample's observations side by side.

    Args:
        features: one an observation, of the same ground.
        shape: (rows, columns) of the images in pixels.
        readout: as of `encode_observations`.
        dates: as of `encode_observations`.
    """
    parts = [_maps(one, readout) for one in features]
    if any(part.maps[0].shape[-2:] != parts[0].maps[0].shape[-2:] for part in parts[1:]):
        finest = max(parts, key=lambda part: part.maps[0].shape[-1])
        parts = [_resized(part, finest) for part in parts]
    levels = []
    for maps in zip(*(part.maps for part in parts), strict=True):
        levels.append(torch.cat([*maps, (maps[1] - maps[0]).abs()] if dates else maps, dim=1))
    valid = torch.stack([part.valid for part in parts]).any(dim=0)
    return EncodedMaps(tuple(levels), valid, shape, parts[0].patch)


def _maps(features: Features, readout: str) -> EncodedMaps:
    tokens = [features.tokens] if readout == "last" else [features.stem, *features.levels]
    shape = (-1, *features.grid)
    maps = []
    for level in tokens:
        normed = functional.layer_norm(level, (level.shape[-1],)) * features.valid.unsqueeze(-1)
        maps.append(normed.transpose(1, 2).reshape(normed.shape[0], -1, *features.grid))
    return EncodedMaps(tuple(maps), features.valid.view(shape), features.grid, features.patch_size)


def _resized(part: EncodedMaps, like: EncodedMaps) -> EncodedMaps:
    size = like.maps[0].shape[-2:]
    maps = tuple(
        functional.interpolate(values, size=size, mode="bilinear", align_corners=False) for values in part.maps
    )
    valid = functional.interpolate(part.valid[:, None].float(), size=size, mode="nearest")[:, 0] > 0
    return EncodedMaps(maps, valid, like.shape, like.patch)
