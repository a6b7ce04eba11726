"""PNG from an array, with the standard library only (PNG specification, ISO/IEC 15948)."""

import struct
import zlib

import numpy as np

COLOUR_TYPES = {1: 0, 3: 2, 4: 6}  # grey, RGB, RGB with alpha


def encode_png(image: np.ndarray) -> bytes:
    """Encode an image as the bytes of a PNG file.

    Args:
        image: (rows, columns) or (rows, columns, 1, 3 or 4) uint8.

    Raises:
        ValueError: another shape or type.
    """
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in COLOUR_TYPES or image.dtype != np.uint8 or 0 in image.shape:
        raise ValueError(f"a PNG needs (rows, columns, 1, 3 or 4) uint8, not {image.shape} {image.dtype}")
    rows, columns, channels = image.shape
    filtered = np.zeros((rows, 1 + columns * channels), np.uint8)  # each row starts with its filter, 0 for none
    filtered[:, 1:] = image.reshape(rows, -1)
    header = struct.pack(">IIBBBBB", columns, rows, 8, COLOUR_TYPES[channels], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
