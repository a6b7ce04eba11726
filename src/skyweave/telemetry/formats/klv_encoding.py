"""Sets of key, length, value to write: the inverse of `skyweave.telemetry.formats.klv`."""

import math
from collections.abc import Mapping

from skyweave.telemetry.formats.klv import CHECKSUM_TAG, klv_checksum

SHORT_LENGTH = 0x80  # below which a length is one byte
TAG_BITS = 7  # a byte


def encode_length(length: int) -> bytes:
    """Return a length in the basic encoding rules (ISO/IEC 8825-1).

    Args:
        length: bytes.
    """
    if length < SHORT_LENGTH:
        return bytes([length])
    content = encode_integer(length)
    return bytes([SHORT_LENGTH | len(content)]) + content


def encode_tag(tag: int) -> bytes:
    """Return a number in BER-OID: seven bits a byte, the last byte below 128.

    Args:
        tag: at least 0.
    """
    content = bytes([tag & 0x7F])
    while tag := tag >> TAG_BITS:
        content = bytes([tag & 0x7F | SHORT_LENGTH]) + content
    return content


def encode_integer(value: int) -> bytes:
    """Return a number in as few big-endian bytes as hold it, at least one.

    Args:
        value: at least 0.
    """
    return value.to_bytes(max((value.bit_length() + 7) // 8, 1), "big")


def encode_local_set(items: Mapping[int, bytes]) -> bytes:
    """Return the items of a local set, each with its tag and its length.

    Args:
        items: values by tag, in the order in which they are written.
    """
    return b"".join(encode_tag(tag) + encode_length(len(value)) + value for tag, value in items.items())


def encode_universal_set(key: bytes, items: Mapping[int, bytes]) -> bytes:
    """Return a whole set: its key, its length, its items, and last the checksum (MISB ST 0601, 6.7.1).

    Args:
        key: 16 bytes.
        items: values by tag.
    """
    value = encode_local_set(items) + bytes([CHECKSUM_TAG, 2])
    whole = key + encode_length(len(value) + 2) + value
    return whole + klv_checksum(whole).to_bytes(2, "big")


def encode_series(parts: "list[bytes]") -> bytes:
    """Return parts one after the other, each behind its length (MISB ST 0107, series of packs).

    Args:
        parts: any number.
    """
    return b"".join(encode_length(len(part)) + part for part in parts)


def encode_unsigned(value: float, low: float, high: float, size: int) -> bytes:
    """Return a number of a range as an unsigned integer; what is beyond the range is its end.

    Args:
        value: of the range.
        low: what 0 means.
        high: what the greatest integer means.
        size: bytes.
    """
    share = (min(max(value, low), high) - low) / (high - low)
    return round(share * ((1 << 8 * size) - 1)).to_bytes(size, "big")


def encode_signed(value: float, limit: float, size: int) -> bytes:
    """Return a number from -limit to limit as a signed integer; what is beyond is the limit.

    Args:
        value: of the range.
        limit: what the greatest integer means.
        size: bytes.
    """
    share = min(max(value, -limit), limit) / limit
    return round(share * ((1 << 8 * size - 1) - 1)).to_bytes(size, "big", signed=True)


def encode_imapb(value: float, low: float, high: float, size: int) -> bytes:
    """Return a number in the mapping B of MISB ST 1201; what is beyond the range is its end.

    Args:
        value: of the range.
        low: of the range.
        high: of the range.
        size: bytes.
    """
    scale = 2.0 ** (8 * size - 1 - math.ceil(math.log2(high - low)))
    offset = scale * low - math.floor(scale * low) if low < 0 < high else 0.0
    return math.floor(scale * (min(max(value, low), high) - low) + offset).to_bytes(size, "big")
