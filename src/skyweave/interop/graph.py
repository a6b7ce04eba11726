"""A backbone for one sensor, with every step in tensors: what ``torch.export`` and ONNX can follow."""

import torch
from torch import Tensor, nn

from skyweave.backbone import Backbone, Features, fingerprint
from skyweave.backbone.backbone import MAX_DEVIATIONS, fill_with_means
from skyweave.backbone.patches import patchify
from skyweave.backbone.transformer import rotary_factors
from skyweave.core.sensors.sensor import Sensor


class SensorGraph(nn.Module):
    """Pixels of one sensor in its bands' units to features; the numbers are those of ``Backbone``.

    Normalisation is inside. What the sensor and its resolution decide is decided here, once: no wavelength, no
    statistics and no resolution is fed with the pixels, so none can be fed wrongly.

    Args:
        backbone: any size and tokenizer.
        sensor: its bands are the channels, in order.
        ground_sample_distance: metres per pixel; default: the sensor's.
        patch_size: pixels per patch side; default: the model's.
        levels: also give the four intermediate levels.
        nodata: pixels that are NaN are invalid and are seen by nobody; costs a little speed. Without it every pixel
            must be a number.
    """

    means: Tensor
    stds: Tensor

    def __init__(
        self,
        backbone: Backbone,
        sensor: Sensor,
        ground_sample_distance: float | None = None,
        patch_size: int | None = None,
        levels: bool = False,
        nodata: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.sensor, self.sensors = sensor, (sensor,)
        self.ground_sample_distance = ground_sample_distance or sensor.ground_sample_distance
        self.patch_size = patch_size or backbone.patch_embed.patch_size
        self.levels = levels
        self.nodata = nodata
        means, stds = backbone.statistics(sensor)
        self.register_buffer("means", means.clone())
        self.register_buffer("stds", stds.clone())

    @property
    def architecture(self) -> str:
        """Return a short name of the architecture for people."""
        return f"ViT, width {self.backbone.config.width}, depth {self.backbone.config.depth}"

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of the backbone."""
        return fingerprint(self.backbone)

    @property
    def inputs(self) -> list[str]:
        """Names of what ``forward`` takes."""
        return ["pixels"]

    @property
    def outputs(self) -> list[str]:
        """Names of what ``forward`` returns."""
        names = ["embedding", "features"]
        names += [f"level_{number}" for number in range(1, len(self.backbone.encoder.taps) + 1) if self.levels]
        return names + ["valid"] * self.nodata

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return the features of pixels as plain tensors.

        Args:
            pixels: (batch, bands, rows, columns) float32; rows and columns are multiples of the patch size.

        Returns:
            embedding (batch, channels), the mean over (valid) patches; features (batch, channels, patch rows, patch
            columns), the last output as a map; with ``levels`` four more such maps, shallow to deep; with ``nodata``
            valid (batch, patch rows, patch columns) bool.
        """
        features = self.encode(pixels)
        maps = [features.tokens, *(features.levels if self.levels else ())]
        embedding = features.pooled if self.nodata else features.tokens.mean(1)
        outputs = [embedding, *(tensor.transpose(1, 2).unflatten(2, features.grid) for tensor in maps)]
        if self.nodata:
            outputs.append(features.valid.unflatten(1, features.grid))
        return tuple(outputs)

    def encode(self, pixels: Tensor) -> Features:
        """Return the features of pixels.

        Args:
            pixels: as of `forward`.
        """
        rows, columns = pixels.shape[2] // self.patch_size, pixels.shape[3] // self.patch_size
        valid = ~pixels.isnan() if self.nodata else None
        values = ((pixels - self.means) / self.stds).clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS)
        patches, masks, usable = self._patches(values, valid)
        metres = pixels.new_full((pixels.shape[0],), self.ground_sample_distance * self.patch_size)
        positions = self.backbone.positions
        stem = self.backbone.patch_embed(patches, masks, self.sensor)
        tokens = stem + positions(metres)
        tokens, levels = self._encode(tokens, usable, positions.coordinates((rows, columns), metres))
        if usable is None:
            usable = torch.ones_like(tokens[..., 0], dtype=torch.bool)
        else:
            weight = usable.unsqueeze(-1).to(tokens.dtype)
            stem, tokens, levels = stem * weight, tokens * weight, [tensor * weight for tensor in levels]
        return Features(tokens, usable, (rows, columns), tuple(levels), stem, self.patch_size)

    def _patches(self, values: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return the patches, which of their pixels hold a value, and which patches hold a valid pixel; None: all."""
        if valid is None:
            return patchify(values, self.patch_size), None, None
        masks = patchify(valid, self.patch_size)
        patches = fill_with_means(patchify(torch.where(valid, values, 0.0), self.patch_size), masks)
        filled = masks.flatten(3).any(-1)[..., None, None].expand_as(masks)
        return patches, filled, masks.flatten(2).any(-1)

    def _encode(self, tokens: Tensor, usable: Tensor | None, coordinates: Tensor) -> tuple[Tensor, list[Tensor]]:
        """As ``Encoder.forward``, whose mask depends on whether the values at hand need one: a graph always has it."""
        encoder = self.backbone.encoder
        if usable is None:
            encoded, levels = encoder(tokens, None, coordinates)
            return self.backbone.whitening(encoded), levels
        mask = (usable | ~usable.any(dim=1, keepdim=True))[:, None, None, :]
        mask = mask.expand(-1, -1, tokens.shape[1], -1)  # ONNX Runtime takes a mask with all its queries only
        rotary = rotary_factors(coordinates, tokens.shape[-1] // encoder.heads)
        levels = []
        for number, block in enumerate(encoder.blocks, start=1):
            tokens = block(tokens, mask, rotary)
            if number in encoder.taps:
                levels.append(tokens)
        return self.backbone.whitening(encoder.norm(tokens)), levels
