"""Header, pose, boxes, request and tables: exact at the level at which they are sent."""

import dataclasses
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabricated_frames import GRID, TIME, as_dict, boxes, frame, tables, uncertain_boxes
from skyweave.core.geometry.grid import MapGrid
from skyweave.wire.box_covariances import decode_box_covariances, encode_box_covariances
from skyweave.wire.boxes import decode_boxes, encode_boxes
from skyweave.wire.chunks import BOX_COVARIANCES, CELLS, decode_frame
from skyweave.wire.fields import FieldReader, pack_bits, unpack_bits, unzigzag, varint, zigzag
from skyweave.wire.frame import BoxList, FrameContent, Pose, Request, WireGrid
from skyweave.wire.frame_encoder import encode_frame
from skyweave.wire.header import Header, read_header, write_chunk
from skyweave.wire.pose import decode_pose, encode_pose
from skyweave.wire.rejection import RejectedError, RejectionReason
from skyweave.wire.request import decode_request, encode_request
from skyweave.wire.tables import Branch, EntropyTables, gap_frequencies, quantise_frequencies

GRIDS = st.builds(
    WireGrid,
    st.integers(-(1 << 31) + 1, (1 << 31) - 1),
    st.integers(-(1 << 31) + 1, (1 << 31) - 1),
    st.integers(1, 10**9) | st.sampled_from([100_000, 500_000, 781_250, 10**9]),
    st.integers(1, 2048),
    st.integers(1, 2048),
    st.sampled_from([0, 1, 3857, 32600, 32601, 32660, 32661, 32701, 32760, 32761]) | st.integers(0, (1 << 24) - 1),
)


@given(
    GRIDS,
    st.integers(0, (1 << 32) - 1),
    st.integers(0, (1 << 32) - 1),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.integers(0, 4095),
    st.booleans(),
)
def test_headers_are_exact(grid: WireGrid, platform: int, sequence: int, time: int, index: int, last: bool) -> None:
    header = Header(platform, sequence, time, grid, 1 << 31, 255, 0, index, last)
    assert read_header(write_chunk(header, b""))[0] == header


@given(st.integers(0, (1 << 62)))
def test_varints_have_one_spelling(value: int) -> None:
    assert FieldReader(varint(value)).varint(1 << 62) == value
    with pytest.raises(RejectedError):
        FieldReader(varint(value)[:-1] + bytes([varint(value)[-1] | 0x80, 0])).varint(1 << 62)
    for signed in (value, -value):
        assert unzigzag(zigzag(signed)) == signed
    with pytest.raises(ValueError):
        varint(-1)


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)), max_size=50))
def test_narrow_numbers(items: list[tuple[int, int]]) -> None:
    widths = np.array([width for _, width in items], int)
    values = np.array([value & ((1 << width) - 1) for value, width in items], np.int64)
    bits = pack_bits(values, widths)
    assert len(bits) == widths.sum()
    assert (unpack_bits(bits, widths) == values).all()


@given(
    st.integers(1, 2048), st.integers(1, 2048), st.integers(-5000, 5000), st.integers(-5000, 5000), st.integers(1, 99)
)
def test_coarser_grids_cover_and_align(rows: int, columns: int, west: int, north: int, factor: int) -> None:
    grid = WireGrid(west, north, 500_000, rows, columns)
    coarse = grid.coarser(factor)
    assert coarse.to_map() == grid.to_map().coarser(factor)
    assert coarse.west * factor <= west and coarse.north * factor >= north
    assert coarse.cells <= grid.cells


def test_grids_come_from_maps() -> None:
    grid = MapGrid(1_000_000, 10_800_000, 0.5, 200, 100, "EPSG:32633")
    assert WireGrid.from_map(grid) == WireGrid(1_000_000, 10_800_000, 500_000, 200, 100, 32633)
    assert WireGrid.from_map(grid).to_map() == grid
    with pytest.raises(ValueError, match="whole number of micrometres"):
        WireGrid.from_map(MapGrid(0, 0, 1 / 3, 2, 2))
    with pytest.raises(ValueError, match="1 to 4194304 cells"):
        WireGrid(0, 0, 1, 4096, 4096)
    with pytest.raises(ValueError, match="at most 1000 m"):
        encode_frame(FrameContent(1, 1, TIME, WireGrid(0, 0, 10**10, 1, 1)))


def unit(values: list[float]) -> np.ndarray:
    return np.array(values) / np.linalg.norm(values)


@given(
    st.lists(st.floats(-1e4, 1e4), min_size=3, max_size=3),
    st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 0.1),
    st.none() | st.integers(0, 1000),
)
def test_poses(offset: list[float], quaternion: list[float], seed: int | None) -> None:
    corner = np.array([GRID.west * 0.5, GRID.north * 0.5, 0])
    covariance = None
    if seed is not None:
        random = np.random.default_rng(seed)
        root = random.normal(size=(6, 6)) * 10.0 ** random.uniform(-4, 2, 6)[:, None]
        covariance = root @ root.T
    pose = Pose(corner + offset, unit(quaternion), covariance)
    section = encode_pose(pose, GRID)
    assert len(section) <= 40
    found = decode_pose(FieldReader(section), GRID)
    assert np.abs(found.position - pose.position).max() < 0.0051
    angle = 2 * np.arccos(min(1.0, abs(float(found.quaternion @ pose.quaternion))))
    assert np.degrees(angle) < 0.01
    assert (found.covariance is None) == (covariance is None)
    if covariance is not None and found.covariance is not None:
        ratio = np.sqrt(np.diag(found.covariance) / np.diag(covariance))
        assert (np.abs(np.log2(ratio)) < 0.07).all()
        assert np.linalg.eigvalsh(found.covariance).min() > -1e-9
    assert decode_pose(FieldReader(encode_pose(found, GRID)), GRID).position.tolist() == found.position.tolist()


def test_correlations_survive_and_impossible_ones_are_refused() -> None:
    covariance = np.diag([1.0, 4, 9, 0.01, 0.01, 0.01])
    covariance[0, 1] = covariance[1, 0] = 1.0
    section = encode_pose(Pose(np.zeros(3), unit([1, 0, 0, 0]), covariance), WireGrid(0, 0, 500_000, 9, 9))
    found = decode_pose(FieldReader(section), WireGrid(0, 0, 500_000, 9, 9))
    assert found.covariance is not None
    assert found.covariance[0, 1] / np.sqrt(found.covariance[0, 0] * found.covariance[1, 1]) == pytest.approx(0.5, 0.01)
    certain = section[:-15] + bytes([127, 127, 129] + [0] * 12)  # a = b, a = c, b = -c
    with pytest.raises(RejectedError, match="correlations"):
        decode_pose(FieldReader(certain), GRID)
    with pytest.raises(ValueError, match="finite"):
        encode_pose(Pose(np.array([np.nan, 0, 0]), unit([1, 0, 0, 0])), GRID)
    with pytest.raises(ValueError, match="length 1"):
        encode_pose(Pose(np.zeros(3), np.array([np.inf, 0, 0, 0])), GRID)
    with pytest.raises(ValueError, match="covariance"):
        encode_pose(Pose(np.zeros(3), unit([1, 0, 0, 0]), np.full((6, 6), np.nan)), GRID)
    with pytest.raises(ValueError, match="too far"):
        encode_pose(Pose(np.full(3, 1e12), unit([1, 0, 0, 0])), GRID)


@given(st.integers(0, 60), st.booleans())
def test_boxes_within_half_a_step_and_then_exact(count: int, moving: bool) -> None:
    given_boxes = boxes(count, moving)
    section = encode_boxes(given_boxes, GRID)
    assert len(section) <= 6 + count * 12
    found = decode_boxes(FieldReader(section), GRID)
    assert len(found) == count
    if not count:
        return
    assert np.abs(found.centres - given_boxes.centres).max(0) == pytest.approx([0, 0, 0], abs=0.051)
    assert np.abs(found.sizes / given_boxes.sizes - 1).max() < 0.02
    turn = np.abs(np.exp(1j * found.yaws) - np.exp(1j * given_boxes.yaws)).max()
    assert turn < 2 * np.pi / 256
    assert (found.classes == given_boxes.classes).all()
    assert np.abs(found.scores - given_boxes.scores).max() < 0.0081
    assert (found.velocities is None) != moving
    assert encode_boxes(found, GRID) == section


def test_covariances_within_half_a_step_and_then_exact() -> None:
    given_boxes = uncertain_boxes(30)
    given_covariances = given_boxes.covariances
    assert given_covariances is not None
    section = encode_box_covariances(given_covariances)
    found = decode_box_covariances(FieldReader(section), 30)
    assert len(section) == 90 and encode_box_covariances(found) == section
    known = ~np.isnan(given_covariances).any((1, 2))
    assert (np.isnan(found).any((1, 2)) == ~known).all() and not known.all()
    stds = [np.sqrt(np.diagonal(one[known], axis1=1, axis2=2)) for one in (found, given_covariances)]
    assert np.abs(np.log2(stds[0] / stds[1])).max() < 0.51 / 8
    correlations = [
        one[known][:, 0, 1] / std.prod(1) for one, std in zip((found, given_covariances), stds, strict=True)
    ]
    assert np.abs(correlations[0] - correlations[1]).max() < 0.012
    assert (np.linalg.eigvalsh(found[known])[:, 0] > 0).all()


def test_covariances_travel_with_their_boxes_and_are_passed_over_by_earlier_readers() -> None:
    made = tables()
    content = frame(made, 40, 300, boxes=uncertain_boxes(40))
    chunks = encode_frame(content, made, 400)
    found, plain = (
        decode_frame(chunks, made),
        decode_frame(encode_frame(frame(made, 40, 300, boxes=boxes(40)), made), made),
    )
    assert found.boxes is not None and found.boxes.covariances is not None and content.boxes is not None
    assert content.boxes.covariances is not None and plain.boxes is not None
    ratio = found.boxes.covariances[2:, 0, 0] / content.boxes.covariances[2:, 0, 0]
    assert np.abs(np.log2(ratio)).max() < 1.02 / 8 and np.isnan(found.boxes.covariances[1]).all()
    assert as_dict(found.high) == as_dict(plain.high) and np.allclose(found.boxes.centres, plain.boxes.centres)
    mixed = [chunk for chunk in chunks if BOX_COVARIANCES in kinds_of(chunk)]
    assert any(CELLS in kinds_of(chunk) for chunk in mixed)  # both in one chunk
    earlier = [with_other_kind(chunk) for chunk in mixed]
    read = decode_frame(earlier, made)
    assert read.boxes is not None and read.boxes.covariances is None and len(read.boxes) == 40


def kinds_of(chunk: bytes) -> dict[int, int]:
    """Where the sections of a chunk begin, by their kind."""
    _, reader = read_header(chunk)
    kinds = {}
    while reader.left:
        at = reader.position
        form = reader.integer(1)
        kinds[form & 0x7F] = at
        reader.take(reader.left if form & 0x80 else reader.varint(reader.left))
    return kinds


def with_other_kind(chunk: bytes) -> bytes:
    """The chunk as a reader sees it that does not know covariances: of a kind that nobody knows."""
    at = kinds_of(chunk)[BOX_COVARIANCES]
    content = chunk[:at] + bytes([100]) + chunk[at + 1 : -4]
    return content + zlib.crc32(content).to_bytes(4, "little")


@pytest.mark.parametrize(
    "section", [b"", b"\0\0\0" * 2, b"\xa0\xa0\x7f" + b"\xa0\0\x7f", b"\xa0\xa0\xff" * 2, b"\xa0\xa0\0" * 2]
)
def test_covariances_that_no_box_has(section: bytes) -> None:
    with pytest.raises(RejectedError):
        decode_box_covariances(FieldReader(section, reason=RejectionReason.SECTION), 2)


def test_covariances_that_cannot_be_sent() -> None:
    for wrong, message in ((np.zeros((1, 2, 2)), "> 0"), (np.full((1, 2, 2), np.inf), "infinity")):
        with pytest.raises(ValueError, match=message):
            encode_box_covariances(wrong)


def test_covariances_need_their_boxes() -> None:
    content = encode_frame(FrameContent(1, 2, TIME, GRID))[0]
    lone = write_chunk(Header(1, 2, TIME, GRID, 0, 0, 0, 0, True), bytes([BOX_COVARIANCES, 3]) + b"\xa0\xa0\x7f")
    assert decode_frame([content]).boxes is None
    with pytest.raises(RejectedError, match="covariances without boxes"):
        decode_frame([lone])


def test_boxes_that_cannot_be_sent() -> None:
    some = boxes(3)
    for changes, message in (
        ({"centres": some.centres + np.array([1000, 0, 0])}, "box 0 at .* lies outside the grid"),
        ({"centres": some.centres * np.nan}, "centres of boxes hold NaN"),
        ({"centres": some.centres + np.array([0, 0, 1e9])}, "do not fit"),
        ({"scores": some.scores * np.inf}, "scores"),
        ({"sizes": some.sizes * 0}, "sizes of boxes must be metres > 0"),
        ({"classes": np.array([0, 64, 1])}, "0 to 63"),
    ):
        with pytest.raises(ValueError, match=message):
            encode_boxes(dataclasses.replace(some, **changes), GRID)
    with pytest.raises(ValueError, match="too large for boxes"):
        encode_boxes(BoxList(*(np.zeros((0, 3)),) * 2, *(np.zeros(0),) * 3), WireGrid(0, 0, 10**9, 1, 1 << 22))  # type: ignore[misc]


@given(st.integers(0, 15), st.integers(1, 99), st.integers(0, 9))
@settings(max_examples=40)
def test_requests(highest: int, factor: int, patches: int) -> None:
    coarse = GRID.coarser(factor)
    levels = np.zeros((coarse.rows, coarse.columns), int)
    random = np.random.default_rng(patches)
    for _ in range(patches):
        row, column = random.integers(0, coarse.rows), random.integers(0, coarse.columns)
        levels[row : row + 3, column : column + 3] = random.integers(0, highest + 1)
    request = Request(levels, factor)
    section = encode_request(request, GRID)
    found = decode_request(FieldReader(section), GRID)
    assert found.factor == factor
    assert (found.levels == levels).all()
    assert len(section) <= 2 + (coarse.cells * 4 + 7) // 8


def test_requests_that_cannot_be_sent() -> None:
    for levels, factor, message in (
        (np.zeros((3, 3), int), 16, r"must be \(5, 4\)"),
        (np.full((5, 4), 16), 16, "0 to 15"),
        (np.full((5, 4), 0.5), 16, "whole numbers"),
        (np.zeros((1, 1), int), 300, "factor 300"),
    ):
        with pytest.raises(ValueError, match=message):
            encode_request(Request(levels, factor), GRID)
    with pytest.raises(ValueError, match="take a larger factor"):
        encode_request(Request(np.zeros((300, 300), int), 1), WireGrid(0, 0, 1, 300, 300))


def test_sections_of_later_versions_are_passed_over() -> None:
    header = Header(1, 2, TIME, GRID, 0, 0, 0, 0, True)
    content = encode_frame(FrameContent(1, 2, TIME, GRID, boxes=boxes(2)))[0]
    _, reader = read_header(content)
    later = write_chunk(header, content[reader.position : -4] + bytes([0x20, 3]) + b"new")
    found = decode_frame([later]).boxes
    assert found is not None and len(found) == 2


def test_impossible_tables() -> None:
    good = {
        "frequencies": np.array([[2048, 2048], [4096, 0]]),
        "first": np.array([0, 0]),
        "escapes": np.array([False, False]),
        "low": Branch(2, np.array([[0]])),
        "high": Branch(1, np.array([[0], [1]]), 0),
    }
    EntropyTables(**good)  # type: ignore[arg-type]
    for changes, message in (
        ({"frequencies": np.array([[0, 4096], [4096, 0]])}, "frequency 0 before its last"),
        ({"frequencies": np.array([[2048, 2047], [4096, 0]])}, "sum to 4096"),
        ({"first": np.array([0])}, "one value for each of 2 tables"),
        ({"first": np.array([0, 40000])}, "16 bits"),
        ({"low": Branch(2, np.array([[2]]))}, "there are 2"),
        ({"low": Branch(0, np.array([[0]]))}, "factor 0"),
        ({"low": Branch(1, np.array([[0]]), 0)}, "more than one"),
        ({"high": Branch(1, np.array([[0], [1]]), 1)}, "a table of 2 symbols"),
        ({"high": Branch(1, np.array([0, 1]))}, "contexts, channels"),
    ):
        with pytest.raises(ValueError, match=message):
            EntropyTables(**(good | changes))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="finite"):
        quantise_frequencies(np.array([[np.nan, 1]]))
    with pytest.raises(ValueError, match="precision above 8"):
        quantise_frequencies(np.ones((1, 300)), 8)


@pytest.mark.parametrize("precision", [8, 12, 14])
def test_tables_of_distances(precision: int) -> None:
    table = gap_frequencies(precision)
    assert table.shape == (96, 23)
    assert (table.sum(1) == 1 << precision).all() and (table > 0).all()


def test_one_model_reads_only_its_own() -> None:
    chunks = encode_frame(frame(tables()), tables())
    with pytest.raises(RejectedError) as refused:
        decode_frame([chunks[0][:-1]], tables())
    assert refused.value.reason == RejectionReason.LENGTH
