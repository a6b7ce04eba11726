"""Which image a table's row names: by the path that both share, never by a file name that several images have."""

import itertools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from skyweave.core.errors import DataError
from skyweave.downstream.labels.image_files import ImageFiles, Parts

SEPARATORS = re.compile(r"[\\/]+")


@dataclass(frozen=True)
class Matching:
    """Names of a table and the images that they name.

    Attributes:
        image_of: image by name, as written in the table.
        unmatched: names without an image.
        by_file_name: names whose folders are other ones than their image's, and the image.
    """

    image_of: dict[str, Path] = field(default_factory=dict)
    unmatched: list[str] = field(default_factory=list)
    by_file_name: dict[str, Path] = field(default_factory=dict)

    def add(self, name: str, fitting: "Sequence[_Candidate]") -> None:
        """Note the image that a name means, if there is one.

        Args:
            name: as written in the table.
            fitting: the image; empty where there is none.
        """
        if not fitting:
            self.unmatched.append(name)
            return
        self.image_of[name] = fitting[0].path
        if not fitting[0].agrees:
            self.by_file_name[name] = fitting[0].path


@dataclass(frozen=True)
class _Candidate:
    """An image that a name may mean.

    Attributes:
        path: of the image.
        is_whole: the name is the image's whole path below the data folder.
        likeness: 3: the same file name; 2: the name has no suffix; 1: it has another one.
        agrees: no folder of one contradicts the other's.
    """

    path: Path
    is_whole: bool
    likeness: int
    agrees: bool

    @property
    def rank(self) -> tuple[bool, int]:
        """The larger, the better it fits."""
        return self.is_whole, self.likeness


class _PathIndex:
    """Images by the ends of their paths, with and without suffix.

    Args:
        images: of the data.
    """

    def __init__(self, images: ImageFiles) -> None:
        self._by_end: dict[Parts, list[tuple[Path, int, str]]] = defaultdict(list)
        for path in images.paths:
            *folders, name = Path(_composed(images.relative(path))).parts
            for last in {name, PurePosixPath(name).stem}:
                parts = (*folders, last)
                for start in range(len(parts)):
                    self._by_end[parts[start:]].append((path, len(parts), name))

    def best(self, name: str) -> list[_Candidate]:
        """Return the images that fit a name best: several where it cannot tell them apart.

        Args:
            name: as written in the table.
        """
        parts = _parts(name)
        for agreeing, length in itertools.product((True, False), range(len(parts), 0, -1)):
            if candidates := self._candidates(parts, length, agreeing):
                best = max(one.rank for one in candidates)
                return [one for one in candidates if one.rank == best]
        return []

    def _candidates(self, parts: Parts, length: int, agreeing: bool) -> list[_Candidate]:
        """Return the images whose path ends as a name does, in so many parts."""
        *folders, file = parts[-length:]
        stem = PurePosixPath(file).stem
        candidates: dict[Path, _Candidate] = {}
        for last in (file, stem):
            for path, depth, name in self._by_end.get((*folders, last), ()):
                agrees = length in (len(parts), depth)
                likeness = _likeness(name, file, stem)
                if likeness and (agrees or not agreeing):
                    candidates.setdefault(path, _Candidate(path, len(parts) == depth == length, likeness, agrees))
        return list(candidates.values())


def _likeness(name: str, file: str, stem: str) -> int:
    """Return how like the file of an image is to that of a name, see `_Candidate`; 0 where it is another one."""
    if name == file:
        return 3
    if PurePosixPath(name).stem == file:
        return 2
    return int(PurePosixPath(name).stem == stem)


def match_names(names: Iterable[str], images: ImageFiles, table: Path) -> Matching:
    r"""Match the names that a table gives with images.

    A name and an image are compared from the file upwards: ``images/a/t0.tif``, ``a/t0.tif``, ``t0.tif``, ``t0`` and
    ``C:\data\images\a\t0.tif`` all name ``images/a/t0.tif``, as long as no other image fits as well. A name with
    other folders (``chips/t0.tif``) counts where it is the only one for the only image that is called so.

    Args:
        names: as written in the table.
        images: of the data.
        table: its path, for messages.

    Raises:
        DataError: a name that fits several images, or an image that several names fit by the file name alone.
    """
    index = _PathIndex(images)
    matching = Matching()
    candidates = {name: index.best(name) for name in dict.fromkeys(names)}
    agreed = {one.path for best in candidates.values() for one in best if one.agrees}
    for name, best in candidates.items():
        fitting = [one for one in best if one.agrees or one.path not in agreed]
        if len(fitting) > 1:
            first, second = (images.relative(one.path) for one in fitting[:2])
            raise DataError(f"{table}: {name!r} may be {first} or {second}; write the folders into the table, too")
        matching.add(name, fitting)
    _check_folders(matching, images, table)
    return matching


def _parts(name: str) -> Parts:
    """Return folders and file of a name, whichever way its slashes lean."""
    return tuple(part for part in SEPARATORS.split(_composed(name.strip())) if part not in ("", ".", ".."))


def _composed(name: str) -> str:
    """Return a name with its accents in one character each: file systems of Apple take them apart."""
    return unicodedata.normalize("NFC", name)


def _check_folders(matching: Matching, images: ImageFiles, table: Path) -> None:
    """Refuse two names of different folders for one image: only one of them can be meant."""
    named: dict[Path, str] = {}
    for name, path in matching.image_of.items():
        other = named.setdefault(path, name)
        folders, others = _parts(name)[:-1], _parts(other)[:-1]
        shared = min(len(folders), len(others))
        if folders[len(folders) - shared :] != others[len(others) - shared :]:
            raise DataError(
                f"{table}: {other!r} and {name!r} may both be {images.relative(path)}; write its path below the data "
                "folder into the table"
            )
