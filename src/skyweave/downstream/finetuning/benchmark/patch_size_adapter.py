"""Encoders of one patch size, asked for another: the image is enlarged (or reduced) until their patches fit.

Published encoders cannot make their patches smaller, so their protocols enlarge small images. Enlarged so that the
patch that was asked for becomes one of theirs, every encoder of a benchmark has as many patches on the same ground.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.backbone import Features
from skyweave.backbone.batch import SensorBatch
from skyweave.backbone.patches import pad_to_patches


class PatchSizeAdapter(nn.Module):
    """A backbone for any patch size.

    Args:
        encoder: with a ``config.patch_size`` of its own, and no other.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.config = encoder.config

    def forward(self, batch: SensorBatch, patch_size: int | None = None) -> Features:
        """Return features of patches of ``patch_size`` pixels of the image as it was given.

        Args:
            batch: of images.
            patch_size: pixels per patch side; None: the encoder's own.
        """
        native = int(self.config.patch_size)  # type: ignore[arg-type, union-attr]
        size = patch_size or native
        if size == native:
            features: Features = self.encoder(batch)
            return features
        pixels, valid, grid = pad_to_patches(batch, size)
        shape = grid[0] * native, grid[1] * native
        means = torch.as_tensor(batch.sensor.means).view(-1, 1, 1).to(pixels)
        # what is not valid must not bleed into its neighbours as zeros
        filled = _resized(torch.where(valid, pixels, means), shape)
        seen = functional.interpolate(valid.float(), size=shape, mode="nearest") > 0
        distance = batch.ground_sample_distance * size / native
        larger = replace(batch, pixels=filled * seen, valid=seen, ground_sample_distance=distance)
        encoded: Features = self.encoder(larger)
        return replace(encoded, patch_size=size)


def _resized(pixels: Tensor, shape: tuple[int, int]) -> Tensor:
    smaller = shape[0] < pixels.shape[-2]
    return functional.interpolate(pixels, size=shape, mode="bilinear", align_corners=False, antialias=smaller)
