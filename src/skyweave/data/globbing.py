"""Files of a source: a glob gives images; with ``{band}`` in it, one image is several files."""

import fnmatch
import re
from collections.abc import Sequence
from pathlib import Path


def find_images(
    root: Path, patterns: str | Sequence[str], bands: Sequence[str | None] | None, label: str
) -> list[list[Path]]:
    """The files of every image, in the order of their names; one file an image, or one per band in the bands' order.

    Args:
        patterns: globs relative to ``root`` (``**`` for any depth); ``{band}`` stands for each of ``bands``.
        label: how to call the source in messages.

    Raises:
        FileNotFoundError: the root is absent, nothing matches a pattern, or a band of an image has no file.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{label}: data folder {root} does not exist; give the one its patterns start in")
    images: list[list[Path]] = []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        found = _per_band(root, pattern, bands, label) if "{band}" in pattern else _whole(root, pattern)
        if not found:
            raise FileNotFoundError(f"{label}: no file matches {pattern!r} in {root}")
        images += found
    return images


def _whole(root: Path, pattern: str) -> list[list[Path]]:
    return [[path] for path in sorted(root.glob(pattern)) if path.is_file()]


def _per_band(root: Path, pattern: str, bands: Sequence[str | None] | None, label: str) -> list[list[Path]]:
    """Files that differ in the band alone are one image: the parts that the wildcards stand for are its name."""
    names = [band for band in bands or [] if band]
    images: dict[tuple[str, ...], dict[str, Path]] = {}
    for name in names:
        expression = _expression(pattern.replace("{band}", name))
        for path in sorted(root.glob(pattern.replace("{band}", name))):
            match = expression.fullmatch(path.relative_to(root).as_posix())
            if match:
                images.setdefault(match.groups(), {})[name] = path
    for files in images.values():
        if missing := [name for name in names if name not in files]:
            raise FileNotFoundError(
                f"{label}: {next(iter(files.values()))} has no companion for band {', '.join(missing)} "
                f"(pattern {pattern!r}); remove the band from 'bands', or the image"
            )
    return [[files[name] for name in names] for _, files in sorted(images.items())]


def _expression(pattern: str) -> re.Pattern[str]:
    """The glob as a regular expression whose groups are what its wildcards stand for."""
    pieces = re.split(r"(\*\*/|\*|\?|\[[^\]]*\])", pattern)
    wild = {"**/": "((?:[^/]+/)*)", "*": "([^/]*)", "?": "([^/])"}
    text = "".join(
        wild.get(piece) or (f"({fnmatch.translate(piece)[4:-3]})" if piece.startswith("[") else re.escape(piece))
        for piece in pieces
    )
    return re.compile(text)
