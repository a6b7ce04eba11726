"""Any byte string is a safe message: refused with a counted reason, nothing raised, memory and time bounded."""

import dataclasses
import random
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabricated_frames import TIME, as_dict, boxes, frame, tables
from skyweave.wire import receiver as receive
from skyweave.wire.chunks import Chunk
from skyweave.wire.frame import Cells, WireGrid
from skyweave.wire.frame_encoder import encode_frame
from skyweave.wire.receiver import Receiver, ReceiverLimits
from skyweave.wire.rejection import RejectionReason

TABLES = tables()
CONTENT = frame(TABLES, wild=9)
CHUNKS = encode_frame(CONTENT, TABLES, 300)
SECOND = 10**9


def sealed(body: bytes) -> bytes:
    """A chunk's bytes with the length and checksum they should have, so that damage gets past them."""
    body = body[:3] + (len(body) + 4).to_bytes(2, "little") + body[5:]
    return body + zlib.crc32(body).to_bytes(4, "little")


def test_a_frame_arrives_in_any_order_as_far_as_it_came() -> None:
    receiver = Receiver([TABLES])
    order = list(range(len(CHUNKS)))
    random.Random(1).shuffle(order)
    seen = 0
    for count, i in enumerate(order, 1):
        assert receiver.receive(CHUNKS[i], TIME) is None
        (received,) = receiver.frames(TIME)
        assert received.chunks == count
        assert received.complete == (count == len(CHUNKS))
        cells = len(as_dict(received.frame.high)) + len(as_dict(received.frame.low))
        assert cells >= seen
        seen = cells
    assert as_dict(received.frame.high) == as_dict(CONTENT.high)
    assert as_dict(received.frame.low) == as_dict(CONTENT.low)
    assert received.expected == len(CHUNKS) == receiver.accepted
    assert not receiver.refused


def refusal(chunk: bytes, now: int = TIME, **limits: object) -> RejectionReason | None:
    receiver = Receiver([TABLES], ReceiverLimits(**limits), platform=9)  # type: ignore[arg-type]
    reason = receiver.receive(chunk, now)
    assert receiver.refused == ({} if reason is None else {reason: 1})
    assert receiver.accepted == (reason is None)
    return reason


def test_each_fault_has_its_reason() -> None:
    chunk = CHUNKS[0]
    assert refusal(chunk) is None
    assert refusal(b"") == refusal(chunk[:20]) == RejectionReason.SIZE
    assert refusal(chunk, chunk_bytes=100) == RejectionReason.SIZE
    assert refusal(b"XX" + chunk[2:]) == RejectionReason.MAGIC
    assert refusal(chunk[:2] + b"\x02" + chunk[3:]) == RejectionReason.VERSION
    assert refusal(chunk[:-1]) == refusal(chunk + b"\0") == RejectionReason.LENGTH
    assert refusal(chunk[:50] + bytes([chunk[50] ^ 4]) + chunk[51:]) == RejectionReason.CHECKSUM
    assert refusal(sealed(chunk[:30])) == RejectionReason.HEADER
    assert refusal(sealed(chunk[:60])) == RejectionReason.SECTION
    assert refusal(chunk, grid_cells=100) == refusal(chunk, resolution=250_000) == RejectionReason.GRID
    assert refusal(chunk, epsg=32632) == RejectionReason.GRID
    assert refusal(chunk, resolution=500_000, epsg=32633) is None
    assert refusal(chunk, TIME + 3 * SECOND) == RejectionReason.TOO_OLD
    assert refusal(chunk, TIME - SECOND) == RejectionReason.IN_THE_FUTURE
    assert refusal(encode_frame(dataclasses.replace(CONTENT, platform=9), TABLES)[0]) == RejectionReason.ECHO


def test_duplicates_conflicts_and_the_past() -> None:
    receiver = Receiver([TABLES], ReceiverLimits(frames=2))
    assert receiver.receive(CHUNKS[0], TIME) is None
    assert receiver.receive(CHUNKS[0], TIME) == RejectionReason.DUPLICATE
    other = encode_frame(dataclasses.replace(CONTENT, time=TIME + 1), TABLES, 300)
    assert receiver.receive(other[1], TIME) == RejectionReason.CONFLICT
    for sequence in (1235, 1236):
        assert receiver.receive(encode_frame(dataclasses.replace(CONTENT, sequence=sequence), TABLES)[0], TIME) is None
    assert [held.frame.sequence for held in receiver.frames(TIME)] == [1236, 1235]
    assert receiver.receive(CHUNKS[1], TIME) == RejectionReason.TOO_OLD
    assert receiver.frames(TIME + 3 * SECOND) == []
    assert receiver._bytes == 0


def test_another_feature_space_gives_its_boxes_but_no_cells() -> None:
    receiver = Receiver([dataclasses.replace(TABLES, quality=3)])
    reasons = [receiver.receive(chunk, TIME) for chunk in CHUNKS]
    assert set(reasons) == {None}
    (received,) = receiver.frames(TIME)
    assert received.frame.high is None and received.frame.low is None
    assert received.frame.boxes is not None and len(received.frame.boxes) == 5
    assert receiver.refused[RejectionReason.FINGERPRINT] >= len(CHUNKS) - 1


def test_too_many_platforms_and_too_much_to_hold() -> None:
    receiver = Receiver([TABLES], ReceiverLimits(platforms=3))
    reasons = [
        receiver.receive(encode_frame(dataclasses.replace(CONTENT, platform=p), TABLES)[0], TIME) for p in range(5)
    ]
    assert reasons == [None, None, None, RejectionReason.FULL, RejectionReason.FULL]
    small = Receiver([TABLES], ReceiverLimits(held_bytes=20_000))
    assert RejectionReason.FULL in [small.receive(chunk, TIME) for chunk in CHUNKS]


def test_cells_that_do_not_decode_are_dropped_when_they_are_looked_at() -> None:
    chunk = CHUNKS[1]
    receiver = Receiver([TABLES])
    broken = sealed(chunk[:-4] + b"\1\1")
    assert receiver.receive(broken, TIME) is None
    assert receiver.frames(TIME) == []
    assert receiver.refused == {RejectionReason.CELLS: 1}
    assert receiver.receive(chunk, TIME) is None  # the true one is welcome
    assert len(receiver.frames(TIME)) == 1


@given(st.lists(st.binary(max_size=200), max_size=5))
@settings(max_examples=100, deadline=None)
def test_noise_is_refused(messages: list[bytes]) -> None:
    receiver = Receiver([TABLES])
    for message in messages:
        for data in (message, sealed(b"SW\x01\0\0" + message)):
            receiver.receive(data, TIME)
    receiver.frames(TIME)
    assert receiver.refused[RejectionReason.INTERNAL] == 0


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_mutated_chunks_are_safe(data: st.DataObject) -> None:
    receiver = Receiver([TABLES])
    for _ in range(4):
        chunk = bytearray(data.draw(st.sampled_from(CHUNKS))[:-4])
        for _ in range(data.draw(st.integers(0, 4))):
            at = data.draw(st.integers(5, len(chunk)))
            kind = data.draw(st.sampled_from(["set", "insert", "delete", "huge"]))
            if kind == "set" and at < len(chunk):
                chunk[at] = data.draw(st.integers(0, 255))
            elif kind == "insert":
                chunk[at:at] = data.draw(st.binary(max_size=8))
            elif kind == "delete":
                del chunk[at : at + data.draw(st.integers(1, 40))]
            else:
                chunk[at : at + 1] = b"\xff\xff\xff\xff\x0f"
        receiver.receive(sealed(bytes(chunk)), TIME)
    for received in receiver.frames(TIME):
        check_sound(received.frame.high, received.frame.grid.cells)
        found = received.frame.boxes
        if found is not None:
            assert all(np.isfinite(v).all() for v in (found.centres, found.sizes, found.yaws, found.scores))
        pose = received.frame.pose
        if pose is not None:
            assert np.isfinite(pose.position).all() and abs(np.linalg.norm(pose.quaternion) - 1) < 1e-6
            if pose.covariance is not None:
                assert np.linalg.eigvalsh(pose.covariance).min() >= -1e-12
    assert receiver.refused[RejectionReason.INTERNAL] == 0


def check_sound(cells: Cells | None, size: int) -> None:
    if cells is not None:
        assert cells.symbols.shape == (len(cells.indices), 6) and cells.symbols.dtype == np.int16
        assert (cells.indices >= 0).all() and (cells.indices < size).all()
        assert len(np.unique(cells.indices)) == len(cells.indices)
        assert cells.contexts is not None and (cells.contexts < 3).all()


def hostile() -> list[bytes]:
    """Chunks that announce much and hold little: cells, lanes, boxes, requests, sections."""
    empty = dataclasses.replace(CONTENT, pose=None, low=None, high=None, boxes=None, request=None)
    body = encode_frame(empty)[0][:-4]
    large = dataclasses.replace(empty, grid=WireGrid(0, 0, 10**9, 1 << 10, 1 << 10))
    large_body = encode_frame(large)[0][:-4]
    many = b"\xff\xff\x07"
    return [
        sealed(body + b"\x84\x01\x01\xd0\x0f\x00" + bytes(200)),  # 2000 cells on one lane: 4000 steps
        sealed(large_body + b"\x84\x40\x00" + many + b"\x5f" + bytes(400)),  # 131071 cells
        sealed(large_body + b"\x84\x80\x01\x01\x80\x80\x01\x5f" + bytes(400)),  # 16384 cells of 6 channels: allowed
        sealed(large_body + b"\x84" + many + b"\x01\x10\x00" + bytes(400)),  # 131071 lanes
        sealed(body + b"\x83\xff\x1f\x2b\x00" + bytes(100)),  # 4095 boxes
        sealed(large_body + b"\x82\x01\x11" + b"\xfe\xff\xff\x0f"),  # a request of a million cells
        sealed(body + b"\x03\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),  # a section of 2**63 bytes
        sealed(body + b"\x84" + b"\x80" * 200),  # an endless varint
        sealed(body + b"\x05\x00" * 200),  # sections that repeat
    ]


def test_hostile_sizes_take_neither_time_nor_memory() -> None:
    receiver = Receiver([TABLES])
    messages = hostile()
    receiver.frames(TIME)
    tracemalloc.start()
    try:
        begin = time.process_time()
        for message in messages:
            receiver.receive(message, TIME)
            receiver.frames(TIME)
        seconds = time.process_time() - begin
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seconds < 1
    assert peak < 30e6
    assert receiver.refused[RejectionReason.INTERNAL] == 0
    assert receiver.refused[RejectionReason.SECTION] == len(messages) - 1


def test_what_is_held_stays_bounded() -> None:
    """A flood of sound but tiny chunks of many frames: each costs objects, not just its bytes."""
    limits = ReceiverLimits(held_bytes=1 << 20, platforms=1000, frames=1000)
    receiver = Receiver([TABLES], limits)
    empty = dataclasses.replace(CONTENT, pose=None, low=None, high=None, boxes=None, request=None)
    tracemalloc.start()
    try:
        for sequence in range(2000):
            receiver.receive(encode_frame(dataclasses.replace(empty, sequence=sequence))[0], TIME)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert receiver.refused[RejectionReason.FULL] > 1000
    assert held < limits.held_bytes * 1.5


@pytest.mark.parametrize("thing", [None, "text", 10**15, memoryview(b"abc")])
def test_what_is_not_even_bytes(thing: object) -> None:
    receiver = Receiver()
    assert receiver.receive(thing, TIME) is not None  # type: ignore[arg-type]


def test_many_platforms_at_once_decode_in_one_go() -> None:
    receiver = Receiver([TABLES])
    for platform in range(6):
        content = frame(TABLES, 20 + platform, 50 + 30 * platform, platform=platform, boxes=boxes(platform + 1))
        for chunk in encode_frame(content, TABLES, 400 + 200 * platform):
            assert receiver.receive(chunk, TIME) is None
    found = receiver.frames(TIME)
    assert [len(received.frame.high) for received in found] == [50 + 30 * p for p in range(6)]  # type: ignore[arg-type]
    assert all(received.complete for received in found)


def test_a_fault_of_ours_costs_one_chunk_not_the_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = receive.decode_chunks

    def faulty(chunks: list[Chunk], known: dict) -> list:
        if any(chunk.header.index == 1 for chunk in chunks):
            raise RuntimeError("a bug")
        return decode(chunks, known)

    monkeypatch.setattr(receive, "decode_chunks", faulty)
    receiver = Receiver([TABLES])
    for chunk in CHUNKS:
        receiver.receive(chunk, TIME)
    (received,) = receiver.frames(TIME)
    assert received.chunks == len(CHUNKS) - 1
    assert receiver.refused == {RejectionReason.INTERNAL: 1}
    monkeypatch.setattr(receive, "read_header", None)
    assert receiver.receive(CHUNKS[0], TIME) == RejectionReason.INTERNAL
