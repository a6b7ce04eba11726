"""How often each number occurs: learned with the codec, then frozen into whole frequencies that ship in the weights."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.wire import Branch, EntropyTables, quantise_frequencies

SMOOTHING_COUNT = 0.5  # occurrences that every symbol is given
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
        scale = torch.logspace(-1.2, 0.8, contexts) if contexts > 1 else torch.tensor([0.5])
        self.mean = nn.Parameter(torch.zeros(contexts, channels))
        self.log_scale = nn.Parameter(scale.log()[:, None].repeat(1, channels))
        self.share = nn.Parameter(torch.zeros(contexts))

    def bits(self, levels: Tensor) -> Tensor:
        """Return the bits (..., contexts) that cells take in each context, its name included.

        Args:
            levels: (..., channels) in quantiser steps.
        """
        scale = self.log_scale.clamp(-4, 4).exp()
        centred = (levels[..., None, :] - self.mean).abs()  # symmetric, so the smaller tail keeps its digits
        inside = torch.sigmoid((0.5 - centred) / scale) - torch.sigmoid((-0.5 - centred) / scale)
        symbol_bits = -inside.clamp(min=1e-6).log2().sum(-1)
        bits: Tensor = symbol_bits - functional.log_softmax(self.share, 0) / np.log(2)
        return bits

    def forward(self, levels: Tensor) -> Tensor:
        """Return the bits (...) of cells.

        Args:
            levels: (..., channels) in quantiser steps.
        """
        bits: Tensor = -torch.logsumexp(-self.bits(levels) * np.log(2), -1) / np.log(2)
        return bits


class _TableRows:
    """The rows of the tables of both branches, in order: occurrences, the first symbol, and whether it escapes."""

    def __init__(self) -> None:
        self.counts: list[np.ndarray] = []
        self.first_symbols: list[int] = []
        self.escapes: list[bool] = []

    def add(self, counts: np.ndarray, first_symbol: int = 0, escapes: bool = False) -> int:
        """Append a row and return its number."""
        self.counts.append(counts)
        self.first_symbols.append(first_symbol)
        self.escapes.append(escapes)
        return len(self.counts) - 1

    def padded(self) -> np.ndarray:
        """Return (rows, symbols of the longest row) occurrences, zero beyond a row's symbols."""
        width = max(map(len, self.counts))
        return np.stack([np.pad(row, (0, width - len(row))) for row in self.counts])


def build_entropy_tables(
    models: Sequence[EntropyModel | None],
    cells: Sequence[np.ndarray],
    factors: Sequence[int],
    levels: int,
    model: tuple[int, int, int],
) -> EntropyTables:
    """Build the tables of both branches from the numbers that the trained codec made.

    Args:
        models: of the low and the high branch; None where there is none.
        cells: (n, channels) whole numbers of each.
        factors: cells along a side of one of each branch's.
        levels: largest number with a symbol of its own.
        model: (fingerprint, codec, quality).
    """
    rows = _TableRows()
    branches = [
        _add_branch(rows, entropy, numbers, factor, levels)
        for entropy, numbers, factor in zip(models, cells, factors, strict=True)
    ]
    return EntropyTables(
        quantise_frequencies(rows.padded(), TABLE_PRECISION_BITS),
        np.array(rows.first_symbols),
        np.array(rows.escapes),
        branches[0],
        branches[1],
        *model,
        TABLE_PRECISION_BITS,
    )


def _add_branch(
    rows: _TableRows, entropy: EntropyModel | None, numbers: np.ndarray, factor: int, levels: int
) -> Branch:
    """Add the rows of a branch: one for each context and channel, then that of the contexts themselves."""
    if entropy is None:
        return Branch(factor, np.array([[rows.add(np.array([1.0, 1.0]))]]))
    counted, shares = _count_symbols(entropy, np.asarray(numbers, np.int64), levels)
    contexts, channels = counted.shape[:2]
    numbers_of_rows = [rows.add(table, -levels, escapes=True) for table in counted.reshape(-1, 2 * levels + 2)]
    context_table = rows.add(shares) if contexts > 1 else None
    return Branch(factor, np.array(numbers_of_rows).reshape(contexts, channels), context_table)


def select_contexts(tables: EntropyTables, branch: str, numbers: np.ndarray) -> np.ndarray | None:
    """Select for each cell the context in which it takes the fewest bits.

    Args:
        tables: frozen.
        branch: ``low`` or ``high``.
        numbers: (n, channels) quantised cells.

    Returns:
        (n,) uint8; None where there is one context only.
    """
    tables_of_branch = tables.branches[branch]
    if tables_of_branch.context_table is None:
        return None
    lowest, costs = tables.number_costs[branch]
    contexts, channels, span = costs.shape
    places = (numbers.astype(np.int64) - lowest).clip(0, span - 1) + np.arange(channels) * span
    total = (
        costs.reshape(contexts, -1)[:, places].sum(-1) + tables.costs[tables_of_branch.context_table, :contexts, None]
    )
    cheapest: np.ndarray = np.argmin(total, 0).astype(np.uint8)
    return cheapest


def _count_symbols(entropy: EntropyModel, numbers: np.ndarray, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (contexts, channels, symbols) and (contexts,) occurrences, as cells would choose their contexts."""
    with torch.no_grad():
        bits = torch.cat([entropy.bits(part) for part in torch.split(torch.from_numpy(numbers).float(), 8192)])
    symbols = np.where(np.abs(numbers) > levels, 2 * levels + 1, numbers + levels)
    contexts, (count, channels) = bits.shape[-1], numbers.shape
    chosen = bits.argmin(-1).numpy() if count else np.zeros(0, int)
    for _ in range(ASSIGNMENT_ROUNDS):
        counted = np.full((contexts, channels, 2 * levels + 2), SMOOTHING_COUNT)
        np.add.at(counted, (chosen[:, None], np.arange(channels)[None], symbols), 1)
        counted[..., -1] -= 0.9 * SMOOTHING_COUNT
        shares = np.bincount(chosen, minlength=contexts) + 1.0
        price = -np.log2(counted / counted.sum(-1, keepdims=True))
        price[..., -1] += 16
        total = np.stack([price[k][np.arange(channels), symbols].sum(1) for k in range(contexts)], 1)
        chosen = (total - np.log2(shares / shares.sum())).argmin(1)
    return counted, shares
