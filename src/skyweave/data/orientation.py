"""How a file asks viewers to turn its pixels: tag 274 of TIFF and EXIF, which GDAL tells of JPEG alone."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

ORIENTATION_TAG = 274
TURNED = range(2, 9)
UPRIGHT = 1
PNG_MARK = b"\x89PNG\r\n\x1a\n"
# version: type of an offset and of the number of entries, bytes of an entry, and where in it its value stands
LAYOUTS = {42: ("I", "H", 12, 8), 43: ("Q", "Q", 20, 12)}
MAX_ENTRIES = 4096  # of a directory; more is no directory


def read_orientation(tags: dict[str, str], path: str | Path) -> int:
    """Return EXIF's orientation, 1 to 8; 1 where the file says nothing of it.

    Args:
        tags: that GDAL reads of the raster.
        path: of the file; a name of GDAL's that is no file says nothing.
    """
    text = tags.get("EXIF_Orientation", "").strip()
    if text.isdigit() and int(text) in TURNED:
        return int(text)
    try:
        with Path(path).open("rb") as stream:
            return _orientation_in(stream)
    except (OSError, struct.error, ValueError):
        return UPRIGHT


def _orientation_in(stream: IO[bytes]) -> int:
    """Return the orientation that a TIFF, or the EXIF of a PNG, states."""
    start = 0 if stream.read(8) != PNG_MARK else next(_exif_chunks(stream), None)
    value = UPRIGHT if start is None else _tag_of_tiff(stream, start)
    return value if value in TURNED else UPRIGHT


def _exif_chunks(stream: IO[bytes]) -> Iterator[int]:
    """Yield where the EXIF of a PNG begins."""
    while len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"eXIf":
            yield stream.tell()
        stream.seek(length + 4, 1)


def _tag_of_tiff(stream: IO[bytes], start: int) -> int:
    """Return the orientation in the first directory of a TIFF."""
    stream.seek(start)
    order = {b"II": "<", b"MM": ">"}.get(stream.read(2))
    if order is None:
        return UPRIGHT
    (version,) = struct.unpack(order + "H", stream.read(2))
    if version not in LAYOUTS:
        return UPRIGHT
    offset_code, count_code, size, value_at = LAYOUTS[version]
    if version == 43:
        stream.seek(4, 1)  # the size of offsets, and nothing
    (offset,) = struct.unpack(order + offset_code, stream.read(struct.calcsize(offset_code)))
    stream.seek(start + offset)
    (count,) = struct.unpack(order + count_code, stream.read(struct.calcsize(count_code)))
    for _ in range(min(count, MAX_ENTRIES)):
        entry = stream.read(size)
        if struct.unpack(order + "H", entry[:2])[0] == ORIENTATION_TAG:
            return int(struct.unpack(order + "H", entry[value_at : value_at + 2])[0])
    return UPRIGHT
