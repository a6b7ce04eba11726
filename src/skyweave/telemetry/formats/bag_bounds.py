"""Bounds on what rosbags decompresses: it takes any size that a bag says, and a few kilobytes can say gigabytes."""

import bz2
import functools
import os
from io import BytesIO
from typing import IO, Any

from skyweave.core.errors import DataError

MAX_CHUNK_BYTES = 1 << 29  # of a chunk of messages, or of one message; recorders write chunks of a few megabytes
MAX_EXPANSION = 200  # of a file that is compressed as a whole; those of sensors shrink to a half or a tenth
MIN_FILE_BYTES = 1 << 26  # that such a file may have in any case


@functools.cache
def bound_decompression() -> None:
    """Let rosbags raise `DataError` where a bag expands without bound; for this process, and before a bag is opened."""
    import lz4.frame
    from rosbags.rosbag1 import reader as ros1
    from rosbags.rosbag2 import reader as ros2
    from rosbags.rosbag2 import storage_mcap as mcap

    zstd: Any = mcap.zstd  # type: ignore[attr-defined]  # of Python itself from 3.14 on, else of backports
    ros1.decompressors.update(
        bz2=lambda data: _read_bounded(bz2.BZ2File(BytesIO(data))),
        lz4=lambda data: _read_bounded(lz4.frame.LZ4FrameFile(BytesIO(data))),
    )
    mcap.DECOMPRESSORS.update(
        lz4=lambda data, size: _read_bounded(lz4.frame.LZ4FrameFile(BytesIO(data))),
        zstd=lambda data, size: _read_bounded(zstd.ZstdFile(BytesIO(data))),
    )
    ros2.zstd = _BoundedZstd(zstd)  # type: ignore[attr-defined,assignment]


class _BoundedZstd:
    """What rosbags' reader asks of its module ``zstd``."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def decompress(self, data: bytes) -> bytes:
        """Return one message."""
        return _read_bounded(self.module.ZstdFile(BytesIO(data)))

    def open(self, file: IO[bytes], mode: str) -> "_BoundedFile":
        """Open a whole file."""
        size = os.fstat(file.fileno()).st_size
        return _BoundedFile(self.module.open(file, mode), max(MAX_EXPANSION * size, MIN_FILE_BYTES))


class _BoundedFile:
    """A file that is read up to a limit."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self.file, self.remaining = file, limit

    def __enter__(self) -> "_BoundedFile":
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        content = self.file.read(size if size >= 0 else self.remaining + 1)
        self.remaining -= len(content)
        if self.remaining < 0:
            raise DataError(
                f"it is compressed to less than a part in {MAX_EXPANSION}, as no log is; if it is sound, decompress "
                "it (zstd -d) and give the file that comes of it"
            )
        return content


def _read_bounded(file: Any) -> bytes:
    """Return the content of a file, if it is not too large."""
    with file:
        content: bytes = file.read(MAX_CHUNK_BYTES + 1)
    if len(content) > MAX_CHUNK_BYTES:
        raise DataError(
            f"it holds a chunk of more than {MAX_CHUNK_BYTES >> 20} MB, as no recorder writes; it is not read"
        )
    return content
