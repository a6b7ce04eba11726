"""The pretraining decoder: predicts hidden patches from what the encoder saw."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from skyweave.backbone.backbone import gather_patches
from skyweave.backbone.band_encoder import BandEncoder, KindColumns
from skyweave.backbone.patches import resize_matrix
from skyweave.backbone.positions import GroundSampleDistanceMode, Positions
from skyweave.backbone.transformer import (
    Mlp,
    RotaryFactors,
    apply_rotary,
    attention_mask,
    dot_product_attention,
    initialise_weights,
    pad_and_concatenate,
    rotary_factors,
)
from skyweave.core.sensors.sensor import Sensor
from skyweave.pretraining.masking import EncodedView


@dataclass(frozen=True)
class DecoderConfig:
    """Numbers of the decoder.

    Attributes:
        width: channels.
        depth: cross-attention blocks.
        heads: attention heads.
        mixes: spectral functions of the output.
    """

    width: int = 128
    depth: int = 3
    heads: int = 4
    mixes: int = 32

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, for the card."""
        return asdict(self)


class CrossDecoder(nn.Module):
    """Queries for hidden patches attend to the encoded visible patches (cross-attention only, as CrossMAE,
    arXiv 2401.14391): any subset of the hidden patches can be predicted, at a cost proportional to it.

    Args:
        encoder_width: channels of the encoded tokens.
        config: see ``DecoderConfig``.
        ground_sample_distance: how positions use it.
    """

    def __init__(
        self, encoder_width: int, config: DecoderConfig, ground_sample_distance: GroundSampleDistanceMode
    ) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Linear(encoder_width, config.width)
        self.mask_token = nn.Parameter(torch.zeros(config.width))
        self.positions = Positions(config.width, ground_sample_distance)
        self.blocks = nn.ModuleList(CrossBlock(config.width, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, eps=1e-6)
        initialise_weights(self)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(
        self, encoded: Tensor, valid: Tensor | None, coordinates: Tensor, query_coordinates: Tensor, metres: Tensor
    ) -> Tensor:
        """Decode queries for patches.

        Args:
            encoded: (batch, visible, encoder width).
            valid: (batch, visible) bool or None.
            coordinates: (batch, visible, 2) row and column of the encoded patches.
            query_coordinates: (batch, queries, 2) row and column of the patches to predict.
            metres: (batch,) ground size of a patch.

        Returns:
            (batch, queries, width).
        """
        memory = self.embed(encoded)
        mask = attention_mask(valid)
        head = self.config.width // self.config.heads
        rotary = rotary_factors(query_coordinates, head), rotary_factors(coordinates, head)
        queries = (self.mask_token + self.positions(metres)).expand(-1, query_coordinates.shape[1], -1)
        for block in self.blocks:
            queries = block(queries, memory, mask, rotary)
        result: Tensor = self.norm(queries)
        return result


class PixelDecoder(CrossDecoder):
    """Decode queries to pixels.

    The output is spectral: each query gives ``mixes`` maps of a patch, and each band combines them with weights
    generated from what the band is; so one decoder serves every sensor.

    Args:
        encoder_width: channels of the encoded tokens.
        patch_size: nominal pixels per patch side; predictions are resampled to other sizes.
        config: see ``DecoderConfig``.
        ground_sample_distance: how positions use it.
        kinds: further kinds of bands, as of the backbone.
    """

    def __init__(
        self,
        encoder_width: int,
        patch_size: int,
        config: DecoderConfig,
        ground_sample_distance: GroundSampleDistanceMode,
        kinds: KindColumns = (),
    ) -> None:
        super().__init__(encoder_width, config, ground_sample_distance)
        self.patch_size = patch_size
        heads = [
            nn.Linear(config.width, config.mixes * patch_size**2),
            BandEncoder(config.mixes + 1, kinds=kinds),
            nn.Linear(config.width, config.mixes * patch_size**2),
            BandEncoder(config.mixes + 1, kinds=kinds),
        ]
        for head in heads:
            initialise_weights(head)
        self.maps, self.band_code, self.texture_maps, self.texture_code = heads

    def pixels(self, decoded: Tensor, sensor: Sensor, patch_size: int) -> Tensor:
        """Return normalised pixels, (batch, queries, bands, patch_size**2).

        Args:
            decoded: (batch, queries, width).
            sensor: its bands are predicted.
            patch_size: pixels per patch side.
        """
        return self._bands(self.maps(decoded), self.band_code(sensor), patch_size)

    def texture(self, decoded: Tensor, sensor: Sensor, patch_size: int) -> Tensor:
        """Return pixels without their patch's mean and spread, (batch, queries, bands, patch_size**2).

        Args:
            decoded: (batch, queries, width).
            sensor: its bands are predicted.
            patch_size: pixels per patch side.
        """
        return self._bands(self.texture_maps(decoded), self.texture_code(sensor), patch_size)

    def _bands(self, maps: Tensor, code: Tensor, patch_size: int) -> Tensor:
        maps = maps.unflatten(-1, (self.config.mixes, -1))
        if patch_size != self.patch_size:
            maps = maps @ resize_matrix(self.patch_size, patch_size).to(maps).T
        weights, bias = code.split([self.config.mixes, 1], dim=-1)
        result: Tensor = torch.matmul(weights.to(maps.dtype), maps) + bias
        return result


def decode_queries(
    decoder: CrossDecoder, positions: Positions, encoded: Sequence[EncodedView], queries: Sequence[Tensor]
) -> list[Tensor]:
    """Decode queries of several batches in one pass, (batch, queries, width) each.

    Args:
        decoder: of queries.
        positions: of the backbone, which places the patches.
        encoded: views that the decoder attends to.
        queries: (batch, queries) indices of patches, of each view.
    """
    valid = [item.view.visible_valid for item in encoded]
    memory, memory_valid = pad_and_concatenate([item.tokens for item in encoded], valid)
    decoded = decoder(
        memory,
        memory_valid,
        _coordinates(positions, encoded, [item.view.visible for item in encoded]),
        _coordinates(positions, encoded, queries),
        torch.cat([item.view.patches.metres for item in encoded]),
    )
    pieces = decoded.split([len(query) for query in queries])
    return [piece[:, : query.shape[1]] for piece, query in zip(pieces, queries, strict=True)]


def _coordinates(positions: Positions, encoded: Sequence[EncodedView], indices: Sequence[Tensor]) -> Tensor:
    """Return row and column of some patches of each view, padded to one batch."""
    grids = [positions.coordinates(item.view.patches.grid, item.view.patches.metres) for item in encoded]
    places = [gather_patches(grid, index) for grid, index in zip(grids, indices, strict=True)]
    return pad_and_concatenate(places, [torch.ones_like(index, dtype=torch.bool) for index in indices])[0]


class CrossBlock(nn.Module):
    """Apply cross-attention from queries to memory and a feed-forward part, pre-norm.

    Args:
        width: channels of a token.
        heads: attention heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.norm_memory = nn.LayerNorm(width, eps=1e-6)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, 4 * width)

    def forward(
        self, queries: Tensor, memory: Tensor, mask: Tensor | None, rotary: tuple[RotaryFactors, RotaryFactors]
    ) -> Tensor:
        """Return queries of the same shape.

        Args:
            queries: (batch, queries, width).
            memory: (batch, visible, width).
            mask: of `attention_mask`, of the memory.
            rotary: of `rotary_factors`, of queries and memory.
        """
        query = self.query(self.norm1(queries)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        key_value = self.key_value(self.norm_memory(memory)).unflatten(-1, (2, self.heads, -1))
        key, value = key_value.permute(2, 0, 3, 1, 4)
        mixed = dot_product_attention(apply_rotary(query, rotary[0]), apply_rotary(key, rotary[1]), value, mask)
        queries = queries + self.proj(mixed.transpose(1, 2).flatten(2))
        result: Tensor = queries + self.mlp(self.norm2(queries))
        return result
