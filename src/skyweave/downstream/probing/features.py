"""Frozen features of a backbone on the cells of a probe."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from skyweave.backbone import Encoder, Features
from skyweave.backbone.batch import stack_observations
from skyweave.downstream.probing.config import Readout
from skyweave.downstream.probing.samples import ProbeSamples

DEPTHS: tuple[Readout, ...] = ("quarter", "half", "three_quarters", "last")
TOKENS_PER_BATCH = 4096
"""Images are encoded in batches of about so many tokens."""


@torch.inference_mode()
def encode_probe_samples(
    backbone: Encoder, samples: ProbeSamples, readout: Sequence[Readout], patch_size: int | None = None
) -> list[np.ndarray]:
    """Encode every image once and read its samples, once for each readout.

    Args:
        backbone: stays as it is.
        samples: of the probe.
        readout: ``stem`` (the patch embedding), ``quarter``, ``half``, ``three_quarters``, ``last`` (outputs after so
            many of the blocks), ``normed`` (the last output after the final norm), ``levels`` (quarter to last side by
            side, each normalised). Maps are resampled from patches to cells (averaged where a cell holds several
            patches, interpolated where a patch holds several cells); a sample that is a whole image has the mean and
            the standard deviation over its valid patches.
        patch_size: pixels per patch side, default the backbone's own.

    Returns:
        One (samples, values) float32 for each readout.
    """
    training = backbone.training
    backbone.eval()
    device = next(backbone.parameters()).device
    maps: list[list[np.ndarray]] = [[np.empty(0)] * len(samples.images) for _ in readout]
    for members in _batches(samples, patch_size or backbone.patch_size):
        batch = stack_observations([samples.images[i] for i in members]).to(device)
        features = backbone(batch, patch_size)
        for column, kind in enumerate(readout):
            part = _read(features, kind, samples.cell_size, samples.images[members[0]].shape).float().cpu().numpy()
            for i, values in zip(members, part, strict=True):
                maps[column][i] = values
    backbone.train(training)
    return [samples.gather(values) for values in maps]


def _read(features: Features, kind: Readout, cell: int | None, shape: tuple[int, int]) -> torch.Tensor:
    """Return (batch, channels, cell rows, cell columns) of one readout."""
    tokens = _tokens(features, kind)
    weight = features.valid.unsqueeze(-1).to(tokens.dtype)
    if cell is None:
        count = weight.sum(1, keepdim=True).clamp(min=1)
        mean = (tokens * weight).sum(1, keepdim=True) / count
        std = (((tokens - mean) * weight).square().sum(1, keepdim=True) / count).sqrt()
        return torch.cat([mean, std], dim=-1)[:, 0, :, None, None]
    values = (tokens * weight).transpose(1, 2).reshape(len(tokens), -1, *features.grid)
    share = weight.transpose(1, 2).reshape(len(tokens), 1, *features.grid)
    return _to_cells(values, features.patch_size, cell, shape) / _to_cells(
        share, features.patch_size, cell, shape
    ).clamp(min=1e-6)


def _tokens(features: Features, kind: Readout) -> torch.Tensor:
    if kind == "levels":
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
