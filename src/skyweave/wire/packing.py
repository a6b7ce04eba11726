"""Which cells go into which chunk: by usefulness, as many as a chunk holds."""

import numpy as np

from skyweave.wire.cells import (
    BRANCHES,
    MAX_SYMBOLS,
    Group,
    best_gap_table,
    gap_classes,
    lane_bits,
    lanes_of_chunk,
)
from skyweave.wire.fields import varint
from skyweave.wire.frame import Cells, FrameContent
from skyweave.wire.rans import RAW_BITS
from skyweave.wire.tables import COST_SCALE, EntropyTables, gap_widths

BLOCK = 2048  # cells whose cost is worked out at a time: a small budget must not pay for a large frame


class Packer:
    """Fills chunks from a frame's cells, whose order it fixes.

    Attributes:
        filled: bytes that the last ``fill`` is expected to take.
    """

    def __init__(self, frame: FrameContent, tables: EntropyTables):
        self.tables = tables
        self.cells = [frame.low, frame.high]
        for name, cells in zip(BRANCHES, self.cells, strict=True):
            if cells is not None:
                _check(name, cells, frame.grid.coarser(tables.branches[name].factor).cells, tables)
        self.branch, self.item = _order(self.cells)
        self.cost = np.zeros(1, np.int64)  # of all cells before, as far as it is worked out, in 1/64 bit
        self.count = np.zeros(1, np.int64)  # of symbols likewise
        self.filled = 0
        self.bits_a_cell = 0.0

    def fill(self, start: int, room: int) -> tuple[list[Group], int]:
        """The cells from ``start`` on that fit into ``room`` bytes, and where the next chunk starts."""
        budget = room * 8 * COST_SCALE
        while len(self.cost) <= len(self.item):
            if len(self.cost) > start + 1 and self.cost[-1] - self.cost[start] >= budget:
                break
            self._extend()
        most = int(np.searchsorted(self.cost, self.cost[start] + budget, "right")) - 1 - start
        most = min(most, int(np.searchsorted(self.count, self.count[start] + MAX_SYMBOLS, "right")) - 1 - start)
        fits, size_that_fits, limit = 0, 0, most
        trial = min(limit, int(room * 8 / self.bits_a_cell)) if self.bits_a_cell else limit * 7 // 8
        while fits < limit:
            trial = min(max(trial, fits + 1), limit)
            size = self._size(start, trial)
            if size <= room:
                fits, size_that_fits = trial, size
            else:
                limit = trial - 1
            step = (room - size) * trial / max(size, 1)  # how many more, at the same price
            if 0 <= step < 0.7:
                break
            trial += int(np.floor(step))
        self.filled = size_that_fits
        if not fits:
            return [], start
        self.bits_a_cell = 8 * size_that_fits / fits
        return [self._group(number, chosen) for number, chosen in self._chosen(start, fits)], start + fits

    def _size(self, start: int, count: int) -> int:
        """Bytes that so many cells are expected to take; rarely exceeded."""
        cost = int(self.cost[start + count] - self.cost[start])
        symbols = int(self.count[start + count] - self.count[start])
        head = raw = 0
        for number, chosen in self._chosen(start, count):
            cells = self.cells[number]
            assert cells is not None
            classes = gap_classes(np.diff(np.sort(cells.indices[chosen]), prepend=-1) - 1)
            cost += best_gap_table(classes, self.tables)[1]
            raw += int(gap_widths(classes).sum())
            head += 2 + len(varint(count))
        bits = cost / COST_SCALE * 1.0005
        lanes = lanes_of_chunk(bits, symbols)
        unused = max(lanes * RAW_BITS - raw, 0)  # of the lanes' first states
        return head + 2 + int(np.ceil((bits + unused + lane_bits(lanes)) / 8))

    def _chosen(self, start: int, count: int) -> list[tuple[int, np.ndarray]]:
        """For each branch that has some: its number, and which of its cells."""
        branch, item = self.branch[start : start + count], self.item[start : start + count]
        return [(number, item[branch == number]) for number in range(len(BRANCHES)) if (branch == number).any()]

    def _group(self, number: int, chosen: np.ndarray) -> Group:
        cells = self.cells[number]
        assert cells is not None
        chosen = chosen[np.argsort(cells.indices[chosen])]
        contexts = None if cells.contexts is None else cells.contexts[chosen]
        return Group(number, cells.indices[chosen].astype(np.int64), cells.symbols[chosen], contexts)

    def _extend(self) -> None:
        """Work out what the next cells cost, distances apart."""
        start = len(self.cost) - 1
        block = slice(start, start + BLOCK)
        cost = np.zeros(len(self.item[block]), np.int64)
        count = np.zeros(len(cost), np.int64)
        for number, name in enumerate(BRANCHES):
            mine = self.branch[block] == number
            cells, branch = self.cells[number], self.tables.branches[name]
            if cells is None or not mine.any():
                continue
            chosen = self.item[block][mine]
            contexts = np.zeros(len(chosen), np.intp)
            if branch.context_table is not None and cells.contexts is not None:
                contexts = np.asarray(cells.contexts[chosen], np.intp)
            table_of = branch.tables[contexts]
            symbols, _ = self.tables.symbols_of(np.asarray(cells.symbols[chosen]), table_of)
            cost[mine] = self.tables.costs[table_of, symbols].sum(1)
            count[mine] = branch.channels + 1
            if branch.context_table is not None:
                cost[mine] += self.tables.costs[branch.context_table, contexts]
                count[mine] += 1
        self.cost = np.concatenate([self.cost, self.cost[-1] + np.cumsum(cost)])
        self.count = np.concatenate([self.count, self.count[-1] + np.cumsum(count)])


def _order(both: list[Cells | None]) -> tuple[np.ndarray, np.ndarray]:
    """(n,) branch and (n,) place in the branch of all cells, the most useful first."""
    given = [(number, cells) for number, cells in enumerate(both) if cells is not None and len(cells)]
    branch = np.concatenate([np.full(len(cells), number, np.int8) for number, cells in given])
    item = np.concatenate([np.arange(len(cells)) for _, cells in given])
    usefulness = [cells.usefulness for _, cells in given if cells.usefulness is not None]
    if len(usefulness) < len(given):
        if usefulness:
            raise ValueError("give the usefulness of the cells of both branches, or of neither")
        return branch, item
    order = np.argsort(-np.concatenate(usefulness).astype(np.float64), kind="stable")
    return branch[order], item[order]


def _check(name: str, cells: Cells, size: int, tables: EntropyTables) -> None:
    branch = tables.branches[name]
    if cells.symbols.shape != (len(cells), branch.channels) or np.asarray(cells.symbols).dtype.kind not in "iu":
        raise ValueError(f"{name}.symbols {cells.symbols.shape} must be whole numbers {(len(cells), branch.channels)}")
    if not len(cells):
        return
    if cells.indices.min() < 0 or cells.indices.max() >= size:
        raise ValueError(f"{name}.indices must be 0 to {size - 1}, not {cells.indices.min()} to {cells.indices.max()}")
    seen = np.zeros(size, bool)
    seen[cells.indices] = True
    if int(seen.sum()) != len(cells):
        raise ValueError(f"{name}.indices name {len(cells) - int(seen.sum())} cells twice")
    if cells.contexts is not None and (cells.contexts.min() < 0 or cells.contexts.max() >= branch.contexts):
        raise ValueError(f"{name}.contexts must be 0 to {branch.contexts - 1}")
    if cells.contexts is not None and cells.contexts.shape != (len(cells),):
        raise ValueError(f"{name}.contexts {cells.contexts.shape} must be {(len(cells),)}")
    if cells.usefulness is not None and (len(cells.usefulness) != len(cells) or np.isnan(cells.usefulness).any()):
        raise ValueError(f"{name}.usefulness must be one number, not NaN, for each of {len(cells)} cells")
