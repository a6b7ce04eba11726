"""Masked image modelling: predict the pixels of hidden patches (MAE, arXiv 2111.06377)."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from skyweave.backbone.backbone import Backbone, Patches, gather_patches
from skyweave.pretraining.decoder import DecoderConfig, PixelDecoder, decode_queries
from skyweave.pretraining.masking import sample_hidden
from skyweave.pretraining.objectives.base import EncodedStep, Objective, ObjectiveConfig


@dataclass(frozen=True)
class PixelsConfig(ObjectiveConfig):
    """Predict the pixels of hidden patches, in every band.

    Attributes:
        weight: of the loss.
        predicted: share of the hidden patches that the decoder predicts (all cost more and teach no more).
        texture: weight of a second prediction, of each patch and band normalised by its own mean and spread (the
            normalised pixels of the MAE paper); the first prediction, of pixels normalised by the sensor, weighs 1.
        decoder: numbers of the decoder.
    """

    weight: float = 1.0
    predicted: float = 0.5
    texture: float = 0.5
    decoder: DecoderConfig = field(default_factory=DecoderConfig)

    def build(self, backbone: Backbone) -> "PixelReconstruction":
        """Return the objective.

        Args:
            backbone: that is trained.
        """
        return PixelReconstruction(self, backbone)


class PixelReconstruction(Objective):
    """Reconstruct the pixels of hidden patches, in every band.

    Args:
        config: of the objective.
        backbone: that is trained.
    """

    def __init__(self, config: PixelsConfig, backbone: Backbone) -> None:
        super().__init__()
        self.config = config
        numbers = backbone.config
        self.positions = (backbone.positions,)  # in a tuple: the backbone owns its parameters
        self.decoder = PixelDecoder(
            numbers.width, numbers.patch_size, config.decoder, numbers.ground_sample_distance, numbers.band_kinds
        )

    def forward(self, encoded: EncodedStep, generator: torch.Generator) -> list[Tensor]:
        """Return the mean squared error of each batch's first view.

        Args:
            encoded: of one step.
            generator: not used: hidden patches are in random order already.
        """
        views = [item.views[0] for item in encoded.batches]
        queries = [sample_hidden(item.view, self.config.predicted) for item in views]
        decoded = decode_queries(self.decoder, self.positions[0], views, queries)
        return [
            self.reconstruction_loss(item.view.patches, query, tokens)
            for item, query, tokens in zip(views, queries, decoded, strict=True)
        ]

    def reconstruction_loss(self, patches: Patches, queries: Tensor, decoded: Tensor) -> Tensor:
        """Return the mean squared error over valid pixels of the predicted patches.

        Args:
            patches: of one batch.
            queries: (batch, queries) indices of the predicted ones.
            decoded: (batch, queries, decoder width).
        """
        target = gather_patches(patches.values, queries).flatten(3)
        weight = None if patches.valid is None else gather_patches(patches.valid, queries).flatten(3)
        size = patches.values.shape[-1]
        predicted = self.decoder.pixels(decoded, patches.sensor, size)
        loss = _mean_square(predicted.float() - target, weight)
        if self.config.texture > 0 and size > 1:
            predicted = self.decoder.texture(decoded, patches.sensor, size)
            error = predicted.float() - _normalise_patches(target, weight)
            loss = loss + self.config.texture * _mean_square(error, weight)
        return loss


def _mean_square(error: Tensor, weight: Tensor | None) -> Tensor:
    """Mean of the squares, over entries of weight one where there are weights."""
    if weight is None:
        return error.square().mean()
    return (error.square() * weight).sum() / weight.sum().clamp(min=1)


def _normalise_patches(target: Tensor, weight: Tensor | None) -> Tensor:
    """Each patch and band to zero mean and unit spread over its valid pixels."""
    weight = torch.ones_like(target) if weight is None else weight.to(target.dtype)
    count = weight.sum(-1, keepdim=True).clamp(min=1)
    mean = (target * weight).sum(-1, keepdim=True) / count
    variance = ((target - mean).square() * weight).sum(-1, keepdim=True) / count
    return (target - mean) / (variance + 1e-2).sqrt()
