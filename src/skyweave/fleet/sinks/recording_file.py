"""The file of a recording while it grows: what came until a second ago is on the disk, however the recording ends.

A recording that is not ended as it should be, because the disk is full, the process was killed or the power went, stays
under its first name, ``x.partial.mcap``, and can be read up to there. It gets the name that was asked for when it is
whole, so that nobody takes half a recording for a whole one, and one of that name from before is kept until then.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from skyweave.core.atomic_write import is_stream, sync_folder
from skyweave.core.errors import FleetError

NO_DISK = (errno.EINVAL, errno.ENOTSUP)  # of a pipe or a device, which has none
MAX_PARTIAL_FILES = 1000  # of one name, in one folder


class RecordingFile:
    """A new file that is written to its end, and never holds half of what `sync` has seen.

    Args:
        path: of the file; a device or a pipe may exist.

    Raises:
        FileExistsError: it exists.
        OSError: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        exclusive = 0 if is_stream(path) else os.O_EXCL
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | exclusive, 0o666)
        self._size = self._synced_size = 0
        sync_folder(path.parent)

    def write(self, content: bytes) -> int:
        """Append to the file; return how many bytes.

        Args:
            content: to append.

        Raises:
            OSError: the disk is full, or gone.
        """
        remaining = memoryview(content)
        while remaining:
            written = os.write(self._handle, remaining)
            remaining = remaining[written:]
            self._size += written
        return len(content)

    def tell(self) -> int:
        """Return the size of the file, bytes."""
        return self._size

    def flush(self) -> None:
        """Do nothing: nothing waits in this process."""

    def sync(self) -> None:
        """Wait until the disk has it all.

        Raises:
            OSError: the disk is full, or gone.
        """
        if self._size > self._synced_size:
            try:
                os.fsync(self._handle)
            except OSError as error:
                if error.errno not in NO_DISK:
                    raise
            self._synced_size = self._size

    def cut(self) -> None:
        """Cut off what came after the last `sync`."""
        with suppress(OSError):
            os.ftruncate(self._handle, self._synced_size)

    def close(self) -> None:
        """Close the file; nothing more is synced."""
        with suppress(OSError):  # all that counts was synced
            os.close(self._handle)


@contextmanager
def partial_recording(path: str | Path) -> Iterator[Path]:
    """Yield the name of a new file beside the target; renamed to it when the block succeeds, kept when it raises.

    Args:
        path: of the recording.

    Raises:
        FleetError: the disk is full or gone; the error names the file that holds what came before.
        OSError: nothing was written.
    """
    target = Path(path)
    if is_stream(target):
        yield target
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = _free_name(target)
    try:
        yield partial
        os.replace(partial, target)
        sync_folder(target.parent)
    except OSError as error:
        if not _holds_something(partial):
            raise
        raise FleetError(
            f"{path}: {error.strerror or error}; the recording ends here, and {partial} holds it so far: "
            "`skyweave fleet replay` plays it"
        ) from error


def _holds_something(partial: Path) -> bool:
    """Return whether an unfinished recording holds anything; where it does not, it is removed."""
    try:
        if partial.stat().st_size:
            return True
        partial.unlink()
    except OSError:  # it was never made, or its disk is gone, too
        pass
    return False


def _free_name(target: Path) -> Path:
    """Return a name beside a recording that no file has."""
    for number in range(MAX_PARTIAL_FILES):
        partial = target.with_name(f"{target.stem}.partial{f'-{number}' if number else ''}{target.suffix}")
        if not partial.exists():
            return partial
    raise FleetError(f"{target.parent} holds {MAX_PARTIAL_FILES} unfinished recordings {target.stem}; remove some")
