"""The head of a chunk: all that is needed to place its cells on the map, in 32 to 40 bytes (docs/wire-format.md)."""

import zlib
from dataclasses import dataclass

from skyweave.core.errors import WireError
from skyweave.wire.fields import FieldReader, varint, zigzag
from skyweave.wire.frame import MAX_CELLS, FrameContent, WireGrid
from skyweave.wire.rejection import RejectedError, RejectionReason

MAGIC = b"SW"
VERSION = 1
MIN_CHUNK_BYTES, MAX_CHUNK_BYTES = 32, 65535  # bytes
CHECKSUM_BYTES = 4  # bytes
MAX_CHUNK_INDEX = 4095  # of a chunk in its frame
UTM_NORTH, UTM_SOUTH = 32600, 32700  # EPSG codes of the zones are these plus 1 to 60


@dataclass(frozen=True)
class Header:
    """What stands at the head of every chunk.

    Attributes:
        platform, sequence, time, grid, fingerprint, codec, quality: as in ``FrameContent``.
        index: of the chunk in its frame; chunk 0 is the most useful.
        last: no chunk follows.
    """

    platform: int
    sequence: int
    time: int
    grid: WireGrid
    fingerprint: int
    codec: int
    quality: int
    index: int
    last: bool

    @classmethod
    def of(cls, frame: FrameContent, index: int, last: bool) -> "Header":
        """Return the header of one of a frame's chunks.

        Args:
            frame: the frame.
            index: of the chunk.
            last: whether no chunk follows.
        """
        return cls(
            frame.platform, frame.sequence, frame.time, frame.grid, frame.fingerprint, frame.codec, frame.quality,
            index, last,
        )  # fmt: skip

    @property
    def model(self) -> tuple[int, int, int]:
        """(fingerprint, codec, quality): which entropy tables hold."""
        return self.fingerprint, self.codec, self.quality


def write_chunk(header: Header, sections: bytes) -> bytes:
    """Write a whole chunk: header, sections, checksum.

    Args:
        header: of the chunk.
        sections: all of them, with their heads.

    Raises:
        WireError: a header value is out of range, or the chunk is longer than 65535 bytes.
    """
    head = _fields(header)
    length = len(MAGIC) + 3 + len(head) + len(sections) + CHECKSUM_BYTES
    if length > MAX_CHUNK_BYTES:
        raise WireError(f"a chunk of {length} bytes is longer than {MAX_CHUNK_BYTES}")
    chunk = MAGIC + bytes([VERSION]) + length.to_bytes(2, "little") + head + sections
    return chunk + zlib.crc32(chunk).to_bytes(CHECKSUM_BYTES, "little")


def chunk_overhead(header: Header) -> int:
    """Return the bytes of a chunk without sections.

    Args:
        header: of the chunk.
    """
    return len(MAGIC) + 3 + len(_fields(header)) + CHECKSUM_BYTES


def read_header(data: bytes, max_size: int = MAX_CHUNK_BYTES) -> tuple[Header, FieldReader]:
    """Check a chunk and read its header.

    Args:
        data: any bytes.
        max_size: bytes of the largest chunk to accept.

    Returns:
        The header, and a reader that stands before the sections.

    Raises:
        RejectedError: the bytes are not a chunk; nothing else is raised, for any bytes.
    """
    _check_start(data, max_size)
    _check_integrity(data)
    reader = FieldReader(data, 5, len(data) - CHECKSUM_BYTES)
    return _read_fields(reader), reader


def _check_start(data: bytes, max_size: int) -> None:
    """Refuse bytes of a wrong size, or that do not start as a chunk of this version."""
    if not MIN_CHUNK_BYTES <= len(data) <= max_size:
        raise RejectedError(
            RejectionReason.SIZE, f"{len(data)} bytes are no chunk; {MIN_CHUNK_BYTES} to {max_size} are"
        )
    if data[:2] != MAGIC:
        raise RejectedError(
            RejectionReason.MAGIC, f"{data[:2].hex()} are not the first bytes of a chunk ({MAGIC.hex()})"
        )
    if data[2] != VERSION:
        raise RejectedError(
            RejectionReason.VERSION, f"schema version {data[2]}; this reads version {VERSION}: update the older one"
        )


def _check_integrity(data: bytes) -> None:
    """Refuse a chunk of another length than it states, or with a wrong checksum."""
    length = int.from_bytes(data[3:5], "little")
    if length != len(data):
        raise RejectedError(RejectionReason.LENGTH, f"a chunk of {length} bytes came as {len(data)}")
    if zlib.crc32(data[:-CHECKSUM_BYTES]) != int.from_bytes(data[-CHECKSUM_BYTES:], "little"):
        raise RejectedError(RejectionReason.CHECKSUM, "the checksum does not match: damaged on the way")


def _fields(header: Header) -> bytes:
    _check_fields(header)
    return b"".join([
        header.fingerprint.to_bytes(4, "little"),
        bytes([header.codec, header.quality]),
        header.time.to_bytes(8, "little", signed=True),
        varint(header.platform),
        varint(header.sequence),
        varint(header.index << 1 | header.last),
        _grid_fields(header.grid),
    ])  # fmt: skip


def _check_fields(header: Header) -> None:
    """Refuse values that the fields of a header cannot hold."""
    for name, limit in (("platform", 1 << 32), ("sequence", 1 << 32), ("fingerprint", 1 << 32), ("codec", 256),
                        ("quality", 256), ("index", MAX_CHUNK_INDEX + 1)):  # fmt: skip
        value = getattr(header, name)
        if not 0 <= value < limit:
            raise WireError(f"{name} {value} must be 0 to {limit - 1}")
    if not -(1 << 63) <= header.time < 1 << 63:
        raise WireError(f"time {header.time} must be nanoseconds in 64 bits")


def _read_fields(reader: FieldReader) -> Header:
    fingerprint, codec, quality = reader.integer(4), reader.integer(1), reader.integer(1)
    time = reader.integer(8, signed=True)
    platform, sequence = reader.varint((1 << 32) - 1), reader.varint((1 << 32) - 1)
    position = reader.varint(2 * MAX_CHUNK_INDEX + 1)
    grid = _read_grid(reader)
    return Header(platform, sequence, time, grid, fingerprint, codec, quality, position >> 1, bool(position & 1))


def _grid_fields(grid: WireGrid) -> bytes:
    if grid.resolution > 10**9:
        raise WireError(f"cells of {grid.metres} m are too large to travel; at most 1000 m")
    fields = (
        _crs_code(grid.epsg), _resolution_code(grid.resolution), zigzag(grid.west), zigzag(grid.north), grid.rows,
        zigzag(grid.columns - grid.rows),
    )  # fmt: skip
    return b"".join(map(varint, fields))


def _crs_code(epsg: int) -> int:
    """Return the code of a reference system: 1 to 120 for the UTM zones, others above, 0 for none."""
    for zone, base in ((UTM_NORTH, 0), (UTM_SOUTH, 60)):
        if zone < epsg <= zone + 60:
            return epsg - zone + base
    return epsg + 120 if epsg else 0


def _resolution_code(resolution: int) -> int:
    """Return micrometres as mantissa << 3 | exponent of ten, the exponent as large as it can be."""
    mantissa, exponent = resolution, 0
    while mantissa % 10 == 0 and exponent < 7:
        mantissa, exponent = mantissa // 10, exponent + 1
    return mantissa << 3 | exponent


def _read_epsg(reader: FieldReader) -> int:
    """Read the EPSG code of a reference system, 0 for none."""
    crs = reader.varint((1 << 24) + 119)
    if crs <= 120:
        return _utm_epsg(crs) if crs else 0
    epsg = crs - 120
    if _crs_code(epsg) != crs:
        raise reader.refuse(f"EPSG:{epsg} is not in its short form")
    return epsg


def _utm_epsg(zone: int) -> int:
    """Return the EPSG code of a UTM zone: 1 to 60 north, 61 to 120 south."""
    return UTM_NORTH + zone if zone <= 60 else UTM_SOUTH + zone - 60


def _read_resolution(reader: FieldReader) -> int:
    """Read the side of a cell in micrometres."""
    scale = reader.varint((10**9 << 3) + 7)
    mantissa, exponent = scale >> 3, scale & 7
    resolution: int = mantissa * 10**exponent
    if not 1 <= resolution <= 10**9 or _resolution_code(resolution) != scale:
        raise reader.refuse(f"a resolution of {mantissa}e{exponent} micrometres")
    return resolution


def _read_grid(reader: FieldReader) -> WireGrid:
    epsg, resolution = _read_epsg(reader), _read_resolution(reader)
    corner = (1 << 31) - 1
    west, north = reader.zigzag(corner), reader.zigzag(corner)
    rows = reader.varint(MAX_CELLS)
    columns = rows + reader.zigzag(MAX_CELLS)
    if rows < 1 or columns < 1 or rows * columns > MAX_CELLS:
        raise reader.refuse(f"a grid of {rows} x {columns} cells")
    return WireGrid(west, north, resolution, rows, columns, epsg)
