"""Files of a product by their names in it, whether it is a folder or an archive that nobody unpacked."""

import re
import tarfile
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from skyweave.core.errors import DataError

ARCHIVES = {".zip": "/vsizip/", ".tar": "/vsitar/"}  # of GDAL's virtual file systems; compressed tar files are too slow
MAX_METADATA_BYTES = 64 << 20
NESTED_SUFFIX = ".safe"  # of a product's folder in the folder that it was unpacked into


@dataclass(frozen=True)
class ProductMembers:
    """A folder or an archive that may hold a product.

    Attributes:
        path: of the folder or archive.
        names: of files: those directly in the folder, or all in the archive.
    """

    path: Path
    names: tuple[str, ...]

    def find(self, marker: re.Pattern[str]) -> list[str]:
        """Return the files whose own name a pattern matches.

        Args:
            marker: of the whole name of a file, without folders.
        """
        return [name for name in self.names if marker.fullmatch(name.rsplit("/", 1)[-1])]

    def has(self, name: str) -> bool:
        """Return whether there is a file.

        Args:
            name: in the folder or archive.
        """
        return name in self.names or (self.path.is_dir() and (self.path / name).is_file())

    def read(self, name: str) -> bytes:
        """Return the content of a file of metadata.

        Args:
            name: in the folder or archive.

        Raises:
            DataError: it is damaged, or far larger than metadata are.
        """
        try:
            content = self._read(name)
        except (zipfile.BadZipFile, tarfile.TarError, RuntimeError, KeyError) as error:
            raise DataError(f"{self.path}: {name} cannot be read ({error}); download it again") from error
        if len(content) > MAX_METADATA_BYTES:
            raise DataError(f"{self.path}: {name} has more than {MAX_METADATA_BYTES >> 20} MB; it is no metadata")
        return content

    def gdal_name(self, name: str) -> str:
        """Return what GDAL opens.

        Args:
            name: in the folder or archive.
        """
        system = "" if self.path.is_dir() else ARCHIVES[self.path.suffix.casefold()]
        return f"{system}{self.path.absolute()}/{name}"

    def _read(self, name: str) -> bytes:
        """Return the content up to a byte more than is allowed."""
        limit = MAX_METADATA_BYTES + 1
        if self.path.is_dir():
            with (self.path / name).open("rb") as file:
                return file.read(limit)
        if self.path.suffix.casefold() == ".zip":
            with zipfile.ZipFile(self.path) as packed, packed.open(name) as content:
                return content.read(limit)
        with tarfile.open(self.path, "r:") as archive:
            member = archive.extractfile(name)
            return b"" if member is None else member.read(limit)


def list_members(path: Path) -> ProductMembers | None:
    """Return the files of what may be a product; None of what can be none.

    Args:
        path: of anything.

    Raises:
        OSError: it cannot be read.
    """
    if path.is_dir():
        return _list_folder(path)
    if path.suffix.casefold() not in ARCHIVES or not path.is_file():
        return None
    status = path.stat()
    names = _list_archive(path, status.st_size, status.st_mtime_ns)
    return ProductMembers(path, names) if names else None


def _list_folder(path: Path) -> ProductMembers:
    """Return the files in a folder, and those in the folder of a product that lies in it."""
    names: list[str] = []
    for entry in sorted(path.iterdir()):
        if entry.suffix.casefold() == NESTED_SUFFIX and entry.is_dir():
            names += [f"{entry.name}/{inner.name}" for inner in sorted(entry.iterdir())]
        else:
            names.append(entry.name)
    return ProductMembers(path, tuple(names))


@lru_cache(maxsize=64)
def _list_archive(path: Path, size: int, modified: int) -> tuple[str, ...]:
    """Return the files in an archive; none where it is damaged: GDAL says so."""
    try:
        return _list_zip(path) if path.suffix.casefold() == ".zip" else _list_tar(path)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError):
        return ()


def _list_zip(path: Path) -> tuple[str, ...]:
    with zipfile.ZipFile(path) as archive:
        return tuple(name for name in archive.namelist() if not name.endswith("/"))


def _list_tar(path: Path) -> tuple[str, ...]:
    with tarfile.open(path, "r:") as archive:  # no compression: a few megabytes would take minutes to go through
        return tuple(member.name for member in archive if member.isfile())
