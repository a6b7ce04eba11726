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
    if not is_below(name):
        raise DataError(f"{name!r} leads out of {folder}; tables name files below it")
    return folder / name


def is_below(name: str) -> bool:
    """Return whether a path stays below the folder that it starts in.

    Args:
        name: relative path, as a table names it.
    """
    windows = PureWindowsPath(name)
    is_absolute = PurePosixPath(name).is_absolute() or bool(windows.drive or windows.root)
    return (
        bool(name) and not is_absolute and ".." not in (*PurePosixPath(name).parts, *windows.parts) and "\0" not in name
    )
