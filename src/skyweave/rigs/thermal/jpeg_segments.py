"""The application segments of a JPEG file, in which makers keep what viewers do not show."""

from collections.abc import Iterator

from skyweave.core.errors import DataError

START, APP0, APP15, SCAN = 0xD8, 0xE0, 0xEF, 0xDA
HEADER = b"\xff\xd8\xff"


def read_segments(content: bytes, name: str) -> Iterator[tuple[int, bytes]]:
    """Yield the number of every application segment, 0 to 15, and what it holds, in the file's order.

    Args:
        content: of the file.
        name: for messages.

    Raises:
        DataError: the segments do not follow each other.
    """
    position = 2
    while position + 4 <= len(content):
        marker, length = content[position + 1], int.from_bytes(content[position + 2 : position + 4], "big")
        if content[position] != 0xFF or length < 2 or position + 2 + length > len(content):
            raise DataError(f"{name} is damaged: its JPEG segments break off at byte {position}")
        if marker == SCAN:
            return
        if APP0 <= marker <= APP15:
            yield marker - APP0, content[position + 4 : position + 2 + length]
        position += 2 + length
