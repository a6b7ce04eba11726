"""Disks that really fill up, hang, turn read-only, break or go away."""

import contextlib
import errno
import fcntl
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from waiting import until


@contextlib.contextmanager
def mounted_disk(folder: Path, size: int) -> Iterator[Path]:
    """Mount a disk of so many bytes on a new folder; skip the test where that is not allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    result = subprocess.run(mount, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {result.stderr.strip()}; run as root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, leave: int = 0) -> Path:
    """Fill a disk but for so many bytes; return the file that does."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC
    if leave:
        os.truncate(filler, max(filler.stat().st_size - leave, 0))
    return filler


FREEZE, THAW, SHUT_DOWN = 0xC0045877, 0xC0045878, 0x8004587D  # ioctls of Linux: FIFREEZE, FITHAW, FS_IOC_SHUTDOWN
NOT_EVEN_THE_JOURNAL = (2).to_bytes(4, "little")


class FailingDisk:
    """An ext4 file system in a file, that fails when it is asked to.

    Args:
        folder: that is made, with the disk at ``disk`` in it.
        size: bytes.
    """

    def __init__(self, folder: Path, size: int) -> None:
        folder.mkdir(exist_ok=True)
        self.image, self.path = folder / "image", folder / "disk"
        self.image.touch()
        os.truncate(self.image, size)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(self.image)], check=True, capture_output=True)
        self.path.mkdir()
        self.attach()

    def attach(self) -> None:
        """Mount the disk, when everybody has let go of it."""
        until(lambda: not self._is_in_use(), "the disk is free")
        subprocess.run(["mount", "-o", "loop", str(self.image), str(self.path)], check=True, capture_output=True)

    def detach(self) -> None:
        """Take the disk away; files that are open go on."""
        subprocess.run(["umount", "-l", str(self.path)], check=True)

    def turn_read_only(self) -> None:
        """Let the disk turn read-only, as one with a fault does; files that are open as well."""
        subprocess.run(["mount", "-o", "remount,abort", str(self.path)], check=True)

    def fail(self) -> None:
        """Let everything that reaches the disk be an I/O error, as when its plug is pulled."""
        self._control(SHUT_DOWN, NOT_EVEN_THE_JOURNAL)

    @contextlib.contextmanager
    def hang(self) -> Iterator[None]:
        """Let everybody who writes to the disk wait for as long as the context lasts."""
        self._control(FREEZE, 0)
        try:
            yield
        finally:
            self._control(THAW, 0)

    def repair(self) -> None:
        """Mount the disk anew, as it is after a fault."""
        self.detach()
        self.attach()

    def _is_in_use(self) -> bool:
        devices = subprocess.run(["losetup", "-j", str(self.image)], capture_output=True, text=True, check=True)
        return bool(devices.stdout)

    def _control(self, request: int, argument: int | bytes) -> None:
        handle = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, request, argument)
        finally:
            os.close(handle)


@contextlib.contextmanager
def failing_disk(folder: Path, size: int = 8_000_000) -> Iterator[FailingDisk]:
    """Yield a disk that fails when it is asked to; skip the test where that is not possible."""
    try:
        disk = FailingDisk(folder, size)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a disk that fails cannot be made here: {error}; run as root, on Linux")
    try:
        yield disk
    finally:
        disk.detach()
