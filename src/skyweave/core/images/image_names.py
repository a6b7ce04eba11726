"""What a file says of images by their names: whose is whose, and in which order a folder of them goes."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Generic, TypeVar

from skyweave.core.errors import DataError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp")
T = TypeVar("T")


def natural_order(name: str) -> list[tuple[int, str]]:
    """Return what sorts names by the numbers in them: 9.jpg before 10.jpg.

    Args:
        name: of a file.
    """
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


class ByImageName(Generic[T]):
    r"""What a file says of each image, found by the path that the name in the file and the image's share.

    Names are compared from the file upwards, without the suffixes of images: ``a/t0.png``, ``t0`` and
    ``C:\x\a\t0.jpg`` all name ``a/t0.jpg``. One with other folders counts where it is the only one that is called so.

    Args:
        path: of the file, for messages.
        stated: by the names in it.
    """

    def __init__(self, path: Path, stated: Mapping[str, T]) -> None:
        self.path = path
        self._by_stem: dict[str, list[tuple[tuple[str, ...], T]]] = {}
        for name, value in stated.items():
            self._by_stem.setdefault(_parts(name)[-1], []).append((_parts(name), value))

    def __bool__(self) -> bool:
        return bool(self._by_stem)

    def find(self, name: str) -> T | None:
        """Return what is said of an image; None where nothing is.

        Args:
            name: of the image, with the folders that are known.

        Raises:
            DataError: two names in the file fit.
        """
        parts, stated = _parts(name), self._by_stem.get(_parts(name)[-1], [])
        agreeing = [(other, value) for other, value in stated if _agree(parts, other)]
        fitting = agreeing or stated
        if len(fitting) > 1:
            first, second = ("/".join(other) for other, _ in fitting[:2])
            raise DataError(
                f"{self.path}: the image {name} may be {first} or {second}; keep the images of one folder in the file, "
                "or give the folder that both lie in"
            )
        return fitting[0][1] if fitting else None

    def unmatched(self, images: Iterable[str]) -> int:
        """Return how many of the images nothing is said of.

        Args:
            images: names of all.

        Raises:
            DataError: it is none of them; shows a name of each side.
        """
        names = list(images)
        missing = sum(self.find(name) is None for name in names)
        if self._by_stem and names and missing == len(names):
            stated = "/".join(next(iter(self._by_stem.values()))[0][0])
            raise DataError(
                f"{self.path} names none of the images: it has {stated}, they are called {names[0]}; give the images "
                "that it is of, or write their names into it"
            )
        return missing


def _parts(name: str) -> tuple[str, ...]:
    """Return the folders and the name of an image without its suffix, whichever way slashes lean."""
    path = PurePosixPath(name.strip().replace("\\", "/"))
    last = path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name
    return (*(part for part in path.parts[:-1] if part not in ("/", ".", "..")), last)


def _agree(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether one path ends as the other does."""
    shared = min(len(first), len(second))
    return list(first[-shared:]) == list(second[-shared:])
