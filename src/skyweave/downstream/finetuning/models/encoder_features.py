"""What a head reads: the backbone's levels as maps, of one observation or of several of the same ground."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from skyweave.backbone import Features
from skyweave.backbone.batch import SensorBatch

MIN_PATCH_PIXELS = 1  # per side: an image may be so coarse that a pixel of it is more than a patch of the first


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
        metres: side of a patch on the ground; 1 where it is not known.
        parts: each observation's maps by themselves, on its own grid of patches from the same upper left corner.
    """

    maps: tuple[Tensor, ...]
    valid: Tensor
    shape: tuple[int, int]
    patch: int
    metres: float = 1.0
    parts: tuple["EncodedMaps", ...] = ()

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
        patch_size: pixels per patch side of the first; images of other resolutions get patches of about as many
            metres. None: the encoder's own.
        readout: patch embedding and four depths, or the last output.
        dates: the two observations are two dates: how far they are apart, whichever way, is laid beside them, as in
            FC-Siam-diff (Daudt et al. 2018, arXiv 1810.08462). A linear head could tell no change from another without.
    """
    shape = (batches[0].pixels.shape[-2], batches[0].pixels.shape[-1])
    metres = [float(batch.ground_sample_distance[0]) for batch in batches]
    features = [
        backbone(batch, patch_pixels(patch_size, metres[0], size)) for batch, size in zip(batches, metres, strict=True)
    ]
    sides = [size * one.patch_size for size, one in zip(metres, features, strict=True)]
    return join_features(features, shape, readout, dates, sides)


def patch_pixels(patch_size: int | None, metres: float, other: float) -> int | None:
    """Return the pixels of a patch in an image of another resolution: a power of two, of about as many metres.

    Args:
        patch_size: pixels per patch side; None: the encoder's own, whatever the resolution.
        metres: a pixel of the image that it is of.
        other: metres a pixel of the other image.
    """
    if patch_size is None or math.isclose(metres, other, rel_tol=0.01):
        return patch_size
    return int(max(2.0 ** round(math.log2(patch_size * metres / other)), MIN_PATCH_PIXELS))


def join_features(
    features: Sequence[Features],
    shape: tuple[int, int],
    readout: Literal["levels", "last"],
    dates: bool = False,
    metres: Sequence[float] = (),
) -> EncodedMaps:
    """Lay the maps of a sample's observations side by side.

    Args:
        features: one an observation, of the same ground.
        shape: (rows, columns) of the images in pixels.
        readout: as of `encode_observations`.
        dates: as of `encode_observations`.
        metres: side of a patch of each observation on the ground; none: all alike.
    """
    sides = metres or [1.0] * len(features)
    single = tuple(_maps(one, readout, side) for one, side in zip(features, sides, strict=True))
    parts = list(single)
    if any(part.maps[0].shape[-2:] != parts[0].maps[0].shape[-2:] for part in parts[1:]):
        alike = len(set(sides)) == 1  # what is of another resolution has another grid, and the first's counts
        target = max(parts, key=lambda part: part.maps[0].shape[-1]) if alike else parts[0]
        parts = [_resized(part, target) for part in parts]
    levels = []
    for maps in zip(*(part.maps for part in parts), strict=True):
        levels.append(torch.cat([*maps, (maps[1] - maps[0]).abs()] if dates else maps, dim=1))
    valid = torch.stack([part.valid for part in parts]).any(dim=0)
    return EncodedMaps(tuple(levels), valid, shape, parts[0].patch, sides[0], single)


def _maps(features: Features, readout: str, metres: float) -> EncodedMaps:
    tokens = [features.tokens] if readout == "last" else [features.stem, *features.levels]
    shape = (-1, *features.grid)
    maps = []
    for level in tokens:
        normed = functional.layer_norm(level, (level.shape[-1],)) * features.valid.unsqueeze(-1)
        maps.append(normed.transpose(1, 2).reshape(normed.shape[0], -1, *features.grid))
    return EncodedMaps(tuple(maps), features.valid.view(shape), features.grid, features.patch_size, metres)


def _resized(part: EncodedMaps, like: EncodedMaps) -> EncodedMaps:
    size = like.maps[0].shape[-2:]
    maps = tuple(
        functional.interpolate(values, size=size, mode="bilinear", align_corners=False) for values in part.maps
    )
    valid = functional.interpolate(part.valid[:, None].float(), size=size, mode="nearest")[:, 0] > 0
    return EncodedMaps(maps, valid, like.shape, like.patch)
