"""Chunks back to frames: every chunk is readable alone, in any order. The inverse is `skyweave.wire.frame_encoder`."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skyweave.core.errors import WireError
from skyweave.wire.box_covariances import decode_box_covariances
from skyweave.wire.boxes import decode_boxes
from skyweave.wire.cells import BRANCHES, CellGroup, CellsSection, decode_cells, read_cells_head
from skyweave.wire.fields import FieldReader
from skyweave.wire.frame import BoxList, Cells, FrameContent, Pose, Request, WireGrid
from skyweave.wire.header import MAX_CHUNK_BYTES, Header, read_header
from skyweave.wire.pose import decode_pose
from skyweave.wire.rejection import RejectedError, RejectionReason
from skyweave.wire.request import decode_request
from skyweave.wire.tables import EntropyTables

POSE, REQUEST, BOXES, CELLS, BOX_COVARIANCES = 1, 2, 3, 4, 5  # kinds of sections
LAST_SECTION_FLAG = 0x80  # beside the kind: the section has no length, it is the last
SECTION_READERS: dict[int, tuple[str, Callable[[FieldReader, WireGrid], Any]]] = {
    POSE: ("pose", decode_pose),
    REQUEST: ("request", decode_request),
    BOXES: ("boxes", decode_boxes),
}  # by kind, the attribute of a chunk and what reads it; cells need their tables, too


@dataclass(frozen=True)
class Chunk:
    """A chunk whose sections are read; its cells are not decoded yet.

    Attributes:
        header: of the chunk.
        size: bytes of the whole chunk.
        pose, request, boxes, cells: its sections; None where it has none.
        foreign: it has cells of another feature space, which are dropped.
    """

    header: Header
    size: int
    pose: Pose | None = None
    request: Request | None = None
    boxes: BoxList | None = None
    cells: CellsSection | None = None
    foreign: bool = False  # it has cells of another feature space


def decode_frame(chunks: Iterable[bytes], tables: EntropyTables | Sequence[EntropyTables] = ()) -> FrameContent:
    """Decode the part of a frame that the given chunks hold, in any order.

    Args:
        chunks: of one frame; those of other feature spaces give no cells.
        tables: the entropy tables that the receiver has.

    Raises:
        RejectedError: a chunk is not valid, or the chunks are of different frames.
        WireError: there are no chunks.
    """
    known = index_tables([tables] if isinstance(tables, EntropyTables) else tables)
    read = _by_index([read_chunk(data, known) for data in chunks])
    decoded = decode_chunks(list(read.values()), known)
    return assemble_frame(read, {index: _sound(cells) for index, cells in zip(read, decoded, strict=True)})


def _by_index(parsed: Sequence[Chunk]) -> dict[int, Chunk]:
    """Return chunks by their index; refuse none at all and those of different frames."""
    if not parsed:
        raise WireError("no chunks, no frame")
    if not all(same_frame(chunk.header, parsed[0].header) for chunk in parsed):
        raise RejectedError(RejectionReason.CONFLICT, "chunks of different frames")
    return {chunk.header.index: chunk for chunk in parsed}


def _sound(groups: list[CellGroup] | RejectedError) -> list[CellGroup]:
    """Return groups of cells, or raise the error that they were rejected with."""
    if isinstance(groups, RejectedError):
        raise groups
    return groups


def read_chunk(
    data: bytes,
    tables: dict[tuple[int, int, int], EntropyTables],
    max_size: int = MAX_CHUNK_BYTES,
    max_cells: int = 1 << 22,
) -> Chunk:
    """Read and check everything of a chunk but the symbols of its cells.

    Args:
        data: any bytes.
        tables: by (fingerprint, codec, quality), see `index_tables`.
        max_size: bytes of the largest chunk to accept.
        max_cells: cells of the largest grid to accept.

    Raises:
        RejectedError: the bytes are not a valid chunk; nothing else is raised, for any bytes.
    """
    header, reader = read_header(data, max_size)
    if header.grid.cells > max_cells:
        raise RejectedError(
            RejectionReason.GRID, f"a grid of {header.grid.cells} cells; at most {max_cells} are allowed"
        )
    return read_sections(header, reader, tables)


def read_sections(header: Header, reader: FieldReader, tables: dict[tuple[int, int, int], EntropyTables]) -> Chunk:
    """Read and check the sections behind a header.

    Args:
        header: of the chunk.
        reader: stands behind the header.
        tables: by (fingerprint, codec, quality), see `index_tables`.

    Raises:
        RejectedError: a section is cut off, repeated, out of order, or holds values out of range.
    """
    chunk = Chunk(header, len(reader.data))
    reader.reason = RejectionReason.SECTION
    before = 0
    while reader.left:
        kind, section = _next_section(reader, before)
        if kind == CELLS:
            chunk = _with_cells(chunk, section, tables.get(header.model))
        elif kind == BOX_COVARIANCES:
            chunk = _with_covariances(chunk, section)
        elif kind in SECTION_READERS:
            name, read = SECTION_READERS[kind]
            chunk = replace(chunk, **{name: read(section, header.grid)})
        if kind <= BOX_COVARIANCES and not (kind == CELLS and chunk.foreign) and section.left:
            raise section.refuse(f"{section.left} bytes left in section {kind}")
        reader.position, before = section.end, kind  # kinds of later versions are passed over
    return chunk


def _next_section(reader: FieldReader, before: int) -> tuple[int, FieldReader]:
    """Read the head of a section behind that of kind ``before``; return its kind and a reader of its content."""
    form = reader.integer(1)
    kind = form & ~LAST_SECTION_FLAG
    size = reader.left if form & LAST_SECTION_FLAG else reader.varint(reader.left)
    end = reader.position + size
    if end > reader.end or kind <= before:
        raise reader.refuse(f"section {kind} after {before}, of {size} bytes")
    return kind, FieldReader(reader.data, reader.position, end, RejectionReason.SECTION)


def _with_cells(chunk: Chunk, section: FieldReader, tables: EntropyTables | None) -> Chunk:
    """Return a chunk with the head of its cells, or marked as foreign where the tables of its model are unknown."""
    if tables is None:
        return replace(chunk, foreign=True)
    return replace(chunk, cells=read_cells_head(section, chunk.header.grid, tables))


def _with_covariances(chunk: Chunk, section: FieldReader) -> Chunk:
    """Return a chunk whose boxes have the covariances of a section."""
    if chunk.boxes is None:
        raise section.refuse("covariances without boxes")
    covariances = decode_box_covariances(section, len(chunk.boxes))
    return replace(chunk, boxes=replace(chunk.boxes, covariances=covariances))


def decode_chunks(
    chunks: Sequence[Chunk], tables: dict[tuple[int, int, int], EntropyTables]
) -> list[list[CellGroup] | RejectedError]:
    """Decode the cells of chunks of any frames; those of one model in few passes.

    Args:
        chunks: as of `read_chunk`.
        tables: by (fingerprint, codec, quality).

    Returns:
        For each chunk its groups of cells, or why it is rejected.
    """
    result: list[list[CellGroup] | RejectedError] = [[] for _ in chunks]
    for model in {chunk.header.model for chunk in chunks if chunk.cells is not None}:
        parts = _cells_of_model(chunks, model)
        for i, groups in zip(parts, decode_cells(list(parts.values()), tables[model]), strict=True):
            result[i] = groups
    return result


def _cells_of_model(chunks: Sequence[Chunk], model: tuple[int, int, int]) -> dict[int, CellsSection]:
    """Return the cells of the chunks of one model, by the chunk's place."""
    return {i: chunk.cells for i, chunk in enumerate(chunks) if chunk.cells is not None and chunk.header.model == model}


def assemble_frame(chunks: dict[int, Chunk], groups: dict[int, list[CellGroup]]) -> FrameContent:
    """Assemble the frame that chunks are parts of; a cell that was sent twice counts once.

    Args:
        chunks: by index, at least one.
        groups: decoded cells, by the index of their chunk.
    """
    header = chunks[min(chunks)].header
    in_order = [chunks[i] for i in sorted(chunks)]
    all_groups = [group for i in sorted(groups) for group in groups[i]]
    cells = {name: _join_cells(all_groups, number) for number, name in enumerate(BRANCHES)}
    return FrameContent(
        platform=header.platform,
        sequence=header.sequence,
        time=header.time,
        grid=header.grid,
        fingerprint=header.fingerprint,
        codec=header.codec,
        quality=header.quality,
        pose=_first_section(in_order, "pose"),
        boxes=_join_boxes(in_order),
        request=_first_section(in_order, "request"),
        **cells,
    )


def _first_section(chunks: Sequence[Chunk], name: str) -> Any:
    """Return the first section of that name in chunks, None where none has it."""
    return next((section for chunk in chunks if (section := getattr(chunk, name)) is not None), None)


def _join_boxes(chunks: Sequence[Chunk]) -> BoxList | None:
    """Return the boxes of all chunks together, None where none has any."""
    boxes = [chunk.boxes for chunk in chunks if chunk.boxes is not None]
    return BoxList.joined(boxes) if boxes else None


def same_frame(a: Header, b: Header) -> bool:
    """Return whether two chunks belong to one frame, that is, differ in their index only.

    Args:
        a: header of one chunk.
        b: header of the other.
    """
    return replace(a, index=0, last=False) == replace(b, index=0, last=False)


def index_tables(tables: Iterable[EntropyTables]) -> dict[tuple[int, int, int], EntropyTables]:
    """Return entropy tables by (fingerprint, codec, quality).

    Args:
        tables: of different models.
    """
    return {one.model: one for one in tables}


def split_stream(data: bytes) -> list[bytes]:
    """Split chunks that stand one behind the other, as in a file or on a serial line, by the lengths they state.

    Args:
        data: any bytes.

    Returns:
        The chunks; bytes that cannot be split come last, as they are: reading them is rejected and counted.
    """
    chunks, at = [], 0
    while at < len(data):
        size = _stated_size(data, at)
        chunks.append(data[at : at + size])
        at += size
    return chunks


def _stated_size(data: bytes, start: int) -> int:
    """Return the bytes of the chunk that starts there by what it states, all that are left where it is no chunk."""
    size = int.from_bytes(data[start + 3 : start + 5], "little")
    left = len(data) - start
    return size if data[start : start + 2] == b"SW" and 5 <= size <= left else left


def _join_cells(all_groups: Sequence[CellGroup], branch: int) -> Cells | None:
    """Return the cells of one branch, each once, None where there are none."""
    groups = [group for group in all_groups if group.branch == branch]
    if not groups:
        return None
    return _join_groups(groups)


def _join_groups(groups: list[CellGroup]) -> Cells | None:
    """Join the cells of groups, each cell once."""
    indices = np.concatenate([group.indices for group in groups])
    symbols = np.concatenate([group.symbols for group in groups])
    context = _join_contexts(groups)
    first = np.sort(np.unique(indices, return_index=True)[1])
    if len(first) < len(indices):
        indices, symbols, context = indices[first], symbols[first], None if context is None else context[first]
    return Cells(indices, symbols, context)


def _join_contexts(groups: Sequence[CellGroup]) -> np.ndarray | None:
    """Return the (n,) contexts of groups, None where they have none."""
    contexts = [group.contexts for group in groups if group.contexts is not None]
    return np.concatenate(contexts).astype(np.uint8) if contexts else None
