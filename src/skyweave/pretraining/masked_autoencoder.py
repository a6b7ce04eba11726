"""Masked image modelling across sensors (MAE, arXiv 2111.06377; joint over sensors as OFA-Net, arXiv 2401.07527)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.backbone.backbone import Backbone, Patches, gather_patches
from skyweave.backbone.batch import SensorBatch
from skyweave.backbone.patches import unpatchify
from skyweave.backbone.transformer import initialise_weights, pad_and_concatenate
from skyweave.pretraining.decoder import Decoder, DecoderConfig


@dataclass(frozen=True)
class ObjectiveConfig:
    """What is hidden and what is asked back.

    Attributes:
        mask_ratio: share of patches hidden from the encoder.
        predicted: share of the hidden patches that the decoder predicts (all cost more and teach no more).
        band_dropout: largest share of an image's bands hidden from the encoder (drawn uniformly from zero to it, the
            same for a group); all bands are predicted, so the encoder learns how bands go together.
        texture: weight of a second prediction, of each patch and band normalised by its own mean and spread (the
            normalised pixels of the MAE paper); the first prediction, of pixels normalised by the sensor, weighs 1.
        agreement: weight of the agreement between two halves of the visible patches, which the encoder then reads
            apart: their means shall find each other among the images of their sensor (the contrast of SimCLR,
            arXiv 2002.05709, joined with masking as CAN, arXiv 2210.16870, does, but without a second view).
    """

    mask_ratio: float = 0.75
    predicted: float = 0.5
    band_dropout: float = 0.0
    texture: float = 0.0
    agreement: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, for the card."""
        return asdict(self)


@dataclass(frozen=True)
class MaskedPatches:
    """One sensor's patches and which are seen and asked for.

    Attributes:
        patches: all of them, with every band (the target).
        input_patches: the same, with hidden bands removed (the encoder's input).
        visible: (batch, visible) indices the encoder sees.
        visible_valid: (batch, visible) bool; False fills up the rows of images with few usable patches.
        queries: (batch, queries) indices the decoder predicts.
    """

    patches: Patches
    input_patches: Patches
    visible: Tensor
    visible_valid: Tensor
    queries: Tensor


class MaskedAutoencoder(nn.Module):
    """Backbone and decoder, trained to reconstruct hidden patches.

    Args:
        backbone: what is being pretrained.
        decoder_config: numbers of the decoder.
        objective: what is hidden and asked back.
    """

    def __init__(
        self,
        backbone: Backbone,
        decoder_config: DecoderConfig | None = None,
        objective: ObjectiveConfig | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.objective = objective or ObjectiveConfig()
        config = backbone.config
        self.decoder = Decoder(
            config.width,
            config.patch_size,
            decoder_config or DecoderConfig(),
            config.ground_sample_distance,
            config.band_kinds,
        )
        initialise_weights(self.decoder)
        nn.init.normal_(self.decoder.mask_token, std=0.02)
        self.agreement_head = nn.Linear(config.width, 128) if self.objective.agreement > 0 else None

    def forward(
        self,
        batches: Sequence[SensorBatch],
        generator: torch.Generator,
        patch_sizes: Sequence[int] | None = None,
    ) -> list[Tensor]:
        """Return the loss of each batch (a scalar each), from one pass of encoder and decoder over the whole mix.

        Args:
            batches: one per sensor (or band subset).
            generator: source of all randomness; the same state gives the same loss.
            patch_sizes: pixels per patch side of each batch; default the nominal one.
        """
        nominal = self.backbone.config.patch_size
        groups = [
            self.mask(batch, size, generator)
            for batch, size in zip(batches, patch_sizes or [nominal] * len(batches), strict=True)
        ]
        encoded, valid = self.forward_encoder(groups)
        decoded = self.forward_decoder(groups, encoded, valid)
        losses = [self.forward_loss(group, tokens) for group, tokens in zip(groups, decoded, strict=True)]
        if self.agreement_head is not None:
            agreement = self.forward_agreement(groups, encoded)
            losses = [
                loss + self.objective.agreement * contrast for loss, contrast in zip(losses, agreement, strict=True)
            ]
        return losses

    def mask(self, batch: SensorBatch, patch_size: int, generator: torch.Generator) -> MaskedPatches:
        """Choose at random which patches and bands the encoder sees and which patches the decoder predicts.

        Args:
            batch: images of one sensor and size.
            patch_size: pixels per patch side.
            generator: source of all randomness.
        """
        patches = self.backbone.patches(batch, patch_size)
        usable = patches.usable
        # Usable patches in random order, then those without any valid pixel, which nobody sees or asks for.
        order = (torch.rand(usable.shape, generator=generator).to(usable.device) + 2.0 * ~usable).argsort(dim=1)
        visible_count = (usable.sum(1) * (1 - self.objective.mask_ratio)).round().clamp(min=1).long()
        hidden = int((usable.sum(1) - visible_count).max())
        longest = torch.arange(int(visible_count.max()), device=order.device)
        slots = torch.arange(max(1, round(hidden * self.objective.predicted)), device=order.device)
        queries = order.gather(1, (visible_count[:, None] + slots).clamp(max=order.shape[1] - 1))
        visible = order[:, : len(longest)]
        visible_valid = (longest < visible_count[:, None]) & usable.gather(1, visible)
        return MaskedPatches(patches, self._drop_bands(patches, generator), visible, visible_valid, queries)

    def forward_encoder(self, groups: Sequence[MaskedPatches]) -> tuple[list[Tensor], list[Tensor]]:
        """Return the encoded visible tokens of each group, and their validity.

        Args:
            groups: of `mask`.
        """
        tokens = [self.backbone.tokens(group.input_patches, keep=group.visible) for group in groups]
        visible_valid = [group.visible_valid for group in groups]
        joined, valid = pad_and_concatenate(tokens, visible_valid)
        coordinates, _ = pad_and_concatenate(
            [gather_patches(self.backbone.coordinates(g.patches), g.visible) for g in groups], visible_valid
        )
        if self.agreement_head is None:
            encoded, _ = self.backbone.encoder(joined, valid, coordinates)
        else:  # the even and the odd visible patches, as images of their own
            halves = [torch.cat([part[:, 0::2], part[:, 1::2]]) for part in map(_even, (joined, valid, coordinates))]
            encoded, _ = self.backbone.encoder(*halves)
            encoded = torch.stack(encoded.chunk(2), dim=2).flatten(1, 2)[:, : joined.shape[1]]
        return _split(encoded, tokens), visible_valid

    def forward_agreement(self, groups: Sequence[MaskedPatches], encoded: Sequence[Tensor]) -> list[Tensor]:
        """Return the contrastive loss between the halves of the images of each sensor, a scalar per group.

        Args:
            groups: of `mask`.
            encoded: (batch, visible, width) tokens of each group.
        """
        assert self.agreement_head is not None
        codes: dict[str, list[Tensor]] = {}
        for group, tokens in zip(groups, encoded, strict=True):
            weight = group.visible_valid.unsqueeze(-1).float()
            halves = [
                (tokens[:, start::2] * weight[:, start::2]).sum(1) / weight[:, start::2].sum(1).clamp(min=1)
                for start in (0, 1)
            ]
            code = functional.normalize(self.agreement_head(torch.stack(halves)).float(), dim=-1)
            codes.setdefault(group.patches.sensor.name, []).append(code)
        losses = {name: _contrast(torch.cat(parts, dim=1)) for name, parts in codes.items()}
        return [losses[group.patches.sensor.name] for group in groups]

    def forward_decoder(
        self, groups: Sequence[MaskedPatches], encoded: Sequence[Tensor], valid: Sequence[Tensor]
    ) -> list[Tensor]:
        """Return the decoded queries of each group, (batch, queries, decoder width).

        Args:
            groups: of `mask`.
            encoded: (batch, visible, width) tokens of each group.
            valid: (batch, visible) bool of each group.
        """
        coordinates = [self.backbone.coordinates(group.patches) for group in groups]
        queries = [gather_patches(grid, group.queries) for grid, group in zip(coordinates, groups, strict=True)]
        visible = [gather_patches(grid, group.visible) for grid, group in zip(coordinates, groups, strict=True)]
        filled = [torch.ones_like(group.queries, dtype=torch.bool) for group in groups]
        memory, memory_valid = pad_and_concatenate(encoded, valid)
        metres = torch.cat([group.patches.metres for group in groups])
        decoded = self.decoder(
            memory,
            memory_valid,
            pad_and_concatenate(visible, valid)[0],
            pad_and_concatenate(queries, filled)[0],
            metres,
        )
        return _split(decoded, queries)

    def forward_loss(self, group: MaskedPatches, decoded: Tensor) -> Tensor:
        """Return the mean squared error over valid pixels of the predicted patches.

        Args:
            group: of `mask`.
            decoded: (batch, queries, decoder width).
        """
        target = gather_patches(group.patches.values, group.queries).flatten(3)
        weight = None if group.patches.valid is None else gather_patches(group.patches.valid, group.queries).flatten(3)
        size = group.patches.values.shape[-1]
        predicted = self.decoder.pixels(decoded, group.patches.sensor, size)
        loss = _mean_square(predicted.float() - target, weight)
        if self.objective.texture > 0 and size > 1:
            predicted = self.decoder.texture(decoded, group.patches.sensor, size)
            loss = loss + self.objective.texture * _mean_square(
                predicted.float() - _normalise_patches(target, weight), weight
            )
        return loss

    def _drop_bands(self, patches: Patches, generator: torch.Generator) -> Patches:
        bands = len(patches.sensor)
        if self.objective.band_dropout == 0 or bands < 2:
            return patches
        share = float(torch.rand((), generator=generator)) * self.objective.band_dropout
        kept = torch.randperm(bands, generator=generator)[: max(1, round(bands * (1 - share)))]
        kept = kept.sort().values
        sensor = replace(patches.sensor, bands=tuple(patches.sensor.bands[i] for i in kept.tolist()))
        kept = kept.to(patches.values.device)
        valid = None if patches.valid is None else patches.valid[:, :, kept]
        return replace(patches, values=patches.values[:, :, kept], valid=valid, sensor=sensor)

    @torch.inference_mode()
    def reconstruct(
        self, batch: SensorBatch, mask_ratio: float = 0.75, seed: int = 0, patch_size: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Hide patches and predict them.

        Args:
            batch: images of one sensor and size.
            mask_ratio: share of patches that are hidden.
            seed: of the choice.
            patch_size: pixels per patch side, default the backbone's.

        Returns:
            Pixels in the bands' units, with predictions in place of hidden patches and the input elsewhere
            (batch, bands, rows, columns); and the hidden pixels (batch, rows, columns) bool.
        """
        full = replace(self.objective, mask_ratio=mask_ratio, predicted=1.0, band_dropout=0.0)
        objective, self.objective = self.objective, full
        size = patch_size or self.backbone.config.patch_size
        try:
            group = self.mask(batch, size, torch.Generator().manual_seed(seed))
            encoded, valid = self.forward_encoder([group])
            (decoded,) = self.forward_decoder([group], encoded, valid)
        finally:
            self.objective = objective
        predicted = self.decoder.pixels(decoded, batch.sensor, size).float().unflatten(-1, (size, size))
        patches = group.patches.values.clone()
        rows = torch.arange(len(patches), device=patches.device).unsqueeze(1)
        patches[rows, group.queries] = predicted
        hidden = torch.zeros_like(group.patches.usable).scatter(1, group.queries, True)
        image = unpatchify(patches, group.patches.grid)
        hidden_pixels = hidden[:, :, None, None, None].expand(-1, -1, 1, size, size)
        mask = unpatchify(hidden_pixels.contiguous(), group.patches.grid)[:, 0]
        means, stds = self.backbone.statistics(batch.sensor)
        height, width = batch.pixels.shape[-2:]
        image = image[..., :height, :width] * stds.to(image) + means.to(image)
        return image, mask[..., :height, :width]


def _split(joined: Tensor, parts: Sequence[Tensor]) -> list[Tensor]:
    """Undo ``pad_and_concatenate`` on a result of the same batch and lengths."""
    pieces = joined.split([len(part) for part in parts])
    return [piece[:, : part.shape[1]] for piece, part in zip(pieces, parts, strict=True)]


def _even(sequences: Tensor) -> Tensor:
    """One more (zero, that is, unseen) token where the length is odd."""
    if sequences.shape[1] % 2 == 0:
        return sequences
    return torch.cat([sequences, torch.zeros_like(sequences[:, :1])], dim=1)


def _contrast(codes: Tensor, temperature: float = 0.2) -> Tensor:
    """Mean cross-entropy of finding the partner, both ways, of (2, images, width) unit vectors."""
    logits = codes[0] @ codes[1].T / temperature
    partners = torch.arange(len(logits), device=logits.device)
    return (functional.cross_entropy(logits, partners) + functional.cross_entropy(logits.T, partners)) / 2


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
