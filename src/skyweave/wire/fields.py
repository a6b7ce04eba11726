"""Fields of the wire format: little-endian integers, varints and arrays of narrow numbers. Reading checks bounds."""

import numpy as np

from skyweave.core.errors import WireError
from skyweave.wire.rejection import RejectedError, RejectionReason


def varint(value: int) -> bytes:
    """LEB128: seven bits a byte, lowest first, the top bit set on all but the last."""
    if value < 0:
        raise WireError(f"a varint holds whole numbers >= 0, not {value}")
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)


def zigzag(value: int) -> int:
    """0, -1, 1, -2, 2 as 0, 1, 2, 3, 4."""
    return 2 * value if value >= 0 else -2 * value - 1


def unzigzag(value: int) -> int:
    """Back from ``zigzag``."""
    return -(value + 1) // 2 if value & 1 else value // 2


class Reader:
    """Reads fields one after another from a part of some bytes; raises ``RejectedError`` with its reason when it cannot."""

    def __init__(
        self, data: bytes, position: int = 0, end: int | None = None, reason: RejectionReason = RejectionReason.HEADER
    ):
        self.data, self.position, self.reason = data, position, reason
        self.end = len(data) if end is None else end

    @property
    def left(self) -> int:
        """Bytes left."""
        return self.end - self.position

    def refuse(self, what: str) -> RejectedError:
        """The error to raise."""
        return RejectedError(self.reason, f"{what} at byte {self.position}")

    def take(self, count: int) -> bytes:
        """The next bytes."""
        if count > self.left:
            raise self.refuse(f"{count} bytes are announced, {self.left} are left")
        self.position += count
        return self.data[self.position - count : self.position]

    def integer(self, size: int, signed: bool = False) -> int:
        """A little-endian integer of ``size`` bytes."""
        return int.from_bytes(self.take(size), "little", signed=signed)

    def varint(self, limit: int) -> int:
        """A varint of at most ``limit``. Only the shortest form is valid, so that a value has one spelling."""
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
        if value > limit or (byte == 0 and shift):
            raise self.refuse(f"{value} is above {limit} or not in its shortest form")
        return value

    def zigzag(self, limit: int) -> int:
        """A whole number from -limit to limit."""
        return unzigzag(self.varint(2 * limit))


def pack_bits(values: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """(b,) uint8 0 or 1: each value (n,) in as many bits as its width (n,) says, highest first. Widths up to 32."""
    widths = np.asarray(widths, np.int64)
    if not len(widths):
        return np.zeros(0, np.uint8)
    ends = np.cumsum(widths)
    owner = np.repeat(np.arange(len(widths)), widths)
    shift = ends[owner] - 1 - np.arange(ends[-1])
    return (np.asarray(values, np.int64)[owner] >> shift & 1).astype(np.uint8)


def unpack_bits(bits: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """(n,) int64 back from ``pack_bits``; ``bits`` holds at least the sum of the widths."""
    widths = np.asarray(widths, np.int64)
    ends = np.cumsum(widths)
    result = np.zeros(len(widths), np.int64)
    if len(widths) and ends[-1]:
        owner = np.repeat(np.arange(len(widths)), widths)
        weighted = bits[: ends[-1]].astype(np.int64) << (ends[owner] - 1 - np.arange(ends[-1]))
        filled = widths > 0
        result[filled] = np.add.reduceat(weighted, (ends - widths)[filled])
    return result
