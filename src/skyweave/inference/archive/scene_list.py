"""Which scenes an archive is: a pattern, or a text file with a scene a line; and what their outputs are called."""

import glob
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from skyweave.core.archive_names import advise_local_copy
from skyweave.core.errors import ConfigError, DataError
from skyweave.inference.archive.job import SceneJob, hash_content

WILDCARDS = re.compile(r"[*?\[]")
NO_PATH = re.compile(r"^(/vsi|[A-Za-z][A-Za-z0-9+.-]+:)")  # addresses, GDAL's own names and those of subdatasets
UNSAFE = re.compile(r"[^\w.+-]+")  # in a file's name, on one system or another
BAND = "{band}"
MAX_SUFFIX_CHARACTERS = 5  # what follows the last dot of ``S2B.10m_v1`` is no suffix
STANDARD_INPUT = "-"


@dataclass(frozen=True)
class ListedScene:
    """An entry of a list.

    Attributes:
        inputs: files, names or addresses, absolute where they are paths.
        folder: of the first, as the list has it, or below the pattern's fixed part.
    """

    inputs: tuple[str, ...]
    folder: str = ""


def read_scene_list(source: str) -> list[ListedScene]:
    """Return the scenes of a list, in its order.

    Args:
        source: a pattern such as ``scenes/**/*.tif``; or a text file with a scene a line, several files of one scene
            (two dates, several sensors) with tabs between them; ``-``: the same from standard input.

    Raises:
        ConfigError: no file matches, or the list is empty or a folder.
        DataError: a file that is no text.
        OSError: the file cannot be read.
    """
    if source != STANDARD_INPUT and WILDCARDS.search(source) and not Path(source).exists():
        return _match(source)
    lines = sys.stdin if source == STANDARD_INPUT else _read_lines(Path(source))
    rows = [line.rstrip("\r\n").split("\t") for line in lines if line.strip()]
    if not rows:
        raise ConfigError(f"the list {source} names no scene; write one a line")
    return [ListedScene(tuple(map(_absolute, row)), _folder(row[0])) for row in rows]


def plan_jobs(
    scenes: Sequence[ListedScene], folder: Path, suffix: str, made_by: str, keep_folders: bool = False
) -> list[SceneJob]:
    """Return a job for each scene, whose output is called as the scene is.

    Args:
        scenes: of a list.
        folder: of the outputs.
        suffix: of an output's name.
        made_by: hash of all but the scene that an output is made from.
        keep_folders: outputs lie in the folders of their scenes, below ``folder``.

    Raises:
        ConfigError: two scenes of one name, or one that lies among the outputs.
    """
    inside = os.path.realpath(folder) + os.sep
    jobs: dict[str, SceneJob] = {}
    for scene in scenes:
        name = os.path.join(scene.folder, name_scene(scene.inputs[0])) if keep_folders else name_scene(scene.inputs[0])
        first = scene.inputs[0]
        if os.path.realpath(first).startswith(inside):
            raise ConfigError(f"the list names {first}, which lies among the outputs; choose another --into")
        other = jobs.get(name.casefold())
        if other is not None and other.inputs == scene.inputs:
            continue
        if other is not None:
            raise ConfigError(
                f"{other.inputs[0]} and {first} would both be {folder / name}{suffix}; "
                + ("rename one" if keep_folders else "add --keep-folders, or rename one")
            )
        stamp, size = inspect_inputs(scene.inputs)
        key = hash_content([made_by, scene.inputs, stamp])
        jobs[name.casefold()] = SceneJob(name, scene.inputs, folder / f"{name}{suffix}", key, size)
    return list(jobs.values())


def name_scene(path: str) -> str:
    """Return what a scene is called: the last part of its path, without suffix, query and what no file's name may hold.

    Args:
        path: file, folder, address, subdataset's name, or a path with ``{band}``.
    """
    last = path.split("?")[0].rstrip("/").rsplit("/", 1)[-1].replace(BAND, "")
    stem, dot, suffix = last.rpartition(".")
    name = stem if dot and stem and len(suffix) <= MAX_SUFFIX_CHARACTERS else last
    return UNSAFE.sub("_", name).strip("._-") or "scene"


def inspect_inputs(inputs: Sequence[str]) -> tuple[list[tuple[str, int, int]], int]:
    """Return the files on this machine that inputs are, with sizes and times of change, and the bytes of all.

    Args:
        inputs: of a scene.
    """
    files = [
        (path, status.st_size, status.st_mtime_ns)
        for text in inputs
        for path in _files(text)
        if (status := _status(path)) is not None
    ]
    return files, sum(size for _, size, _ in files)


def _match(pattern: str) -> list[ListedScene]:
    fixed = WILDCARDS.split(pattern)[0].rpartition("/")[0]
    paths = sorted(glob.glob(pattern, recursive=True))
    if not paths:
        if advice := advise_local_copy(pattern):
            raise ConfigError(f"no pattern finds files in {pattern}; {advice}")
        raise ConfigError(f"no file matches {pattern}; check it with: ls {pattern}")
    return [ListedScene((_absolute(path),), os.path.dirname(os.path.relpath(path, fixed or "."))) for path in paths]


def _read_lines(path: Path) -> list[str]:
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name what of it: '{path}/*.tif'")
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise DataError(f"{path} is no list of scenes, which is a text file with a path a line; for one scene leave "
                        "--list out")  # fmt: skip
    return text.splitlines()


def _absolute(text: str) -> str:
    """Return a path that is the same in every process; what is no path as it is."""
    return text if NO_PATH.match(text) else os.path.abspath(text)


def _folder(text: str) -> str:
    """Return the folder of a scene as it is written, as one below another folder."""
    path = re.sub(r"^/vsi\w+/|^[A-Za-z][A-Za-z0-9+.-]+:/*", "", text.split("?")[0])
    parts = [part for part in os.path.dirname(path).split("/") if part not in ("", ".", "..")]
    return "/".join(UNSAFE.sub("_", part) for part in parts)


def _files(text: str) -> list[str]:
    if NO_PATH.match(text):
        return []
    if BAND in text:
        return sorted(glob.glob("*".join(map(glob.escape, text.split(BAND)))))
    if os.path.isdir(text):
        return sorted(str(path) for path in Path(text).rglob("*") if path.is_file())
    return [text]


def _status(path: str) -> os.stat_result | None:
    """Return size and times of a file; None: it is gone, which its turn will show."""
    try:
        return os.stat(path)
    except OSError:
        return None
