"""The images of labelled data as files: which there are, what each is called, and which file goes with it."""

import fnmatch
import glob
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from skyweave.core.errors import ConfigError, DataError
from skyweave.data.globbing import any_case_suffix, find_images, find_links_to_nothing, glob_files
from skyweave.downstream.labels.config import ImageSourceConfig

NAME = "{name}"
Parts = tuple[str, ...]
"""Folders below the data folder, and a name."""


class ImageFiles:
    """The images of a source and their names.

    Args:
        paths: of the images, below ``root``.
        root: data folder.
        name_pattern: regular expression whose group is an image's name: in its path below the data folder where the
            expression holds a ``/``, else in its file name. None: the file name without suffix.

    Attributes:
        left_out: files that the source names and that are not used, by the reason.
        sharing: images whose companion is another's, too, because ``name`` finds the same name in both; in their order.

    Raises:
        DataError: the expression does not match a file name.
    """

    def __init__(self, paths: Sequence[Path], root: Path, name_pattern: str | None = None) -> None:
        self.paths, self.root, self.name_pattern = list(paths), root, name_pattern
        self.left_out: dict[str, list[str]] = {}
        self.sharing: dict[str, None] = {}
        self._parts = {path: self._name_parts(path) for path in self.paths}
        self._by_tail: dict[Parts, list[Path]] = defaultdict(list)
        for path, parts in self._parts.items():
            for start in range(len(parts)):
                self._by_tail[parts[start:]].append(path)

    def relative(self, path: Path) -> str:
        """Return the path of an image below the data folder, with slashes.

        Args:
            path: of the image.
        """
        return (path.relative_to(self.root) if path.is_relative_to(self.root) else path).as_posix()

    def companion(self, template: str, path: Path) -> Path:
        """Return the file that goes with an image: its mask, say, or its second date.

        ``{name}`` stands for the longest part of the image's path (``images/a/t0``, ``a/t0``, ``t0``) for which there
        is a file. A shorter part counts only where no other image has it, too.

        Args:
            template: path below the data folder.
            path: of the image.

        Returns:
            A path; of no file where there is none.

        Raises:
            DataError: the file would serve several images; names two of them, and the remedy.
        """
        parts = self._parts[path]
        for start in range(len(parts) if NAME in template else 1):
            file = _in_any_case(self.root / template.replace(NAME, "/".join(parts[start:])))
            if file is not None:
                if NAME in template:
                    self._check_unshared(parts[start:], path, file)
                return file
        return self.root / template.replace(NAME, parts[-1])

    def other_file(self, key: str, template: str, path: Path) -> Path:
        """Return the file that goes with an image, as `companion` does; the image itself is none.

        Args:
            key: of the template in the configuration, for messages.
            template: path below the data folder.
            path: of the image.

        Raises:
            DataError: the file is the image, or would serve several images.
        """
        file = self.companion(template, path)
        if file.is_file() and os.path.samefile(file, path):
            raise DataError(f"{key} {template!r} names the image itself, {self.relative(path)}; name the other file")
        return file

    def _name_parts(self, path: Path) -> Parts:
        relative = path.relative_to(self.root)
        if self.name_pattern is None:
            return relative.with_suffix("").parts
        name = match_name(self.name_pattern, relative, "name")
        return (name,) if "/" in self.name_pattern else (*relative.parent.parts, name)

    def _check_unshared(self, tail: Parts, path: Path, file: Path) -> None:
        """Refuse a file that several images would share, unless ``name`` says that they do."""
        for other in self._by_tail[tail]:
            if other == path:
                continue
            if not self._may_share(path, other):
                raise DataError(
                    f"{file} would serve {self.relative(path)} and {self.relative(other)} alike; put the files that go "
                    f"with the images into folders of the same names (such as {self._example(file, path)}), or, where "
                    r"they do share it, say so by `name` with a slash: '/([^/]+)\.[^.]+$'"
                )
            self.sharing[self.relative(path)] = None

    def _may_share(self, path: Path, other: Path) -> bool:
        """Return whether ``name`` says that two images share their files: of one folder, or anywhere."""
        if self.name_pattern is None:
            return False
        return "/" in self.name_pattern or other.parent == path.parent

    def _example(self, file: Path, path: Path) -> Path:
        return file.parent / path.parent.name / file.name


def find_image_files(source: ImageSourceConfig, root: Path, name_pattern: str | None = None) -> ImageFiles:
    """Return the files of a source in the order of their paths, each file once.

    Args:
        source: with the glob.
        root: data folder.
        name_pattern: see `ImageFiles`.

    Raises:
        FileNotFoundError: no folder, or no file that matches; names pattern, folder and what nearly matches.
        DataError: a pattern that is none, or names that do not match.
    """
    matches = [files[0] for files in find_images(root, source.files, None, "images")]
    listed = [path for path in matches if not _is_excluded(path, source)]
    if not listed:
        raise FileNotFoundError(f"`exclude` leaves none of the {len(matches)} files of {source.files!r} in {root}")
    images = ImageFiles(_without_links(listed), root, name_pattern)
    kept, matching = set(images.paths), set(matches)
    left_out: dict[str, tuple[list[Path], set[Path]]] = {  # by the reason: files, and those of them that are used
        "links to an image that is there already": (listed, kept),
        f"files that match {source.files!r} but for upper and lower case": (
            glob_files(root, any_case_suffix(source.files)),
            matching,
        ),
        f"files below folders with the brackets of {source.files!r} in their names": (
            _with_brackets(root, source.files),
            matching,
        ),
        "links to nothing": (list(find_links_to_nothing(root, source.files)), set()),
    }
    for reason, (paths, used) in left_out.items():
        images.left_out[reason] = [images.relative(path) for path in paths if path not in used]
    return images


def _is_excluded(path: Path, source: ImageSourceConfig) -> bool:
    return any(fnmatch.fnmatch(path.name, pattern) for pattern in source.exclude)


def _without_links(paths: Sequence[Path]) -> list[Path]:
    """Return each file once, by the first of its paths."""
    first: dict[tuple[int, int], Path] = {}
    for path in paths:
        status = path.stat()
        first.setdefault((status.st_dev, status.st_ino), path)
    return list(first.values())


def _with_brackets(root: Path, pattern: str) -> list[Path]:
    """Return the files that a pattern matches where its brackets are those of names."""
    return glob_files(root, pattern.replace("[", "[[]")) if "[" in pattern else []


def _in_any_case(path: Path) -> Path | None:
    """Return a file of that path, its suffix in small letters or in capitals; None where there is none."""
    suffixes = dict.fromkeys([path.suffix, path.suffix.lower(), path.suffix.upper()])
    return next((file for suffix in suffixes if (file := path.with_suffix(suffix)).is_file()), None)


def match_name(pattern: str, relative: Path, key: str) -> str:
    """Return what a pattern captures in a file name, or, where the pattern holds a ``/``, in the path.

    Args:
        pattern: regular expression; its first group, or all of it.
        relative: path below the data folder.
        key: of the pattern in the configuration, for messages.

    Raises:
        DataError: it does not match.
        ConfigError: it is no regular expression.
    """
    match = search_name(pattern, relative, key)
    if match is None:
        where = "path" if "/" in pattern else "file name"
        text = _searched_text(pattern, relative)
        raise DataError(f"{key} {pattern!r} does not match the {where} {text!r}; correct it")
    return match.group(1) if match.groups() else match.group(0)


def search_name(pattern: str, relative: Path, key: str) -> re.Match[str] | None:
    """Search a file name, or, where the pattern holds a ``/``, a path.

    Args:
        pattern: regular expression.
        relative: path below the data folder.
        key: of the pattern in the configuration, for messages.

    Raises:
        ConfigError: it is no regular expression.
    """
    try:
        return re.search(pattern, _searched_text(pattern, relative))
    except re.error as error:
        raise ConfigError(f"{key} {pattern!r} is no regular expression: {error}") from error


def _searched_text(pattern: str, relative: Path) -> str:
    """Return what a pattern is searched in: the path where it holds a ``/``, else the file name."""
    return relative.as_posix() if "/" in pattern else relative.name


def files_of_template(root: Path, template: str) -> list[Path]:
    """Return the files that a template with ``{name}`` can name.

    Args:
        root: data folder.
        template: path below it.
    """
    before, separator, after = template.partition(NAME)
    if not separator:
        return []
    start, end = glob.escape(before), glob.escape(after.replace(NAME, "\0")).replace("\0", "*")
    anywhere = [f"{start}**/*{end}"] if not before or before.endswith("/") else []
    patterns = [any_case_suffix(pattern) for pattern in [f"{start}*{end}", *anywhere]]
    return sorted({path for pattern in patterns for path in glob_files(root, pattern)})
