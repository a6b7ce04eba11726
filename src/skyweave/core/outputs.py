"""Outputs that would destroy something, or could not be written, are refused before any work."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from skyweave.core.atomic_write import is_stream
from skyweave.core.errors import ConfigError

STORE_FILE = "zarr.json"
"""Which a folder holds that is one output as a whole, and is replaced like a file."""


def check_outputs(outputs: Mapping[str, str | Path | None], inputs: Iterable[str | Path | None] = ()) -> None:
    """Refuse a file to write that is a file to read, that is written twice, or that cannot be written.

    Args:
        outputs: files to write, by what the user knows them as: an option, or what they hold. None: not asked for.
        inputs: files that are read; what is None or no file counts for nothing.

    Raises:
        ConfigError: an output is a folder, an input (under whatever name), another output, or lies where nothing can
            be written.
    """
    read = [path for path in inputs if path is not None and Path(path).is_file()]
    written: dict[str, str] = {}
    for name, output in outputs.items():
        if output is None or is_stream(Path(output)):
            continue
        path = Path(output)
        _check_writable(name, path)
        _check_not_read(name, path, read)
        identity = os.path.realpath(path).casefold()  # two names on one system are one on another
        if identity in written:
            raise ConfigError(f"{name} and {written[identity]} are the same file, {path}; choose two names")
        written[identity] = name


def _is_link_to_nothing(path: Path) -> bool:
    """Return whether a path is a link whose target is not there, but could be made."""
    return path.is_symlink() and not path.exists() and not Path(os.path.realpath(path)).is_symlink()


def _check_not_read(name: str, path: Path, read: Iterable[str | Path]) -> None:
    """Refuse a file to write that is one of those to read, under whatever name."""
    target = Path(os.path.realpath(path))  # through folders that are not there yet, too
    for source in read:
        if target.exists() and os.path.samefile(target, source):
            raise ConfigError(f"{name} {path} would overwrite {source}, which is read; choose another name for it")


def is_same_file(first: str | Path, second: str | Path) -> bool:
    """Return whether two paths lead to one file or folder: the same name, or links of any kind.

    Args:
        first: path, or the name of a raster that is no file.
        second: likewise.
    """
    try:
        return str(first) == str(second) or os.path.samefile(first, second)
    except (OSError, ValueError):  # no files, but names of GDAL's
        return False


def check_output_folder(name: str, folder: str | Path) -> None:
    """Refuse a folder to write into that is a file, or in which nothing can be written.

    Args:
        name: what the user knows it as, such as an option.
        folder: that is made where it is not there.

    Raises:
        ConfigError: it cannot be written into.
    """
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{name} {path} is a file, and a folder is needed; choose another name")
    if _is_link_to_nothing(path):
        raise ConfigError(f"{name} {path} is a link to {os.path.realpath(path)}, which is not there; make that folder")
    _check_writable(name, path / "file")


def _check_writable(name: str, path: Path) -> None:
    """Refuse a file that is a folder, is protected, or lies below a file or in a folder that is."""
    if path.is_dir() and not (path / STORE_FILE).is_file():
        raise ConfigError(f"{name} {path} is a folder; name a file in it, such as {path / f'out{path.suffix}'}")
    if path.exists() and not os.access(path, os.W_OK):
        raise ConfigError(f"{name} {path} is protected against writing; choose another name, or chmod u+w it")
    _check_place(name, path, Path(os.path.realpath(path)))


def _check_place(name: str, path: Path, target: Path) -> None:
    """Refuse a target in a folder that is none, is protected, or cannot be reached."""
    if any(part.is_symlink() for part in (target, *target.parents)):
        raise ConfigError(f"{name} {path} is a link that leads to itself; remove it, or choose another name")
    above = next(parent for parent in target.parents if parent.exists())
    if not above.is_dir():
        raise ConfigError(f"{name} {path}: {above} is a file, not a folder; choose another place")
    if not os.access(above, os.W_OK | os.X_OK):
        raise ConfigError(f"{name} {path}: the folder {above} is protected against writing; choose another place")
