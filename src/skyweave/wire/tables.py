"""What sender and receiver must share to read features: how cells are made up and how often each symbol occurs.

The tables are learned with the codec and travel in its weights, not on the wire; the fingerprint names them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skyweave.core.errors import WireError
from skyweave.wire.rans import SymbolTables

COST_SCALE = 64  # costs are in 1/64 bit
GAP_SYMBOLS = 23  # classes of distances between cells: 0, 1, 2-3, 4-7, ... below 2**22
ADJACENT_SHARES = (0, 128, 192, 224, 248, 255)  # of 256: how often a cell follows right behind another
GAP_SCALES = 16  # octaves of the mean distance otherwise
GAP_ONE = 1 << 32  # a share of 1
GAP_TABLES = len(ADJACENT_SHARES) * GAP_SCALES
MAX_CHANNELS = 256


@dataclass(frozen=True)
class Branch:
    """How the cells of one branch are made up.

    Attributes:
        factor: cells of the grid along a side of one of the branch's, 1 to 255.
        tables: (contexts, channels) which entropy table holds for a channel, in each context.
        context_table: the entropy table of the contexts themselves; None where there is one context only.
    """

    factor: int
    tables: np.ndarray
    context_table: int | None = None

    @property
    def contexts(self) -> int:
        """Return how many contexts, that is, sets of tables, there are."""
        return int(self.tables.shape[0])

    @property
    def channels(self) -> int:
        """Return how many numbers a cell has."""
        return int(self.tables.shape[1])


@dataclass(frozen=True)
class EntropyTables:
    """How both branches are coded.

    Attributes:
        frequencies: (tables, symbols) whole numbers, each row sums to 2**precision; symbols that a table does not
            have are 0 and come last.
        first: (tables,) the number that symbol 0 of a table stands for; symbol 1 is the next number, and so on.
        escapes: (tables,) bool: the last symbol of the table says that the number follows in 16 bits.
        low, high: the branches.
        fingerprint, codec, quality: as in ``FrameContent``; they say which frames these tables read.
        precision: bits of a frequency.
    """

    frequencies: np.ndarray
    first: np.ndarray
    escapes: np.ndarray
    low: Branch
    high: Branch
    fingerprint: int = 0
    codec: int = 0
    quality: int = 0
    precision: int = 12

    def __post_init__(self) -> None:
        self._set_columns()
        self._check_symbols()
        for name, branch in self.branches.items():
            _check_branch(name, branch, len(self.frequencies), self.sizes)
        self.coder  # noqa: B018  sums are checked here

    def _set_columns(self) -> None:
        """Convert what each table has one value of, or refuse other shapes."""
        count = len(self.frequencies)
        for name, kind in (("first", np.int64), ("escapes", np.bool_)):
            values = np.asarray(getattr(self, name)).astype(kind)
            if values.shape != (count,):
                raise WireError(f"{name} {values.shape} must have one value for each of {count} tables")
            object.__setattr__(self, name, values)

    def _check_symbols(self) -> None:
        """Refuse tables with holes, and symbols that stand for numbers of more than 16 bits."""
        sizes = self.sizes
        holes = np.flatnonzero((self.frequencies > 0).sum(1) != sizes)
        if len(holes):
            raise WireError(f"table {holes[0]} has symbols of frequency 0 before its last one; give them 1")
        if np.abs(self.first).max() > 1 << 15 or (self.first + sizes).max() > 1 << 15:
            raise WireError("symbols must stand for numbers of 16 bits")

    @property
    def branches(self) -> dict[str, Branch]:
        """Return the branches by name, in the order of their numbers on the wire."""
        return {"low": self.low, "high": self.high}

    @property
    def model(self) -> tuple[int, int, int]:
        """Return (fingerprint, codec, quality), which name the model."""
        return self.fingerprint, self.codec, self.quality

    @property
    def gap_base(self) -> int:
        """The first of the tables for distances between cells, which stand behind the learned ones."""
        return len(self.frequencies)

    @cached_property
    def sizes(self) -> np.ndarray:
        """(tables,) symbols that a table has, the escape included."""
        occurs = np.asarray(self.frequencies) > 0
        return np.asarray(occurs.shape[1] - occurs[:, ::-1].argmax(1))

    @cached_property
    def coder(self) -> SymbolTables:
        """The learned tables and those of the distances."""
        width = max(self.frequencies.shape[1], GAP_SYMBOLS)
        parts = [np.asarray(self.frequencies), gap_frequencies(self.precision)]
        return SymbolTables(
            np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in parts]), self.precision
        )

    @cached_property
    def costs(self) -> np.ndarray:
        """(tables + GAP_TABLES, symbols) int64 what a symbol costs, escapes and the bits of a distance included."""
        frequencies = self.coder.frequencies.astype(np.float64)
        bits = self.precision - np.log2(np.maximum(frequencies, 1e-9))
        costs = np.rint(bits * COST_SCALE).astype(np.int64)
        costs[np.flatnonzero(self.escapes), self.sizes[self.escapes] - 1] += 16 * COST_SCALE
        costs[self.gap_base :, :GAP_SYMBOLS] += gap_widths(np.arange(GAP_SYMBOLS)) * COST_SCALE
        return np.asarray(costs)

    @cached_property
    def number_costs(self) -> dict[str, tuple[int, np.ndarray]]:
        """By branch: a lowest number, and (contexts, channels, numbers) int64 what numbers from there on cost; what is
        beyond costs what the outermost ones do.
        """
        costs_by_branch = {}
        for name, branch in self.branches.items():
            lowest, highest = self.limits(name)
            plain = self.first[branch.tables] + (self.sizes - self.escapes)[branch.tables]
            low, high = int(self.first[branch.tables].min()) - 1, int(plain.max())
            numbers = np.arange(low, high + 1)[None, :, None].clip(lowest, highest)
            table_of = np.broadcast_to(branch.tables[:, None], (len(branch.tables), *numbers.shape[1:]))
            symbols, _ = self.symbols_of(np.broadcast_to(numbers, table_of.shape), table_of)
            costs_by_branch[name] = low, np.ascontiguousarray(self.costs[table_of, symbols].swapaxes(1, 2))
        return costs_by_branch

    def symbols_of(self, values: np.ndarray, table_of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the symbols that stand for numbers, and where they are escapes.

        Args:
            values: (...) whole numbers.
            table_of: (...) the table of each.

        Returns:
            (...) symbols, and (...) bool: the number follows in 16 bits.

        Raises:
            WireError: a number that its table does not have and cannot escape.
        """
        symbols = values.astype(np.int64) - self.first[table_of]
        plain = (self.sizes - self.escapes)[table_of]
        escaped = (symbols < 0) | (symbols >= plain)
        if escaped.any():
            values, which = values[escaped], table_of[escaped]
            lost = np.flatnonzero(~self.escapes[which] | (np.abs(values) > 32767))
            if len(lost):
                raise WireError(f"{values[lost[0]]} is beyond table {which[lost[0]]}; quantise within `limits`")
            symbols[escaped] = plain[escaped]
        return symbols, escaped

    def limits(self, branch: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the range of numbers that every context of a branch can send.

        Args:
            branch: ``low`` or ``high``.

        Returns:
            (channels,) the smallest and (channels,) the largest number.
        """
        tables = self.branches[branch].tables
        open_ended = self.escapes[tables]
        lowest = np.where(open_ended, -32767, self.first[tables])
        highest = np.where(open_ended, 32767, self.first[tables] + self.sizes[tables] - 1)
        return lowest.max(0), highest.min(0)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain integer arrays, for a file of weights."""
        arrays = {"frequencies": self.frequencies, "first": self.first, "escapes": self.escapes.astype(np.uint8)}
        for name, branch in self.branches.items():
            context = -1 if branch.context_table is None else branch.context_table
            arrays[f"{name}.tables"] = branch.tables
            arrays[f"{name}.form"] = np.array([branch.factor, context])
        arrays["model"] = np.array([*self.model, self.precision])
        return {name: np.ascontiguousarray(array, np.int64) for name, array in arrays.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "EntropyTables":
        """Build tables from the arrays that `to_arrays` returned.

        Args:
            arrays: by name, whole numbers.
        """
        branches = {}
        for name in ("low", "high"):
            factor, context = (int(value) for value in arrays[f"{name}.form"])
            branches[name] = Branch(factor, arrays[f"{name}.tables"], None if context < 0 else context)
        fingerprint, codec, quality, precision = (int(value) for value in arrays["model"])
        first, escapes = arrays["first"], arrays["escapes"]
        return cls(
            arrays["frequencies"], first, escapes, **branches,
            fingerprint=fingerprint, codec=codec, quality=quality, precision=precision,
        )  # fmt: skip


def quantise_frequencies(weights: np.ndarray, precision: int = 12) -> np.ndarray:
    """Return the whole frequencies that are nearest in rate to given weights.

    Args:
        weights: (tables, symbols) probabilities or counts. A weight of exactly 0 stands for a symbol that the
            table does not have; all others get a frequency of at least 1.
        precision: bits; each row of the result sums to 2**precision.

    Raises:
        WireError: weights that are negative, not finite or all 0, or more symbols than the precision allows.
    """
    weights = np.asarray(weights, np.float64)
    total = 1 << precision
    _check_weights(weights, precision)
    result = np.zeros(weights.shape, np.int64)
    for row, weight in zip(result, weights, strict=True):
        has = weight > 0
        row[has] = _frequencies_of_shares(weight[has] / weight.sum(), total)
    return result


def _check_weights(weights: np.ndarray, precision: int) -> None:
    """Refuse weights that cannot be turned into frequencies of that precision."""
    if _lack_numbers(weights):
        raise WireError(f"weights {weights.shape} must be (tables, symbols), finite, >= 0, some > 0 in each table")
    if ((weights > 0).sum(1) > 1 << precision).any():
        raise WireError(f"tables of more than {1 << precision} symbols need a precision above {precision} bits")


def _lack_numbers(weights: np.ndarray) -> bool:
    """Return whether some table of weights cannot be one of probabilities."""
    return bool(
        weights.ndim != 2 or not np.isfinite(weights).all() or (weights < 0).any() or (weights.sum(1) <= 0).any()
    )


def _frequencies_of_shares(share: np.ndarray, total: int) -> np.ndarray:
    """Return (n,) whole frequencies of at least 1 that sum to ``total``, nearest in rate to (n,) shares."""
    row = np.maximum(np.rint(share * total), 1).astype(np.int64)
    while (excess := int(row.sum()) - total) != 0:  # a few steps: change what costs the least rate
        step = -1 if excess > 0 else 1
        with np.errstate(divide="ignore"):
            price = np.where(row + step > 0, share * np.log2(row / np.maximum(row + step, 0.5)), np.inf)
        row[price.argmin()] += step
    return np.asarray(row)


def gap_frequencies(precision: int) -> np.ndarray:
    """Return frequencies of the classes of gaps between cells, in whole-number arithmetic throughout.

    Table ``a * GAP_SCALES + s``: a share ADJACENT_SHARES[a] / 256 of the cells follows right behind the one before; the
    gaps of the others fall off geometrically, with a mean of 2**s.

    Args:
        precision: bits; each row sums to 2**precision.

    Returns:
        (GAP_TABLES, GAP_SYMBOLS) int64.
    """
    rows = [
        _gap_row(_geometric_weights(scale), adjacent, 1 << precision)
        for adjacent in ADJACENT_SHARES
        for scale in range(GAP_SCALES)
    ]
    return np.array(rows)


def _geometric_weights(scale: int) -> list[int]:
    """Return the weights of the classes of gaps that fall off geometrically with a mean of 2**scale, in 2**-32."""
    tail = GAP_ONE - GAP_ONE // ((1 << scale) + 1)  # of distances of 1 or more; of 2**k or more: its 2**k-th power
    weights = [GAP_ONE - tail]
    for _ in range(GAP_SYMBOLS - 1):
        weights.append(tail - (tail * tail >> 32))
        tail = tail * tail >> 32
    return weights


def _gap_row(geometric: list[int], adjacent: int, total: int) -> list[int]:
    """Return frequencies that sum to ``total``, with a share adjacent / 256 of gaps of 0 beside the geometric ones."""
    weights = [weight * (256 - adjacent) for weight in geometric]
    weights[0] += GAP_ONE * adjacent
    total_weight = sum(weights)
    row = [1 + weight * (total - GAP_SYMBOLS) // total_weight for weight in weights]
    row[row.index(max(row))] += total - sum(row)
    return row


def gap_widths(classes: np.ndarray) -> np.ndarray:
    """Return the bits that follow a class of gap: class k > 0 holds 2**(k - 1) to 2**k - 1.

    Args:
        classes: (n,) as of `skyweave.wire.cells.classify_gaps`.
    """
    return np.maximum(classes.astype(np.int64) - 1, 0)


def _check_branch(name: str, branch: Branch, count: int, sizes: np.ndarray) -> None:
    tables = np.asarray(branch.tables)
    _check_branch_tables(name, tables, count)
    if not 1 <= branch.factor <= 255:
        raise WireError(f"{name}.factor {branch.factor} must be 1 to 255")
    _check_context_table(name, branch.context_table, len(tables), sizes)


def _check_branch_tables(name: str, tables: np.ndarray, count: int) -> None:
    """Refuse what is not (contexts, channels) numbers of tables below ``count``."""
    _check_table_shape(tables, name)
    if tables.min() < 0 or tables.max() >= count:
        raise WireError(f"{name}.tables name tables {tables.min()} to {tables.max()}; there are {count}")


def _check_table_shape(tables: np.ndarray, name: str) -> None:
    """Check the shape and kind of a branch's tables."""
    if tables.ndim != 2 or not tables.size or tables.dtype.kind not in "iu" or tables.shape[1] > MAX_CHANNELS:
        raise WireError(f"{name}.tables {tables.shape} must be whole numbers (contexts, channels)")


def _check_context_table(name: str, context: int | None, contexts: int, sizes: np.ndarray) -> None:
    """Refuse a table of contexts where there is one context only, or one of another size than their number."""
    if (context is None) != (contexts == 1):
        raise WireError(f"{name} has {contexts} contexts; a context_table is for more than one")
    if context is not None and not (0 <= context < len(sizes) and sizes[context] == contexts):
        raise WireError(f"{name}.context_table {context} must name a table of {contexts} symbols")
