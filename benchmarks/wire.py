"""Bytes on the wire and the time they take: the coder, whole frames, and a million mutated messages.

    OMP_NUM_THREADS=1 taskset -c 1 python benchmarks/wire.py
    OMP_NUM_THREADS=1 taskset -c 1 python benchmarks/wire.py --fuzz 1000000

Symbols are drawn from their own tables, so their entropy is known. The frame is a map of 200 x 200 cells of 0.5 m: a
low branch of 26 x 26 cells of 8 channels, and 32 channels for cells that lie in things and are sent by a smooth
saliency. Times are CPU seconds of one core, the best of several runs.
"""

import argparse
import json
import random
import time
import zlib
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from skyweave.wire.cells import BRANCHES, choose_gap_table, classify_gaps, decode_cells
from skyweave.wire.chunks import decode_frame, index_tables, read_chunk
from skyweave.wire.frame import BoxList, Cells, FrameContent, Pose, WireGrid
from skyweave.wire.frame_encoder import encode_frame
from skyweave.wire.rans import decode_symbols as decode_symbols
from skyweave.wire.rans import encode_symbols
from skyweave.wire.receiver import Receiver
from skyweave.wire.rejection import RejectedError
from skyweave.wire.tables import COST_SCALE, Branch, EntropyTables, quantise_frequencies

T = TypeVar("T")
NOW = 1_750_000_000_000_000_000
BUDGETS = (200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 200_000)
LOW_CHANNELS, CHANNELS, LEVELS = 8, 32, 33


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mtu", type=int, default=1200)
    parser.add_argument("--together", type=int, default=1, help="chunks among which cells are shared out")
    parser.add_argument("--fuzz", type=int, metavar="MESSAGES", help="mutate so many messages, and nothing else")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.fuzz:
        rows = [fuzz(arguments.fuzz)]
    else:
        rows = [coder(symbols, bits) for bits in (0.3, 1.0, 2.5) for symbols in (10_000, 100_000, 1_000_000, 4_000_000)]
        rows += [
            one_frame(bits, budget, arguments.mtu, arguments.together) for bits in (0.7, 1.5, 2.5) for budget in BUDGETS
        ]
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return
    header: list[str] = []
    for row in rows:
        if list(row) != header:
            header = list(row)
            print("\n| " + " | ".join(header) + " |\n|" + " --- |" * len(header))
        print("| " + " | ".join(f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values()) + " |")


def tables(bits: float, escapes: bool = True) -> EntropyTables:
    """Laplacian tables around a mean of ``bits`` a symbol, half to double that, with a rare escape."""
    count = LOW_CHANNELS + CHANNELS
    k = np.abs(np.arange(LEVELS) - LEVELS // 2)
    scales = np.geomspace(0.05, 20, 400)
    weights = np.exp(-k / scales[:, None]) + 1e-7
    weights /= weights.sum(1, keepdims=True)
    entropy = -(weights * np.log2(weights)).sum(1)
    wanted = bits * np.geomspace(0.5, 2, count)
    wanted *= bits / wanted.mean()
    chosen = weights[np.abs(entropy - wanted[:, None]).argmin(1)]
    order = np.random.default_rng(0).permutation(count)
    chosen = np.concatenate([chosen[order], np.full((count, 1), 1e-7 if escapes else 0)], 1)
    low, high = np.arange(LOW_CHANNELS)[None], np.arange(LOW_CHANNELS, count)[None]
    first, flags = np.full(count, -(LEVELS // 2)), np.full(count, escapes)
    return EntropyTables(quantise_frequencies(chosen), first, flags, Branch(8, low), Branch(1, high), 0xC0FFEE, 1, 1)


def drawn(made: EntropyTables, table_of: np.ndarray, seed: int) -> np.ndarray:
    """Symbols that occur as often as their tables say."""
    size = 1 << made.precision
    slots = np.random.default_rng(seed).integers(0, size, table_of.shape)
    return made.coder.symbol_of_slot[table_of * size + slots].astype(np.int64)


def coder(count: int, bits: float) -> dict[str, object]:
    made = tables(bits)
    table_of = np.arange(count) % (LOW_CHANNELS + CHANNELS)
    symbols = drawn(made, table_of, 1)
    probability = made.coder.frequencies[table_of, symbols] / (1 << made.precision)
    entropy = -np.log2(probability).sum() / 8
    stream, encoding = timed(lambda: encode_symbols(symbols, table_of, made.coder))
    found, decoding = timed(lambda: decode_symbols(stream, table_of, made.coder))
    assert (found == symbols).all()
    return {
        "symbols": count,
        "bits a symbol": 8 * entropy / count,
        "bytes": len(stream),
        "above entropy, %": 100 * (len(stream) / entropy - 1),
        "encode, M/s": count / encoding / 1e6,
        "decode, M/s": count / decoding / 1e6,
    }


def frame(made: EntropyTables, seed: int = 0) -> FrameContent:
    generator = np.random.default_rng(seed)
    grid = WireGrid(1_000_000, 10_800_000, 500_000, 200, 200, 32633)
    coarse = grid.coarser(8)
    low = drawn(made, np.broadcast_to(np.arange(LOW_CHANNELS), (coarse.cells, LOW_CHANNELS)), 2)
    useful = np.zeros((200, 200))
    for _ in range(120):  # things, and the parts of them that stand out
        row, column, height, width = generator.integers((0, 0, 4, 4), (190, 190, 10, 10))
        useful[row : row + height, column : column + width] += generator.uniform(0.5, 1)
    useful += generator.uniform(0, 0.2, useful.shape) * (useful > 0)
    useful += generator.uniform(0, 0.1, useful.shape)
    chosen = np.flatnonzero(useful > 0.03)
    high = drawn(made, np.broadcast_to(np.arange(LOW_CHANNELS, LOW_CHANNELS + CHANNELS), (len(chosen), CHANNELS)), 3)
    pose = Pose(np.array([500_050.0, 5_400_000 - 50.0, 80.0]), np.array([1.0, 0, 0, 0]), np.eye(6) * 0.01)
    offset = made.first[0]
    return FrameContent(
        7, 1234, NOW, grid, *made.model, pose,
        Cells(np.arange(coarse.cells), low + offset, saliency=np.full(coarse.cells, 2.0)),
        Cells(chosen, high + offset, saliency=useful.ravel()[chosen]),
    )  # fmt: skip


def one_frame(bits: float, budget: int, mtu: int, together: int) -> dict[str, object]:
    made = tables(bits)
    content = frame(made)
    chunks, encoding = timed(lambda: encode_frame(content, made, mtu, budget, sort_window=together))
    found, decoding = timed(lambda: decode_frame(chunks, made))
    size = sum(map(len, chunks))
    entropy = 0.0
    for cells, branch in ((found.low, made.low), (found.high, made.high)):
        if cells is not None:
            table_of = np.broadcast_to(branch.tables[0], cells.symbols.shape)
            share = made.coder.frequencies[table_of, cells.symbols - made.first[table_of]] / (1 << made.precision)
            entropy -= float(np.log2(share).sum()) / 8
    low, high = (0 if cells is None else len(cells) for cells in (found.low, found.high))
    return {
        "bits a number": bits,
        "budget, B": budget,
        "sent, B": size,
        "chunks": len(chunks),
        "low cells": low,
        "high cells": high,
        "features, % of bytes": 100 * entropy / size,
        "header, % of bytes": 100 * 38 * len(chunks) / size,
        "coder, % above entropy": above_entropy(chunks, made),
        "rest, bits a cell": 8 * (size - entropy - 38 * len(chunks)) / max(low + high, 1),
        "encode, ms": encoding * 1e3,
        "decode, ms": decoding * 1e3,
    }


def above_entropy(chunks: list[bytes], made: EntropyTables) -> float:
    """Per cent by which the coded cells are longer than features, classes of distance and raw bits together."""
    spent = entropy = 0.0
    known = index_tables([made])
    for chunk in (read_chunk(data, known) for data in chunks):
        if chunk.cells is None:
            continue
        (groups,) = decode_cells([chunk.cells], made)
        assert not isinstance(groups, RejectedError)
        spent += 8 * len(chunk.cells.stream)
        for group in groups:
            entropy += choose_gap_table(classify_gaps(np.diff(group.indices, prepend=-1) - 1), made)[1] / COST_SCALE
            table_of = made.branches[BRANCHES[group.branch]].tables[0]
            symbols, _ = made.symbols_of(group.symbols, np.broadcast_to(table_of, group.symbols.shape))
            entropy += float(made.costs[table_of, symbols].sum()) / COST_SCALE
    return 100 * (spent / entropy - 1)


def fuzz(count: int) -> dict[str, object]:
    """Mutated chunks of every kind, most with their length and checksum put right, against one receiver."""
    made = tables(1.5)
    content = frame(made)
    boxes = BoxList(
        np.tile([[500_050.0, 5_399_950.0, 1.0]], (20, 1)), np.ones((20, 3)), np.zeros(20), np.arange(20),
        np.linspace(1, 0, 20), np.ones((20, 2)),
    )  # fmt: skip
    originals = encode_frame(content, made, 300, 3000)
    originals += encode_frame(FrameContent(8, 1, NOW, content.grid, boxes=boxes, pose=content.pose))
    generator = random.Random(1)
    messages = [mutated(generator.choice(originals), generator) for _ in range(min(count, 20_000))]
    receiver = Receiver([made], platform=9)
    receiving = reading = total = 0.0
    for i in range(count):
        if i and i % len(messages) == 0:
            messages = [mutated(generator.choice(originals), generator) for _ in range(len(messages))]
        begin = time.process_time()
        receiver.receive(messages[i % len(messages)], NOW)
        spent = time.process_time() - begin
        receiving, total = max(receiving, spent), total + spent
        if i % 10 == 9:
            begin = time.process_time()
            receiver.frames(NOW)
            spent = time.process_time() - begin
            reading, total = max(reading, spent), total + spent
            receiver.frames(NOW + 3 * 10**9)  # too late for all of them: they are forgotten
    return {
        "messages": count,
        "accepted": receiver.accepted,
        **{reason.name.lower(): refused for reason, refused in sorted(receiver.refused.items())},
        "us a message": total / count * 1e6,
        "slowest receive, ms": receiving * 1e3,
        "slowest frames, ms": reading * 1e3,
    }


def mutated(chunk: bytes, generator: random.Random) -> bytes:
    body = bytearray(chunk[:-4])
    for _ in range(generator.choice((0, 1, 1, 2, 3, 8))):
        at = generator.randrange(len(body) + 1)
        match generator.randrange(5):
            case 0 if at < len(body):
                body[at] = generator.randrange(256)
            case 1 if at < len(body):
                body[at] ^= 1 << generator.randrange(8)
            case 2:
                body[at:at] = generator.randbytes(generator.randrange(8))
            case 3:
                del body[at : at + generator.randrange(40)]
            case _:
                body[at : at + 1] = generator.choice((b"\xff\xff\xff\xff\x0f", b"\0", b"\xff\xff\x7f", b"\x80\x80"))
    if generator.random() < 0.9:
        body[3:5] = ((len(body) + 4) & 0xFFFF).to_bytes(2, "little")
        return bytes(body) + zlib.crc32(body).to_bytes(4, "little")
    return bytes(body) + chunk[-4:]


def timed(call: Callable[[], T], repeats: int = 5) -> tuple[T, float]:
    """The result and the least CPU seconds."""
    best = float("inf")
    for _ in range(repeats):
        begin = time.process_time()
        result = call()
        best = min(best, time.process_time() - begin)
    return result, best


if __name__ == "__main__":
    main()
