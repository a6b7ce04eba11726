"""Frames to chunks and back, whatever their shape, whatever is lost."""

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabricated_frames import GRID, as_dict, boxes, frame, numbers, tables
from skyweave.wire.chunks import decode_frame, split_stream
from skyweave.wire.frame import Cells, FrameContent, WireGrid
from skyweave.wire.frame_encoder import encode_frame
from skyweave.wire.rejection import RejectedError
from skyweave.wire.tables import Branch, EntropyTables

TABLES = tables()


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_chunks_give_exactly_their_cells(data: st.DataObject) -> None:
    made = tables(
        channels=(data.draw(st.integers(1, 5)), data.draw(st.integers(1, 40))),
        contexts=(data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))),
        factor=data.draw(st.integers(1, 9)),
        symbols=data.draw(st.integers(3, 60)),
        precision=data.draw(st.integers(9, 14)),
    )
    low = data.draw(st.integers(0, GRID.coarser(made.low.factor).cells))
    content = frame(made, low, data.draw(st.integers(0, 500)), data.draw(st.sampled_from([0, 0, 5, 1])))
    mtu = data.draw(st.integers(256, 3000))
    chunks = encode_frame(content, made, mtu, sort_window=data.draw(st.integers(1, 4)))
    assert max(map(len, chunks)) <= mtu
    assert as_dict(decode_frame(chunks, made).low) == as_dict(content.low)
    assert as_dict(decode_frame(chunks, made).high) == as_dict(content.high)

    # every chunk alone, and then any of them together
    alone = [decode_frame([chunk], made) for chunk in chunks]
    chosen = data.draw(st.lists(st.sampled_from(range(len(chunks))), min_size=1))
    sort_window = decode_frame([chunks[i] for i in chosen], made)
    for branch in ("low", "high"):
        expected: dict[int, tuple[int, ...]] = {}
        for i in chosen:
            expected |= as_dict(getattr(alone[i], branch))
        assert as_dict(getattr(sort_window, branch)) == expected
    for name in ("platform", "sequence", "time", "grid", "fingerprint", "codec", "quality"):
        assert getattr(sort_window, name) == getattr(content, name)


@given(st.integers(180, 5000), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_a_budget_holds_the_most_useful_cells(budget: int, seed: int) -> None:
    saliency = numbers(340, 1000, seed) / 1000
    content = frame(TABLES)
    assert content.low and content.high
    content = dataclasses.replace(
        content,
        low=dataclasses.replace(content.low, saliency=saliency[:40]),
        high=dataclasses.replace(content.high, saliency=saliency[40:]),
    )
    chunks = encode_frame(content, TABLES, 400, budget)
    assert sum(map(len, chunks)) <= budget
    seen = decode_frame(chunks, TABLES)
    sent = np.concatenate([
        np.isin(whole.indices, [] if part is None else part.indices)
        for whole, part in ((content.low, seen.low), (content.high, seen.high))
    ])  # fmt: skip
    if sent.any() and not sent.all():
        assert saliency[sent].min() >= saliency[~sent].max()
    if not sent.all():
        assert sum(map(len, chunks)) > budget - 80  # no more than a header and a cell a chunk are left


@given(st.integers(1, 400), st.integers(0, 20), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_budget_that_holds_no_cell_still_sends_or_says_so(budget: int, objects: int, posed: bool) -> None:
    content = dataclasses.replace(frame(TABLES), boxes=boxes(objects))
    if not posed:
        content = dataclasses.replace(content, pose=None)
    try:
        chunks = encode_frame(content, TABLES, budget_bytes=budget)
    except ValueError as error:
        assert "bytes are too few" in str(error)
        return
    assert sum(map(len, chunks)) <= budget
    assert decode_frame(chunks, TABLES).sequence == content.sequence


def test_the_most_useful_cells_come_in_the_first_chunks() -> None:
    content = frame(TABLES, boxes=None)
    chunks = encode_frame(content, TABLES, 300)
    saliency = []
    for chunk in chunks:
        high = decode_frame([chunk], TABLES).high
        if high is not None:
            places = [int(np.flatnonzero(content.high.indices == i)[0]) for i in high.indices]  # type: ignore[union-attr]
            saliency.append((min(places), max(places)))
    assert len(saliency) > 3
    assert all(a[1] < b[0] for a, b in itertools.pairwise(saliency))


def test_more_budget_never_shows_less() -> None:
    content = frame(TABLES)
    counts = []
    for budget in range(150, 3000, 50):
        seen = decode_frame(encode_frame(content, TABLES, 500, budget), TABLES)
        counts.append(sum(0 if c is None else len(c) for c in (seen.low, seen.high)))
    assert counts == sorted(counts)
    assert counts[-1] == 340


def test_the_pose_comes_again_and_boxes_need_no_tables() -> None:
    chunks = encode_frame(frame(TABLES), TABLES, 256, pose_every=2)
    assert [decode_frame([chunk], TABLES).pose is not None for chunk in chunks[:5]] == [True, False, True, False, True]
    stranger = decode_frame(chunks)
    assert stranger.low is None and stranger.high is None
    assert stranger.boxes is not None and len(stranger.boxes) == 5
    assert stranger.request is not None and stranger.pose is not None


def test_many_boxes_spread_over_chunks() -> None:
    content = frame(TABLES, boxes=boxes(100))
    chunks = encode_frame(dataclasses.replace(content, low=None, high=None), mtu=256)
    assert len(chunks) > 4
    found = decode_frame(chunks).boxes
    assert found is not None and len(found) == 100
    one = decode_frame(chunks[1:2]).boxes
    assert one is not None and len(one) > 10


def test_overhead_of_a_chunk() -> None:
    """Header and checksum: below 40 bytes with a UTM grid."""
    empty = FrameContent(7, 1234, frame(TABLES).time, GRID, 0xA1B2C3D4)
    (chunk,) = encode_frame(empty)
    assert len(chunk) == 38
    nearby = dataclasses.replace(empty, grid=WireGrid(-100, 100, 500_000, 200, 200))
    assert len(encode_frame(nearby)[0]) == 36
    assert decode_frame([chunk]) == empty


def test_neighbours_that_travel_together_leave_room_for_more() -> None:
    """More cells for the same bytes, and all of them among the most useful, but for the few that fill the last room."""
    content = dataclasses.replace(frame(TABLES, 0, 1500), low=None, boxes=None, request=None, pose=None)
    counts, best = [], []
    for sort_window in (1, 3, 100):
        chunks = encode_frame(content, TABLES, 300, 1500, sort_window=sort_window)
        assert sum(map(len, chunks)) <= 1500
        found = decode_frame(chunks, TABLES).high
        assert found is not None and content.high is not None
        counts.append(len(found))
        best.append(float(np.isin(found.indices, content.high.indices[: len(found)]).mean()))
    assert counts[0] < counts[1] < counts[2]
    assert best[0] == 1 and min(best) > 0.95


def test_clustered_cells_cost_few_bits_to_name() -> None:
    """Runs of cells, as things have them, cost far less than the log2(cells) bits of an index."""
    one = Branch(1, np.array([[0]]))
    nothing = EntropyTables(np.array([[4096]]), np.array([0]), np.array([False]), one, one)
    grid = WireGrid(0, 200, 500_000, 200, 200)
    picture = np.zeros((200, 200), bool)
    for row, column in zip(numbers(30, 190, 1), numbers(30, 190, 2), strict=True):
        picture[row : row + 5, column : column + 8] = True
    some = Cells(np.flatnonzero(picture), np.zeros((int(picture.sum()), 1), int))
    content = FrameContent(1, 1, 0, grid, high=some)
    bits = 8 * (sum(map(len, encode_frame(content, nothing))) - 36)
    assert bits / len(some) < 2.5


def test_a_dense_branch_costs_next_to_nothing_to_name() -> None:
    content = frame(TABLES, low=GRID.coarser(4).cells)
    whole = np.zeros((4, 15, 13), int)
    dense = dataclasses.replace(content, low=Cells.dense(whole), high=None, boxes=None, request=None, pose=None)
    (chunk,) = encode_frame(dense, TABLES)
    found, valid = decode_frame([chunk], TABLES).low.placed(GRID.coarser(4))  # type: ignore[union-attr]
    assert valid.all() and (found == 0).all()
    cost = TABLES.costs[TABLES.low.tables[0], 3].sum() * 195 / 64 / 8
    assert len(chunk) < 38 + 5 + cost + 12


def test_chunks_in_a_row_are_split() -> None:
    chunks = encode_frame(frame(TABLES), TABLES, 300)
    assert split_stream(b"".join(chunks)) == chunks
    assert split_stream(b"".join(chunks) + b"SW\x01junk")[:-1] == chunks
    assert split_stream(b"") == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"low": Cells(np.array([3, 3]), np.zeros((2, 4), int))}, "name 1 cells twice"),
        ({"low": Cells(np.array([195]), np.zeros((1, 4), int))}, "must be 0 to 194"),
        ({"low": Cells(np.array([1]), np.zeros((1, 5), int))}, r"whole numbers \(1, 4\)"),
        ({"low": Cells(np.array([1]), np.zeros((1, 4)))}, "whole numbers"),
        ({"low": Cells(np.array([1]), np.full((1, 4), 40000))}, "40000 is beyond table"),
        ({"high": Cells(np.array([1]), np.zeros((1, 6), int), np.array([3]))}, "contexts must be 0 to 2"),
        ({"fingerprint": 5}, "needs its tables"),
        ({"platform": -1}, "platform -1"),
        ({"sequence": 1 << 32}, "sequence 4294967296"),
    ],
)
def test_what_cannot_be_sent_is_named(changes: dict, message: str) -> None:
    if "low" in changes or "high" in changes:
        changes = {"low": None, "high": None} | changes
    with pytest.raises(ValueError, match=message):
        encode_frame(dataclasses.replace(frame(TABLES), **changes), TABLES)


def test_impossible_links() -> None:
    with pytest.raises(ValueError, match="mtu 100"):
        encode_frame(frame(TABLES), TABLES, 100)
    with pytest.raises(ValueError, match="40 bytes are too few"):
        encode_frame(frame(TABLES), TABLES, 1200, 40)
    with pytest.raises(ValueError, match="no chunks"):
        decode_frame([])
    one, other = (encode_frame(frame(TABLES, sequence=s), TABLES)[0] for s in (1, 2))
    with pytest.raises(RejectedError, match="different frames"):
        decode_frame([one, other], TABLES)


def test_numbers_beyond_a_closed_table_are_refused() -> None:
    closed = tables(escapes=False)
    with pytest.raises(ValueError, match="quantise within"):
        encode_frame(frame(closed, wild=5), closed)
    lowest, highest = closed.limits("high")
    assert lowest.tolist() == [-3] * 6 and highest.tolist() == [3] * 6


def test_tables_travel_with_weights() -> None:
    again = EntropyTables.from_arrays(TABLES.to_arrays())
    content = frame(TABLES, wild=7)
    assert encode_frame(content, again) == encode_frame(content, TABLES)


def test_cells_of_both_branches_share_a_large_chunk() -> None:
    made = tables(channels=(2, 2), contexts=(2, 1))
    content = frame(made, 100, 3000)
    chunks = encode_frame(content, made, 65535)
    assert len(chunks) == 1
    assert as_dict(decode_frame(chunks, made).high) == as_dict(content.high)


def test_the_documented_example_runs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "wire-format.md").read_text()
    names: dict[str, Any] = {}
    exec(text.split("```python")[1].split("```")[0], names)
    assert names["reasons"] == [None]
    assert as_dict(names["received"].frame.high) == as_dict(names["cells"])
