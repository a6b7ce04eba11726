"""Frames to chunks and back: the most useful cells first, every chunk readable alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from skyweave.core.errors import WireError
from skyweave.wire.boxes import boxes_section, boxes_that_fit, read_boxes
from skyweave.wire.cells import BRANCHES, CellsPart, Group, decode_cells, encode_cells, read_cells
from skyweave.wire.fields import Reader, varint
from skyweave.wire.frame import BoxList, Cells, FrameContent, Pose, Request
from skyweave.wire.header import MAX_CHUNK, Header, open_chunk, overhead, seal
from skyweave.wire.packing import Packer
from skyweave.wire.pose import pose_section, read_pose
from skyweave.wire.rejection import RejectedError, RejectionReason
from skyweave.wire.request import read_request, request_section
from skyweave.wire.tables import EntropyTables

POSE, REQUEST, BOXES, CELLS = 1, 2, 3, 4  # kinds of sections
TO_THE_END = 0x80  # beside the kind: the section has no length, it is the last
MIN_MTU = 256
LOST_TOGETHER = 14  # bytes a chunk: its lanes, and room too small for one more cell


@dataclass(frozen=True)
class Chunk:
    """A chunk whose sections are read; its cells are not decoded yet."""

    header: Header
    size: int
    pose: Pose | None = None
    request: Request | None = None
    boxes: BoxList | None = None
    cells: CellsPart | None = None
    foreign: bool = False  # it has cells of another feature space


def encode_frame(
    frame: FrameContent,
    tables: EntropyTables | None = None,
    mtu: int = 1200,
    budget_bytes: int | None = None,
    pose_every: int = 4,
    together: int = 1,
) -> list[bytes]:
    """A frame as chunks, the most useful first; what does not fit the budget is left out.

    The request comes first, then boxes in their order, then cells by usefulness (low before high where it is None).

    Args:
        tables: those of the frame's fingerprint, codec and quality; not needed for a frame without cells.
        mtu: bytes of the largest chunk, 256 to 65535.
        budget_bytes: of all chunks together, headers included; None: everything is sent.
        pose_every: the pose stands in the first chunk and again in every so-manieth.
        together: chunks among which cells are shared out so that neighbours travel together, which takes fewer bytes
            to say where they are; 1: strictly the most useful first, which lets a lost chunk thin out cells
            everywhere instead of leaving a hole.

    Raises:
        ValueError: a value that cannot be sent, tables of another model, or a budget too small for one header.
    """
    if not MIN_MTU <= mtu <= MAX_CHUNK:
        raise WireError(f"mtu {mtu} must be {MIN_MTU} to {MAX_CHUNK} bytes")
    has_cells = any(cells is not None and len(cells) for cells in (frame.low, frame.high))
    if has_cells and (tables is None or tables.model != (frame.fingerprint, frame.codec, frame.quality)):
        known = None if tables is None else tables.model
        needed = (frame.fingerprint, frame.codec, frame.quality)
        raise WireError(f"a frame of (fingerprint, codec, quality) {needed} needs its tables, not those of {known}")
    packer = Packer(frame, tables) if has_cells and tables is not None else None
    if pose_every < 1 or together < 1:
        raise WireError(f"pose_every {pose_every} and together {together} must be 1 or more")
    spared: dict[int, int] = {}  # by chunk: bytes to leave free, where the estimate was too low
    while True:
        plan = _plan(frame, packer, mtu, budget_bytes, pose_every, together, spared)
        coded = iter(encode_cells([p.groups for p in plan if p.groups], tables) if packer and tables else [])
        chunks = []
        for i, planned in enumerate(plan):
            cells = bytes([CELLS | TO_THE_END]) + next(coded) if planned.groups else b""
            chunks.append(seal(Header.of(frame, i, i == len(plan) - 1), planned.sections + cells))
        too_long = {i: len(c) - p.room for i, (c, p) in enumerate(zip(chunks, plan, strict=True)) if len(c) > p.room}
        excess = sum(map(len, chunks)) - budget_bytes if budget_bytes is not None else 0
        if excess > 0 and not too_long:
            too_long[len(chunks) - 1] = excess
        if not too_long:
            return chunks
        for i, more in too_long.items():
            spared[i] = spared.get(i, 0) + more + 1


def decode(chunks: Iterable[bytes], tables: EntropyTables | Sequence[EntropyTables] = ()) -> FrameContent:
    """The part of a frame that these chunks, in any order, hold. Chunks of other feature spaces give no cells.

    Raises:
        Refused: (a ValueError) a chunk that is no valid one, or chunks of different frames.
    """
    known = by_model([tables] if isinstance(tables, EntropyTables) else tables)
    found = [read_chunk(data, known) for data in chunks]
    if not found:
        raise WireError("no chunks, no frame")
    if not all(same_frame(chunk.header, found[0].header) for chunk in found):
        raise RejectedError(RejectionReason.CONFLICT, "chunks of different frames")
    read = {chunk.header.index: chunk for chunk in found}
    decoded = decode_chunks(list(read.values()), known)
    groups = {}
    for index, cells in zip(read, decoded, strict=True):
        if isinstance(cells, RejectedError):
            raise cells
        groups[index] = cells
    return assemble(read, groups)


def read_chunk(
    data: bytes, tables: dict[tuple[int, int, int], EntropyTables], max_size: int = MAX_CHUNK, max_cells: int = 1 << 22
) -> Chunk:
    """Everything but the cells' symbols, checked. Raises ``RejectedError``; nothing else, for any bytes."""
    header, reader = open_chunk(data, max_size)
    if header.grid.cells > max_cells:
        raise RejectedError(
            RejectionReason.GRID, f"a grid of {header.grid.cells} cells; at most {max_cells} are allowed"
        )
    return read_sections(header, reader, tables)


def read_sections(header: Header, reader: Reader, tables: dict[tuple[int, int, int], EntropyTables]) -> Chunk:
    """The sections behind a header. Raises ``RejectedError``."""
    chunk = Chunk(header, len(reader.data))
    reader.reason = RejectionReason.SECTION
    before = 0
    while reader.left:
        form = reader.integer(1)
        kind = form & ~TO_THE_END
        size = reader.left if form & TO_THE_END else reader.varint(reader.left)
        end = reader.position + size
        if end > reader.end or kind <= before:
            raise reader.refuse(f"section {kind} after {before}, of {size} bytes")
        section = Reader(reader.data, reader.position, end, RejectionReason.SECTION)
        if kind == POSE:
            chunk = replace(chunk, pose=read_pose(section, header.grid))
        elif kind == REQUEST:
            chunk = replace(chunk, request=read_request(section, header.grid))
        elif kind == BOXES:
            chunk = replace(chunk, boxes=read_boxes(section, header.grid))
        elif kind == CELLS and header.model in tables:
            chunk = replace(chunk, cells=read_cells(section, header.grid, tables[header.model]))
        elif kind == CELLS:
            chunk = replace(chunk, foreign=True)
        if kind <= CELLS and not chunk.foreign and section.left:
            raise section.refuse(f"{section.left} bytes left in section {kind}")
        reader.position, before = end, kind  # kinds of later versions are passed over
    return chunk


def decode_chunks(
    chunks: Sequence[Chunk], tables: dict[tuple[int, int, int], EntropyTables]
) -> list[list[Group] | RejectedError]:
    """The cells of chunks, of any frames, or why they are refused; those of one model in few passes."""
    result: list[list[Group] | RejectedError] = [[] for _ in chunks]
    for model in {chunk.header.model for chunk in chunks if chunk.cells is not None}:
        which = [i for i, chunk in enumerate(chunks) if chunk.cells is not None and chunk.header.model == model]
        parts = [part for i in which if (part := chunks[i].cells) is not None]
        for i, groups in zip(which, decode_cells(parts, tables[model]), strict=True):
            result[i] = groups
    return result


def assemble(chunks: dict[int, Chunk], groups: dict[int, list[Group]]) -> FrameContent:
    """One frame of its chunks and their cells, both by the chunk's index. A cell told twice counts once."""
    header = chunks[min(chunks)].header
    in_order = [chunks[i] for i in sorted(chunks)]
    cells = {}
    for number, name in enumerate(BRANCHES):
        found = [group for i in sorted(groups) for group in groups[i] if group.branch == number]
        cells[name] = _joined(found)
    boxes = [chunk.boxes for chunk in in_order if chunk.boxes is not None]
    return FrameContent(
        platform=header.platform,
        sequence=header.sequence,
        time=header.time,
        grid=header.grid,
        fingerprint=header.fingerprint,
        codec=header.codec,
        quality=header.quality,
        pose=next((chunk.pose for chunk in in_order if chunk.pose is not None), None),
        boxes=BoxList.joined(boxes) if boxes else None,
        request=next((chunk.request for chunk in in_order if chunk.request is not None), None),
        **cells,
    )


def same_frame(a: Header, b: Header) -> bool:
    """Whether two chunks belong to one frame: they differ in their index only."""
    return replace(a, index=0, last=False) == replace(b, index=0, last=False)


def by_model(tables: Iterable[EntropyTables]) -> dict[tuple[int, int, int], EntropyTables]:
    """Tables by (fingerprint, codec, quality)."""
    return {one.model: one for one in tables}


def split(data: bytes) -> list[bytes]:
    """Chunks that stand one behind the other, as in a file or on a serial line, by the lengths they state.

    Bytes that cannot be split come last, as they are: reading them is refused and counted.
    """
    chunks, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at + 3 : at + 5], "little")
        whole = data[at : at + 2] == b"SW" and 5 <= size <= len(data) - at
        chunks.append(data[at : at + size] if whole else data[at:])
        at += size if whole else len(data)
    return chunks


@dataclass(frozen=True)
class _Planned:
    sections: bytes  # all but the cells
    groups: list[Group]
    room: int  # bytes the chunk may have


def _plan(
    frame: FrameContent,
    packer: Packer | None,
    mtu: int,
    budget: int | None,
    pose_every: int,
    together: int,
    spared: dict[int, int],
) -> list[_Planned]:
    """What goes into which chunk."""
    plan: list[_Planned] = []
    if packer:
        packer.begin()
    left = budget if budget is not None else 1 << 62
    pose = b"" if frame.pose is None else _section(POSE, pose_section(frame.pose, frame.grid))
    request = b"" if frame.request is None else _section(REQUEST, request_section(frame.request, frame.grid))
    box = cell = arranged = 0
    while True:
        room = min(mtu, left)
        size = overhead(Header.of(frame, len(plan), True))
        sections = pose if len(plan) % pose_every == 0 else b""
        if not plan and size + len(sections) + len(request) > room:
            raise WireError(
                f"{room} bytes are too few: header, pose and request take {size + len(sections) + len(request)}"
            )
        sections += b"" if plan else request
        boxes = 0
        if frame.boxes is not None and box < len(frame.boxes):
            boxes = boxes_that_fit(frame.boxes.select(slice(box, None)), frame.grid, room - size - len(sections) - 4)
            if boxes:
                some = frame.boxes.select(slice(box, box + boxes))
                sections += _section(BOXES, boxes_section(some, frame.grid))
                box += boxes
        groups: list[Group] = []
        if packer and (frame.boxes is None or box == len(frame.boxes)):
            free = room - size - len(sections) - 1 - spared.get(len(plan), 0)
            if together > 1 and cell >= arranged:
                each = mtu - size - len(pose) // pose_every - 1
                more = min(max(left - room, 0) * each // mtu, (together - 1) * each)
                loss = LOST_TOGETHER * (1 + more // each)
                arranged = packer.bring_together(cell, int(0.99 * (free + more)) - loss)
            groups, cell = packer.fill(cell, free)
        if plan and not boxes and not groups:
            return plan
        plan.append(_Planned(sections, groups, room))
        left -= size + len(sections) + (1 + packer.filled if packer and groups else 0)


def _section(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + varint(len(content)) + content


def _joined(groups: Sequence[Group]) -> Cells | None:
    if not groups:
        return None
    indices = np.concatenate([group.indices for group in groups])
    symbols = np.concatenate([group.symbols for group in groups])
    contexts = [group.contexts for group in groups if group.contexts is not None]
    context = np.concatenate(contexts).astype(np.uint8) if contexts else None
    first = np.sort(np.unique(indices, return_index=True)[1])
    if len(first) < len(indices):
        indices, symbols, context = indices[first], symbols[first], None if context is None else context[first]
    return Cells(indices, symbols, context)
