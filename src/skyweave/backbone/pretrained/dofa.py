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

from skyweave.backbone.features import Features
from skyweave.backbone.patches import pad_to_patches, patchify
from skyweave.backbone.positions import sinusoidal_encoding
from skyweave.backbone.transformer import Block, RotaryFactors, attention_mask
from skyweave.core.errors import WeightsError
from skyweave.core.observation import Observation
from skyweave.core.sensors.sensor import Sensor
from skyweave.data.batch import SensorBatch, stack_observations


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
        """(batch, channels): ``embedding``."""
        return self.embedding


class DOFA(nn.Module):
    """DOFA v1 or v2 encoder.

    Args:
        config: one of ``VARIANTS``, or a shape of your own.
        radar_wavelength: the number that radar bands pretend to have as a wavelength in micrometres. DOFA knows nothing
            but wavelengths and was trained with 5.405 for Sentinel-1, which is the carrier frequency in GHz, the same
            for VV and VH; other public evaluations feed 3.75. There is no right value, so there is no default:
            without it radar bands are refused.
    """

    def __init__(self, config: DOFAConfig, radar_wavelength: float | None = None) -> None:
        super().__init__()
        self.config = config
        self.radar_wavelength = radar_wavelength
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
        """Channels of a token."""
        return self.config.width

    @property
    def sensors(self) -> dict[str, Sensor]:
        """None: it brings no normalisation of its own."""
        return {}

    def forward(self, batch: SensorBatch, patch_size: int | None = None) -> DOFAFeatures:
        """Features of a batch of any optical sensor and size; sizes that are no multiple of the patch are padded.

        Pixels are normalised with the sensor's statistics; invalid pixels become the mean, patches without a valid
        pixel are seen by nobody.

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

    def encode(self, batches: Sequence[SensorBatch], patch_size: int | None = None) -> list[DOFAFeatures]:
        """Features of several sensors, one forward each (every sensor has kernels of its own)."""
        return [self(batch, patch_size) for batch in batches]

    def embed(self, observation: Observation, patch_size: int | None = None) -> DOFAFeatures:
        """Features of one image, without gradients."""
        with torch.inference_mode():
            return self(stack_observations([observation]).to(self.cls_token.device), patch_size)

    def forward_features(
        self, images: Tensor, wavelengths: Sequence[float], valid: Tensor | None = None
    ) -> DOFAFeatures:
        """The published function.

        Args:
            images: (batch, channels, rows, columns), normalised.
            wavelengths: centre wavelength of each channel in micrometres.
            valid: (batch, patches) bool; default: all.

        Raises:
            ValueError: another number of wavelengths than channels, or one that is plainly in nanometres.
        """
        if len(wavelengths) != images.shape[1]:
            raise WeightsError(f"{images.shape[1]} channels but {len(wavelengths)} wavelengths; give one for each")
        if wrong := [value for value in wavelengths if not 0.1 <= value <= 100]:
            raise WeightsError(
                f"wavelengths {wrong} are not micrometres (red is about 0.665); divide nanometres by 1000"
            )
        grid_tokens = self.patch_embed(images, wavelengths)
        grid = (grid_tokens.shape[2], grid_tokens.shape[3])
        positions = resize_positions(self.pos_embed, self.config.table_side, grid)
        patches = grid_tokens.flatten(2).transpose(1, 2) + positions[:, 1:]
        classes = (self.cls_token + positions[:, :1]).expand(len(images), -1, -1)
        tokens = torch.cat([classes, patches], dim=1)

        if valid is None:
            valid = tokens.new_ones(patches.shape[:2], dtype=torch.bool)
        mask = attention_mask(functional.pad(valid, (1, 0), value=True))
        levels = []
        for number, block in enumerate(self.blocks):
            tokens = block(tokens, mask)
            if number in self.config.levels:
                levels.append(tokens[:, 1:])

        weight = valid.unsqueeze(-1).to(tokens.dtype)
        count = weight.sum(1).clamp(min=1)
        normalised = self.norm(tokens[:, 1:]) * weight
        if self.config.version == 1:
            embedding = self.norm((tokens[:, 1:] * weight).sum(1) / count)
        else:
            embedding = normalised.sum(1) / count
        stem = (patches - positions[:, 1:]) * weight
        return DOFAFeatures(normalised, valid, grid, tuple(levels), stem, self.config.patch_size, embedding)


class WavelengthPatchEmbedding(nn.Module):
    """Convolution whose kernels are generated from wavelengths (arXiv 2403.15356, section 3.3)."""

    def __init__(self, patch_size: int, width: int, channels: int = 128) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.channels = channels
        self.fclayer = ResidualMlp(channels)
        self.weight_generator = KernelGenerator(patch_size, width, channels)

    def forward(self, images: Tensor, wavelengths: Sequence[float]) -> Tensor:
        """(batch, channels, rows, columns) and micrometres to (batch, width, patch rows, patch columns)."""
        with torch.autocast(images.device.type, enabled=False):  # kernels are small numbers: keep them exact
            nanometres = torch.tensor(wavelengths, dtype=torch.float32, device=images.device) * 1000
            weight, bias = self.weight_generator(self.fclayer(encode_wavelengths(nanometres, self.channels)))
        # the padding of one pixel, with which published weights were trained, shifts every patch up and left by one
        return functional.conv2d(images, weight, bias, stride=self.patch_size, padding=1)


class ResidualMlp(nn.Module):
    """Two layers with a ReLU each, around a residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(channels, channels)
        self.w2 = nn.Linear(channels, channels)

    def forward(self, codes: Tensor) -> Tensor:
        """(bands, channels) to the same shape."""
        return codes + functional.relu(self.w2(functional.relu(self.w1(codes))))


class KernelGenerator(nn.Module):
    """A Transformer layer over learned queries, one token a channel, and a bias token; tokens become kernels."""

    def __init__(self, patch_size: int, width: int, channels: int, queries: int = 128, scale: float = 0.01) -> None:
        super().__init__()
        self.shape = (patch_size, patch_size, width)
        self.scale = scale
        layer = nn.TransformerEncoderLayer(channels, nhead=4, dropout=0.0, activation="gelu")
        self.transformer_encoder = nn.TransformerEncoder(layer, num_layers=1, enable_nested_tensor=False)
        self.weight_tokens = nn.Parameter(torch.randn(queries, channels) * 0.02)
        self.bias_token = nn.Parameter(torch.randn(1, channels) * 0.02)
        self.fc_weight = nn.Linear(channels, patch_size * patch_size * width)
        self.fc_bias = nn.Linear(channels, width)

    def forward(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """(channels, 128) codes to kernels (width, channels, patch, patch) and bias (width,)."""
        queries = len(self.weight_tokens)
        tokens = self.transformer_encoder(torch.cat([self.weight_tokens, codes, self.bias_token]))
        # Each channel's numbers are (patch, patch, width). Reading them as (width, channels, patch, patch), as the
        # first released code did, would mix channels and make the output depend on their order.
        kernels = self.fc_weight(tokens[queries:-1] + codes).unflatten(-1, self.shape).permute(3, 0, 1, 2)
        return kernels * self.scale, self.fc_bias(tokens[-1]) * self.scale


class LayerScaleBlock(Block):
    """A block whose two branches are scaled per channel (LayerScale, arXiv 2103.17239)."""

    def __init__(self, width: int, heads: int, mlp_ratio: float = 4.0) -> None:
        super().__init__(width, heads, mlp_ratio)
        self.ls1 = LayerScale(width)
        self.ls2 = LayerScale(width)

    def forward(self, tokens: Tensor, mask: Tensor | None = None, turns: RotaryFactors | None = None) -> Tensor:
        """(batch, length, width) to the same shape; see ``attention_mask`` and ``rotations``."""
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens), mask, turns))
        return tokens + self.ls2(self.mlp(self.norm2(tokens)))


class LayerScale(nn.Module):
    """One learned factor a channel."""

    def __init__(self, width: int, initial: float = 1e-5) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), initial))

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., width) to the same shape."""
        return tokens * self.gamma


def dofa_wavelengths(sensor: Sensor, radar_wavelength: float | None = None) -> list[float]:
    """What DOFA is told about each band.

    Raises:
        ValueError: a radar band without ``radar_wavelength``, or a band that is neither optical, thermal nor radar.
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
        elif radar_wavelength is None:
            raise WeightsError(
                f"sensor {sensor.name!r}, band {band.name!r} is radar and has no optical wavelength; DOFA's authors "
                "feed it 5.405 (its frequency in GHz) as if that were micrometres, others 3.75, and VV and VH become "
                "the same; if you want that, say so with radar_wavelength=5.405"
            )
        else:
            wavelengths.append(radar_wavelength)
    return wavelengths


def encode_wavelengths(nanometres: Tensor, channels: int) -> Tensor:
    """(bands, channels) sines and cosines, frequencies 1 to 1/10000.

    Angles reach thousands of radians in float32, where the order of operations shows: this is the published order.
    """
    steps = torch.arange(channels // 2, dtype=torch.float32, device=nanometres.device) / (channels / 2)
    angles = torch.outer(nanometres, 1.0 / 10000**steps)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def fixed_positions(side: int, width: int) -> Tensor:
    """(1, 1 + side * side, width): zeros for the class token, then column and row codes (MAE, arXiv 2111.06377)."""
    row = torch.arange(side, dtype=torch.float32).repeat_interleave(side)
    column = torch.arange(side, dtype=torch.float32).repeat(side)
    codes = [sinusoidal_encoding(place, width // 2, longest=10_000.0) for place in (column, row)]
    return torch.cat([torch.zeros(1, width), torch.cat(codes, dim=1)]).unsqueeze(0)


def resize_positions(table: Tensor, side: int, grid: tuple[int, int]) -> Tensor:
    """The position table (1, 1 + side * side, width) for another grid of patches, bicubic; the class token's stays."""
    if grid == (side, side):
        return table
    square = table[:, 1:].transpose(1, 2).unflatten(2, (side, side))
    resized = functional.interpolate(square, size=grid, mode="bicubic", align_corners=False, antialias=True)
    return torch.cat([table[:, :1], resized.flatten(2).transpose(1, 2)], dim=1)


@dataclass(frozen=True)
class LoadReport:
    """What happened while a checkpoint was read.

    Attributes:
        dropped: keys of the file that the encoder does not have and never uses (decoder, projector, class head).
        defaulted: keys that published version 1 files lack; they stay at the identity, as in the published class.
    """

    dropped: tuple[str, ...]
    defaulted: tuple[str, ...]
