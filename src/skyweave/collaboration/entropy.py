"""How often each number occurs: learned with the codec, then frozen into whole frequencies that ship in the weights."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.wire import Branch, EntropyTables, quantise_frequencies

SMOOTHING = 0.5  # occurrences that every symbol is given
ASSIGNMENT_ROUNDS = 4  # of assigning cells to contexts and counting
TABLE_PRECISION_BITS = 12


class EntropyModel(nn.Module):
    """A factorised model with contexts: in each, every channel has a logistic distribution of its own.

    A cell names the context that makes it cheapest, a side information of one symbol: a hyperprior (arXiv 1802.01436)
    of a few values. The rate in training is the log-sum over contexts, which the cheapest one bounds from above.

    Args:
        channels: of a cell.
        contexts: how many.
    """

    def __init__(self, channels: int, contexts: int) -> None:
        super().__init__()
        spread = torch.logspace(-1.2, 0.8, contexts) if contexts > 1 else torch.tensor([0.5])
        self.mean = nn.Parameter(torch.zeros(contexts, channels))
        self.log_scale = nn.Parameter(spread.log()[:, None].repeat(1, channels))
        self.share = nn.Parameter(torch.zeros(contexts))

    def bits(self, levels: Tensor) -> Tensor:
        """(..., contexts) bits that cells (..., channels), in steps, take in each context, its name included."""
        scale = self.log_scale.clamp(-4, 4).exp()
        centred = (levels[..., None, :] - self.mean).abs()  # symmetric, so the smaller tail keeps its digits
        inside = torch.sigmoid((0.5 - centred) / scale) - torch.sigmoid((-0.5 - centred) / scale)
        return -inside.clamp(min=1e-6).log2().sum(-1) - functional.log_softmax(self.share, 0) / np.log(2)

    def forward(self, levels: Tensor) -> Tensor:
        """(...) bits of cells (..., channels)."""
        return -torch.logsumexp(-self.bits(levels) * np.log(2), -1) / np.log(2)


def build_entropy_tables(
    models: Sequence[EntropyModel | None],
    cells: Sequence[np.ndarray],
    factors: Sequence[int],
    levels: int,
    model: tuple[int, int, int],
) -> EntropyTables:
    """Tables for both branches from the numbers that the trained codec made.

    Args:
        models: of the low and the high branch; None where there is none.
        cells: (n, channels) whole numbers of each.
        factors: of each branch.
        levels: largest number with a symbol of its own.
        model: (fingerprint, codec, quality).
    """
    weights: list[np.ndarray] = []
    first: list[int] = []
    escapes: list[bool] = []
    branches = []
    for entropy, numbers, factor in zip(models, cells, factors, strict=True):
        if entropy is None:
            weights.append(np.array([1.0, 1.0]))
            first.append(0)
            escapes.append(False)
            branches.append(Branch(factor, np.array([[len(weights) - 1]])))
            continue
        counted, shares = _counted(entropy, np.asarray(numbers, np.int64), levels)
        start = len(weights)
        contexts, channels = counted.shape[:2]
        for table in counted.reshape(-1, 2 * levels + 2):
            weights.append(table)
            first.append(-levels)
            escapes.append(True)
        context_table = None
        if contexts > 1:
            context_table = len(weights)
            weights.append(shares)
            first.append(0)
            escapes.append(False)
        branches.append(Branch(factor, start + np.arange(contexts * channels).reshape(contexts, -1), context_table))
    width = max(map(len, weights))
    padded = np.stack([np.pad(row, (0, width - len(row))) for row in weights])
    frequencies = quantise_frequencies(padded, TABLE_PRECISION_BITS)
    fingerprint, codec, quality = model
    return EntropyTables(
        frequencies,
        np.array(first),
        np.array(escapes),
        branches[0],
        branches[1],
        fingerprint,
        codec,
        quality,
        TABLE_PRECISION_BITS,
    )


def select_contexts(tables: EntropyTables, branch: str, numbers: np.ndarray) -> np.ndarray | None:
    """(n,) the context in which each cell (n, channels) takes the fewest bits; None where there is one only."""
    made = tables.branches[branch]
    if made.context_table is None:
        return None
    lowest, costs = tables.number_costs[branch]
    contexts, channels, span = costs.shape
    places = (numbers.astype(np.int64) - lowest).clip(0, span - 1) + np.arange(channels) * span
    total = costs.reshape(contexts, -1)[:, places].sum(-1) + tables.costs[made.context_table, :contexts, None]
    return np.argmin(total, 0).astype(np.uint8)


def _counted(entropy: EntropyModel, numbers: np.ndarray, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """(contexts, channels, symbols) and (contexts,) occurrences, as cells would choose their contexts."""
    with torch.no_grad():
        bits = torch.cat([entropy.bits(part) for part in torch.from_numpy(numbers).float().split(8192)])
    symbols = np.where(np.abs(numbers) > levels, 2 * levels + 1, numbers + levels)
    contexts, (count, channels) = bits.shape[-1], numbers.shape
    chosen = bits.argmin(-1).numpy() if count else np.zeros(0, int)
    for _ in range(ASSIGNMENT_ROUNDS):
        counted = np.full((contexts, channels, 2 * levels + 2), SMOOTHING)
        np.add.at(counted, (chosen[:, None], np.arange(channels)[None], symbols), 1)
        counted[..., -1] -= 0.9 * SMOOTHING
        shares = np.bincount(chosen, minlength=contexts) + 1.0
        price = -np.log2(counted / counted.sum(-1, keepdims=True))
        price[..., -1] += 16
        total = np.stack([price[k][np.arange(channels), symbols].sum(1) for k in range(contexts)], 1)
        chosen = (total - np.log2(shares / shares.sum())).argmin(1)
    return counted, shares
