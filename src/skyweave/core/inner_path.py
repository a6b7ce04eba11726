"""Paths that files name, which must not lead out of the folder they belong to."""

from pathlib import Path, PurePosixPath, PureWindowsPath

from skyweave.core.errors import DataError


def path_below(folder: Path, name: str) -> Path:
    """Return the path of a file below a folder. Links are followed where they are opened: data may lie on other disks.

    Args:
        folder: that the file belongs to.
        name: relative path, as a table names it.

    Raises:
        DataError: an absolute path, or one that leads out of the folder.
    """
    parts = (*PurePosixPath(name).parts, *PureWindowsPath(name).parts)
    absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive or PureWindowsPath(name).root
    if not name or absolute or ".." in parts or "\0" in name:
        raise DataError(f"{name!r} leads out of {folder}; tables name files below it")
    return folder / name
