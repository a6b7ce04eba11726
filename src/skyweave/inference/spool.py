"""Values of a raster on disk while it is computed: any window is written and read, in memory for that window alone."""

import errno
import os
import zlib
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np


class RasterSpool:
    """A file of plain values, pixel after pixel with all channels, row after row. What was never written reads as zero.

    Args:
        path: of the file; it is made, or kept where it is there.
        shape: (channels, rows, columns).
        dtype: of the values.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int], dtype: str) -> None:
        self.path, self.shape, self.dtype = path, shape, np.dtype(dtype)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)

    def __enter__(self) -> Self:
        """Return the spool."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file, which stays."""
        os.close(self._file)

    def write(self, row: int, column: int, values: np.ndarray) -> None:
        """Write a window.

        Args:
            row: of its upper left pixel.
            column: of its upper left pixel.
            values: (channels, rows, columns).

        Raises:
            OSError: the disk is full.
        """
        pixels = np.ascontiguousarray(values.transpose(1, 2, 0), self.dtype)
        for number, line in enumerate(pixels):
            self._write_all(memoryview(line).cast("B"), self._offset(row + number, column))

    def read(self, row: int, column: int, rows: int, columns: int) -> np.ndarray:
        """Return a window, (channels, rows, columns).

        Args:
            row: of its upper left pixel.
            column: of its upper left pixel.
            rows: height in pixels.
            columns: width in pixels.

        Raises:
            OSError: the file cannot be read.
        """
        pixels = np.zeros((rows, columns, self.shape[0]), self.dtype)
        for number, line in enumerate(pixels):
            os.preadv(self._file, [memoryview(line).cast("B")], self._offset(row + number, column))
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))

    def checksum(self, row: int, column: int, rows: int, columns: int) -> int:
        """Return the CRC-32 of a window as it lies on disk.

        Args:
            row: of its upper left pixel.
            column: of its upper left pixel.
            rows: height in pixels.
            columns: width in pixels.
        """
        total = 0
        for number in range(rows):
            total = zlib.crc32(self.read(row + number, column, 1, columns).tobytes(), total)
        return total

    def _offset(self, row: int, column: int) -> int:
        return (row * self.shape[2] + column) * self.shape[0] * self.dtype.itemsize

    def _write_all(self, data: memoryview, offset: int) -> None:
        """Write bytes; a disk that fills up takes a part of them before it says so."""
        while data:
            written = os.pwrite(self._file, data, offset)
            if not written:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            data, offset = data[written:], offset + written
