"""Files of a source: a glob gives images; with ``{band}`` in it, one image is several files."""

import fnmatch
import glob
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from skyweave.core.archive_names import advise_local_copy
from skyweave.core.errors import DataError


def find_images(
    root: Path, patterns: str | Sequence[str], bands: Sequence[str | None] | None, label: str
) -> list[list[Path]]:
    """Return the files of every image, in the order of their names; one file an image, or one per band in their order.

    Args:
        root: folder that the patterns start in.
        patterns: globs relative to ``root`` (``**`` for any depth); ``{band}`` stands for each of ``bands``.
        bands: names of the bands that are separate files.
        label: how to call the source in messages.

    Raises:
        FileNotFoundError: the root is absent, nothing matches a pattern, or a band of an image has no file.
        DataError: a pattern that is absolute or no glob.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{label}: data folder {root} does not exist; give the one its patterns start in")
    images: list[list[Path]] = []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        images += _matches(root, pattern, bands, label)
    return images


def glob_files(root: Path, pattern: str) -> list[Path]:
    """Return the files that match, in the order of their paths: through links, and without hidden ones.

    Args:
        root: folder that the pattern starts in.
        pattern: glob relative to ``root`` (``**`` for any depth).
    """
    return sorted(path for path in _glob(root, pattern) if path.is_file())


def find_links_to_nothing(root: Path, pattern: str) -> list[Path]:
    """Return the links that match and whose target is not there.

    Args:
        root: folder that the pattern starts in.
        pattern: glob relative to ``root``.
    """
    return sorted(path for path in _glob(root, pattern) if path.is_symlink() and not path.exists())


def any_case_suffix(pattern: str) -> str:
    """Return a glob that takes the suffix of files in upper and lower case.

    Args:
        pattern: glob, such as ``*.tif``.
    """
    stem, dot, suffix = pattern.rpartition(".")
    return stem + dot + re.sub("[A-Za-z]", lambda letter: f"[{letter[0].lower()}{letter[0].upper()}]", suffix)


def _glob(root: Path, pattern: str) -> set[Path]:
    return {root / path for path in glob.glob(pattern, root_dir=root, recursive=True)}


def _near_matches(root: Path, pattern: str) -> str:
    """Return a glob that does match, for a message: of any case, or with the brackets of a name taken as they are."""
    for other in (any_case_suffix(pattern), pattern.replace("[", "[[]"), any_case_suffix(pattern.replace("[", "[[]"))):
        if files := glob_files(root, other):
            return f"; {other!r} matches {len(files)}, such as {files[0].relative_to(root)}"
    return ""


def _matches(root: Path, pattern: str, bands: Sequence[str | None] | None, label: str) -> list[list[Path]]:
    """Return the files of every image that one pattern matches; there is at least one."""
    try:
        matches = _images_of_pattern(root, pattern, bands, label)
    except (ValueError, NotImplementedError, re.error) as error:
        raise DataError(f"{label}: {pattern!r} is no pattern below {root}: {error}") from error
    if not matches:
        near = _near_matches(root, pattern) or "; check the folder and the pattern"
        raise FileNotFoundError(f"{label}: no file matches {pattern!r} in {root}{near}")
    return matches


def _images_of_pattern(root: Path, pattern: str, bands: Sequence[str | None] | None, label: str) -> list[list[Path]]:
    """Return the files of every image that one pattern matches, possibly of none."""
    if advice := advise_local_copy(pattern):
        raise ValueError(f"data sets are read from files below that folder; {advice}")
    if Path(pattern).is_absolute():
        raise ValueError("it is absolute; write it relative to that folder")
    return _per_band(root, pattern, bands, label) if "{band}" in pattern else _whole(root, pattern)


def _whole(root: Path, pattern: str) -> list[list[Path]]:
    return [[path] for path in glob_files(root, pattern)]


def _per_band(root: Path, pattern: str, bands: Sequence[str | None] | None, label: str) -> list[list[Path]]:
    """Group files that differ in the band alone: the parts that the wildcards stand for are the image's name."""
    names = list(filter(None, bands or []))
    images = _files_by_image(root, pattern, names)
    for files in images.values():
        _check_complete(files, names, pattern, label)
    return [[files[name] for name in names] for _, files in sorted(images.items())]


def _files_by_image(root: Path, pattern: str, names: list[str]) -> dict[tuple[str, ...], dict[str, Path]]:
    """Return the file of each band, by what the wildcards stand for."""
    images: dict[tuple[str, ...], dict[str, Path]] = {}
    for name in names:
        for image, path in _files_of_band(root, pattern.replace("{band}", name)):
            images.setdefault(image, {})[name] = path
    return images


def _check_complete(files: dict[str, Path], names: list[str], pattern: str, label: str) -> None:
    """Refuse an image that lacks the file of a band."""
    if missing := [name for name in names if name not in files]:
        raise FileNotFoundError(
            f"{label}: {next(iter(files.values()))} has no companion for band {', '.join(missing)} "
            f"(pattern {pattern!r}); remove the band from 'bands', or the image"
        )


def _files_of_band(root: Path, pattern: str) -> Iterator[tuple[tuple[str, ...], Path]]:
    """Yield the files that match, each with what the wildcards stand for."""
    expression = _expression(pattern)
    for path in sorted(root.glob(pattern)):
        if match := expression.fullmatch(path.relative_to(root).as_posix()):
            yield match.groups(), path


def _expression(pattern: str) -> re.Pattern[str]:
    """Return the glob as a regular expression whose groups are what its wildcards stand for."""
    pieces = re.split(r"(\*\*/|\*|\?|\[[^\]]*\])", pattern)
    wild = {"**/": "((?:[^/]+/)*)", "*": "([^/]*)", "?": "([^/])"}
    return re.compile("".join(wild.get(piece) or _literal(piece) for piece in pieces))


def _literal(piece: str) -> str:
    """Return a piece of a glob without wildcards as a regular expression; a choice of characters is a group."""
    return f"({fnmatch.translate(piece)[4:-3]})" if piece.startswith("[") else re.escape(piece)
