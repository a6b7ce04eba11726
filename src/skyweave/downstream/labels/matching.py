"""Which image a table's row names: by the path that both share, never by a file name that several images have."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
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


@dataclass(frozen=True)
class _Candidate:
    """An image that a name may mean.

    Attributes:
        path: of the image.
        shared: folders that name and image share, counted from the file.
        likeness: 3: the same file name; 2: the name has no suffix; 1: it has another one.
        agrees: no folder of one contradicts the other's.
        is_whole: the name is the image's whole path below the data folder.
    """

    path: Path
    shared: int
    likeness: int
    agrees: bool
    is_whole: bool

    @property
    def rank(self) -> tuple[int, bool, int]:
        """Return what the best candidate has most of."""
        return self.shared, self.is_whole, self.likeness


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
    index = _by_file_name(images)
    matching = Matching()
    candidates = {name: _best(_candidates(name, images, index)) for name in dict.fromkeys(names)}
    agreed = {one.path for best in candidates.values() for one in best if one.agrees}
    for name, best in candidates.items():
        fitting = [one for one in best if one.agrees or one.path not in agreed]
        if not fitting:
            matching.unmatched.append(name)
            continue
        if len(fitting) > 1:
            first, second = (images.relative(one.path) for one in fitting[:2])
            raise DataError(f"{table}: {name!r} may be {first} or {second}; write the folders into the table, too")
        matching.image_of[name] = fitting[0].path
        if not fitting[0].agrees:
            matching.by_file_name[name] = fitting[0].path
    _check_guesses(matching, images, table)
    return matching


def _by_file_name(images: ImageFiles) -> dict[str, list[Path]]:
    """Return the images by their file names and by these without suffix."""
    index: dict[str, list[Path]] = defaultdict(list)
    for path in images.paths:
        for name in {path.name, path.stem}:
            index[_composed(name)].append(path)
    return index


def _candidates(name: str, images: ImageFiles, index: dict[str, list[Path]]) -> list[_Candidate]:
    """Return the images that are called as a name."""
    *folders, file = _parts(name) or ("",)
    stem = PurePosixPath(file).stem
    candidates = []
    for path in dict.fromkeys([*index.get(file, ()), *index.get(stem, ())]):
        names = _composed(path.name), _composed(path.stem)
        likeness = 3 if names[0] == file else 2 if names[1] == file else 1 if names[1] == stem else 0
        if likeness:
            others = Path(_composed(images.relative(path))).parent.parts
            shared = _shared(tuple(folders), others)
            agrees = shared == min(len(folders), len(others))
            candidates.append(_Candidate(path, shared, likeness, agrees, tuple(folders) == others))
    return candidates


def _parts(name: str) -> Parts:
    """Return folders and file of a name, whichever way its slashes lean."""
    return tuple(part for part in SEPARATORS.split(_composed(name.strip())) if part not in ("", ".", ".."))


def _composed(name: str) -> str:
    """Return a name with its accents in one character each: file systems of Apple take them apart."""
    return unicodedata.normalize("NFC", name)


def _shared(folders: Parts, others: Parts) -> int:
    """Return how many folders are the same, counted from the file."""
    count = 0
    while count < min(len(folders), len(others)) and folders[-1 - count] == others[-1 - count]:
        count += 1
    return count


def _best(candidates: list[_Candidate]) -> list[_Candidate]:
    """Return the candidates that fit best: several where a name cannot tell them apart."""
    agreeing = [one for one in candidates if one.agrees] or candidates
    best = max((one.rank for one in agreeing), default=None)
    return [one for one in agreeing if one.rank == best]


def _check_guesses(matching: Matching, images: ImageFiles, table: Path) -> None:
    """Refuse two names of other folders for one image: only one of them can be meant."""
    named: dict[Path, str] = {}
    for name, path in matching.by_file_name.items():
        other = named.setdefault(path, name)
        if _parts(other)[:-1] != _parts(name)[:-1]:
            raise DataError(
                f"{table}: {other!r} and {name!r} may both be {images.relative(path)}; write its path below the data "
                "folder into the table"
            )
