"""Frames for the wire: of any shape, from whole-number arithmetic only, so that they are the same everywhere."""

from dataclasses import replace

import numpy as np

from skyweave.wire.frame import BoxList, Cells, FrameContent, Pose, Request, WireGrid
from skyweave.wire.tables import Branch, EntropyTables

TIME = 1_750_000_000_123_456_789
GRID = WireGrid(west=1_000_002, north=10_800_004, resolution=500_000, rows=60, columns=50, epsg=32633)


def numbers(count: int, below: int, seed: int = 1) -> np.ndarray:
    """(count,) whole numbers that look random (SplitMix64)."""
    with np.errstate(over="ignore"):
        z = (np.arange(1, count + 1, dtype=np.uint64) + np.uint64(seed * 1_000_003)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) % np.uint64(below)).astype(np.int64)


def tables(
    channels: tuple[int, int] = (4, 6),
    contexts: tuple[int, int] = (1, 3),
    factor: int = 4,
    symbols: int = 7,
    escapes: bool = True,
    precision: int = 12,
) -> EntropyTables:
    """Peaked tables; the last ones are those of the contexts."""
    rows, first, escape = [], [], []
    total = 1 << precision
    count = channels[0] * contexts[0] + channels[1] * contexts[1]
    for table in range(count):
        weights = [1 + (total >> (1 + abs(k - symbols // 2) * (1 + table % 3))) for k in range(symbols)]
        row = [1 + weight * (total - symbols) // sum(weights) for weight in weights]
        row[symbols // 2] += total - sum(row)
        rows.append(row)
        first.append(-(symbols // 2))
        escape.append(escapes)
    branches = []
    at = 0
    for c, k, f in zip(channels, contexts, (factor, 1), strict=True):
        context_table = None
        if k > 1:
            row = [total // k] * k
            row[0] += total - sum(row)
            context_table = len(rows)
            rows.append(row)
            first.append(0)
            escape.append(False)
        branches.append(Branch(f, np.arange(at, at + c * k).reshape(k, c), context_table))
        at += c * k
    width = max(map(len, rows))
    frequencies = np.array([row + [0] * (width - len(row)) for row in rows])
    return EntropyTables(
        frequencies, np.array(first), np.array(escape), branches[0], branches[1], 0xA1B2C3D4, 1, 2, precision
    )


def cells(branch: Branch, symbols: int, size: int, count: int, seed: int = 1, wild: int = 0) -> Cells:
    """``count`` cells of ``size``; every ``wild``-th number is one that needs an escape."""
    indices = np.argsort(numbers(size, 1 << 40, seed), kind="stable")[:count]
    a, b = (numbers(count * branch.channels, symbols - 1, seed + k) for k in (1, 2))
    values = (a + b) // 2 - symbols // 2
    if wild:
        values[::wild] = numbers(len(values[::wild]), 65535, seed + 3) - 32767
    contexts = None if branch.context_table is None else numbers(count, branch.contexts, seed + 4).astype(np.uint8)
    return Cells(indices, values.reshape(count, branch.channels), contexts, -np.arange(count, dtype=np.float64))


def boxes(count: int, moving: bool = True) -> BoxList:
    """Cars on GRID."""
    corner = np.array([GRID.west * GRID.metres, (GRID.north - GRID.rows) * GRID.metres])
    place = corner + np.stack([numbers(count, 24, 5), numbers(count, 29, 6)], 1) + 0.25
    return BoxList(
        np.concatenate([place, 0.8 + numbers(count, 5, 7)[:, None] / 4], 1),
        np.tile([[4.5, 1.9, 1.6]], (count, 1)),
        numbers(count, 100, 8) * 0.063,
        numbers(count, 10, 9),
        np.linspace(0.97, 0.3, count),
        (numbers(2 * count, 40, 10) - 20.0).reshape(count, 2) if moving else None,
    )


def uncertain_boxes(count: int) -> BoxList:
    """Cars on GRID whose places are uncertain, but for the second, of which nobody knows."""
    some = boxes(count)
    factors = (numbers(4 * count, 90, 12) - 45.0).reshape(count, 2, 2) / 10
    covariances = factors @ factors.transpose(0, 2, 1) + np.eye(2) * 0.1
    covariances[1] = np.nan
    return replace(some, covariances=covariances)


def frame(tables_: EntropyTables, low: int = 40, high: int = 300, wild: int = 0, **changes: object) -> FrameContent:
    """A frame with everything in it."""
    coarse = GRID.coarser(tables_.low.factor)
    symbols = int(tables_.sizes[0])
    levels = numbers(GRID.coarser(16).cells, 3, 11).reshape(GRID.coarser(16).rows, -1)
    content: dict[str, object] = {
        "platform": 7,
        "sequence": 1234,
        "time": TIME,
        "grid": GRID,
        "fingerprint": tables_.fingerprint,
        "codec": tables_.codec,
        "quality": tables_.quality,
        "pose": Pose(
            np.array([500_012.5, 5_399_987.25, 81.0]),
            np.array([0.5, -0.5, 0.5, 0.5]),
            np.diag([0.2, 0.3, 0.4, 0.01, 0.02, 0.03]) ** 2,
        ),
        "low": cells(tables_.low, symbols, coarse.cells, low, 1, wild),
        "high": cells(tables_.high, symbols, GRID.cells, high, 20, wild),
        "boxes": boxes(5),
        "request": Request(levels, 16),
    }
    return FrameContent(**(content | changes))  # type: ignore[arg-type]


def as_dict(some: Cells | None) -> dict[int, tuple[int, ...]]:
    """Context and numbers by cell."""
    if some is None:
        return {}
    contexts = np.zeros(len(some), int) if some.contexts is None else some.contexts
    return {int(i): (int(c), *map(int, s)) for i, c, s in zip(some.indices, contexts, some.symbols, strict=True)}
