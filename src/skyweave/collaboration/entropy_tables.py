"""A trained codec's tables, from the numbers that it makes of the training maps."""

import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from skyweave.collaboration.boxes import SCORE_CHANNEL, rasterize_boxes
from skyweave.collaboration.cache import FeatureCache, Key
from skyweave.collaboration.cell_selection import select_cells
from skyweave.collaboration.entropy import build_entropy_tables
from skyweave.collaboration.model import CollaborativeModel
from skyweave.wire import EntropyTables

MAX_CALIBRATION_MAPS = 64  # from which occurrences are counted
CALIBRATION_BUDGETS_BYTES = (300.0, 3000.0, 30_000.0)  # the cells that these would hold are counted
FINGERPRINTED_PARTS = ("codec.", "perception.backbone.", "perception.neck.", "perception.lift.")
IMAGERY_PARTS = (*FINGERPRINTED_PARTS, "perception.rasters.", "perception.base_map_fusion.fusion.")
CODEC_ID = 1  # number of this codec on the wire


@torch.inference_mode()
def freeze_tables(model: CollaborativeModel, cache: FeatureCache, keys: Sequence[Key] | None = None) -> EntropyTables:
    """Count the symbols of the cells that would be sent, and give the model its tables.

    Args:
        model: trained.
        cache: of maps to count on.
        keys: of the maps; None: all of the cache. Of these MAX_CALIBRATION_MAPS at most are used.
    """
    keys = list(cache.entries) if keys is None else list(keys)
    chosen = _choose_keys(keys)
    codec, low, high = model.codec.eval(), [], []
    for number, key in enumerate(chosen):
        ego = cache[key]
        maps, seen = ego.features[None], ego.visible[None]
        latents = codec.quantise(codec.encode(maps, seen), noisy=False)
        low_bits, high_bits = codec.bits(latents)
        box_scores = rasterize_boxes(ego.boxes, ego.grid, len(model.perception.config.categories))[None, SCORE_CHANNEL]
        saliency = model.strategy.saliency_map(maps, seen, torch.zeros(seen.shape), box_scores)
        room = torch.tensor([CALIBRATION_BUDGETS_BYTES[number % len(CALIBRATION_BUDGETS_BYTES)]])
        sent = select_cells(saliency, low_bits, high_bits, latents.low_valid, latents.high_valid, room)
        high.append(latents.high[0].permute(1, 2, 0)[sent.high[0] > 0].numpy())
        if latents.low is not None:
            low.append(latents.low[0].permute(1, 2, 0)[latents.low_valid[0]].numpy())
    config = codec.config
    numbers = _join_parts(low, high)
    entropies = [codec.low_entropy, codec.high_entropy]
    model.tables = build_entropy_tables(
        entropies, numbers, (config.factor, 1), config.levels, (codec_fingerprint(model), CODEC_ID, 0)
    )  # fmt: skip
    return model.tables


def _join_parts(low: list[np.ndarray], high: list[np.ndarray]) -> list[np.ndarray]:
    """Join the latents of each branch."""
    return [np.concatenate(part) if part else np.zeros((0, 1)) for part in (low, high)]


def _choose_keys(keys: list[Key]) -> list[Key]:
    """Choose keys that are evenly spaced."""
    return [keys[i] for i in np.linspace(0, len(keys) - 1, min(MAX_CALIBRATION_MAPS, len(keys))).astype(int)]


def codec_fingerprint(model: CollaborativeModel) -> int:
    """Return 32 bits that change with any weight that cells are made with: who differs cannot read them.

    What is read off a fused map (fusion, trunk, heads) may differ between platforms.

    Args:
        model: on any device.
    """
    return _checksum(model, FINGERPRINTED_PARTS)


def imagery_tables(model: CollaborativeModel) -> EntropyTables | None:
    """Return the tables of features of imagery: another feature space, so another fingerprint, in the same codec.

    Args:
        model: on any device.

    Returns:
        None where the model reads cameras only, or its tables are not frozen.
    """
    if model.tables is None or model.perception.rasters is None:
        return None
    return replace(model.tables, fingerprint=_checksum(model, IMAGERY_PARTS))


def _checksum(model: CollaborativeModel, parts: tuple[str, ...]) -> int:
    digest = 0
    for name, value in sorted(model.state_dict().items()):
        if name.startswith(parts):
            digest = zlib.crc32(value.detach().cpu().float().contiguous().numpy().tobytes(), digest)
    return digest or 1
