"""Outputs are written aside and renamed when whole, so that nobody ever meets half a file.

The name of what is written aside says which process of which machine writes it. What a killed process left behind is
removed by the next one that writes into the same folder, and what a process could not remove, since its disk was gone,
by itself when it writes there again.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import platform
import re
import secrets
import shutil
import stat
import tempfile
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from skyweave.core.errors import ConfigError

MAX_STEM_BYTES, MAX_SUFFIX_BYTES = 64, 16  # of the target's, in a temporary name: some file systems take 143 bytes
SIDE_ENDINGS = (".aux.xml", ".ovr", ".msk", ".msk.ovr")  # behind the name of a raster
WORLD_FILE_ENDINGS = {".tif": (".tfw", ".tifw"), ".tiff": (".tfw", ".tiffw"), ".png": (".pgw", ".pngw")}
WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # which reading does not raise
AT_WORKING_FOLDER, EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux's renameat2
MAX_LEFT = 1000
_LEFT: dict[Path, None] = {}  # what this process wrote aside and may not have removed, the oldest first
ASIDE_NAME = re.compile(r"\..*\.(?P<process>\d+)-(?P<machine>[0-9a-f]{8})\.[0-9a-f]{8}(\..*)?")


@contextlib.contextmanager
def write_aside(path: str | Path, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside the target; renamed to it when the block succeeds, removed when it raises.

    The temporary name keeps the suffix (writers choose their format by it) and starts with a dot. The rename is
    atomic: readers see the old file or the new one. Parent folders are made. A link stays one: the file that it points
    to is replaced. A device or a pipe is written to.

    Args:
        path: of the target.
        durable: flush it to the disk first, so that a power cut leaves the old file or the new one, too; false for
            what is worth nothing after one, such as a status of every second.

    Raises:
        FileNotFoundError: the block succeeded without writing the file.
        OSError: the target is a folder, the disk is full, or the folder cannot be written; nothing is left behind.
    """
    target = _target(Path(path))
    with _folder_for(target) as folder:
        aside = folder / _aside_name(target, target.suffix)
        try:
            yield aside
            if not aside.exists():
                raise FileNotFoundError(f"nothing was written for {target}: the writer did not create {aside.name}")
            _remove_side_files(target)
            _move(aside, target, durable)
        except BaseException as error:
            _clear_away(aside)
            if isinstance(error, OSError):
                _name_target(error, aside, target)
            raise


@contextlib.contextmanager
def write_files_aside(path: str | Path) -> Iterator[Path]:
    """Give a path in a temporary folder beside ``path``; what the block writes there is moved beside ``path``.

    For formats of several files: all that lies in the folder when the block succeeds is renamed, ``path`` itself last;
    nothing is when it raises. Of several processes that write the same files at once, one moves all of its files after
    the other.

    Args:
        path: the file that the block is to write, perhaps with others beside it.

    Raises:
        FileNotFoundError: the block succeeded without writing the file.
        OSError: as of `write_aside`.
    """
    target = _target(Path(path))
    with _folder_for(target) as beside:
        folder = beside / _aside_name(target, "")
        folder.mkdir()
        try:
            yield folder / target.name
            if not (folder / target.name).exists():
                raise FileNotFoundError(f"nothing was written for {target}: the writer did not create {target.name}")
            with lock_folder(beside):
                _remove_side_files(target)
                for written in sorted(folder.iterdir(), key=lambda written: written.name == target.name):
                    _move(written, target.with_name(written.name))
            shutil.rmtree(folder, ignore_errors=True)
        except BaseException as error:
            _clear_away(folder)
            if isinstance(error, OSError):
                _name_target(error, folder / target.name, target)
            raise


@contextlib.contextmanager
def write_folder_aside(path: str | Path) -> Iterator[Path]:
    """Yield a new temporary folder beside ``path``, which takes its place when the block succeeds.

    Args:
        path: of the folder; one that is there already is replaced.

    Raises:
        OSError: the disk is full or the folder above cannot be written; nothing is left behind.
    """
    target = Path(path)
    with _folder_for(target) as beside:
        aside = beside / _aside_name(target, "")
        aside.mkdir()
        try:
            yield aside
            for path in aside.rglob("*"):
                if path.is_file():
                    _flush(path)
            with lock_folder(beside):
                if target.exists():
                    _exchange(aside, target)
                else:
                    os.replace(aside, target)
                sync_folder(beside)
            shutil.rmtree(aside, ignore_errors=True)  # what was there before
        except BaseException:
            _clear_away(aside)
            raise


@contextlib.contextmanager
def removed_when_broken_off(folder: Path, unless: str = "") -> Iterator[None]:
    """Leave nothing new in a folder, nor the folder if that leaves it empty, where the block raises.

    Args:
        folder: claimed by this process (`claim_folder`), so that all that is new is its own.
        unless: name of a file in it with which the work can go on: then everything stays.
    """
    before = set(folder.rglob("*"))
    try:
        yield
    except BaseException:
        if not (unless and (folder / unless).exists()):
            for path in sorted(set(folder.rglob("*")) - before, reverse=True):  # what lies in a folder before it
                with contextlib.suppress(OSError):
                    path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


@contextlib.contextmanager
def claim_folder(folder: Path) -> Iterator[None]:
    """Keep other processes from writing a run, a recording or a cache into a folder meanwhile; it is made.

    Args:
        folder: of the output.

    Raises:
        ConfigError: another process has claimed it.
    """
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock_folder(folder, fcntl.LOCK_EX | fcntl.LOCK_NB))
        except BlockingIOError:
            raise ConfigError(f"another process is writing into {folder}; wait, or choose another folder") from None
        try:
            yield
        finally:
            if is_new:
                with contextlib.suppress(OSError):  # it is not empty
                    folder.rmdir()


def _clear_away(aside: Path) -> None:
    """Remove what was written aside for nothing; if its disk is gone, it is once that is back (`_folder_for`)."""
    _LEFT.pop(aside, None)
    try:
        _remove(aside)
    except OSError:  # never made, or on a disk that takes nothing any longer, or is not there
        _LEFT[aside] = None
        while len(_LEFT) > MAX_LEFT:
            _LEFT.pop(next(iter(_LEFT)))


@lru_cache(maxsize=4096)  # once a process and folder: looking through a large folder takes a while
def remove_orphans(folder: Path) -> None:
    """Remove what processes of this machine wrote aside in a folder and left there when they were killed.

    Args:
        folder: of outputs.
    """
    for path in folder.iterdir():
        if _is_orphan(path.name):
            with contextlib.suppress(OSError):
                _remove(path)


def _remove(path: Path) -> None:
    """Remove a file or a link, or a folder with what is in it."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _is_orphan(name: str) -> bool:
    """Return whether a name is that of a file written aside by a process of this machine that is gone."""
    match = ASIDE_NAME.fullmatch(name)
    return match is not None and match["machine"] == _machine() and not _is_running(int(match["process"]))


def _target(path: Path) -> Path:
    """Return the file that is to be replaced: of a link the one that it points to.

    Raises:
        OSError: it is a folder, or protected against writing.
    """
    target = Path(os.path.realpath(path)) if _is_roundabout(path) and not is_stream(path) else path
    if target.is_symlink():
        raise OSError(errno.ELOOP, "is a link that leads to itself; remove it", str(path))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder; name a file in it", str(path))
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "is protected against writing; choose another name", str(path))
    return target


def _is_roundabout(path: Path) -> bool:
    """Return whether a path is a link, or goes through folders that need not be there, as in ``new/../out.tif``."""
    return path.is_symlink() or os.pardir in path.parts


@contextlib.contextmanager
def _folder_for(target: Path) -> Iterator[Path]:
    """Yield the folder in which a target is written aside; folders that were made for it go when the block raises."""
    if is_stream(target):
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    missing = [parent for parent in target.parents if not parent.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_orphans(target.parent.absolute())
    for aside in [path for path in list(_LEFT) if path.parent == target.parent and os.path.lexists(path)]:
        _clear_away(aside)
    try:
        yield target.parent
    except BaseException:
        _remove_folders(missing)
        raise


def _remove_folders(folders: list[Path]) -> None:
    """Remove empty folders, inner ones first; those that hold something stay."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _aside_name(target: Path, suffix: str) -> str:
    """Return a new name that says who writes it, no longer than names can be, however long that of the target is."""
    stem = os.fsencode(target.stem)[:MAX_STEM_BYTES].decode(errors="ignore")
    kept = suffix if len(os.fsencode(suffix)) <= MAX_SUFFIX_BYTES else ""
    return f".{stem}.{os.getpid()}-{_machine()}.{secrets.token_hex(4)}{kept}"


@lru_cache(maxsize=1)
def _machine() -> str:
    """Return eight digits that tell machines, and containers on one machine, apart: each counts its own processes."""
    namespace = ""
    with contextlib.suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid")
    return f"{zlib.crc32(f'{platform.node()} {namespace}'.encode()):08x}"


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is somebody else's
        return True
    return True


def is_stream(path: Path) -> bool:
    """Return whether a path is a device or a pipe, which is written to any number of times and never replaced.

    Args:
        path: of an output.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _copy_to_stream(written: Path, target: Path) -> None:
    """Copy a file into a device or a pipe."""
    flags = os.O_WRONLY | os.O_NONBLOCK  # a pipe that nobody reads is an error, not a wait for ever
    with open(written, "rb") as source, open(target, "wb", opener=lambda name, _: os.open(name, flags)) as stream:
        os.set_blocking(stream.fileno(), True)
        try:
            shutil.copyfileobj(source, stream)
            stream.flush()
        except OSError as error:
            error.filename = str(target)
            raise


def _move(written: Path, target: Path, durable: bool = True) -> None:
    """Put a whole file in the place of the target, with the permissions of the old one."""
    if is_stream(target):
        _copy_to_stream(written, target)
        return
    if durable:
        _flush(written)
    if target.exists():
        shutil.copymode(target, written)
    os.replace(written, target)
    if durable:
        sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names of a folder.

    Args:
        folder: in which a file was made or renamed.
    """
    with contextlib.suppress(OSError):  # not every file system can
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _remove_side_files(target: Path) -> None:
    """Remove what GDAL reads beside a raster of that name: it is of the raster that was there before.

    GDAL itself does so when it replaces a raster: overviews, masks and places of the old one would be the new one's.
    """
    if is_stream(target):
        return
    names = [f"{target.name}{ending}" for ending in SIDE_ENDINGS]
    names += [f"{target.stem}{ending}" for ending in WORLD_FILE_ENDINGS.get(target.suffix.lower(), ())]
    for name in names:
        with contextlib.suppress(OSError):  # none, or a name too long to be one
            target.with_name(name).unlink()


def _exchange(one: Path, other: Path) -> None:
    """Let two folders change places, at once where the system can: there is always a whole one under each name."""
    library = ctypes.CDLL(None, use_errno=True)
    rename = getattr(library, "renameat2", None)
    if rename is not None and not rename(AT_WORKING_FOLDER, bytes(one), AT_WORKING_FOLDER, bytes(other), EXCHANGE):
        return
    between = other.with_name(_aside_name(other, ""))
    os.replace(other, between)
    os.replace(one, other)
    os.replace(between, one)


def _name_target(error: OSError, aside: Path, target: Path) -> None:
    """Let an error name the target, which the user knows, instead of the temporary file."""
    if error.filename in (str(aside), aside):
        error.filename = str(target)
        del error.filename2  # None would be shown
    elif error.filename is None and str(error).startswith("Write failed"):  # of GDAL, which says no more
        error.args = (f"{target} could not be written; is the disk full? Free some space or choose another -o",)
    elif error.filename is None and error.errno in WRITE_ERRORS:
        error.filename = str(target)
    elif error.filename is None and error.errno == errno.EIO:
        error.filename = f"{target}, or what it is made from"
    elif error.filename is None:
        error.args = tuple(a.replace(str(aside), str(target)) if isinstance(a, str) else a for a in error.args)


@contextlib.contextmanager
def lock_folder(folder: Path, flags: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Let only one process at a time into the block, where the file system of the folder knows locks.

    Args:
        folder: that is there.
        flags: of the lock: by default, it waits.

    Raises:
        BlockingIOError: another process is in such a block, and the flags say not to wait.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, flags)
        except BlockingIOError:
            raise
        except OSError:
            pass
        yield
    finally:
        os.close(handle)


def _flush(path: Path) -> None:
    """Push the file to the disk, so that a power cut after the rename cannot leave an empty file."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
