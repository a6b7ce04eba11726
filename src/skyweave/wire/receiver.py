"""What a platform does with bytes from others: check, count what is refused, hold what is sound, hand out frames.

Any byte string is safe. A chunk is checked before anything of its size is allocated, what is held is bounded, and
the time a chunk takes is bounded by its length and ``MAX_SYMBOLS``.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from skyweave.wire.cells import CellGroup
from skyweave.wire.chunks import (
    Chunk,
    assemble_frame,
    decode_chunks,
    index_tables,
    read_sections,
    same_frame,
)
from skyweave.wire.frame import FrameContent
from skyweave.wire.header import MAX_CHUNK_BYTES, Header, read_header
from skyweave.wire.rejection import RejectedError, RejectionReason
from skyweave.wire.tables import EntropyTables

NANOSECONDS_PER_SECOND = 10**9  # nanoseconds


@dataclass(frozen=True)
class ReceiverLimits:
    """What a receiver is willing to take.

    Attributes:
        chunk_bytes: of the largest chunk.
        grid_cells: of the largest grid.
        age, ahead: seconds by which a capture may lie behind and before our clock.
        platforms: that are heard at a time.
        frames: of one platform that are held, the newest.
        held_bytes: of memory for all frames held, by an upper estimate (``_weight``).
        resolution: micrometres that a peer's cells must measure; None: any.
        epsg: reference system that a peer's grid must be in; None: any.
    """

    chunk_bytes: int = MAX_CHUNK_BYTES
    grid_cells: int = 1 << 20
    age: float = 2.0
    ahead: float = 0.5
    platforms: int = 32
    frames: int = 4
    held_bytes: int = 1 << 26
    resolution: int | None = None
    epsg: int | None = None


@dataclass(frozen=True)
class ReceivedFrame:
    """A frame as far as it has come.

    Attributes:
        frame: what is known of it.
        chunks: how many came.
        expected: how many were sent; None while the last one is missing.
    """

    frame: FrameContent
    chunks: int
    expected: int | None

    @property
    def complete(self) -> bool:
        """Return whether all chunks of the frame have come."""
        return self.chunks == self.expected


class Receiver:
    """Takes chunks in any order and returns frames.

    Args:
        tables: the entropy tables of the models whose cells can be read.
        limits: what is accepted and held.
        platform: the receiver's own number, whose chunks are rejected.

    Attributes:
        refused: how many chunks were rejected, by reason. FINGERPRINT counts chunks whose cells were dropped while the
            rest was kept.
        accepted: how many chunks were taken.
    """

    def __init__(
        self, tables: Iterable[EntropyTables] = (), limits: ReceiverLimits | None = None, platform: int | None = None
    ):
        """For a platform with that number, whose own chunks are refused."""
        self.tables = index_tables(tables)
        self.limits = ReceiverLimits() if limits is None else limits
        self.platform = platform
        self.refused: Counter[RejectionReason] = Counter()
        self.accepted = 0
        self._frames: dict[int, dict[int, _Held]] = {}  # by platform and sequence
        self._bytes = 0

    def receive(self, data: bytes, now: int) -> RejectionReason | None:
        """Take a chunk. Never raises.

        Args:
            data: what came, any bytes.
            now: our clock, UTC nanoseconds.

        Returns:
            Why it was refused, and counted; None: it was taken.
        """
        try:
            self._check_bytes(data)
            self._take(bytes(data), now)
        except RejectedError as refused:
            return self._count(refused.reason)
        except Exception:  # a fault of ours must not bring a platform down; tests hold that there is none
            return self._count(RejectionReason.INTERNAL)
        self.accepted += 1
        return None

    def frames(self, now: int) -> list[ReceivedFrame]:
        """Return all frames held, by platform, the newest first, as far as they have come. Never raises.

        A frame is returned again, with more, when more of it has come; it is dropped when it is too old or newer
        ones have taken its place.

        Args:
            now: the receiver's clock, UTC nanoseconds.
        """
        self._forget(now)
        self._decode()
        return [
            held.received()
            for platform in sorted(self._frames)
            for _, held in sorted(self._frames[platform].items(), reverse=True)
            if held.chunks
        ]

    def clear(self) -> None:
        """Drop all frames held: the sender counts its time anew."""
        self._frames.clear()
        self._bytes = 0

    def _take(self, data: bytes, now: int) -> None:
        limits = self.limits
        header, reader = read_header(data, limits.chunk_bytes)
        self._check(header, now)
        chunk = read_sections(header, reader, self.tables)
        self._forget(now)
        self._check_room(header)
        held = self._frames.get(header.platform, {}).get(header.sequence)
        if held is not None:
            held.check(header)
        if self._bytes + _weight(chunk) > limits.held_bytes:
            raise RejectedError(RejectionReason.FULL, "too much is held")
        if chunk.foreign:
            self._count(RejectionReason.FINGERPRINT)
        (held or self._hold(header)).add(chunk)
        self._bytes += _weight(chunk)

    def _check_bytes(self, data: bytes) -> None:
        """Refuse what is not bytes, or more of them than a chunk may have."""
        if not isinstance(data, bytes | bytearray | memoryview):
            raise RejectedError(RejectionReason.SIZE, f"{type(data).__name__} is not bytes")
        if len(data) > self.limits.chunk_bytes:
            raise RejectedError(RejectionReason.SIZE, f"{len(data)} bytes are above {self.limits.chunk_bytes}")

    def _check_room(self, header: Header) -> None:
        """Refuse a chunk of one platform too many, or of a frame older than all those that are held."""
        limits, frames = self.limits, self._frames.get(header.platform, {})
        if not frames and len(self._frames) >= limits.platforms:
            raise RejectedError(RejectionReason.FULL, f"{limits.platforms} platforms are heard already")
        if len(frames) >= limits.frames and header.sequence < min(frames):
            raise RejectedError(RejectionReason.TOO_OLD, f"{limits.frames} newer frames are held")

    def _hold(self, header: Header) -> "_Held":
        """Start a new frame, in place of the platform's oldest where it has too many."""
        frames = self._frames.get(header.platform, {})
        if len(frames) >= self.limits.frames:
            self._drop(header.platform, min(frames))
        held = self._frames.setdefault(header.platform, {})[header.sequence] = _Held(header)
        return held

    def _check(self, header: Header, now: int) -> None:
        self._check_grid(header)
        self._check_time(header, now)
        if header.platform == self.platform:
            raise RejectedError(RejectionReason.ECHO, "our own chunk")

    def _check_grid(self, header: Header) -> None:
        """Refuse grids that are too large or do not align with those of the receiver."""
        limits, grid = self.limits, header.grid
        if grid.cells > limits.grid_cells:
            raise RejectedError(
                RejectionReason.GRID, f"a grid of {grid.cells} cells; at most {limits.grid_cells} are allowed"
            )
        if limits.resolution not in (None, grid.resolution) or limits.epsg not in (None, grid.epsg):
            raise RejectedError(
                RejectionReason.GRID, f"a grid of {grid.resolution} um in EPSG:{grid.epsg} does not align with ours"
            )

    def _check_time(self, header: Header, now: int) -> None:
        """Refuse frames that are too old, or from the future."""
        limits = self.limits
        if header.time < now - limits.age * NANOSECONDS_PER_SECOND:
            raise RejectedError(
                RejectionReason.TOO_OLD, f"captured {(now - header.time) / NANOSECONDS_PER_SECOND:.3f} s ago"
            )
        if header.time > now + limits.ahead * NANOSECONDS_PER_SECOND:
            raise RejectedError(
                RejectionReason.IN_THE_FUTURE,
                f"captured {(header.time - now) / NANOSECONDS_PER_SECOND:.3f} s from now: compare the clocks",
            )

    def _decode(self) -> None:
        """The cells of all chunks that have come since."""
        waiting = self._waiting()
        try:
            decoded = decode_chunks([held.chunks[index] for held, index in waiting], self.tables)
        except Exception:  # see receive; the others must not suffer for the one
            decoded = [self._decode_alone(held.chunks[index]) for held, index in waiting]
        for (held, index), groups in zip(waiting, decoded, strict=True):
            self._store_groups(groups, held, index)

    def _store_groups(self, groups: list[CellGroup] | RejectedError, held: "_Held", index: int) -> None:
        """Store the decoded groups of a chunk, or count why it was rejected."""
        if isinstance(groups, RejectedError):
            self._count(groups.reason)
            self.accepted -= 1
            self._bytes -= _weight(held.chunks.pop(index))
        else:
            held.set_groups(index, groups)

    def _waiting(self) -> "list[tuple[_Held, int]]":
        """Return frame and index of all chunks whose cells are not decoded yet."""
        return [
            (held, index)
            for frames in self._frames.values()
            for held in frames.values()
            for index in held.chunks
            if index not in held.groups
        ]

    def _decode_alone(self, chunk: Chunk) -> list[CellGroup] | RejectedError:
        try:
            return decode_chunks([chunk], self.tables)[0]
        except Exception as error:
            return RejectedError(RejectionReason.INTERNAL, f"{type(error).__name__}: {error}")

    def _forget(self, now: int) -> None:
        oldest = now - self.limits.age * NANOSECONDS_PER_SECOND
        for platform, frames in list(self._frames.items()):
            self._drop_before(platform, frames, oldest)

    def _drop_before(self, platform: int, frames: "dict[int, _Held]", oldest: float) -> None:
        """Drop a platform's frames that were captured before a time."""
        for sequence in [sequence for sequence, held in frames.items() if held.header.time < oldest]:
            self._drop(platform, sequence)

    def _drop(self, platform: int, sequence: int) -> None:
        for chunk in self._frames[platform].pop(sequence).chunks.values():
            self._bytes -= _weight(chunk)
        if not self._frames[platform]:
            del self._frames[platform]

    def _count(self, reason: RejectionReason) -> RejectionReason:
        self.refused[reason] += 1
        return reason


@dataclass
class _Held:
    """A frame that is coming in."""

    header: Header
    chunks: dict[int, Chunk] = field(default_factory=dict)
    groups: dict[int, list[CellGroup]] = field(default_factory=dict)  # decoded, by chunk
    last: int | None = None

    def check(self, header: Header) -> None:
        """Refuse a chunk that is here already, or belongs to another frame of the same number."""
        if not same_frame(self.header, header):
            raise RejectedError(RejectionReason.CONFLICT, "another frame of that platform has this sequence number")
        if header.index in self.chunks:
            raise RejectedError(RejectionReason.DUPLICATE, "we have it")

    def add(self, chunk: Chunk) -> None:
        """Hold one more chunk."""
        self.chunks[chunk.header.index] = chunk
        if chunk.header.last:
            self.last = chunk.header.index

    def set_groups(self, index: int, groups: list[CellGroup]) -> None:
        """Hold the decoded cells of a chunk; its bytes have done their work."""
        self.groups[index] = groups
        chunk = self.chunks[index]
        if chunk.cells is not None:
            self.chunks[index] = replace(chunk, cells=replace(chunk.cells, stream=b""))

    def received(self) -> ReceivedFrame:
        frame = assemble_frame(self.chunks, self.groups)
        return ReceivedFrame(frame, len(self.chunks), None if self.last is None else self.last + 1)


def _weight(chunk: Chunk) -> int:
    """Bytes of memory that a chunk takes at most, decoded: objects, boxes, the request's levels, the cells."""
    request = 0 if chunk.request is None else chunk.request.levels.size
    return 2048 + 16 * chunk.size + request + (0 if chunk.cells is None else 6 * chunk.cells.symbols)
