"""The cells section: which cells of a branch, and their symbols, in one entropy-coded stream.

Inside a chunk cells stand in raster order. The distances between them are coded by class, like symbols, and the
offset within the class goes into the raw bits, which fill the coder's first states (``rans``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skyweave.wire.fields import FieldReader, pack_bits, unpack_bits, varint
from skyweave.wire.frame import WireGrid
from skyweave.wire.rans import MAX_STEPS_PER_LANE, BatchDecoder, StreamSpec, encode_batch
from skyweave.wire.rejection import RejectedError, RejectionReason
from skyweave.wire.tables import COST_SCALE, GAP_SYMBOLS, GAP_TABLES, Branch, EntropyTables, gap_widths

MAX_SYMBOLS = 1 << 17  # in a chunk
MAX_BATCH = 1 << 19  # symbols, filling included, that are decoded in one pass
MORE_GROUPS_FLAG = 0x80
BRANCHES = ("low", "high")
GroupLayout = tuple[int, np.ndarray, np.ndarray]  # branch, (n,) classes of distance, (n,) contexts


@dataclass(frozen=True)
class CellGroup:
    """Cells of one branch in one chunk.

    Attributes:
        branch: 0 low, 1 high.
        indices: (n,) in raster order.
        symbols: (n, channels) numbers.
        contexts: (n,) or None where the branch has one context.
    """

    branch: int
    indices: np.ndarray
    symbols: np.ndarray
    contexts: np.ndarray | None


@dataclass(frozen=True)
class CellsSection:
    """A cells section of which only the head is read.

    Attributes:
        grid: of the chunk.
        lanes: of the coder.
        groups: (branch, number of cells, table of distances) each.
        stream: the coder's bytes.
        symbols: how many the stream holds.
    """

    grid: WireGrid
    lanes: int
    groups: list[tuple[int, int, int]]
    stream: bytes
    symbols: int

    @property
    def steps(self) -> int:
        """Return how many steps the coder takes at most for the two segments of the stream."""
        return -(-self.symbols // self.lanes) + 1


def encode_cells(chunks: Sequence[Sequence[CellGroup]], tables: EntropyTables) -> list[bytes]:
    """Encode the cells sections of several chunks in one pass of the entropy coder.

    Args:
        chunks: for each chunk its groups, at most one a branch, the low branch first.
        tables: the entropy tables of the frame.

    Returns:
        For each chunk the content of its cells section.
    """
    heads, jobs = [], []
    for groups in chunks:
        gap_tables, lanes, job = _job(groups, tables)
        heads.append(_head(lanes, groups, gap_tables))
        jobs.append(job)
    return [head + stream for head, stream in zip(heads, encode_batch(jobs, tables.coder), strict=True)]


def _job(groups: Sequence[CellGroup], tables: EntropyTables) -> tuple[list[int], int, StreamSpec]:
    """The tables of distances, the lanes, and two segments: distances and contexts, then features."""
    gap_tables: list[int] = []
    where, where_of, symbols, symbols_of, offsets, escapes = [], [], [], [], [], []
    for group in groups:
        branch = _branch(group.branch, tables)
        gaps = np.diff(group.indices, prepend=-1) - 1
        classes = classify_gaps(gaps)
        gap_tables.append(choose_gap_table(classes, tables)[0])
        where.append(classes)
        where_of.append(np.full(len(gaps), tables.gap_base + gap_tables[-1]))
        offsets.append(pack_bits(gaps, gap_widths(classes)))  # the highest bit is known from the class
        contexts = _contexts_to_send(group, branch)
        if branch.context_table is not None:
            where.append(contexts)
            where_of.append(np.full(len(contexts), branch.context_table))
        numbers, of = np.asarray(group.symbols).ravel(), branch.tables[contexts].ravel()
        coded, escaped = tables.symbols_of(numbers, of)
        symbols.append(coded)
        symbols_of.append(of)
        escapes.append(numbers[escaped].astype(np.int64) & 0xFFFF)
    escape = np.concatenate(escapes)
    raw = np.concatenate([*offsets, pack_bits(escape, np.full(len(escape), 16))])
    segments = [np.concatenate(where), np.concatenate(symbols)]
    tables_of = [np.concatenate(where_of), np.concatenate(symbols_of)]
    lanes = choose_lanes(_cost(segments, tables_of, tables) / COST_SCALE, sum(map(len, segments)))
    return gap_tables, lanes, StreamSpec(segments, tables_of, lanes, raw)


def _contexts_to_send(group: CellGroup, branch: Branch) -> np.ndarray:
    """Return the (n,) contexts of a group's cells, 0 where the branch or the group has none."""
    if branch.context_table is None or group.contexts is None:
        return np.zeros(len(group.indices), np.intp)
    return np.asarray(group.contexts, np.intp)


def _cost(segments: Sequence[np.ndarray], tables_of: Sequence[np.ndarray], tables: EntropyTables) -> int:
    """Return the expected size of coded segments in 1/64 bit."""
    return sum(int(tables.costs[of, segment].sum()) for of, segment in zip(tables_of, segments, strict=True))


def choose_lanes(bits: float, symbols: int) -> int:
    """Return how many coder lanes to use: about 1 % of ``bits``, and at most 400 symbols a lane.

    Args:
        bits: expected size of the stream.
        symbols: how many symbols it holds.
    """
    return max(1, min(round(bits / 500), symbols), -(-symbols // 400))


def lane_overhead_bits(lanes: int) -> float:
    """Return the bits that lanes cost beyond what they carry, an estimate that is rarely exceeded.

    Args:
        lanes: 5 bits each, and their variation.
    """
    return float(5 * lanes + 8 * lanes**0.5 + 8)


def classify_gaps(gaps: np.ndarray) -> np.ndarray:
    """Return the class of each gap between cells: the number of bits that it takes.

    Args:
        gaps: (n,) cells left out between one cell and the next.

    Returns:
        (n,) classes, 0 to 22.
    """
    return np.frexp(gaps.astype(np.float64))[1]


def choose_gap_table(classes: np.ndarray, tables: EntropyTables) -> tuple[int, int]:
    """Return the cheapest table of gap classes and what it costs in 1/64 bit, offsets within classes included.

    Args:
        classes: (n,) as of `classify_gaps`.
        tables: the entropy tables of the frame.
    """
    costs = tables.costs[tables.gap_base :, :GAP_SYMBOLS] @ np.bincount(classes, minlength=GAP_SYMBOLS)
    best = int(costs.argmin())
    return best, int(costs[best])


def read_cells_head(reader: FieldReader, grid: WireGrid, tables: EntropyTables) -> CellsSection:
    """Read and check the head of a cells section; its stream is not decoded.

    Args:
        reader: stands at the content.
        grid: the map grid of the chunk.
        tables: the entropy tables of the chunk's model.

    Raises:
        RejectedError: the head is cut off, or announces more than the section can hold.
    """
    lanes = reader.varint(MAX_SYMBOLS)
    groups: list[tuple[int, int, int]] = []
    where = symbols = 0
    more = True
    while more:
        more, group = _read_group_head(reader, grid, tables, groups[-1][0] if groups else -1)
        groups.append(group)
        branch, count = _branch(group[0], tables), group[1]
        where += count * (1 + (branch.context_table is not None))
        symbols += count * branch.channels
        if where + symbols > MAX_SYMBOLS:
            raise reader.refuse(f"more than {MAX_SYMBOLS} symbols")
    _check_lanes(reader, lanes, where, symbols)
    return CellsSection(grid, lanes, groups, reader.take(reader.left), where + symbols)


def _read_group_head(
    reader: FieldReader, grid: WireGrid, tables: EntropyTables, previous: int
) -> tuple[bool, tuple[int, int, int]]:
    """Read whether more groups follow, and the branch, the number of cells and the table of distances of this one."""
    form = reader.integer(1)
    more, number = bool(form & MORE_GROUPS_FLAG), form & ~MORE_GROUPS_FLAG
    if not previous < number < len(BRANCHES):
        raise reader.refuse(f"branch {number}")
    count = reader.varint(grid.coarser(_branch(number, tables).factor).cells)
    gap_table = reader.integer(1)
    if not count or gap_table >= GAP_TABLES:
        raise reader.refuse(f"{count} cells with table {gap_table}")
    return more, (number, count, gap_table)


def _check_lanes(reader: FieldReader, lanes: int, where: int, symbols: int) -> None:
    """Refuse lanes that the section cannot hold, or too few of them for its two segments of symbols."""
    if not 1 <= lanes <= where + symbols or 3 * lanes > reader.left:
        raise reader.refuse(f"{lanes} lanes in {reader.left} bytes")
    if -(-where // lanes) - (-symbols // lanes) > MAX_STEPS_PER_LANE:
        raise reader.refuse(f"{lanes} lanes are too few for {where + symbols} symbols")


def decode_cells(parts: Sequence[CellsSection], tables: EntropyTables) -> list[list[CellGroup] | RejectedError]:
    """Decode the streams of cells sections; sections of similar shape are decoded in one pass.

    Args:
        parts: sections of any chunks, whose heads are read.
        tables: the entropy tables of all of them.

    Returns:
        For each section its groups, or why it is rejected.
    """
    result: list[list[CellGroup] | RejectedError] = [RejectedError(RejectionReason.CELLS, "not decoded")] * len(parts)
    for batch in _batches(parts):
        for i, groups in zip(batch, _decode_batch([parts[i] for i in batch], tables), strict=True):
            result[i] = groups
    return result


def _batches(parts: Sequence[CellsSection]) -> list[list[int]]:
    """Sections in batches: lanes and steps are filled up to the largest, so those in a batch must not differ much."""
    batches: list[list[int]] = []
    lanes = steps = useful = 0
    for i in sorted(range(len(parts)), key=lambda i: parts[i].lanes):
        part = parts[i]
        lanes, steps = max(lanes, part.lanes), max(steps, part.steps)
        useful += part.symbols
        size = lanes * steps * (len(batches[-1]) + 1) if batches else 0
        if not batches or size > MAX_BATCH or size > 2 * useful + 4096:
            batches.append([])
            lanes, steps, useful = part.lanes, part.steps, part.symbols
        batches[-1].append(i)
    return batches


def _decode_batch(parts: Sequence[CellsSection], tables: EntropyTables) -> list[list[CellGroup] | RejectedError]:
    decoder = BatchDecoder([part.stream for part in parts], [part.lanes for part in parts], tables.coder)
    where = _read_where(parts, decoder, tables)
    table_of = [_feature_tables(groups, tables) for groups in where]
    symbols = decoder.read(table_of)
    return [
        _decode_section(parts[i].grid, where[i], symbols[i], table_of[i], end, tables)
        for i, end in enumerate(decoder.finish())
    ]


def _read_where(parts: Sequence[CellsSection], decoder: BatchDecoder, tables: EntropyTables) -> list[list[GroupLayout]]:
    """Decode the first segment of each section: which cells, and their contexts."""
    symbols = decoder.read([_where_tables(part, tables) for part in parts])
    return [_split_where(part, values, tables) for part, values in zip(parts, symbols, strict=True)]


def _feature_tables(groups: Sequence[GroupLayout], tables: EntropyTables) -> np.ndarray:
    """Return the (symbols,) tables of the second segment, the features of all groups."""
    return np.concatenate([_branch(number, tables).tables[contexts].ravel() for number, _, contexts in groups])


def _decode_section(
    grid: WireGrid,
    where: Sequence[GroupLayout],
    symbols: np.ndarray,
    table_of: np.ndarray,
    end: tuple[np.ndarray, bytes, bool],
    tables: EntropyTables,
) -> list[CellGroup] | RejectedError:
    """Return the groups of one section from its symbols and the end of its stream, or why it is rejected."""
    raw, rest, sound = end
    if not sound:
        return RejectedError(RejectionReason.CELLS, "the stream of cells ends too early or is damaged")
    classes = np.concatenate([classes for _, classes, _ in where])
    try:
        distances, numbers = _numbers(classes, symbols, table_of, raw, rest, tables)
        return _groups(grid, where, distances, numbers, tables)
    except RejectedError as refused:
        return refused


def _where_tables(part: CellsSection, tables: EntropyTables) -> np.ndarray:
    """The tables of the first segment: for each group the classes of distance, then the contexts if it has some."""
    of = []
    for number, count, gap_table in part.groups:
        of.append(np.full(count, tables.gap_base + gap_table))
        context_table = _branch(number, tables).context_table
        if context_table is not None:
            of.append(np.full(count, context_table))
    return np.concatenate(of)


def _split_where(part: CellsSection, symbols: np.ndarray, tables: EntropyTables) -> list[GroupLayout]:
    """For each group its branch, and (n,) classes of distance and contexts."""
    result, at = [], 0
    for number, count, _ in part.groups:
        classes = symbols[at : at + count].astype(np.intp)
        at += count
        contexts = np.zeros(count, np.intp)
        if _branch(number, tables).context_table is not None:
            contexts = symbols[at : at + count].astype(np.intp)
            at += count
        result.append((number, classes, contexts))
    return result


def _numbers(
    classes: np.ndarray, symbols: np.ndarray, table_of: np.ndarray, raw: np.ndarray, rest: bytes, tables: EntropyTables
) -> tuple[np.ndarray, np.ndarray]:
    """Distances between cells, and the numbers that symbols stand for. Raises ``RejectedError``.

    Args:
        classes: of the distances, each of a number of bits (`gap_widths`).
        symbols: integers, as the coder decoded them.
        table_of: the table of each symbol.
        raw: bits from the coder's states.
        rest: the bytes behind its words, in which the bits go on.
        tables: of the sender's model.
    """
    numbers = symbols + tables.first[table_of]
    escaped = np.flatnonzero(tables.escapes[table_of] & (symbols == tables.sizes[table_of] - 1))
    widths = np.concatenate([gap_widths(classes), np.full(len(escaped), 16)])
    needed = int(widths.sum())
    beyond = -(-max(needed - len(raw), 0) // 8)
    bits = np.concatenate([raw, np.unpackbits(np.frombuffer(rest, np.uint8))])
    if len(rest) != beyond or bits[needed:].any():
        raise RejectedError(RejectionReason.CELLS, f"{len(rest)} bytes behind the symbols where {beyond} belong")
    values = unpack_bits(bits, widths)
    distances = values[: len(classes)] + np.where(classes > 0, 1 << gap_widths(classes), 0)
    numbers[escaped] = values[len(classes) :].astype(np.uint16).view(np.int16)
    return distances, numbers


def _groups(
    grid: WireGrid, where: Sequence[GroupLayout], distances: np.ndarray, numbers: np.ndarray, tables: EntropyTables
) -> list[CellGroup]:
    groups, cell, at = [], 0, 0
    for number, classes, contexts in where:
        branch, count = _branch(number, tables), len(classes)
        indices = np.cumsum(distances[cell : cell + count] + 1) - 1
        if indices[-1] >= grid.coarser(branch.factor).cells:
            raise RejectedError(RejectionReason.CELLS, f"cell {indices[-1]} lies outside the grid")
        size = count * branch.channels
        symbols = numbers[at : at + size].reshape(count, branch.channels).astype(np.int16)
        groups.append(CellGroup(number, indices, symbols, contexts if branch.context_table is not None else None))
        cell, at = cell + count, at + size
    return groups


def _branch(number: int, tables: EntropyTables) -> Branch:
    return tables.branches[BRANCHES[number]]


def _head(lanes: int, groups: Sequence[CellGroup], gap_tables: Sequence[int]) -> bytes:
    head = varint(lanes)
    for group, gap_table in zip(groups, gap_tables, strict=True):
        more = MORE_GROUPS_FLAG if group is not groups[-1] else 0
        head += bytes([group.branch | more]) + varint(len(group.indices)) + bytes([gap_table])
    return head
