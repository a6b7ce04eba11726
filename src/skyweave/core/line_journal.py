"""What long work has done so far, a JSON object a line, so that a run that was killed goes on where it stopped.

The first line says what the work is made from: a journal of other work is refused. A line that was cut off by a kill is
dropped, with all behind it.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import DataError

MADE_FROM = "made_from"


class LineJournal:
    """Lines of work that is done.

    Args:
        path: of the file.
        made_from: what the work is made from, from `fingerprint_of`.
        resume: go on with the lines that are there, if any.

    Attributes:
        lines: of an earlier run, in order.

    Raises:
        DataError: the lines are of other work.
    """

    def __init__(self, path: Path, made_from: str, resume: bool) -> None:
        self.path, self._made_from = path, made_from
        self.lines = _read_whole_lines(path) if resume and path.is_file() else []
        if self.lines and self.lines[0].get(MADE_FROM) != made_from:
            raise DataError(f"{path} is of other inputs or options; start anew without --resume")
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_aside(path) as aside:
            aside.write_text("".join(map(_encode, self.lines)), "utf-8")
        self._empty = not self.lines

    def add(self, line: dict[str, Any]) -> None:
        """Append what is done; it is on its way to the disk when this returns.

        Args:
            line: of plain JSON types.
        """
        content = line | ({MADE_FROM: self._made_from} if self._empty else {})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_encode(content))
        self._empty = False

    def remove(self) -> None:
        """Remove the file: the work is done."""
        self.path.unlink(missing_ok=True)


def _encode(line: dict[str, Any]) -> str:
    return json.dumps(line) + "\n"


def _read_whole_lines(path: Path) -> list[dict[str, Any]]:
    """The lines up to the first that is not whole."""
    lines: list[dict[str, Any]] = []
    for text in path.read_text("utf-8", errors="replace").splitlines(keepends=True):
        try:
            line = json.loads(text) if text.endswith("\n") else None
        except ValueError:
            line = None
        if not isinstance(line, dict):
            break
        lines.append(line)
    return lines


def fingerprint_of(options: str, files: Iterable[str | Path | None]) -> str:
    """Return 16 hexadecimal digits that change with the options, and with name, size and time of any file.

    Args:
        options: in words, such as the ``repr`` of a configuration.
        files: that are read; a folder stands for all files below it, None for nothing.
    """
    paths = [Path(file) for file in files if file is not None]
    below = [path for file in paths for path in (sorted(file.rglob("*")) if file.is_dir() else [file])]
    stated = [(path.as_posix(), path.stat().st_size, path.stat().st_mtime_ns) for path in below if path.is_file()]
    return hashlib.sha256(f"{options} {stated}".encode()).hexdigest()[:16]
