"""A range coder in whole numbers: many interleaved rANS lanes in one NumPy pass (Duda 2013, arXiv 1311.2540).

A symbol of frequency f out of M = 2**precision turns a lane's state x into ``(x // f) * M + x % f + start``: it grows
by log2(M / f) bits. A state lives in [2**15, 2**31); before it would outgrow that, its low 16 bits leave as a word.
Reading runs the same steps backwards. Lanes are independent, so one NumPy operation moves them all; the words of all
lanes share one stream, in the order in which the reader needs them.

What a lane costs: its last state (3 or 4 bytes). To earn that back, the first state of each lane is not a constant
but carries 15 bits that have to be sent anyway (``raw``): about 5 bits a lane remain lost.

Only integers are used, so all machines give the same bytes. Layout, byte by byte: docs/wire-format.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

MIN_STATE = 1 << 15  # the smallest state; a state stays below 2**31
RAW_BITS = 15  # that a lane carries in its first state
MAX_STEPS_PER_LANE = 1024  # symbols a lane may hold where time must be bounded
MIN_PRECISION, MAX_PRECISION = 8, 14


@dataclass(frozen=True)
class SymbolTables:
    """How often each symbol occurs, for each context.

    Attributes:
        frequencies: (tables, symbols) whole numbers that sum to 2**precision in each row; 0: cannot occur.
        precision: bits, 8 to 14.
    """

    frequencies: np.ndarray
    precision: int = 12

    def __post_init__(self) -> None:
        frequencies = np.asarray(self.frequencies)
        if not MIN_PRECISION <= self.precision <= MAX_PRECISION:
            raise ValueError(f"precision {self.precision} must be {MIN_PRECISION} to {MAX_PRECISION} bits")
        if frequencies.ndim != 2 or frequencies.dtype.kind not in "iu" or not frequencies.size:
            raise ValueError(f"frequencies must be whole numbers (tables, symbols), not {frequencies.shape}")
        self._check_sums(frequencies)
        object.__setattr__(self, "frequencies", np.ascontiguousarray(frequencies, np.uint32))

    def _check_sums(self, frequencies: np.ndarray) -> None:
        """Refuse tables with negative frequencies, or that do not sum to 2**precision."""
        total = 1 << self.precision
        wrong = np.flatnonzero((frequencies.sum(1) != total) | (frequencies < 0).any(1))
        if len(wrong):
            raise ValueError(f"the frequencies of table {wrong[0]} must be >= 0 and sum to {total}")

    def __len__(self) -> int:
        return len(self.frequencies)

    @property
    def symbols(self) -> int:
        """Return the size of the widest alphabet."""
        return int(self.frequencies.shape[1])

    # The last entry of each array stands for "nothing here": frequency M, which leaves a state as it is. Lanes that
    # have fewer symbols than others are filled up with it.

    @cached_property
    def frequency_of(self) -> np.ndarray:
        """Return (tables * symbols + 1,) uint32 frequencies."""
        return np.append(self.frequencies.ravel(), np.uint32(1 << self.precision))

    @cached_property
    def start_of(self) -> np.ndarray:
        """Return (tables * symbols + 1,) uint32 sums of the frequencies of the symbols before."""
        start = np.cumsum(self.frequencies, 1, dtype=np.uint32) - self.frequencies
        return np.append(start.ravel(), np.uint32(0))

    @cached_property
    def slots(self) -> np.ndarray:
        """Return ((tables + 1) * M,) uint32: frequency << 16 | slot - start, of the symbol at each slot."""
        total = 1 << self.precision
        slot = np.tile(np.arange(total, dtype=np.uint32), len(self))
        start = np.repeat(self.start_of[:-1], self.frequencies.ravel())
        frequency = np.repeat(self.frequencies.ravel(), self.frequencies.ravel())
        nothing = np.uint32(total << 16) | np.arange(total, dtype=np.uint32)
        return np.concatenate([frequency << np.uint32(16) | (slot - start), nothing])

    @cached_property
    def symbol_of_slot(self) -> np.ndarray:
        """Return ((tables + 1) * M,) uint8 or uint16: the symbol at each slot of each table."""
        kind = np.uint8 if self.symbols <= 256 else np.uint16
        symbols = np.tile(np.arange(self.symbols, dtype=kind), len(self))
        return np.append(np.repeat(symbols, self.frequencies.ravel()), np.zeros(1 << self.precision, kind))


@dataclass(frozen=True)
class StreamSpec:
    """What one stream holds.

    Attributes:
        symbols: segments, each (n,) whole numbers. The reader may look at a segment before it knows the tables of the
            next one.
        tables: for each segment (n,) the table of each symbol.
        lanes: how many lanes share the symbols.
        raw: (b,) 0 or 1, bits to send as they are; the first 15 a lane cost (almost) nothing.
    """

    symbols: Sequence[np.ndarray]
    tables: Sequence[np.ndarray]
    lanes: int
    raw: np.ndarray


def encode_symbols(symbols: np.ndarray, table_of: np.ndarray, tables: SymbolTables) -> bytes:
    """Encode one array of symbols.

    Args:
        symbols: (n,) whole numbers.
        table_of: (n,) the table of each.
        tables: their frequencies.

    Raises:
        ValueError: a symbol has frequency 0 in its table.
    """
    none = np.zeros(0, np.uint8)
    return encode_batch([StreamSpec([symbols], [table_of], default_lanes(len(symbols)), none)], tables)[0]


def decode_symbols(data: bytes, table_of: np.ndarray, tables: SymbolTables) -> np.ndarray:
    """Decode one array of symbols, the inverse of `encode_symbols`.

    Args:
        data: what `encode_symbols` returned.
        table_of: (n,) the table of each symbol.
        tables: the frequencies that it was encoded with.

    Returns:
        (n,) symbols.

    Raises:
        ValueError: the bytes do not hold so many symbols of these tables.
    """
    decoder = BatchDecoder([data], [default_lanes(len(table_of))], tables)
    symbols = decoder.read([table_of])[0]
    raw, rest, sound = decoder.finish()[0]
    if not sound or rest or raw.any():
        raise ValueError(f"{len(data)} bytes do not hold {len(table_of)} symbols of these tables")
    return symbols


def default_lanes(count: int) -> int:
    """Return lanes for an array alone: enough to be fast, few enough to cost little (20 bits each, without raw bits).

    Args:
        count: symbols of the array.
    """
    return max(1, min(512, -(-count // 1024)), min(4096, -(-count // 4096)))


def encode_batch(jobs: Sequence[StreamSpec], tables: SymbolTables) -> list[bytes]:
    """Encode several streams in one pass.

    Args:
        jobs: one a stream.
        tables: the frequencies of all of them.

    Raises:
        ValueError: a symbol has frequency 0 in its table.
    """
    if not jobs:
        return []
    lanes = [job.lanes for job in jobs]
    nothing = len(tables) * tables.symbols
    segments = []
    for parts in zip(*(_keys(job, tables) for job in jobs), strict=True):
        segments.append(_fill(parts, lanes, nothing))
    keys = np.concatenate(segments)
    states = np.full((len(jobs), max(lanes)), MIN_STATE, np.uint32)
    for state, job in zip(states, jobs, strict=True):
        state[: job.lanes] |= _first_states(job.raw, job.lanes)
    words, leaves = _push(states, tables.frequency_of[keys], tables.start_of[keys], tables.precision)
    streams = []
    for c, job in enumerate(jobs):
        tail = np.packbits(job.raw[RAW_BITS * job.lanes :]).tobytes()
        body = words[:, c][leaves[:, c]].astype("<u2").tobytes()
        streams.append(_pack_states(states[c, : job.lanes]) + body + tail)
    return streams


def _push(x: np.ndarray, frequency: np.ndarray, start: np.ndarray, precision: int) -> tuple[np.ndarray, np.ndarray]:
    """Run the steps from the last to the first. ``x`` changes in place.

    Args:
        x: (streams, lanes) uint32 states.
        frequency: (steps, streams, lanes) uint32.
        start: (steps, streams, lanes) uint32, the sum of the frequencies before the symbol's.
        precision: bits of the sum of a table's frequencies.

    Returns:
        (steps, streams, lanes) uint32 states of which the low 16 bits may leave, and bool whether they do.
    """
    limit = frequency << np.uint32(31 - precision)
    gain = np.uint32(1 << precision) - frequency
    states, leaves = np.empty_like(frequency), np.empty(frequency.shape, bool)
    shift, quotient = np.empty_like(x), np.empty_like(x)
    word = np.uint32(16)
    for i in range(len(frequency) - 1, -1, -1):
        states[i] = x
        np.greater_equal(x, limit[i], out=leaves[i])
        np.multiply(leaves[i], word, out=shift)
        np.right_shift(x, shift, out=x)
        np.floor_divide(x, frequency[i], out=quotient)
        np.multiply(quotient, gain[i], out=quotient)  # (x // f) * M + x % f = x + (x // f) * (M - f)
        np.add(x, quotient, out=x)
        np.add(x, start[i], out=x)
    return states, leaves


class BatchDecoder:
    """Decodes several streams in one pass, segment by segment. Any bytes are safe: `finish` says which were sound.

    Args:
        streams: bytes of each.
        lanes: of each, at least 1.
        tables: the frequencies that they were encoded with.
    """

    def __init__(self, streams: Sequence[bytes], lanes: Sequence[int], tables: SymbolTables):
        self.tables, self.lanes = tables, list(lanes)
        count = len(streams)
        self.states = np.full((count, max(lanes)), MIN_STATE, np.uint32)
        self.tails: list[bytes] = []
        for c, stream in enumerate(streams):
            states, used = _unpack_states(stream, self.lanes[c])
            self.states[c, : self.lanes[c]] = states
            self.tails.append(stream[used:])
        width = max(len(tail) for tail in self.tails) // 2 + 1
        self.words = np.zeros((count, width), "<u2")
        for row, tail in zip(self.words, self.tails, strict=True):
            row[: len(tail) // 2] = np.frombuffer(tail, "<u2", len(tail) // 2)
        self.words = self.words.astype(np.uint32)
        self.rows = np.arange(count, dtype=np.intp)[:, None] * width  # where a stream's words begin
        self.next = self.rows.copy()

    def read(self, table_of: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Decode the next segment of every stream.

        Args:
            table_of: for each stream (n,) the table of each symbol of the segment.

        Returns:
            For each stream (n,) symbols.
        """
        size = 1 << self.tables.precision
        slots = _fill(table_of, self.lanes, len(self.tables)) * size
        self._pull(slots)
        symbols = self.tables.symbol_of_slot[slots]
        return [
            symbols[:, c, :lanes].reshape(-1)[: len(of)]
            for c, (lanes, of) in enumerate(zip(self.lanes, table_of, strict=True))
        ]

    def _pull(self, slots: np.ndarray) -> None:
        """Run the steps. ``slots`` (steps, streams, lanes) hold where each table begins, and then the slots found."""
        x, ahead, words, table = self.states, self.next - 1, self.words.ravel(), self.tables.slots
        entry, grown = np.empty_like(x), np.empty_like(x)
        hungry, at = np.empty(x.shape, bool), np.empty(x.shape, np.intp)
        low_bits, precision = np.uint32((1 << self.tables.precision) - 1), np.uint32(self.tables.precision)
        half, mask, low = np.uint32(16), np.uint32(0xFFFF), np.uint32(MIN_STATE)
        for slot in slots:
            np.bitwise_and(x, low_bits, out=grown)
            np.add(slot, grown, out=slot)
            table.take(slot, out=entry, mode="clip")
            np.right_shift(x, precision, out=x)
            np.right_shift(entry, half, out=grown)
            np.multiply(x, grown, out=x)
            np.bitwise_and(entry, mask, out=entry)
            np.add(x, entry, out=x)
            np.less(x, low, out=hungry)
            np.cumsum(hungry, axis=1, out=at)
            np.add(at, ahead, out=at)
            words.take(at, out=entry, mode="clip")  # beyond a stream's end stand others' words; finish() tells
            np.left_shift(x, half, out=grown)
            np.bitwise_or(grown, entry, out=grown)
            np.copyto(x, grown, where=hungry)
            ahead = at[:, -1:].copy()
        self.next = ahead + 1

    def finish(self) -> list[tuple[np.ndarray, bytes, bool]]:
        """Return what is behind the last segment of every stream.

        Returns:
            For each stream (lanes * 15,) raw bits, the bytes behind its last word, and whether the stream was sound.
        """
        result = []
        for c, (lanes, tail) in enumerate(zip(self.lanes, self.tails, strict=True)):
            used = 2 * int(self.next[c, 0] - self.rows[c, 0])
            states = self.states[c, :lanes]
            sound = used <= len(tail) and bool(((states >= MIN_STATE) & (states < 2 * MIN_STATE)).all())
            bits = states[:, None] >> np.arange(RAW_BITS - 1, -1, -1, dtype=np.uint32) & np.uint32(1)
            result.append((bits.astype(np.uint8).ravel(), tail[used:], sound))
        return result


def _keys(job: StreamSpec, tables: SymbolTables) -> list[np.ndarray]:
    """For each segment where its symbols stand in ``frequency_of``."""
    keys = []
    for symbols, table_of in zip(job.symbols, job.tables, strict=True):
        keys.append(_segment_keys(np.asarray(symbols), np.asarray(table_of), tables))
    return keys


def _segment_keys(symbols: np.ndarray, table_of: np.ndarray, tables: SymbolTables) -> np.ndarray:
    """Return the (n,) places of one segment's symbols in ``frequency_of``; refuse symbols that cannot occur."""
    _check_segment(symbols, table_of, tables)
    key = np.asarray(table_of.astype(np.intp) * tables.symbols + symbols)
    never = np.flatnonzero(tables.frequency_of[key] == 0)
    if len(never):
        raise ValueError(f"symbol {symbols[never[0]]} has frequency 0 in table {table_of[never[0]]}")
    return key


def _check_segment(symbols: np.ndarray, table_of: np.ndarray, tables: SymbolTables) -> None:
    """Refuse arrays of different shapes, and symbols or tables that there are not."""
    if symbols.shape != table_of.shape or symbols.ndim != 1:
        raise ValueError(f"{symbols.shape} symbols and {table_of.shape} tables must be (n,) both")
    _check_range("symbols", symbols, tables.symbols)
    _check_range("tables", table_of, len(tables))


def _check_range(name: str, values: np.ndarray, count: int) -> None:
    """Refuse values that are not 0 to ``count`` - 1."""
    if len(values) and (values.min() < 0 or values.max() >= count):
        raise ValueError(f"{name} {values.min()} to {values.max()} must be 0 to {count - 1}")


def _fill(parts: Sequence[np.ndarray], lanes: Sequence[int], nothing: int) -> np.ndarray:
    """(steps, streams, lanes) intp: symbol i of a stream goes to step i // lanes and lane i % lanes."""
    steps = max(-(-len(part) // n) for part, n in zip(parts, lanes, strict=True))
    if len(parts) == 1 and len(parts[0]) == steps * lanes[0]:
        return np.array(parts[0], np.intp).reshape(steps, 1, lanes[0])
    return _fill_lanes(steps, parts, lanes, nothing)


def _fill_lanes(steps: int, parts: Sequence[np.ndarray], lanes: Sequence[int], nothing: int) -> np.ndarray:
    """Fill the lanes of each stream, and mark what is left."""
    filled = np.full((steps, len(parts), max(lanes)), nothing, np.intp)
    for c, (part, n) in enumerate(zip(parts, lanes, strict=True)):
        whole = len(part) // n
        filled[:whole, c, :n] = part[: whole * n].reshape(whole, n)
        if len(part) > whole * n:
            filled[whole, c, : len(part) - whole * n] = part[whole * n :]
    return filled


def _first_states(raw: np.ndarray, lanes: int) -> np.ndarray:
    """(lanes,) uint32 of 15 bits each, the first bit highest; missing bits are 0."""
    bits = np.zeros(lanes * RAW_BITS, np.uint32)
    first = raw[: len(bits)]
    bits[: len(first)] = first
    powers = np.uint32(1) << np.arange(RAW_BITS - 1, -1, -1, dtype=np.uint32)
    return np.asarray((bits.reshape(lanes, RAW_BITS) * powers).sum(1, dtype=np.uint32))


def _pack_states(states: np.ndarray) -> bytes:
    """Three bytes a lane: 23 bits, and whether 8 more follow behind all lanes."""
    large = states >= 1 << 23
    short = (states & np.uint32(0x7FFFFF)) | large.astype(np.uint32) << np.uint32(23)
    first = short.astype("<u4").view(np.uint8).reshape(-1, 4)[:, :3]
    return first.tobytes() + (states[large] >> np.uint32(23)).astype(np.uint8).tobytes()


def _unpack_states(stream: bytes, lanes: int) -> tuple[np.ndarray, int]:
    """(lanes,) uint32 states and the bytes they took; a stream too short gives states that ``finish`` refuses."""
    data = np.zeros(4 * lanes, np.uint8)
    given = np.frombuffer(stream[: 4 * lanes], np.uint8)
    data[: len(given)] = given
    first = data[: 3 * lanes].reshape(lanes, 3).astype(np.uint32)
    short = first[:, 0] | first[:, 1] << np.uint32(8) | first[:, 2] << np.uint32(16)
    large = short >> np.uint32(23) == 1
    states = short & np.uint32(0x7FFFFF)
    count = int(large.sum())
    states[large] |= data[3 * lanes : 3 * lanes + count].astype(np.uint32) << np.uint32(23)
    return states, 3 * lanes + count
