"""What every encoder offers, whoever made it: images of a sensor to features."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from skyweave.backbone.batch import SensorBatch, stack_observations
from skyweave.backbone.features import Features
from skyweave.core.observation import Observation
from skyweave.core.sensors.sensor import Sensor


class Encoder(nn.Module, ABC):
    """Images of a sensor to `Features`: `Backbone`, encoders that others published, or one of another package.

    It receives pixels in the units that their bands declare, and normalises inside.
    """

    @property
    @abstractmethod
    def width(self) -> int:
        """Return the channels of a token."""

    @property
    @abstractmethod
    def patch_size(self) -> int:
        """Return the pixels per patch side that it was made for."""

    def nearest_patch_size(self, pixels: int | None) -> int | None:
        """Return the patch size nearest to one; None: its own, the only one that it takes.

        Args:
            pixels: per patch side.
        """
        return pixels

    @property
    @abstractmethod
    def sensors(self) -> Mapping[str, Sensor]:
        """Return the sensors whose normalisation it brings, by name; others are normalised with their own."""

    @property
    @abstractmethod
    def architecture(self) -> Mapping[str, Any]:
        """Return what determines its function besides sensors and weights, as plain JSON types."""

    @abstractmethod
    def forward(self, batch: SensorBatch, patch_size: int | None = None) -> Features:
        """Return the features of images of one sensor and size.

        Args:
            batch: pixels (batch, bands, rows, columns) in the bands' units; invalid ones are ignored.
            patch_size: pixels per patch side, default that of the encoder.

        Raises:
            DataError: a sensor, band or unit that the encoder does not know.
            WeightsError: a patch size or band that the encoder was not made for.
        """

    def embed_overlapping_patches(self, batch: SensorBatch, patch_size: int, stride: int) -> Tensor | None:
        """Return the embedding of the patch about every ``stride``-th pixel; None: the encoder cannot tell it.

        Args:
            batch: images of one sensor and size.
            patch_size: pixels per patch side.
            stride: pixels between the centres of patches.

        Returns:
            (batch, width, rows / stride, columns / stride), rounded up.
        """
        return None

    def encode(self, batches: Sequence[SensorBatch], patch_size: int | None = None) -> list[Features]:
        """Return the features of a mix of sensors and sizes.

        Args:
            batches: images of one sensor and size each.
            patch_size: pixels per patch side, default that of the encoder.
        """
        return [self(batch, patch_size) for batch in batches]

    @torch.inference_mode()
    def embed(self, observation: Observation, patch_size: int | None = None) -> Features:
        """Return the features of one image as a batch of one, without gradients.

        Args:
            observation: the image.
            patch_size: pixels per patch side, default that of the encoder.
        """
        device = next(self.parameters()).device
        features: Features = self(stack_observations([observation]).to(device), patch_size)
        return features
