"""Features of tiles to finished rows of the whole map, in the memory of one row of tiles."""

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import torch

from skyweave.backbone import Encoder
from skyweave.core.errors import DataError
from skyweave.embedding.plan import ScenePlan
from skyweave.embedding.tiles import BlendedRows

Rows = tuple[np.ndarray, np.ndarray]
"""Features (channels, rows, columns) float32 and which patches are valid (rows, columns) bool."""


def embed_rows(plan: ScenePlan, encoder: Encoder, progress: Callable[[int, int], None] | None = None) -> Iterator[Rows]:
    """Embed a scene tile by tile and yield finished rows of patches from north to south.

    Args:
        plan: the scene.
        encoder: in evaluation mode.
        progress: called with (tiles done, tiles in all).
    """
    tiles = plan.tiles
    blended = BlendedRows(encoder.width, min(tiles.size, tiles.rows), tiles.columns)
    done = itertools.count(1)
    for tile_row, next_row in tiles.tile_rows():
        for tile in tile_row:
            observation = plan.read(tile)
            if observation.valid.any():
                features = encoder.embed(observation, plan.patch_size)
                valid = features.valid[0].view(features.grid).cpu().numpy()
                values = features.dense()[0].to(torch.float32).cpu().numpy()
                _check_finite(values[:, valid], plan)
                blended.add(tile, values, tiles.weight(tile) * valid)
            if progress is not None:
                progress(next(done), len(tiles))
        yield blended.finish(next_row)


def _check_finite(features: np.ndarray, plan: ScenePlan) -> None:
    """Refuse features that a reader of the map would take for nodata, or for numbers."""
    if not np.isfinite(features).all():
        raise DataError(
            f"the model gives features that are not finite for valid pixels of {plan.scene}; look at its values with "
            f"`skyweave inspect {plan.scene}`: are they {plan.image.sensor.name} in {plan.unit}?"
        )


def regroup_rows(rows: Iterator[Rows], height: int, block_rows: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Regroup rows to whole blocks of a file: yield the first row, features and validity.

    Args:
        rows: from north to south.
        height: rows of the whole map.
        block_rows: of a block.
    """
    start, open_features, open_valid = 0, [], []
    for features, valid in rows:
        open_features.append(features)
        open_valid.append(valid)
        waiting = sum(len(part) for part in open_valid)
        ready = waiting if start + waiting == height else waiting // block_rows * block_rows
        if ready:
            joined, mask = np.concatenate(open_features, axis=1), np.concatenate(open_valid)
            yield start, joined[:, :ready].copy(), mask[:ready]
            start, open_features, open_valid = start + ready, [joined[:, ready:]], [mask[ready:]]
