"""DOFA, published by others, as a backbone here: its state dicts load and its function is computed exactly.

DOFA (Neural Plasticity-Inspired Foundation Model for Earth Observation, arXiv 2403.15356) generates the kernels of its
patch embedding from the centre wavelengths of the channels. Version 1 is ViT-B/16 and ViT-L/16 with fixed sine-cosine
positions and a norm behind the mean of the patch tokens; version 2 (DOFA+) is ViT-B/14 and ViT-L/14 with learned
positions and LayerScale. This is written from the formulas of the paper; published weights stay published weights.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.backbone.batch import SensorBatch
from skyweave.backbone.encoder import Encoder
from skyweave.backbone.features import Features
from skyweave.backbone.patches import pad_to_patches, patchify
from skyweave.backbone.pretrained.dofa_layers import LayerScaleBlock, WavelengthPatchEmbedding
from skyweave.backbone.pretrained.load_report import LoadReport
from skyweave.backbone.pretrained.position_tables import fixed_positions, resize_positions
from skyweave.backbone.transformer import Block, attention_mask
from skyweave.core.errors import WeightsError
from skyweave.core.sensors.sensor import Sensor


@dataclass(frozen=True)
class DOFAConfig:
    """Shape of a DOFA encoder.

    Attributes:
        version: 1, or 2 for DOFA+.
        patch_size: pixels per patch side.
        width: channels of a token.
        depth: number of blocks.
        heads: attention heads.
        levels: numbers of the blocks (from 0) whose outputs are the multi-level features.
        image_size: pixels per side of the images that the position table was made for.
    """

    version: Literal[1, 2]
    patch_size: int
    width: int
    depth: int
    heads: int
    levels: tuple[int, ...]
    image_size: int = 224

    @property
    def table_side(self) -> int:
        """Patches per side in the position table."""
        return self.image_size // self.patch_size

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, for the fingerprint."""
        return asdict(self)


VARIANTS = {
    "dofa-v1-base": DOFAConfig(1, patch_size=16, width=768, depth=12, heads=12, levels=(3, 5, 7, 11)),
    "dofa-v1-large": DOFAConfig(1, patch_size=16, width=1024, depth=24, heads=16, levels=(7, 11, 15, 23)),
    "dofa-v2-base": DOFAConfig(2, patch_size=14, width=768, depth=12, heads=12, levels=(4, 6, 10, 11)),
    "dofa-v2-large": DOFAConfig(2, patch_size=14, width=1024, depth=24, heads=16, levels=(5, 11, 17, 23)),
}


RADAR_WAVELENGTHS = {1: 3.75, 2: 5.405}
"""By version, what stood for both Sentinel-1 channels in training, as if in micrometres; 5.405 is their frequency in
GHz."""


@dataclass(frozen=True)
class DOFAFeatures(Features):
    """Features whose pooled embedding is DOFA's own.

    Attributes:
        embedding: (batch, channels). Version 1: the norm of the mean patch token, as published. Version 2, which
            publishes no pooling: the mean of the normalised patch tokens. Invalid patches do not count.
    """

    embedding: Tensor

    @property
    def pooled(self) -> Tensor:
        """Return the embedding of each image, (batch, channels)."""
        return self.embedding


class DOFA(Encoder):
    """Encode any bands with a wavelength as DOFA 1 or 2 does.

    Args:
        config: one of ``VARIANTS``, or another shape.
        radar_wavelength: the number that radar bands pretend to have as a wavelength in micrometres, since DOFA knows
            nothing but wavelengths; None: what its version was trained with, see `RADAR_WAVELENGTHS`.
    """

    def __init__(self, config: DOFAConfig, radar_wavelength: float | None = None) -> None:
        super().__init__()
        self.config = config
        self.radar_wavelength = RADAR_WAVELENGTHS[config.version] if radar_wavelength is None else radar_wavelength
        self.loaded: LoadReport | None = None
        width, side = config.width, config.table_side
        self.patch_embed = WavelengthPatchEmbedding(config.patch_size, width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        # version 1 publishes a fixed table, version 2 a learned one
        self.pos_embed = nn.Parameter(fixed_positions(side, width), requires_grad=config.version == 2)
        block = Block if config.version == 1 else LayerScaleBlock
        self.blocks = nn.ModuleList(block(width, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)

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
        """Return none: it brings no normalisation."""
        return {}

    @property
    def architecture(self) -> dict[str, Any]:
        """Return the configuration as plain JSON types."""
        return self.config.to_dict()

    def forward(self, batch: SensorBatch, patch_size: int | None = None) -> DOFAFeatures:
        """Return the features of images of any optical sensor and size; sizes that are no multiple of the patch are
        padded.

        Pixels are normalised with the sensor's statistics; invalid pixels become the mean, patches without a valid
        pixel are seen by nobody.

        Args:
            batch: pixels in the bands' units.
            patch_size: None, or that of the weights.

        Raises:
            ValueError: a band without a wavelength, or a patch size other than the published one.
        """
        if patch_size not in (None, self.config.patch_size):
            raise WeightsError(f"DOFA has patches of {self.config.patch_size} pixels only, got patch_size={patch_size}")
        wavelengths = dofa_wavelengths(batch.sensor, self.radar_wavelength)
        pixels, valid, _ = pad_to_patches(batch, self.config.patch_size)
        mean = torch.as_tensor(batch.sensor.means, device=pixels.device).view(-1, 1, 1)
        std = torch.as_tensor(batch.sensor.stds, device=pixels.device).view(-1, 1, 1)
        normalised = torch.where(valid, (pixels - mean) / std, 0.0)
        seen = patchify(valid.any(1, keepdim=True), self.config.patch_size).flatten(2).any(-1)
        return self.forward_features(normalised, wavelengths, seen)

    def forward_features(
        self, images: Tensor, wavelengths: Sequence[float], valid: Tensor | None = None
    ) -> DOFAFeatures:
        """Compute the published function.

        Args:
            images: (batch, channels, rows, columns), normalised.
            wavelengths: centre wavelength of each channel in micrometres.
            valid: (batch, patches) bool; default: all.

        Raises:
            ValueError: another number of wavelengths than channels, or one that is plainly in nanometres.
        """
        _check_wavelengths(wavelengths, images)
        grid_tokens = self.patch_embed(images, wavelengths)
        grid = (grid_tokens.shape[2], grid_tokens.shape[3])
        positions = resize_positions(self.pos_embed, self.config.table_side, grid)
        patches = grid_tokens.flatten(2).transpose(1, 2) + positions[:, 1:]
        classes = (self.cls_token + positions[:, :1]).expand(len(images), -1, -1)
        tokens = torch.cat([classes, patches], dim=1)

        if valid is None:
            valid = tokens.new_ones(patches.shape[:2], dtype=torch.bool)
        mask = attention_mask(functional.pad(valid, (1, 0), value=True))
        levels, tokens = self._run_blocks(tokens, mask)

        weight = valid.unsqueeze(-1).to(tokens.dtype)
        count = weight.sum(1).clamp(min=1)
        normalised = self.norm(tokens[:, 1:]) * weight
        if self.config.version == 1:
            embedding = self.norm((tokens[:, 1:] * weight).sum(1) / count)
        else:
            embedding = normalised.sum(1) / count
        stem = (patches - positions[:, 1:]) * weight
        return DOFAFeatures(normalised, valid, grid, tuple(levels), stem, self.config.patch_size, embedding)

    def _run_blocks(self, tokens: Tensor, mask: Tensor | None) -> tuple[list[Tensor], Tensor]:
        """Run the blocks and keep the tokens of the levels."""
        levels = []
        for number, block in enumerate(self.blocks):
            tokens = block(tokens, mask)
            if number in self.config.levels:
                levels.append(tokens[:, 1:])
        return levels, tokens


def _check_wavelengths(wavelengths: Sequence[float], images: Tensor) -> None:
    """Check that each channel has a wavelength in micrometres."""
    if len(wavelengths) != images.shape[1]:
        raise WeightsError(f"{images.shape[1]} channels but {len(wavelengths)} wavelengths; give one for each")
    if wrong := [value for value in wavelengths if not 0.1 <= value <= 100]:
        raise WeightsError(f"wavelengths {wrong} are not micrometres (red is about 0.665); divide nanometres by 1000")


def dofa_wavelengths(sensor: Sensor, radar_wavelength: float) -> list[float]:
    """Return the number in micrometres that DOFA reads for each band.

    Args:
        sensor: its bands are the channels.
        radar_wavelength: see `DOFA`.

    Raises:
        WeightsError: a band that is neither optical, thermal nor radar.
    """
    wavelengths = []
    for band in sensor.bands:
        if band.wavelength is not None:
            wavelengths.append(band.wavelength / 1000)
        elif band.kind != "radar":
            raise WeightsError(
                f"sensor {sensor.name!r}, band {band.name!r} is {band.kind}: DOFA knows bands by wavelength only; "
                "leave it out with sensor.select([...])"
            )
        else:
            wavelengths.append(radar_wavelength)
    return wavelengths
