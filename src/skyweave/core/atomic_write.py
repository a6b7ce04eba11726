"""Outputs are written aside and renamed when whole, so that nobody ever meets half a file."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def write_aside(path: str | Path, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside the target; renamed to it when the block succeeds, removed when it raises.

    The temporary name keeps the suffix (writers choose their format by it) and starts with a dot. The rename is
    atomic: readers see the old file or the new one. Parent folders are made.

    Args:
        path: of the target.
        durable: flush it to the disk first, so that a power cut leaves the old file or the new one, too; false for
            what is worth nothing after one, such as a status of every second.

    Raises:
        FileNotFoundError: the block succeeded without writing the file.
        OSError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.stem}.{os.getpid()}.{secrets.token_hex(4)}{target.suffix}")
    try:
        yield aside
        if not aside.exists():
            raise FileNotFoundError(f"nothing was written for {target}: the writer did not create {aside.name}")
        if durable:
            _flush(aside)
        os.replace(aside, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            aside.unlink()


@contextlib.contextmanager
def write_files_aside(path: str | Path) -> Iterator[Path]:
    """Give a path in a temporary folder beside ``path``; what the block writes there is moved beside ``path``.

    For formats of several files: all that lies in the folder when the block succeeds is renamed, ``path`` itself last;
    nothing is when it raises.

    Args:
        path: the file that the block is to write, perhaps with others beside it.

    Raises:
        FileNotFoundError: the block succeeded without writing the file.
        OSError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = target.with_name(f".{target.stem}.{os.getpid()}.{secrets.token_hex(4)}")
    folder.mkdir()
    try:
        yield folder / target.name
        if not (folder / target.name).exists():
            raise FileNotFoundError(f"nothing was written for {target}: the writer did not create {target.name}")
        for written in sorted(folder.iterdir(), key=lambda written: written.name == target.name):
            _flush(written)
            os.replace(written, target.with_name(written.name))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _flush(path: Path) -> None:
    """Push the file to the disk, so that a power cut after the rename cannot leave an empty file."""
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())
