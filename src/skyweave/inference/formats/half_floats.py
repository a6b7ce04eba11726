"""16-bit floats in a TIFF: GDAL arranges their bits as whole numbers, and the file then says what they are.

GDAL's own 16-bit floats leave whatever lies in memory in blocks at the edge, beyond the last row and column: no two
files of the same values are then the same, and a file may hold what it should not. Of whole numbers it fills those.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

SAMPLE_FORMAT = 339  # TIFF 6.0, page 80
IEEE_FLOAT = 3
SHORT_BYTES = 2


def to_bits(values: np.ndarray) -> np.ndarray:
    """Return 16-bit floats as whole numbers of the same bits.

    Args:
        values: float16 of any shape.
    """
    return values.view(np.uint16)


def from_bits(bits: np.ndarray) -> np.ndarray:
    """Return float32 of the bits of 16-bit floats.

    Args:
        bits: uint16 of any shape.
    """
    return bits.view(np.float16).astype(np.float32)


def declare_half_floats(path: Path) -> None:
    """Let a TIFF of 16-bit whole numbers say that they are floats, in all its directories.

    Args:
        path: of a file, little-endian, as GDAL writes it here.

    Raises:
        OSError: it is not whole.
    """
    try:
        with path.open("r+b") as file:
            for offset, count in list(_find_formats(file)):
                file.seek(offset)
                file.write(struct.pack("<H", IEEE_FLOAT) * count)
    except struct.error as error:
        raise OSError(f"{path} breaks off; the disk may be full: free some space") from error


def _find_formats(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield where the formats of the samples of each directory lie, and how many they are."""
    file.seek(0)
    (version,) = struct.unpack("<2xH", file.read(4))
    is_big = version == 43
    word, count_size, entry_size = ("<Q", 8, 20) if is_big else ("<I", 2, 12)
    size = struct.calcsize(word)
    file.seek(8 if is_big else 4)
    (directory,) = struct.unpack(word, file.read(size))
    while directory:
        file.seek(directory)
        (entries,) = struct.unpack("<Q" if is_big else "<H", file.read(count_size))
        content = file.read(entries * entry_size + size)
        for number in range(entries):
            at = number * entry_size
            (tag,) = struct.unpack_from("<H", content, at)
            (count,) = struct.unpack_from(word, content, at + 4)
            value_at = at + 4 + size
            if tag == SAMPLE_FORMAT:
                is_inline = count * SHORT_BYTES <= size
                (elsewhere,) = struct.unpack_from(word, content, value_at)
                yield directory + count_size + value_at if is_inline else elsewhere, count
        (directory,) = struct.unpack_from(word, content, entries * entry_size)
