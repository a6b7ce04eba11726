"""Key, length, value: SMPTE ST 336 as MISB uses it, with the mapping of numbers of MISB ST 1201."""

import math
from collections.abc import Iterator

from skyweave.core.errors import DataError

UNIVERSAL_PREFIX = bytes.fromhex("060e2b34")
KEY_BYTES = 16
MAX_SET_BYTES = 1 << 20
CHECKSUM_TAG = 1
CHECKSUM_ITEM_BYTES = 4  # tag, length and two bytes
MAX_TAG_BYTES = 4


def find_sets(content: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield the sets in a stream of bytes; what lies between them, and a set that is cut off, is passed over.

    Args:
        content: of a file, or of a packet of a transport stream.

    Yields:
        Universal key (16 bytes), value, and the whole set as it stands there.
    """
    start = content.find(UNIVERSAL_PREFIX)
    while start >= 0:
        key = content[start : start + KEY_BYTES]
        end = start + 1
        try:
            length, value_start = read_length(content, start + KEY_BYTES)
            if length <= MAX_SET_BYTES and value_start + length <= len(content):
                end = value_start + length
                yield key, content[value_start:end], content[start:end]
        except DataError:
            pass  # no set begins here
        start = content.find(UNIVERSAL_PREFIX, end)


def read_length(content: bytes, start: int) -> tuple[int, int]:
    """Read a length in the basic encoding rules (ISO/IEC 8825-1): one byte, or as many as the first one says.

    Args:
        content: bytes.
        start: where the length begins.

    Returns:
        The length, and where it ends.

    Raises:
        DataError: it is cut off.
    """
    if start >= len(content):
        raise DataError("a length of KLV is cut off")
    first = content[start]
    if first < 0x80:
        return first, start + 1
    end = start + 1 + (first & 0x7F)
    if end > len(content) or first == 0x80:
        raise DataError("a length of KLV is cut off")
    return int.from_bytes(content[start + 1 : end], "big"), end


def read_tag(content: bytes, start: int) -> tuple[int, int]:
    """Read a tag in BER-OID: seven bits a byte, the last byte below 128.

    Args:
        content: bytes.
        start: where the tag begins.

    Returns:
        The tag, and where it ends.

    Raises:
        DataError: it is cut off or longer than tags are.
    """
    tag = 0
    for k in range(start, min(start + MAX_TAG_BYTES, len(content))):
        tag = tag << 7 | content[k] & 0x7F
        if content[k] < 0x80:
            return tag, k + 1
    raise DataError("a tag of KLV is cut off")


def parse_local_set(value: bytes) -> dict[int, bytes]:
    """Return the items of a local set by tag; of a damaged one those before the damage.

    Args:
        value: of the set.
    """
    items: dict[int, bytes] = {}
    position = 0
    try:
        while position < len(value):
            tag, position = read_tag(value, position)
            length, position = read_length(value, position)
            if position + length > len(value):
                break
            items[tag] = value[position : position + length]
            position += length
    except DataError:
        pass  # the items before the damage stand
    return items


def checksum_holds(whole: bytes) -> bool:
    """Return whether a set's checksum is right: the running sum of 16-bit words up to it (MISB ST 0601, 6.7.1).

    Args:
        whole: the set from its key to the checksum, its last item.
    """
    if whole[-CHECKSUM_ITEM_BYTES:-2] != bytes([CHECKSUM_TAG, 2]):
        return False
    return klv_checksum(whole[:-2]) == int.from_bytes(whole[-2:], "big")


def klv_checksum(content: bytes) -> int:
    """Return the running sum of 16-bit words.

    Args:
        content: a set from its key to the length of the checksum.
    """
    return (sum(content[0::2]) * 256 + sum(content[1::2])) % 65536


def unsigned(value: bytes, low: float, high: float) -> float:
    """Return an unsigned integer mapped linearly to a range.

    Args:
        value: big-endian bytes.
        low: what 0 means.
        high: what the greatest integer means.
    """
    return low + int.from_bytes(value, "big") * (high - low) / (2 ** (8 * len(value)) - 1) if value else math.nan


def signed(value: bytes, limit: float) -> float:
    """Return a signed integer mapped linearly to -limit..limit; NaN for the least one, which means out of range.

    Args:
        value: big-endian bytes in two's complement.
        limit: what the greatest integer means.
    """
    if not value:
        return math.nan
    number, greatest = int.from_bytes(value, "big", signed=True), 2 ** (8 * len(value) - 1) - 1
    return number * limit / greatest if number >= -greatest else math.nan


def imapb(value: bytes, low: float, high: float) -> float:
    """Return a number in the mapping B of MISB ST 1201; NaN for its special values.

    Args:
        value: big-endian bytes.
        low: of the range.
        high: of the range.
    """
    if not value or (value[0] & 0x80 and value[1:].strip(b"\0") + bytes([value[0] & 0x7F]) != b"\0"):
        return math.nan
    scale = 2.0 ** (8 * len(value) - 1 - math.ceil(math.log2(high - low)))
    offset = scale * low - math.floor(scale * low) if low < 0 < high else 0.0
    number = (int.from_bytes(value, "big") - offset) / scale + low
    return number if low <= number <= high else math.nan
