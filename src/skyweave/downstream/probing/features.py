"""Frozen features of a backbone on the cells of a probe."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from skyweave.backbone import Encoder, Features
from skyweave.backbone.batch import SensorBatch, stack_observations
from skyweave.downstream.baselines.texture import texture_maps
from skyweave.downstream.probing.blocks import FeatureBlocks, FeatureValues, absolute_difference
from skyweave.downstream.probing.config import Pooling, ProbeConfig, Readout
from skyweave.downstream.probing.samples import ProbeSamples

DEPTHS: tuple[Readout, ...] = ("quarter", "half", "three_quarters", "last")
BESIDE_BANDS: dict[Readout, tuple[Readout, ...]] = {
    "with_bands": ("levels", "overlapping_stem"),
    "stem_with_bands": ("overlapping_stem",),
}
"""What is read of the network beside the bands' own values and texture."""
OVERLAPPING_PATCH_PIXELS = 4
"""Per side of the patches of ``overlapping_stem``."""
TOKENS_PER_BATCH = 4096
"""Images are encoded in batches of about so many tokens."""


@dataclass(frozen=True)
class Candidate:
    """One way to read features.

    Attributes:
        readout: depth.
        pooling: of samples that are whole images.
    """

    readout: Readout
    pooling: Pooling = "mean_std"

    @property
    def name(self) -> str:
        """What a report calls it."""
        return f"{self.readout} {self.pooling.replace('_', '+')}"


def feature_candidates(config: ProbeConfig, has_levels: bool = True) -> list[Candidate]:
    """Return the ways to read features that a probe chooses from.

    Args:
        config: of the probe.
        has_levels: False: the encoder has its last output only, which stands for all depths.
    """
    readouts = [kind for kind in config.readout if has_levels or kind in ("stem", "normed", *BESIDE_BANDS)] or [
        "normed"
    ]
    poolings = config.pooling if config.cell is None else config.pooling[:1]
    return [Candidate(readout, pooling) for readout in readouts for pooling in poolings]


@torch.inference_mode()
def encode_probe_samples(
    backbone: Encoder,
    samples: ProbeSamples,
    candidates: Sequence[Candidate],
    patch_size: int | None = None,
    half_precision: bool = False,
) -> list[FeatureValues]:
    """Encode every image once and read its samples, once for each candidate.

    Args:
        backbone: stays as it is.
        samples: of the probe.
        candidates: the depth is ``stem`` (the patch embedding), ``quarter``, ``half``, ``three_quarters``, ``last``
            (outputs after so many of the blocks), ``normed`` (the last output after the final norm), ``levels``
            (quarter to last side by side, each normalised), ``with_bands`` (levels, patch embedding, and the bands' own
            values and texture, as blocks of equal say, so that nothing that the bands tell is lost),
            ``stem_with_bands`` (the same without levels: no context). The patch embedding beside bands is that of
            overlapping patches, its positive and its negative part averaged over the cell (as filters are read in Rolf
            et al. 2021, doi:10.1038/s41467-021-24638-z); an encoder that cannot tell it gives its ``stem``. Maps are
            resampled from patches to cells (averaged where a cell holds several patches, interpolated where a patch
            holds several cells); a sample that is a whole image is pooled over its valid patches.
        patch_size: pixels per patch side, default the backbone's own.
        half_precision: encode in bfloat16.

    Returns:
        One (samples, values) float32, or its blocks, for each candidate; of change, by how much they differ between
        the dates.
    """
    if not samples.later:
        return _encode_date(backbone, samples, candidates, patch_size, half_precision)
    dates = (replace(samples, later=[]), replace(samples, images=samples.later, later=[]))
    pairs = [_encode_date(backbone, one, candidates, patch_size, half_precision) for one in dates]
    return [absolute_difference(before, after) for before, after in zip(*pairs, strict=True)]


def _encode_date(
    backbone: Encoder,
    samples: ProbeSamples,
    candidates: Sequence[Candidate],
    patch_size: int | None,
    half_precision: bool,
) -> list[FeatureValues]:
    """Return (samples, values) float32 of the images of one date, or their blocks, for each candidate."""
    training = backbone.training
    backbone.eval()
    device = next(backbone.parameters()).device
    blocks: dict[Candidate, np.ndarray] = {}
    parts = list(dict.fromkeys(part for candidate in candidates for part in _parts(candidate)))
    for members in _batches(samples, patch_size or backbone.patch_size):
        batch = stack_observations([samples.images[i] for i in members]).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=half_precision):
            features = backbone(batch, patch_size)
        for part in parts:
            maps = _read_part(backbone, batch, features, part, samples.cell_size).float().cpu().numpy()
            if part not in blocks:
                blocks[part] = np.empty((len(samples), maps.shape[1]), np.float32)
            _scatter_cells(blocks[part], maps, members, samples)
    backbone.train(training)
    return _join_blocks(blocks, candidates, samples)


def _parts(candidate: Candidate) -> list[Candidate]:
    """Return what a candidate reads of the network: itself, or the parts that stand beside the bands."""
    return [replace(candidate, readout=part) for part in BESIDE_BANDS.get(candidate.readout, (candidate.readout,))]


def _scatter_cells(values: np.ndarray, maps: np.ndarray, members: list[int], samples: ProbeSamples) -> None:
    """Write the cells of the maps of some images into the rows of their samples."""
    for i, part in zip(members, maps, strict=True):
        rows = samples.rows_of_image[i]
        values[rows] = part[:, samples.cell[rows, 0], samples.cell[rows, 1]].T


def _join_blocks(
    blocks: dict[Candidate, np.ndarray], candidates: Sequence[Candidate], samples: ProbeSamples
) -> list[FeatureValues]:
    """Return the features of each candidate, those of the bands themselves beside the network's where it reads both."""
    bands: list[np.ndarray] = []
    if any(candidate.readout in BESIDE_BANDS for candidate in candidates):
        bands = [samples.gather_features(lambda images: texture_maps(images, samples.cell_size))]
    return [
        FeatureBlocks.join([*(blocks[part] for part in _parts(candidate)), *bands])
        if candidate.readout in BESIDE_BANDS
        else blocks[candidate]
        for candidate in candidates
    ]


def _read_part(
    backbone: Encoder, batch: SensorBatch, features: Features, part: Candidate, cell: int | None
) -> torch.Tensor:
    """Return (batch, channels, cell rows, cell columns) of one readout, that of overlapping patches among them."""
    if part.readout == "overlapping_stem":
        stride = 1 if cell is not None and (cell < OVERLAPPING_PATCH_PIXELS or cell % 2) else 2
        stem = backbone.embed_overlapping_patches(batch, OVERLAPPING_PATCH_PIXELS, stride)
        if stem is not None:
            return _mean_parts(stem.float(), None if cell is None else cell // stride)
        part = replace(part, readout="stem")
    rows, columns = batch.pixels.shape[-2:]
    return _read(features, part, cell, (rows, columns))


def _mean_parts(stem: torch.Tensor, cell: int | None) -> torch.Tensor:
    """Return (batch, 2 * width, cell rows, cell columns): means of the positive and of the negative part."""
    parts = torch.cat([stem.relu(), (-stem).relu()], dim=1)
    return parts.mean((2, 3), keepdim=True) if cell is None else functional.avg_pool2d(parts, cell)


def _read(features: Features, candidate: Candidate, cell: int | None, shape: tuple[int, int]) -> torch.Tensor:
    """Return (batch, channels, cell rows, cell columns) of one readout."""
    tokens = _tokens(features, candidate.readout).float()  # resampling in bfloat16 is coarse, and NaN now and then
    weight = features.valid.unsqueeze(-1).to(tokens.dtype)
    if cell is None:
        return _pool(tokens, weight, candidate.pooling)[:, :, None, None]
    values = (tokens * weight).transpose(1, 2).reshape(len(tokens), -1, *features.grid)
    share = weight.transpose(1, 2).reshape(len(tokens), 1, *features.grid)
    return _to_cells(values, features.patch_size, cell, shape) / _to_cells(
        share, features.patch_size, cell, shape
    ).clamp(min=1e-6)


def _pool(tokens: torch.Tensor, weight: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    count = weight.sum(1, keepdim=True).clamp(min=1)
    mean = (tokens * weight).sum(1, keepdim=True) / count
    if pooling == "mean":
        return mean[:, 0]
    std = (((tokens - mean) * weight).square().sum(1, keepdim=True) / count).sqrt()
    return torch.cat([mean, std], dim=-1)[:, 0]


def _tokens(features: Features, kind: Readout) -> torch.Tensor:
    if kind == "levels" and features.levels:
        return features.concatenated_levels()
    if kind in DEPTHS:
        return features.levels[DEPTHS.index(kind)]
    return features.stem if kind == "stem" else features.tokens


def _to_cells(values: torch.Tensor, patch: int, cell: int, shape: tuple[int, int]) -> torch.Tensor:
    rows, columns = shape[0] // cell, shape[1] // cell
    if patch == cell:
        return values[..., :rows, :columns]
    if cell % patch == 0:
        return functional.avg_pool2d(values, cell // patch)[..., :rows, :columns]
    y = _positions(rows, cell, patch, values.shape[-2])
    x = _positions(columns, cell, patch, values.shape[-1])
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1).to(values)
    grid = grid.expand(len(values), *grid.shape)
    return functional.grid_sample(values, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _positions(cells: int, cell: int, patch: int, patches: int) -> torch.Tensor:
    """Return cell centres in the coordinates of ``grid_sample``: -1 and 1 are the outer edges of the patches."""
    return (torch.arange(cells) + 0.5) * cell / patch / patches * 2 - 1


def _batches(samples: ProbeSamples, patch_size: int) -> list[list[int]]:
    """Return indices of images of one sensor and size, few enough to encode together."""
    groups: dict[tuple[object, tuple[int, int]], list[int]] = {}
    for i, image in enumerate(samples.images):
        groups.setdefault((image.sensor, image.shape), []).append(i)
    batches = []
    for (_, shape), members in groups.items():
        tokens = -(-shape[0] // patch_size) * -(-shape[1] // patch_size)
        step = max(1, TOKENS_PER_BATCH // tokens)
        batches += [members[start : start + step] for start in range(0, len(members), step)]
    return batches
