"""A trained codec's tables, from the numbers that it makes of the training maps."""

import zlib
from collections.abc import Sequence

import numpy as np
import torch

from skyweave.collaboration.boxes import CERTAINTY, drawn
from skyweave.collaboration.cache import FeatureCache, Key
from skyweave.collaboration.cell_selection import select
from skyweave.collaboration.entropy import freeze as freeze_tables
from skyweave.collaboration.model import CollaborativeModel
from skyweave.wire import EntropyTables

MAPS = 64  # from which occurrences are counted
ROOM = (300.0, 3000.0, 30_000.0)  # bytes: the cells that such budgets would hold are counted
MAKES_CELLS = ("codec.", "perception.backbone.", "perception.neck.", "perception.lift.")
CODEC = 1  # number of this codec on the wire


@torch.inference_mode()
def freeze(model: CollaborativeModel, cache: FeatureCache, keys: Sequence[Key] | None = None) -> EntropyTables:
    """Count, and give the model its tables; those cells count that would be sent."""
    keys = list(cache.entries) if keys is None else list(keys)
    chosen = [keys[i] for i in np.linspace(0, len(keys) - 1, min(MAPS, len(keys))).astype(int)]
    codec, low, high = model.codec.eval(), [], []
    for number, key in enumerate(chosen):
        own = cache[key]
        maps, seen = torch.from_numpy(own.features)[None], torch.from_numpy(own.visible)[None]
        levels = codec.quantised(codec.encode(maps, seen), noisy=False)
        low_bits, high_bits = codec.bits(levels)
        certain = drawn(own.boxes, own.grid, len(model.perception.config.categories))[None, CERTAINTY]
        useful = model.strategy.usefulness(maps, seen, torch.zeros(seen.shape), certain)
        room = torch.tensor([ROOM[number % len(ROOM)]])
        sent = select(useful, low_bits, high_bits, levels.low_valid, levels.high_valid, room)
        high.append(levels.high[0].permute(1, 2, 0)[sent.high[0] > 0].numpy())
        if levels.low is not None:
            low.append(levels.low[0].permute(1, 2, 0)[levels.low_valid[0]].numpy())
    config = codec.config
    numbers = [np.concatenate(part) if part else np.zeros((0, 1)) for part in (low, high)]
    entropies = [codec.low_entropy, codec.high_entropy]
    model.tables = freeze_tables(
        entropies, numbers, (config.factor, 1), config.levels, (fingerprint_of(model), CODEC, 0)
    )  # fmt: skip
    return model.tables


def fingerprint_of(model: CollaborativeModel) -> int:
    """32 bits that change with any weight that cells are made with: whoever differs cannot read them.

    What is read off a fused map (fusion, trunk, heads) may differ between platforms.
    """
    digest = 0
    for name, value in sorted(model.state_dict().items()):
        if name.startswith(MAKES_CELLS):
            digest = zlib.crc32(value.detach().cpu().float().contiguous().numpy().tobytes(), digest)
    return digest or 1
