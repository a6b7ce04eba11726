"""Fields of the wire format: little-endian integers, varints and arrays of narrow numbers. Reading checks bounds."""

import numpy as np

from skyweave.core.errors import WireError
from skyweave.wire.rejection import RejectedError, RejectionReason


def varint(value: int) -> bytes:
    """Encode a whole number as LEB128: seven bits a byte, lowest first, the top bit set on all but the last.

    Args:
        value: at least 0.

    Raises:
        WireError: the value is negative.
    """
    if value < 0:
        raise WireError(f"a varint holds whole numbers >= 0, not {value}")
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)


def zigzag(value: int) -> int:
    """Map 0, -1, 1, -2, 2 to 0, 1, 2, 3, 4, so that small negative numbers have short varints.

    Args:
        value: any whole number.
    """
    return 2 * value if value >= 0 else -2 * value - 1


def unzigzag(value: int) -> int:
    """Return the number that `zigzag` maps to ``value``.

    Args:
        value: at least 0.
    """
    return -(value + 1) // 2 if value & 1 else value // 2


class FieldReader:
    """Reads fields one after another from a part of some bytes.

    Args:
        data: the bytes.
        position: of the first byte to read.
        end: of the byte behind the last one that may be read; None: all.
        reason: of the `RejectedError` that is raised when a field cannot be read.
    """

    def __init__(
        self, data: bytes, position: int = 0, end: int | None = None, reason: RejectionReason = RejectionReason.HEADER
    ):
        self.data, self.position, self.reason = data, position, reason
        self.end = len(data) if end is None else end

    @property
    def left(self) -> int:
        """Return how many bytes are left."""
        return self.end - self.position

    def refuse(self, what: str) -> RejectedError:
        """Return the error to raise, with the present position.

        Args:
            what: is wrong, for the message.
        """
        return RejectedError(self.reason, f"{what} at byte {self.position}")

    def take(self, count: int) -> bytes:
        """Return the next ``count`` bytes.

        Args:
            count: bytes.

        Raises:
            RejectedError: fewer are left.
        """
        if count > self.left:
            raise self.refuse(f"{count} bytes are announced, {self.left} are left")
        self.position += count
        return self.data[self.position - count : self.position]

    def integer(self, size: int, signed: bool = False) -> int:
        """Read a little-endian integer.

        Args:
            size: bytes.
            signed: two's complement.

        Raises:
            RejectedError: fewer bytes are left.
        """
        return int.from_bytes(self.take(size), "little", signed=signed)

    def varint(self, limit: int) -> int:
        """Read a varint; only the shortest form is valid, so that a value has one spelling.

        Args:
            limit: the largest value to accept.

        Raises:
            RejectedError: it is cut off, above the limit, or not in its shortest form.
        """
        value, shift, byte = self._raw_varint()
        if value > limit or (byte == 0 and shift):
            raise self.refuse(f"{value} is above {limit} or not in its shortest form")
        return value

    def _raw_varint(self) -> tuple[int, int, int]:
        """Read the bytes of a varint."""
        value = shift = 0
        while True:
            if self.position >= self.end:
                raise self.refuse("a varint is cut off")
            byte = self.data[self.position]
            self.position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > 63:
                raise self.refuse("a varint of more than 64 bits")
        return value, shift, byte

    def zigzag(self, limit: int) -> int:
        """Read a signed varint from ``-limit`` to ``limit``.

        Args:
            limit: the largest magnitude to accept.

        Raises:
            RejectedError: as `varint`.
        """
        return unzigzag(self.varint(2 * limit))


def pack_bits(values: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Pack numbers into bits, each in as many as its width says, the highest bit first.

    Args:
        values: (n,) whole numbers >= 0.
        widths: (n,) bits, up to 32.

    Returns:
        (sum of widths,) uint8, each 0 or 1.
    """
    widths = np.asarray(widths, np.int64)
    if not len(widths):
        return np.zeros(0, np.uint8)
    ends = np.cumsum(widths)
    owner = np.repeat(np.arange(len(widths)), widths)
    shift = ends[owner] - 1 - np.arange(ends[-1])
    return np.asarray((np.asarray(values, np.int64)[owner] >> shift & 1).astype(np.uint8))


def unpack_bits(bits: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Unpack numbers from bits, the inverse of `pack_bits`.

    Args:
        bits: 0 or 1, at least as many as the sum of the widths.
        widths: (n,) bits of each number, up to 32.

    Returns:
        (n,) int64.
    """
    widths = np.asarray(widths, np.int64)
    ends = np.cumsum(widths)
    result = np.zeros(len(widths), np.int64)
    if len(widths) and ends[-1]:
        owner = np.repeat(np.arange(len(widths)), widths)
        weighted = bits[: ends[-1]].astype(np.int64) << (ends[owner] - 1 - np.arange(ends[-1]))
        filled = widths > 0
        result[filled] = np.add.reduceat(weighted, (ends - widths)[filled])
    return result
