"""The Vision Transformers that others published: what they have in common.

Each knows its bands and applies its normalisation; bands and units are declared as everywhere.
The Transformer is the same pre-norm ViT (arXiv 2010.11929) in all of them; they differ in their patch embedding, their
positions, and in what their weights are called. Written from the papers; published weights stay published weights.
"""

from abc import abstractmethod
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.backbone.batch import SensorBatch
from skyweave.backbone.encoder import Encoder
from skyweave.backbone.features import Features
from skyweave.backbone.patches import pad_to_patches, patchify
from skyweave.backbone.pretrained.load_report import LoadReport
from skyweave.backbone.transformer import Block, attention_mask
from skyweave.core.errors import UnknownNameError, WeightsError
from skyweave.core.sensors.band import Band
from skyweave.core.sensors.sensor import Sensor


@dataclass(frozen=True)
class PublishedConfig:
    """Shape of a published encoder.

    Attributes:
        name: of the family, for messages.
        width: channels of a token.
        depth: number of blocks.
        heads: attention heads.
        patch_size: pixels per patch side.
        side: patches per side of its position table.
        epsilon: of the layer norms.
    """

    name: str
    width: int
    depth: int
    heads: int
    patch_size: int
    side: int = 0
    epsilon: float = 1e-6

    @property
    def taps(self) -> tuple[int, ...]:
        """Numbers of the blocks (from 1) whose outputs are the levels: a quarter, half, three quarters and all."""
        return tuple(max(1, round(self.depth * part / 4)) for part in (1, 2, 3, 4))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, for the fingerprint."""
        return asdict(self)


@dataclass(frozen=True)
class PublishedFeatures(Features):
    """Features with what published readouts use besides.

    Attributes:
        class_token: (batch, channels), the normalised class token.
        embedding: (batch, channels), the mean over valid patches; by encoders whose norm follows the mean
            (``fc_norm``), the norm of the mean.
    """

    class_token: Tensor
    embedding: Tensor

    @property
    def pooled(self) -> Tensor:
        """Return the embedding of each image, (batch, channels)."""
        return self.embedding


class PublishedEncoder(Encoder):
    """Encode images by a ViT with a class token. Subclasses say how pixels become tokens and where those lie.

    Args:
        config: its shape.
        sensor: its bands, in the order of its channels, with the normalisation it was trained with.
        norm_after_mean: the norm belongs behind the mean of the tokens.
    """

    def __init__(self, config: PublishedConfig, sensor: Sensor | None, norm_after_mean: bool = False) -> None:
        super().__init__()
        self.config = config
        self.sensor = sensor
        self.norm_after_mean = norm_after_mean
        self.loaded: LoadReport | None = None
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        for part in self.modules():
            if isinstance(part, nn.LayerNorm):
                part.eps = config.epsilon

    @property
    def width(self) -> int:
        """Return the channels of a token."""
        return self.config.width

    @property
    def patch_size(self) -> int:
        """Return the pixels per patch side."""
        return self.config.patch_size

    def nearest_patch_size(self, pixels: int | None) -> int | None:
        """Return None: published weights take patches of one size.

        Args:
            pixels: per patch side.
        """
        return None

    @property
    def sensors(self) -> dict[str, Sensor]:
        """Return the sensor whose normalisation the encoder brings, by name, if it brings one."""
        return {} if self.sensor is None else {self.sensor.name: self.sensor}

    @property
    def architecture(self) -> dict[str, Any]:
        """Return the configuration as plain JSON types."""
        return self.config.to_dict()

    def forward(self, batch: SensorBatch, patch_size: int | None = None) -> PublishedFeatures:
        """Return the features of images of one sensor and size; sizes that are no multiple of the patch are padded.

        Invalid pixels become the mean, patches without a valid pixel are seen by nobody.

        Args:
            batch: pixels in the bands' units.
            patch_size: None, or that of the weights.

        Raises:
            ValueError: a band is missing or in another unit, or a patch size other than the published one.
        """
        nominal = self.config.patch_size
        if patch_size not in (None, nominal):
            raise WeightsError(f"{self.config.name} has patches of {nominal} pixels only, got patch_size={patch_size}")
        batch = self.select_bands(batch)
        pixels, valid, grid = pad_to_patches(batch, nominal)
        seen = patchify(valid.any(1, keepdim=True), nominal).flatten(2).any(-1)
        return self.forward_features(self.normalise(pixels, valid, batch.sensor), grid, seen, batch)

    def select_bands(self, batch: SensorBatch) -> SensorBatch:
        """Return the encoder's bands of a batch, in its order, with its statistics.

        Args:
            batch: images of one sensor and size.
        """
        if self.sensor is None:
            return batch
        channels = [self._channel_of(band, batch.sensor, self.sensor) for band in self.sensor.bands]
        return replace(batch, pixels=batch.pixels[:, channels], valid=batch.valid[:, channels], sensor=self.sensor)

    def _channel_of(self, band: Band, given: Sensor, needed: Sensor) -> int:
        """Return the channel of a band, which must be there in its unit."""
        try:
            channel = given.index(band.name)
        except UnknownNameError:
            has = ", ".join(known.name for known in given.bands)
            needs = ", ".join(known.name for known in needed.bands)
            raise WeightsError(
                f"{self.config.name} needs {band.name}; {given.name} has {has} (it needs {needs}); load it "
                "with the sensor of its channels, or use an encoder for any bands"
            ) from None
        unit = given.bands[channel].unit
        if unit != band.unit:
            raise WeightsError(
                f"{self.config.name} normalises {band.name} in {band.unit}, {given.name} has it in {unit}; "
                "load it with the statistics of your unit (sensor.with_statistics)"
            )
        return channel

    def normalise(self, pixels: Tensor, valid: Tensor, sensor: Sensor) -> Tensor:
        """Standardise pixels with the sensor's statistics, with zero (the mean) where they are invalid.

        Args:
            pixels: (batch, bands, rows, columns) in the bands' units.
            valid: same shape, bool.
            sensor: its bands are the channels.
        """
        mean = torch.as_tensor(sensor.means, device=pixels.device).view(-1, 1, 1)
        std = torch.as_tensor(sensor.stds, device=pixels.device).view(-1, 1, 1)
        return torch.where(valid, (pixels - mean) / std, 0.0)

    def forward_features(
        self, images: Tensor, grid: tuple[int, int], seen: Tensor | None = None, batch: SensorBatch | None = None
    ) -> PublishedFeatures:
        """Compute the published function.

        Args:
            images: (batch, channels, rows, columns), normalised, whole patches.
            grid: rows and columns of patches.
            seen: (batch, patches) bool; default: all.
            batch: where the images come from, for encoders that ask for more than pixels.
        """
        stem, positions, start = self.tokenise(images, grid, batch)
        groups = stem.shape[1] // (grid[0] * grid[1])
        if seen is None:
            seen = torch.ones(len(images), grid[0] * grid[1], dtype=torch.bool, device=images.device)
        tokens = torch.cat([start.expand(len(images), -1, -1), stem + positions], dim=1)
        mask = attention_mask(functional.pad(seen.repeat(1, groups), (1, 0), value=True))
        levels = []
        for number, block in enumerate(self.blocks, start=1):
            tokens = block(tokens, mask)
            levels += [tokens] * self.config.taps.count(number)

        weight = seen.unsqueeze(-1).to(tokens.dtype)
        count = weight.sum(1).clamp(min=1)
        last = self._places(tokens, groups)
        normalised = self._places(self.norm(tokens), groups) * weight
        mean = self.norm((last * weight).sum(1) / count) if self.norm_after_mean else normalised.sum(1) / count
        return PublishedFeatures(
            normalised,
            seen,
            grid,
            tuple(self._places(level, groups) * weight for level in levels),
            stem.unflatten(1, (groups, -1)).mean(1) * weight,
            self.config.patch_size,
            self.norm(tokens[:, 0]),
            mean,
        )

    @abstractmethod
    def tokenise(
        self, images: Tensor, grid: tuple[int, int], batch: SensorBatch | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return patch embeddings (batch, groups * patches, width), positions to add to them, and the class token (1,
        1, width) with its position. Several tokens a patch lie one group after the other.

        Args:
            images: (batch, channels, rows, columns), normalised, whole patches.
            grid: (rows, columns) of patches.
            batch: where the images come from, for encoders that ask for more than pixels.
        """

    def _places(self, tokens: Tensor, groups: int) -> Tensor:
        """(batch, patches, width): without the class token, the mean of the tokens of a patch."""
        result: Tensor = tokens[:, 1:].unflatten(1, (groups, -1)).mean(1)
        return result
