"""Galileo (arXiv 2502.09356) on one date: groups of Sentinel-1 and -2 bands as tokens of one Transformer.

Written from the paper and the published class; `tests/backbone/golden/peers.json` holds numbers of that class.
"""

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.backbone.batch import SensorBatch
from skyweave.backbone.encoder import Encoder
from skyweave.backbone.features import Features
from skyweave.backbone.patches import pad_to_patches, patchify
from skyweave.backbone.pretrained.band_groups import GROUPS, mean_of_groups, read_groups, statistics_by_band
from skyweave.backbone.pretrained.load_report import LoadReport
from skyweave.backbone.state_dict import load_strictly
from skyweave.backbone.transformer import Block, attention_mask
from skyweave.core.errors import WeightsError
from skyweave.core.sensors.sensor import Sensor

STATISTICS = statistics_by_band(
    ("vv", "vh", "blue", "green", "red", "rededge071", "rededge075", "rededge078", "nir", "nir08", "swir16", "swir22"),
    (
        -11.7287,
        -18.8556,
        1395.3409,
        1338.4027,
        1343.0988,
        1543.8608,
        2186.2022,
        2525.0933,
        2410.3377,
        2750.2855,
        2234.9111,
        1474.5311,
    ),
    (
        4.8871,
        5.7303,
        917.7041,
        913.2988,
        1092.6787,
        1047.2206,
        1048.0101,
        1143.6903,
        1098.9792,
        1204.4728,
        1145.9774,
        980.2430,
    ),
)
"""Of Galileo's training data: decibels, and reflectance times 10000."""
DEVIATIONS = 2.0
"""Values are scaled so that so many standard deviations about the mean are 0 to 1."""
BASE_METRES = 10.0
DEFAULT_MONTH = 6
"""July, from 0: single images do not say theirs."""


@dataclass(frozen=True)
class GalileoConfig:
    """Shape of a Galileo encoder.

    Attributes:
        width: channels of a token.
        depth: number of blocks.
        heads: attention heads.
        patch_size: pixels per side of its kernels, which are resized to any smaller patch.
    """

    width: int
    depth: int
    heads: int = 8
    patch_size: int = 8


class Galileo(Encoder):
    """Encode the Sentinel bands of an image, or those of other sensors that lie where these do.

    Args:
        config: its shape.
    """

    def __init__(self, config: GalileoConfig) -> None:
        super().__init__()
        self.config = config
        self.loaded: LoadReport | None = None
        quarter = config.width // 4
        self.pos_embed = nn.Parameter(torch.zeros(24, quarter), requires_grad=False)
        self.month_embed = nn.Parameter(torch.zeros(12, quarter), requires_grad=False)
        self.channel_embed = nn.Parameter(torch.zeros(len(GROUPS), quarter))
        self.space_time_embed = nn.ModuleDict(
            {name: nn.Conv2d(_channels(name), config.width, config.patch_size) for name in GROUPS}
        )
        self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        for part in self.modules():
            if isinstance(part, nn.LayerNorm):
                part.eps = 1e-5

    @property
    def width(self) -> int:
        """Return the channels of a token."""
        return self.config.width

    @property
    def patch_size(self) -> int:
        """Return the pixels per side of its kernels."""
        return self.config.patch_size

    @property
    def sensors(self) -> dict[str, Sensor]:
        """Return nothing: its normalisation is that of bands, whatever the sensor."""
        return {}

    @property
    def architecture(self) -> dict[str, Any]:
        """Return the configuration as plain JSON types."""
        return {"name": "Galileo", **asdict(self.config)}

    def nearest_patch_size(self, pixels: int | None) -> int | None:
        """Return the patch size, or its largest.

        Args:
            pixels: per patch side.
        """
        return None if pixels is None else min(pixels, self.config.patch_size)

    def forward(self, batch: SensorBatch, patch_size: int | None = None) -> Features:
        """Return the features of images of one sensor and size: of each patch, the mean over its groups of bands.

        Args:
            batch: pixels in the bands' units; invalid pixels become the mean.
            patch_size: pixels per patch side, 1 to 8.

        Raises:
            WeightsError: no group of bands is complete, or a larger patch.
        """
        size = patch_size or self.config.patch_size
        if not 1 <= size <= self.config.patch_size:
            raise WeightsError(f"Galileo has patches of 1 to {self.config.patch_size} pixels, got patch_size={size}")
        pixels, valid, grid = pad_to_patches(batch, size)
        groups, seen = read_groups(
            SensorBatch(pixels, valid, batch.sensor, batch.ground_sample_distance), STATISTICS, "Galileo"
        )
        usable = patchify(seen.unsqueeze(1), size).flatten(2).any(-1)
        images = {name: _scale(name, values) for name, values in groups.items()}
        return self.forward_features(images, grid, size, batch.ground_sample_distance, usable)

    def forward_features(
        self,
        images: dict[str, Tensor],
        grid: tuple[int, int],
        patch_size: int,
        metres: Tensor,
        usable: Tensor | None = None,
        month: int = DEFAULT_MONTH,
    ) -> Features:
        """Compute the published function.

        Args:
            images: (batch, bands, rows, columns) of each group, scaled, whole patches.
            grid: (rows, columns) of patches.
            patch_size: pixels per patch side.
            metres: (batch,) ground size of a pixel.
            usable: (batch, patches) bool; default: all.
            month: 0 to 11.
        """
        places = self._places(grid, metres * patch_size / BASE_METRES)
        stems, sequences = [], []
        for number, name in enumerate(GROUPS):
            if name in images:
                stems.append(self._embed(name, images[name], patch_size))
                constant = torch.cat([self.channel_embed[number], self.pos_embed[0], self.month_embed[month]])
                codes = torch.cat([constant.expand(*places.shape[:2], -1), places], dim=-1)
                sequences.append(stems[-1] + codes)
        tokens = torch.cat(sequences, dim=1)
        if usable is None:
            usable = torch.ones(len(tokens), grid[0] * grid[1], dtype=torch.bool, device=tokens.device)
        mask = attention_mask(usable.repeat(1, len(stems)))
        weight = usable.unsqueeze(-1).to(tokens.dtype)
        levels = []
        for number, block in enumerate(self.blocks, start=1):
            tokens = block(tokens, mask)
            levels += [mean_of_groups(tokens, len(stems)) * weight] * self._taps.count(number)
        last = mean_of_groups(self.norm(tokens), len(stems)) * weight
        stem = torch.stack(stems).mean(0) * weight
        return Features(last, usable, grid, tuple(levels), stem, patch_size)

    @property
    def _taps(self) -> tuple[int, ...]:
        return tuple(max(1, round(self.config.depth * part / 4)) for part in (1, 2, 3, 4))

    def _embed(self, name: str, images: Tensor, patch_size: int) -> Tensor:
        convolution = self.space_time_embed[name]
        assert isinstance(convolution, nn.Conv2d)
        kernel = convolution.weight.flatten(2) @ _kernel_resize(self.config.patch_size, patch_size).to(images)
        kernel = kernel.unflatten(2, (patch_size, patch_size))
        patches = functional.conv2d(images, kernel, convolution.bias, stride=patch_size)
        return patches.flatten(2).transpose(1, 2)

    def _places(self, grid: tuple[int, int], step: Tensor) -> Tensor:
        """(batch, patches, width / 4): codes of column and row, in steps of 10 m."""
        rows, columns = (torch.arange(extent, device=step.device, dtype=step.dtype) for extent in grid)
        row = rows.repeat_interleave(grid[1]) * step[:, None]
        column = columns.repeat(grid[0]) * step[:, None]
        channels = self.config.width // 8
        frequency = 1.0 / 10_000 ** (torch.arange(channels // 2, device=step.device) / channels / 2)
        codes = [trigonometric for angle in (column, row) for trigonometric in _waves(angle, frequency)]
        return torch.cat(codes, dim=-1)


def galileo_from_state_dict(state: dict[str, Tensor], source: str) -> Galileo:
    """Return a Galileo encoder with published weights, in evaluation mode; what other inputs need is dropped.

    Args:
        state: tensors by their published names.
        source: of the tensors, for messages.

    Raises:
        WeightsError: keys or shapes do not fit.
    """
    depth = _count_blocks(state)
    kernel = state["space_time_embed.S1.proj.weight"]
    heads = {128: 8, 192: 3, 768: 12}.get(len(kernel), 8)
    model = Galileo(GalileoConfig(len(kernel), depth, heads, int(kernel.shape[-1])))
    used = {key: state[key] for key in ("pos_embed", "norm.weight", "norm.bias")}
    _rename_blocks(state, used)
    used["month_embed"] = state["month_embed.weight"]
    used["channel_embed"] = state["s_t_channel_embed"]
    load_strictly(model, {key: value.float() for key, value in used.items()}, source)
    unused = ("space_embed", "time_embed", "static_embed", "sp_", "t_", "st_")
    dropped = tuple(key for key in state if key.startswith(unused))
    model.loaded = LoadReport(dropped, ())
    return model.eval()


def _count_blocks(state: dict[str, Tensor]) -> int:
    """Count the blocks of the encoder."""
    return len({key.split(".")[1] for key in state if key.startswith("blocks.")})


def _rename_blocks(state: dict[str, Tensor], used: dict[str, Tensor]) -> None:
    """Add the weights of blocks and embeddings by their names here."""
    for key, value in state.items():
        if key.startswith("blocks.") and ".attn.q." in key:
            parts = [state[key.replace(".q.", f".{part}.")] for part in "qkv"]
            used[key.replace(".q.", ".qkv.")] = torch.cat(parts)
        elif key.startswith("blocks.") and ".attn.k." not in key and ".attn.v." not in key:
            used[key] = value
        elif key.startswith("space_time_embed."):
            used[key.replace(".proj.", ".")] = value


def _channels(group: str) -> int:
    return 1 if group == "NDVI" else len(GROUPS[group])


def _scale(group: str, values: Tensor) -> Tensor:
    if group == "NDVI":
        return values
    low = values.new_tensor([STATISTICS[band].mean - DEVIATIONS * STATISTICS[band].std for band in GROUPS[group]])
    width = values.new_tensor([2 * DEVIATIONS * STATISTICS[band].std for band in GROUPS[group]])
    return (values - low.view(-1, 1, 1)) / width.view(-1, 1, 1)


def _waves(angle: Tensor, frequency: Tensor) -> tuple[Tensor, Tensor]:
    angles = angle.unsqueeze(-1) * frequency
    return angles.sin(), angles.cos()


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _kernel_resize(source: int, target: int) -> Tensor:
    """Return the (source**2, target**2) matrix that resizes a flattened kernel (FlexiViT, arXiv 2212.08013)."""
    if source == target:
        return torch.eye(source * source)
    basis = torch.eye(source * source).view(source * source, 1, source, source)
    resized = functional.interpolate(basis, (target, target), mode="bicubic", antialias=True)
    result: Tensor = torch.linalg.pinv(resized.flatten(1)).T.contiguous()
    return result
