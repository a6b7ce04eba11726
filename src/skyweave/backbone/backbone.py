"""One backbone for every sensor: tokenizer, positions, shared encoder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.backbone.band_encoder import BandEncoder, added_kinds
from skyweave.backbone.batch import SensorBatch
from skyweave.backbone.config import BackboneConfig
from skyweave.backbone.encoder import Encoder
from skyweave.backbone.features import Features
from skyweave.backbone.patches import pad_to_patches, patchify
from skyweave.backbone.positions import Positions
from skyweave.backbone.tokenizers import Tokenizer
from skyweave.backbone.transformer import TransformerEncoder, pad_and_concatenate
from skyweave.core.sensors.sensor import Sensor

MAX_DEVIATIONS = 8.0
"""Normalised pixels are limited to this many standard deviations, so that one broken pixel cannot drown an image."""


@dataclass(frozen=True)
class Patches:
    """Normalised patches of one sensor's images, ready for a tokenizer.

    Attributes:
        values: (batch, number, bands, p, p); an invalid pixel holds the mean of the valid ones of its patch and band
            (zero where there is none), so that a patch at the edge of an image looks like a whole one.
        valid: same shape, bool; None when every pixel is valid.
        usable: (batch, number) bool, patches with any valid pixel.
        grid: (rows, columns) of patches.
        sensor: its bands are the channels.
        metres: (batch,) ground size of a patch.
    """

    values: Tensor
    valid: Tensor | None
    usable: Tensor
    grid: tuple[int, int]
    sensor: Sensor
    metres: Tensor

    @property
    def filled(self) -> Tensor | None:
        """(batch, number, bands, p, p) bool, where ``values`` can be used; None when everywhere.

        That is every pixel of a patch and band with any valid pixel.
        """
        if self.valid is None:
            return None
        return self.valid.flatten(3).any(-1)[..., None, None].expand_as(self.valid)

    def select_bands(self, kept: Tensor) -> "Patches":
        """Return the patches with some of their bands.

        Args:
            kept: (bands,) indices, rising.
        """
        sensor = replace(self.sensor, bands=tuple(self.sensor.bands[i] for i in kept.tolist()))
        kept = kept.to(self.values.device)
        valid = None if self.valid is None else self.valid[:, :, kept]
        return replace(self, values=self.values[:, :, kept], valid=valid, sensor=sensor)


class Backbone(Encoder):
    """Imagery of any sensor, size and resolution to features.

    Args:
        tokenizer: turns patches into tokens.
        positions: where tokens lie.
        transformer: shared by all sensors.
        config: the numbers it was built from, kept beside the weights.
        sensors: normalisation of known sensors (by name, then by band); others bring their own statistics.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        positions: Positions,
        transformer: TransformerEncoder,
        config: BackboneConfig,
        sensors: Sequence[Sensor] = (),
    ) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = tokenizer
        self.positions = positions
        self.encoder = transformer
        self.whitening = nn.Linear(config.width, config.width) if config.whitened else nn.Identity()
        self._sensors = {sensor.name: sensor for sensor in sensors}
        self._statistics: dict[Sensor, tuple[Tensor, Tensor]] = {}

    @property
    def width(self) -> int:
        """Return the channels of a token."""
        return self.config.width

    @property
    def patch_size(self) -> int:
        """Return the nominal pixels per patch side; any other size is possible."""
        return self.config.patch_size

    @property
    def sensors(self) -> dict[str, Sensor]:
        """Return the sensors whose normalisation the weights bring, by name."""
        return self._sensors

    @property
    def architecture(self) -> dict[str, Any]:
        """Return the configuration as plain JSON types."""
        return self.config.to_dict()

    def forward(
        self,
        batch: SensorBatch,
        patch_size: int | None = None,
        detail: int | None = None,
        detail_head: nn.Conv2d | None = None,
    ) -> Features:
        """Return the features of images of one sensor and size.

        Args:
            batch: pixels in the bands' units; invalid pixels are ignored.
            patch_size: pixels per patch side, default the model's nominal one. Smaller patches give finer maps.
            detail: pixels per side of smaller patches, a divisor of the patch size; their embedding, which the encoder
                does not see, is returned beside the features. It costs little on top of them.
            detail_head: a 1x1 convolution of the detail; to fewer channels it costs less here than behind.
        """
        return self.encode([batch], patch_size, detail, detail_head)[0]

    def encode(
        self,
        batches: Sequence[SensorBatch],
        patch_size: int | None = None,
        detail: int | None = None,
        detail_head: nn.Conv2d | None = None,
    ) -> list[Features]:
        """Return the features of a mix of sensors and sizes, from one pass of the Transformer.

        Args:
            batches: images of one sensor and size each.
            patch_size: pixels per patch side, default the model's nominal one.
            detail: as of `forward`.
            detail_head: as of `forward`.

        Raises:
            ValueError: ``detail`` does not divide the patch size.
        """
        size = patch_size or self.patch_embed.patch_size
        _check_detail(detail, size)
        groups = [self.patches(batch, size) for batch in batches]
        embedded = [
            self._embed_patches(group, batch, detail, detail_head) for group, batch in zip(groups, batches, strict=True)
        ]
        sequences = [stem + self.positions(group.metres) for (stem, _), group in zip(embedded, groups, strict=True)]
        usables = [group.usable for group in groups]
        tokens, valid = pad_and_concatenate(sequences, usables)
        coordinates, _ = pad_and_concatenate([self.coordinates(group) for group in groups], usables)
        encoded, levels = self.encoder(tokens, valid, coordinates)
        encoded = self.whitening(encoded)
        return _split_features(groups, embedded, (encoded, *levels), size)

    def _embed_patches(
        self, patches: Patches, batch: SensorBatch, detail: int | None, detail_head: nn.Conv2d | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the embedding of patches, and of the smaller ones inside as a map where they are asked for."""
        if detail is None:
            return self.patch_embed(patches.values, patches.filled, patches.sensor), None
        stem, parts = self.patch_embed.forward_nested(
            patches.values, patches.filled, patches.sensor, detail, detail_head
        )
        rows, columns = (-(-extent // detail) for extent in batch.pixels.shape[-2:])
        factor = patches.values.shape[-1] // detail
        return stem, _as_fine_map(parts, patches.grid, factor)[..., :rows, :columns]

    def patches(self, batch: SensorBatch, patch_size: int) -> Patches:
        """Normalise images and cut them into patches.

        Args:
            batch: pixels in the bands' units.
            patch_size: pixels per patch side.
        """
        means, stds = self.statistics(batch.sensor)
        pixels, valid, grid = pad_to_patches(batch, patch_size)
        complete = bool(valid.all())
        values = ((pixels - means.to(pixels)) / stds.to(pixels)).clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS)
        masks = None if complete else patchify(valid, patch_size)
        values = patchify(values, patch_size)
        if masks is None:
            usable = torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)
        else:
            values = fill_with_means(values, masks)
            usable = masks.flatten(2).any(-1)
        return Patches(values, masks, usable, grid, batch.sensor, batch.ground_sample_distance * patch_size)

    def embed_overlapping_patches(self, batch: SensorBatch, patch_size: int, stride: int) -> Tensor:
        """Return the embedding of the patch about every ``stride``-th pixel: the tokenizer as a convolution.

        Patches side by side say where an edge lies only up to their size; overlapping ones (as in SegFormer, arXiv
        2105.15203) say it for every pixel. Images are mirrored at their edges; an invalid pixel counts as the mean.

        Args:
            batch: images of one sensor and size, of at least half a patch a side.
            patch_size: pixels per patch side.
            stride: pixels between the centres of patches.

        Returns:
            (batch, width, rows / stride, columns / stride), rounded up.
        """
        means, stds = self.statistics(batch.sensor)
        pixels = ((batch.pixels - means.to(batch.pixels)) / stds.to(batch.pixels)).clamp(
            -MAX_DEVIATIONS, MAX_DEVIATIONS
        )
        before, after = (patch_size - 1) // 2, patch_size // 2
        padded = functional.pad(pixels * batch.valid, (before, after, before, after), mode="reflect")
        windows = padded.unfold(2, patch_size, stride).unfold(3, patch_size, stride)
        rows = [self._embed_row(row, batch.sensor) for row in windows.unbind(2)]  # all at once would fill the memory
        return torch.stack(rows, dim=2)

    def _embed_row(self, windows: Tensor, sensor: Sensor) -> Tensor:
        """Return (batch, width, columns) of windows (batch, bands, columns, p, p)."""
        embedded: Tensor = self.patch_embed(windows.transpose(1, 2), None, sensor)
        return embedded.transpose(1, 2)

    def tokens(self, patches: Patches, keep: Tensor) -> Tensor:
        """Embed some patches, without their coordinates.

        Args:
            patches: of images of one sensor.
            keep: (batch, kept) indices of patches.
        """
        filled = patches.filled
        filled = None if filled is None else gather_patches(filled, keep)
        tokens: Tensor = self.patch_embed(gather_patches(patches.values, keep), filled, patches.sensor)
        tokens = tokens + self.positions(patches.metres)
        return tokens

    def coordinates(self, patches: Patches) -> Tensor:
        """Return row and column of every patch, (batch, number, 2).

        Args:
            patches: of images of one sensor.
        """
        return self.positions.coordinates(patches.grid, patches.metres)

    def add_band_kinds(self, sensors: Sequence[Sensor]) -> None:
        """Add columns for the kinds of bands that sensors have and the weights lack, so that training can use them.

        The weights of the columns are zero: no feature changes. The model is another one for its card and fingerprint.

        Args:
            sensors: whose bands shall be told apart.
        """
        kinds = added_kinds(sensors, self.config.band_kinds)
        if not kinds:
            return
        for module in self.modules():
            if isinstance(module, BandEncoder):
                module.add_kinds(kinds)
        self.config = replace(self.config, band_kinds=(*self.config.band_kinds, *kinds))

    def set_whitening(self, matrix: Tensor, mean: Tensor) -> None:
        """Let a linear layer follow the final norm: features less their mean, times a matrix.

        Args:
            matrix: (width, width), a new channel a row.
            mean: (width,).
        """
        reference = self.encoder.norm.weight
        self.whitening = nn.Linear(self.width, self.width).to(reference)
        self.whitening.load_state_dict({"weight": matrix, "bias": -matrix @ mean})
        self.config = replace(self.config, whitened=True)

    def remove_whitening(self) -> None:
        """Let nothing follow the final norm, as before `set_whitening`."""
        self.whitening = nn.Identity()
        self.config = replace(self.config, whitened=False)

    def statistics(self, sensor: Sensor) -> tuple[Tensor, Tensor]:
        """Return means and spreads, each (bands, 1, 1): the model's for a sensor that it knows, else the sensor's.

        Args:
            sensor: its bands are the channels.
        """
        if sensor not in self._statistics:
            resolved = self._resolve_bands(sensor)
            with torch.inference_mode(False):
                self._statistics[sensor] = (
                    torch.from_numpy(resolved.means).view(-1, 1, 1),
                    torch.from_numpy(resolved.stds).view(-1, 1, 1),
                )
        return self._statistics[sensor]

    def _resolve_bands(self, sensor: Sensor) -> Sensor:
        """Return the sensor with the statistics of the bands that the model knows."""
        known = self.sensors.get(sensor.name)
        names = {band.name for band in known.bands} if known else set()
        bands = [known.bands[known.index(b.name)] if known and b.name in names else b for b in sensor.bands]
        return replace(sensor, bands=tuple(bands))


def _check_detail(detail: int | None, size: int) -> None:
    """Check that the detail divides the patch size."""
    if detail is not None and size % detail:
        raise ValueError(f"detail {detail} must divide the patch size, {size}")


def _split_features(
    groups: list[Patches], embedded: list[tuple[Tensor, Tensor | None]], encoded: Sequence[Tensor], size: int
) -> list[Features]:
    """Take the features of each group out of the encoded ones."""
    features, start = [], 0
    for group, (stem, fine) in zip(groups, embedded, strict=True):
        stop, length = start + len(group.usable), group.usable.shape[1]
        usable = group.usable.unsqueeze(-1)
        outputs = [tensor[start:stop, :length] * usable for tensor in encoded]
        features.append(
            Features(outputs[0], group.usable, group.grid, tuple(outputs[1:]), stem * usable, size, detail=fine)
        )
        start = stop
    return features


def fill_with_means(values: Tensor, valid: Tensor) -> Tensor:
    """Return patches whose invalid pixels hold the mean of the valid ones of their patch and band.

    Args:
        values: (..., p, p).
        valid: same shape, bool.
    """
    weight = valid.to(values.dtype)
    means = (values * weight).sum((-2, -1), keepdim=True) / weight.sum((-2, -1), keepdim=True).clamp(min=1)
    return torch.where(valid, values, means)


def _as_fine_map(parts: Tensor, grid: tuple[int, int], factor: int) -> Tensor:
    """(batch, patches * factor**2, width), patch after patch, to (batch, width, rows * factor, columns * factor)."""
    rows, columns = grid
    cells = parts.unflatten(1, (rows, columns, factor, factor)).permute(0, 5, 1, 3, 2, 4)
    result: Tensor = cells.reshape(len(parts), -1, rows * factor, columns * factor)
    return result


def gather_patches(values: Tensor, indices: Tensor) -> Tensor:
    """Return ``values[b, indices[b]]``, (batch, kept, ...).

    Args:
        values: (batch, number, ...).
        indices: (batch, kept).
    """
    rows = torch.arange(len(values), device=values.device).unsqueeze(1)
    return values[rows, indices]
