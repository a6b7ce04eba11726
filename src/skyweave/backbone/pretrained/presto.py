"""Presto (arXiv 2304.14065) on one date: the bands of a pixel, or the mean of a patch, as tokens of one Transformer.

Written from the paper and the published class; `tests/backbone/golden/peers.json` holds numbers of that class.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.backbone.batch import SensorBatch
from skyweave.backbone.encoder import Encoder
from skyweave.backbone.features import Features
from skyweave.backbone.patches import pad_to_patches, patchify
from skyweave.backbone.pretrained.band_groups import GROUPS, mean_of_groups, read_groups
from skyweave.backbone.pretrained.galileo import STATISTICS
from skyweave.backbone.pretrained.load_report import LoadReport
from skyweave.backbone.state_dict import load_strictly
from skyweave.backbone.transformer import Block
from skyweave.core.sensors.sensor import Sensor

CHANNEL_ROWS = {name: row for row, name in enumerate((*list(GROUPS)[:-1], "ERA5", "SRTM", "NDVI", "dynamic_world"))}
DECIBEL_SHIFT = 25.0
REFLECTANCE_SCALE = 10_000.0
DEFAULT_MONTH = 6
"""July, from 0: single images do not say theirs."""
DEFAULT_LATITUDE, DEFAULT_LONGITUDE = 45.0, 10.0
"""Degrees: the token of the place cannot be left out, and single images often do not say theirs."""
PIXELS_PER_PASS = 8192


@dataclass(frozen=True)
class PrestoConfig:
    """Shape of a Presto encoder.

    Attributes:
        width: channels of a token.
        depth: number of blocks.
        heads: attention heads.
        mlp_ratio: hidden channels of the feed-forward part over ``width``.
    """

    width: int = 128
    depth: int = 2
    heads: int = 8
    mlp_ratio: float = 4.0


class Presto(Encoder):
    """Encode the Sentinel bands of pixels, or those of other sensors that lie where these do; it sees no neighbours.

    Args:
        config: its shape.
    """

    def __init__(self, config: PrestoConfig) -> None:
        super().__init__()
        self.config = config
        self.loaded: LoadReport | None = None
        self.pos_embed = nn.Parameter(torch.zeros(1, 24, config.width // 2), requires_grad=False)
        self.month_embed = nn.Parameter(torch.zeros(12, config.width // 4), requires_grad=False)
        self.channel_embed = nn.Parameter(torch.zeros(len(CHANNEL_ROWS), config.width // 4))
        self.latlon_embed = nn.Linear(3, config.width)
        self.eo_patch_embed = nn.ModuleDict(
            {name: nn.Linear(1 if name == "NDVI" else len(bands), config.width) for name, bands in GROUPS.items()}
        )
        self.blocks = nn.ModuleList(Block(config.width, config.heads, config.mlp_ratio) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self._set_epsilon()

    def _set_epsilon(self) -> None:
        """Set the epsilon of all norms to that of the published model."""
        for part in self.modules():
            if isinstance(part, nn.LayerNorm):
                part.eps = 1e-5

    @property
    def width(self) -> int:
        """Return the channels of a token."""
        return self.config.width

    @property
    def patch_size(self) -> int:
        """Return the pixels per side of the patches whose mean is encoded, unless others are asked for."""
        return 8

    @property
    def sensors(self) -> dict[str, Sensor]:
        """Return nothing: its normalisation is that of bands, whatever the sensor."""
        return {}

    @property
    def architecture(self) -> dict[str, Any]:
        """Return the configuration as plain JSON types."""
        return {"name": "Presto", **asdict(self.config)}

    def forward(self, batch: SensorBatch, patch_size: int | None = None) -> Features:
        """Return the features of images of one sensor and size: each patch is encoded as the mean of its pixels.

        Args:
            batch: pixels in the bands' units; invalid pixels do not count.
            patch_size: pixels per patch side.

        Raises:
            WeightsError: no group of bands is complete.
        """
        size = patch_size or self.patch_size
        pixels, valid, grid = pad_to_patches(batch, size)
        groups, seen = read_groups(
            SensorBatch(pixels, valid, batch.sensor, batch.ground_sample_distance), STATISTICS, "Presto"
        )
        usable = patchify(seen.unsqueeze(1), size).flatten(2).any(-1)
        share = functional.avg_pool2d(seen.unsqueeze(1).to(pixels), size).clamp(min=1e-6)
        values = _average_patches(groups, seen, size, share)
        flat = {name: _scale(name, value).flatten(0, 1) for name, value in values.items()}
        count = len(usable) * usable.shape[1]
        parts = self._embed_pixels(count, flat)
        weight = usable.unsqueeze(-1).to(pixels)
        embedding, stem = (torch.cat(kind).unflatten(0, usable.shape) * weight for kind in zip(*parts, strict=True))
        return Features(embedding, usable, grid, (), stem, size)

    def _embed_pixels(self, count: int, flat: dict[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Embed pixels, so many at once as memory allows."""
        return [
            self.forward_features({name: value[start : start + PIXELS_PER_PASS] for name, value in flat.items()})
            for start in range(0, count, PIXELS_PER_PASS)
        ]

    def forward_features(
        self,
        pixels: dict[str, Tensor],
        month: int = DEFAULT_MONTH,
        latitude: float = DEFAULT_LATITUDE,
        longitude: float = DEFAULT_LONGITUDE,
    ) -> tuple[Tensor, Tensor]:
        """Compute the published function.

        Args:
            pixels: (pixels, bands) of each group, scaled.
            month: 0 to 11.
            latitude: degrees north.
            longitude: degrees east.

        Returns:
            (pixels, width) embedding, and the mean of the tokens before the first block.
        """
        sequence = []
        for name in GROUPS:
            if name in pixels:
                row = self.channel_embed[CHANNEL_ROWS[name]]
                code = torch.cat([self.month_embed[month], row, self.pos_embed[0, 0]])
                sequence.append(self.eo_patch_embed[name](pixels[name]) + code)
        place = self.latlon_embed(_on_sphere(latitude, longitude).to(sequence[0]))
        stem = torch.stack(sequence, dim=1)
        tokens = torch.cat([place.expand(len(stem), 1, -1), stem], dim=1)
        for block in self.blocks:
            tokens = block(tokens, None)
        return self.norm(tokens.mean(1)), mean_of_groups(stem, stem.shape[1])[:, 0]


def _average_patches(groups: dict[str, Tensor], seen: Tensor, size: int, share: Tensor) -> dict[str, Tensor]:
    """Average each group of bands over the seen pixels of patches."""
    return {
        name: (functional.avg_pool2d(image * seen.unsqueeze(1), size) / share).flatten(2).transpose(1, 2)
        for name, image in groups.items()
    }


def presto_from_state_dict(state: dict[str, Tensor], source: str) -> Presto:
    """Return a Presto encoder with published weights, in evaluation mode; the decoder and weather are dropped.

    Args:
        state: tensors by their published names.
        source: of the tensors, for messages.

    Raises:
        WeightsError: keys or shapes do not fit.
    """
    kept = {key: value for key, value in state.items() if key.startswith("encoder.")}
    encoder = _encoder_weights(kept)
    width = encoder["norm.weight"].shape[0]
    depth = _count_blocks(encoder)
    hidden = encoder["blocks.0.mlp.fc1.weight"].shape[0]
    model = Presto(PrestoConfig(width, depth, mlp_ratio=hidden / width))
    for name in ("month_embed", "channel_embed"):
        encoder[name] = encoder.pop(f"{name}.weight")
    unused = ("dw_embed.", "eo_patch_embed.ERA5.", "eo_patch_embed.SRTM.")
    load_strictly(model, {key: value for key, value in encoder.items() if not key.startswith(unused)}, source)
    dropped = _dropped_keys(state, encoder, unused)
    model.loaded = LoadReport(tuple(dropped), ())
    return model.eval()


def _encoder_weights(kept: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of the encoder."""
    return {key.removeprefix("encoder."): value.float() for key, value in kept.items()}


def _count_blocks(encoder: dict[str, Tensor]) -> int:
    """Count the blocks of the encoder."""
    return len({key.split(".")[1] for key in encoder if key.startswith("blocks.")})


def _dropped_keys(state: dict[str, Tensor], encoder: dict[str, Tensor], unused: tuple[str, str, str]) -> list[str]:
    """Return the keys that are not used."""
    dropped = [key for key in state if not key.startswith("encoder.")]
    dropped += [f"encoder.{key}" for key in encoder if key.startswith(unused)]
    return dropped


def _scale(group: str, values: Tensor) -> Tensor:
    if group == "NDVI":
        return values
    if group == "S1":
        return (values + DECIBEL_SHIFT) / DECIBEL_SHIFT
    return values / REFLECTANCE_SCALE


def _on_sphere(latitude: float, longitude: float) -> Tensor:
    north, east = math.radians(latitude), math.radians(longitude)
    return torch.tensor([math.cos(north) * math.cos(east), math.cos(north) * math.sin(east), math.sin(north)])
