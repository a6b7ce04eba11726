"""Frames to chunks within a budget of bytes: the most salient cells first, every chunk readable alone."""

from dataclasses import dataclass

import numpy as np

from skyweave.core.errors import WireError
from skyweave.wire.box_covariances import encode_box_covariances
from skyweave.wire.boxes import count_boxes_that_fit, encode_boxes
from skyweave.wire.cells import CellGroup, encode_cells
from skyweave.wire.chunks import BOX_COVARIANCES, BOXES, CELLS, LAST_SECTION_FLAG, POSE, REQUEST
from skyweave.wire.fields import varint
from skyweave.wire.frame import BoxList, FrameContent
from skyweave.wire.header import MAX_CHUNK_BYTES, Header, chunk_overhead, write_chunk
from skyweave.wire.packing import CellPacker
from skyweave.wire.pose import encode_pose
from skyweave.wire.request import encode_request
from skyweave.wire.tables import EntropyTables

MIN_MTU_BYTES = 256
MAX_LENGTH_BYTES = 3  # of a section in a chunk
SORTING_LOSS_BYTES = 14  # a chunk: its lanes, and room too small for one more cell
UNLIMITED = 1 << 62  # bytes


def encode_frame(
    frame: FrameContent,
    tables: EntropyTables | None = None,
    mtu: int = 1200,
    budget_bytes: int | None = None,
    pose_every: int = 4,
    sort_window: int = 1,
) -> list[bytes]:
    """Encode a frame as chunks, the most salient first; what does not fit the budget is left out.

    The request comes first, then boxes in their order, then cells by saliency (low before high where it is None).

    Args:
        frame: what to send.
        tables: those of the frame's fingerprint, codec and quality; not needed for a frame without cells.
        mtu: bytes of the largest chunk, 256 to 65535.
        budget_bytes: of all chunks together, headers included; None: everything is sent.
        pose_every: the pose stands in the first chunk and again in every ``pose_every``-th.
        sort_window: chunks over which cells are sorted spatially, so that neighbours travel in one chunk, which takes
            fewer bytes to say where they are; 1: strictly by saliency, which lets a lost chunk thin out cells
            everywhere instead of leaving a hole.

    Raises:
        WireError: a value that cannot be sent, tables of another model, or a budget too small for one header.
    """
    _check_settings(mtu, pose_every, sort_window)
    tables = _tables_for(frame, tables)
    planner = _Planner(frame, tables, mtu, budget_bytes, pose_every, sort_window)
    while True:  # sizes are estimated before cells are coded; where the estimate was too low, more is left free
        plan = planner.plan()
        chunks = _encode_plan(frame, plan, tables)
        too_long = _excess(chunks, plan, budget_bytes)
        if not too_long:
            return chunks
        planner.spare(too_long)


def _check_settings(mtu: int, pose_every: int, sort_window: int) -> None:
    """Refuse settings of the encoder that are out of range."""
    if not MIN_MTU_BYTES <= mtu <= MAX_CHUNK_BYTES:
        raise WireError(f"mtu {mtu} must be {MIN_MTU_BYTES} to {MAX_CHUNK_BYTES} bytes")
    if pose_every < 1 or sort_window < 1:
        raise WireError(f"pose_every {pose_every} and sort_window {sort_window} must be 1 or more")


def _tables_for(frame: FrameContent, tables: EntropyTables | None) -> EntropyTables | None:
    """Return the tables if the frame has cells, or None. Raises `WireError` for those of another model."""
    if not _has_cells(frame):
        return None
    needed = (frame.fingerprint, frame.codec, frame.quality)
    _check_tables(tables, needed)
    return tables


def _has_cells(frame: FrameContent) -> bool:
    """Return whether a frame has cells."""
    return any(cells is not None and len(cells) for cells in (frame.low, frame.high))


def _check_tables(tables: EntropyTables | None, needed: tuple[int, int, int]) -> None:
    """Check that the tables are those of the frame."""
    if tables is None or tables.model != needed:
        known = None if tables is None else tables.model
        raise WireError(f"a frame of (fingerprint, codec, quality) {needed} needs its tables, not those of {known}")


@dataclass(frozen=True)
class _PlannedChunk:
    """What a chunk will hold.

    Attributes:
        sections: encoded, all but the cells and what follows them.
        covariances: section of the covariances of the boxes, encoded; empty without.
        groups: cells, to be encoded.
        room: bytes that the chunk may have.
    """

    sections: bytes
    covariances: bytes
    groups: list[CellGroup]
    room: int


class _Planner:
    """Decides what goes into which chunk.

    Attributes:
        spared: by index of a chunk, bytes to leave free in it.
    """

    def __init__(
        self,
        frame: FrameContent,
        tables: EntropyTables | None,
        mtu: int,
        budget_bytes: int | None,
        pose_every: int,
        sort_window: int,
    ) -> None:
        self.frame, self.mtu, self.pose_every, self.sort_window = frame, mtu, pose_every, sort_window
        self.budget = UNLIMITED if budget_bytes is None else budget_bytes
        self.packer = None if tables is None else CellPacker(frame, tables)
        self.pose = b"" if frame.pose is None else _section(POSE, encode_pose(frame.pose, frame.grid))
        request = frame.request
        self.request = b"" if request is None else _section(REQUEST, encode_request(request, frame.grid))
        self.spared: dict[int, int] = {}

    def spare(self, too_long: dict[int, int]) -> None:
        """Leave more bytes free in chunks that came out too long.

        Args:
            too_long: excess bytes by index of the chunk.
        """
        for index, excess in too_long.items():
            self.spared[index] = self.spared.get(index, 0) + excess + 1

    def plan(self) -> list[_PlannedChunk]:
        """Return the chunks of the frame, at least one."""
        plan: list[_PlannedChunk] = []
        self._begin()
        while True:
            room = min(self.mtu, self.left)
            header = chunk_overhead(Header.of(self.frame, len(plan), True))
            sections = self._first_sections(len(plan), room - header)
            boxes, covariances = self._boxes(room - header - len(sections))
            sections += boxes
            behind = len(covariances) + (MAX_LENGTH_BYTES if covariances else 0)
            groups = self._cells(len(plan), room, room - header - len(sections) - behind)
            if plan and not boxes and not groups:
                return plan
            plan.append(_PlannedChunk(sections, covariances, groups, room))
            cells = 1 + self.packer.filled if self.packer and groups else 0
            self.left -= header + len(sections) + behind + cells

    def _begin(self) -> None:
        """Start with the first chunk, box and cell."""
        self.left, self.next_box, self.next_cell, self.sorted_up_to = self.budget, 0, 0, 0
        if self.packer:
            self.packer.begin()

    def _first_sections(self, index: int, free: int) -> bytes:
        """Return the pose, where it is due, and the request in the first chunk."""
        sections = self.pose if index % self.pose_every == 0 else b""
        if index:
            return sections
        if len(sections) + len(self.request) > free:
            header = chunk_overhead(Header.of(self.frame, 0, True))
            needed = header + len(sections) + len(self.request)
            raise WireError(f"{free + header} bytes are too few: header, pose and request take {needed}")
        return sections + self.request

    def _boxes(self, free: int) -> tuple[bytes, bytes]:
        """Return a section of the next boxes that fit, and one of their covariances; or nothing."""
        boxes = self.frame.boxes
        if boxes is None or self.next_box >= len(boxes):
            return b"", b""
        count = count_boxes_that_fit(boxes.select(slice(self.next_box, None)), self.frame.grid, free - 4)
        if not count:
            return b"", b""
        chosen = boxes.select(slice(self.next_box, self.next_box + count))
        self.next_box += count
        return _section(BOXES, encode_boxes(chosen, self.frame.grid)), _covariances_section(chosen)

    def _cells(self, index: int, room: int, free: int) -> list[CellGroup]:
        """Return the next cells that fit, once all boxes are sent."""
        boxes = self.frame.boxes
        if self.packer is None or (boxes is not None and self.next_box < len(boxes)):
            return []
        free -= 1 + self.spared.get(index, 0)
        if self.sort_window > 1 and self.next_cell >= self.sorted_up_to:
            self.sorted_up_to = self.packer.bring_together(self.next_cell, self._window_room(index, room, free))
        groups, self.next_cell = self.packer.fill(self.next_cell, free)
        return groups

    def _window_room(self, index: int, room: int, free: int) -> int:
        """Return the bytes for cells in this chunk and the next ones, over which cells are sorted together."""
        each = self.mtu - chunk_overhead(Header.of(self.frame, index, True)) - len(self.pose) // self.pose_every - 1
        more = min(max(self.left - room, 0) * each // self.mtu, (self.sort_window - 1) * each)
        return int(0.99 * (free + more)) - SORTING_LOSS_BYTES * (1 + more // each)


def _encode_plan(frame: FrameContent, plan: list[_PlannedChunk], tables: EntropyTables | None) -> list[bytes]:
    coded = iter(encode_cells([planned.groups for planned in plan if planned.groups], tables) if tables else [])
    chunks = []
    for index, planned in enumerate(plan):
        cells = _cells_section(next(coded), last=not planned.covariances) if planned.groups else b""
        sections = planned.sections + cells + planned.covariances
        chunks.append(write_chunk(Header.of(frame, index, index == len(plan) - 1), sections))
    return chunks


def _cells_section(content: bytes, last: bool) -> bytes:
    """Return the section of cells; as the last one it needs no length."""
    return bytes([CELLS | LAST_SECTION_FLAG]) + content if last else _section(CELLS, content)


def _covariances_section(boxes: BoxList) -> bytes:
    """Return the section of the covariances of boxes; empty where none is known."""
    covariances = boxes.covariances
    if covariances is None or np.isnan(covariances).any((1, 2)).all():
        return b""
    return _section(BOX_COVARIANCES, encode_box_covariances(covariances))


def _excess(chunks: list[bytes], plan: list[_PlannedChunk], budget_bytes: int | None) -> dict[int, int]:
    """Return by chunk the bytes by which it is too long; the last one answers for the budget."""
    sizes = enumerate(zip(chunks, plan, strict=True))
    too_long = {i: len(chunk) - planned.room for i, (chunk, planned) in sizes if len(chunk) > planned.room}
    excess = sum(map(len, chunks)) - budget_bytes if budget_bytes is not None else 0
    if excess > 0 and not too_long:
        too_long[len(chunks) - 1] = excess
    return too_long


def _section(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + varint(len(content)) + content
