"""Which cells go into which chunk: by usefulness, as many as a chunk holds."""

import itertools

import numpy as np

from skyweave.core.errors import WireError
from skyweave.wire.cells import (
    BRANCHES,
    MAX_SYMBOLS,
    CellGroup,
    choose_gap_table,
    choose_lanes,
    classify_gaps,
    lane_overhead_bits,
)
from skyweave.wire.fields import varint
from skyweave.wire.frame import Cells, FrameContent
from skyweave.wire.rans import RAW_BITS
from skyweave.wire.tables import COST_SCALE, Branch, EntropyTables, gap_widths

MAX_TRIALS = 12  # to find how many cells fit
COST_BLOCK_CELLS = 512  # cells whose cost is worked out at a time: a small budget must not pay for a large frame


class CellPacker:
    """Fills chunks from a frame's cells, whose order it fixes.

    Args:
        frame: with cells of at least one branch.
        tables: the entropy tables of the frame.

    Attributes:
        filled: bytes that the last `fill` is expected to take.

    Raises:
        WireError: cells outside the grid, named twice, or of other shapes than the tables'.
    """

    def __init__(self, frame: FrameContent, tables: EntropyTables):
        self.tables = tables
        self.cells = [frame.low, frame.high]
        for name, cells in zip(BRANCHES, self.cells, strict=True):
            if cells is not None:
                _check(name, cells, frame.grid.coarser(tables.branches[name].factor).cells, tables)
        self.ranked = _order(self.cells)
        self.begin()

    def begin(self) -> None:
        """Start with the first chunk."""
        self.branch, self.item = (part.copy() for part in self.ranked)
        self.cost = np.zeros(1, np.int64)  # of all cells before, as far as it is worked out, in 1/64 bit
        self.count = np.zeros(1, np.int64)  # of symbols likewise
        self.filled = 0
        self.bits_a_cell = 0.0

    def fill(self, start: int, room: int) -> tuple[list[CellGroup], int]:
        """Return the cells that fit into a chunk.

        Args:
            start: the first cell that is not sent yet.
            room: bytes of the chunk that are free.

        Returns:
            The cells by branch, and the first cell of the next chunk.
        """
        count, self.filled = self._largest_count(start, room, MAX_SYMBOLS)
        if not count:
            return [], start
        self.bits_a_cell = 8 * self.filled / count
        return [self._group(number, chosen) for number, chosen in self._chosen(start, count)], start + count

    def bring_together(self, start: int, room: int) -> int:
        """Sort the next cells, as many as fit into several chunks, spatially (raster order).

        Cells of a chunk are then neighbours, and it takes fewer bytes to say where they are.

        Args:
            start: the first cell that is not sent yet.
            room: bytes that the chunks have in all.

        Returns:
            Where the sorted cells end.
        """
        count = self._largest_count(start, room, 1 << 62)[0]
        part = slice(start, start + count)
        order = np.lexsort((self._indices(part), self.branch[part]))
        self.branch[part], self.item[part] = self.branch[part][order], self.item[part][order]
        for total in (self.cost, self.count):
            total[start + 1 : start + count + 1] = total[start] + np.cumsum(
                np.diff(total[start : start + count + 1])[order]
            )
        return start + count

    def _indices(self, part: slice) -> np.ndarray:
        """Return the (n,) places on the map of some of the cells in order."""
        indices = np.zeros(len(self.branch[part]), np.int64)
        for number, cells in enumerate(self.cells):
            of_branch = self.branch[part] == number
            if cells is not None and of_branch.any():
                indices[of_branch] = cells.indices[self.item[part][of_branch]]
        return indices

    def _count_limit(self, start: int, room: int, symbols: int) -> int:
        """Return how many cells from ``start`` on fit if their distances take nothing; their costs are worked out."""
        budget = room * 8 * COST_SCALE
        while len(self.cost) <= len(self.item) and not self._covers(start, budget):
            self._extend()
        limit = int(np.searchsorted(self.cost, self.cost[start] + budget, "right")) - 1 - start
        return min(limit, int(np.searchsorted(self.count, self.count[start] + symbols, "right")) - 1 - start)

    def _covers(self, start: int, budget: int) -> bool:
        """Return whether the costs worked out from ``start`` on reach a budget in 1/64 bit."""
        return len(self.cost) > start + 1 and bool(self.cost[-1] - self.cost[start] >= budget)

    def _largest_count(self, start: int, room: int, symbols: int) -> tuple[int, int]:
        """How many cells from ``start`` on fit into so many bytes, of at most so many symbols; and what they take."""
        limit = self._count_limit(start, room, symbols)
        fits, taken = 0, 0  # the largest count known to fit, and its bytes
        over, above = limit + 1, 0  # the smallest known not to; its bytes, if they are known
        trial = int(room * 8 / self.bits_a_cell) if self.bits_a_cell else limit * 7 // 8
        for attempt in itertools.count():
            if fits + 1 >= over or (fits and attempt >= MAX_TRIALS):
                break
            trial = min(max(trial, fits + 1), over - 1)
            size = self._size(start, trial)
            if size <= room:
                fits, taken = trial, size
            else:
                over, above = trial, size
            price = (above - taken) / (over - fits) if above else size / trial
            if taken and (room - taken) < 0.7 * price:
                break
            trial = fits + int((room - taken) / price) if attempt % 3 < 2 else (fits + over) // 2
        return fits, taken

    def _size(self, start: int, count: int) -> int:
        """Bytes that so many cells are expected to take; rarely exceeded."""
        cost = int(self.cost[start + count] - self.cost[start])
        symbols = int(self.count[start + count] - self.count[start])
        head = raw = 0
        for number, chosen in self._chosen(start, count):
            cells = self.cells[number]
            assert cells is not None
            classes = classify_gaps(np.diff(np.sort(cells.indices[chosen]), prepend=-1) - 1)
            cost += choose_gap_table(classes, self.tables)[1]
            raw += int(gap_widths(classes).sum())
            head += 2 + len(varint(count))
        bits = cost / COST_SCALE * 1.0005
        lanes = choose_lanes(bits, symbols)
        unused = max(lanes * RAW_BITS - raw, 0)  # of the lanes' first states
        return head + 2 + int(np.ceil((bits + unused + lane_overhead_bits(lanes)) / 8))

    def _chosen(self, start: int, count: int) -> list[tuple[int, np.ndarray]]:
        """For each branch that has some: its number, and which of its cells."""
        branch, item = self.branch[start : start + count], self.item[start : start + count]
        return [(number, item[branch == number]) for number in range(len(BRANCHES)) if (branch == number).any()]

    def _group(self, number: int, chosen: np.ndarray) -> CellGroup:
        cells = self.cells[number]
        assert cells is not None
        chosen = chosen[np.argsort(cells.indices[chosen])]
        contexts = None if cells.contexts is None else cells.contexts[chosen]
        return CellGroup(number, cells.indices[chosen].astype(np.int64), cells.symbols[chosen], contexts)

    def _extend(self) -> None:
        """Work out what the next cells cost, distances apart."""
        start = len(self.cost) - 1
        block = slice(start, start + COST_BLOCK_CELLS)
        cost = np.zeros(len(self.item[block]), np.int64)
        count = np.zeros(len(cost), np.int64)
        for number, name in enumerate(BRANCHES):
            of_branch = self.branch[block] == number
            cells, branch = self.cells[number], self.tables.branches[name]
            if cells is None or not of_branch.any():
                continue
            cost[of_branch] = self._costs(cells, branch, self.item[block][of_branch])
            count[of_branch] = branch.channels + 1 + (branch.context_table is not None)
        self.cost = np.concatenate([self.cost, self.cost[-1] + np.cumsum(cost)])
        self.count = np.concatenate([self.count, self.count[-1] + np.cumsum(count)])

    def _costs(self, cells: Cells, branch: Branch, chosen: np.ndarray) -> np.ndarray:
        """Return the (n,) costs of a branch's chosen cells in 1/64 bit: their contexts and features."""
        contexts = np.zeros(len(chosen), np.intp)
        if branch.context_table is not None and cells.contexts is not None:
            contexts = np.asarray(cells.contexts[chosen], np.intp)
        table_of = branch.tables[contexts]
        symbols, _ = self.tables.symbols_of(np.asarray(cells.symbols[chosen]), table_of)
        cost = self.tables.costs[table_of, symbols].sum(1)
        if branch.context_table is None:
            return np.asarray(cost)
        return np.asarray(cost + self.tables.costs[branch.context_table, contexts])


def _order(both: list[Cells | None]) -> tuple[np.ndarray, np.ndarray]:
    """(n,) branch and (n,) place in the branch of all cells, the most useful first."""
    given = _given_cells(both)
    branch = np.concatenate([np.full(len(cells), number, np.int8) for number, cells in given])
    item = np.concatenate([np.arange(len(cells)) for _, cells in given])
    saliency = _saliencies(given)
    if len(saliency) < len(given):
        if saliency:
            raise WireError("give the usefulness of the cells of both branches, or of neither")
        return branch, item
    order = _falling_order(np.concatenate(saliency))
    return branch[order], item[order]


def _saliencies(given: list[tuple[int, Cells]]) -> list[np.ndarray]:
    """Return the saliency of the branches that have one."""
    return [cells.saliency for _, cells in given if cells.saliency is not None]


def _given_cells(both: list[Cells | None]) -> list[tuple[int, Cells]]:
    """Return the branches that have cells, with their numbers."""
    return [(number, cells) for number, cells in enumerate(both) if cells is not None and len(cells)]


def _falling_order(saliency: np.ndarray) -> np.ndarray:
    """Return the (n,) order of saliencies from the highest, ties in the order given."""
    # The fastest sort is of whole numbers: those that order as the 32-bit floats do, with the place behind.
    with np.errstate(over="ignore"):
        falling = np.float32(0) - saliency.astype(np.float32)
    rank = falling.view(np.int32).astype(np.int64)
    rank ^= rank >> 31 & 0x7FFFFFFF
    return np.asarray(np.sort(rank << 32 | np.arange(len(rank))) & 0xFFFFFFFF)


def _check(name: str, cells: Cells, size: int, tables: EntropyTables) -> None:
    branch = tables.branches[name]
    _check_symbols(cells, branch, name)
    if not len(cells):
        return
    _check_indices(name, cells.indices, size)
    if cells.contexts is not None:
        _check_contexts(name, cells.contexts, len(cells), branch.contexts)
    _check_saliency(cells, name)


def _check_saliency(cells: Cells, name: str) -> None:
    """Check that every cell has a saliency, if any has."""
    if cells.saliency is not None and (len(cells.saliency) != len(cells) or np.isnan(cells.saliency).any()):
        raise WireError(f"{name}.usefulness must be one number, not NaN, for each of {len(cells)} cells")


def _check_symbols(cells: Cells, branch: Branch, name: str) -> None:
    """Check the shape and kind of the symbols."""
    if cells.symbols.shape != (len(cells), branch.channels) or np.asarray(cells.symbols).dtype.kind not in "iu":
        raise WireError(f"{name}.symbols {cells.symbols.shape} must be whole numbers {(len(cells), branch.channels)}")


def _check_indices(name: str, indices: np.ndarray, size: int) -> None:
    """Refuse cells that lie outside the grid of ``size`` cells or are named twice."""
    if indices.min() < 0 or indices.max() >= size:
        raise WireError(f"{name}.indices must be 0 to {size - 1}, not {indices.min()} to {indices.max()}")
    present = np.zeros(size, bool)
    present[indices] = True
    if int(present.sum()) != len(indices):
        raise WireError(f"{name}.indices name {len(indices) - int(present.sum())} cells twice")


def _check_contexts(name: str, contexts: np.ndarray, count: int, limit: int) -> None:
    """Refuse contexts that are not one for each cell, below ``limit``."""
    if contexts.min() < 0 or contexts.max() >= limit:
        raise WireError(f"{name}.contexts must be 0 to {limit - 1}")
    if contexts.shape != (count,):
        raise WireError(f"{name}.contexts {contexts.shape} must be {(count,)}")
