"""Which scenes of an archive are done, and from what: lines of JSON, in a file for each part of the archive."""

import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from skyweave.core.atomic_write import lock_folder
from skyweave.core.errors import ConfigError
from skyweave.core.outputs import STORE_FILE
from skyweave.inference.archive.job import SceneJob, SceneOutcome, hash_content

FOLDER = ".archive"
PART = re.compile(r"(\d{1,9})/(\d{1,9})")


@dataclass(frozen=True)
class ListPart:
    """Every so manieth scene of a list.

    Attributes:
        number: from 1.
        count: of all parts.

    Raises:
        ConfigError: a number beyond the count.
    """

    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ConfigError(
                f"there is no part {self.number}/{self.count}: parts are numbered from 1 to {self.count}; where a "
                "scheduler counts from 0, add 1"
            )

    @classmethod
    def parse(cls, text: str | None) -> "ListPart":
        """Return the part that ``3/40`` says; None: all.

        Args:
            text: as given.

        Raises:
            ConfigError: it is none.
        """
        match = PART.fullmatch(text or "1/1")
        if match is None:
            raise ConfigError(f"--part {text!r}: write which part of how many, such as 3/40")
        return cls(int(match[1]), int(match[2]))

    @property
    def suffix(self) -> str:
        """Return what tells its files from those of other parts."""
        return f"-{self.number}-of-{self.count}" if self.count > 1 else ""

    def select(self, jobs: Sequence[SceneJob]) -> list[SceneJob]:
        """Return its jobs.

        Args:
            jobs: of all parts, in the same order for each.
        """
        return list(jobs[self.number - 1 :: self.count])


class ArchiveJournal:
    """What is done of an archive; see `open_journal`.

    Args:
        stream: of this part's lines.
        records: of all parts so far, by scene: the latest.
        notes: what a user should know.
    """

    def __init__(self, stream: TextIO, records: dict[str, dict[str, Any]], notes: tuple[str, ...]) -> None:
        self._stream, self._records, self.notes = stream, records, notes

    def is_done(self, job: SceneJob) -> bool:
        """Return whether the outputs of a scene are there, whole, and made from what they would be made from now.

        Args:
            job: of the scene.
        """
        record = self._records.get(job.name)
        if record is None or record["key"] != job.key or record["failures"]:
            return False
        return all(_size(job.output.parent / name) == size for name, size in record["files"].items())

    def append(self, job: SceneJob, outcome: SceneOutcome) -> None:
        """Add what became of a scene.

        Args:
            job: of the scene.
            outcome: whose files are in their places.

        Raises:
            OSError: the disk is full.
        """
        files = outcome.result.files if outcome.result else ()
        base = job.output.parent.absolute()
        record = {
            "name": job.name,
            "key": job.key,
            "time": time.time_ns(),
            "files": {os.path.relpath(path, base): _size(path) for path in files},
            "failures": list(outcome.failures),
            "seconds": round(outcome.seconds, 3),
            "bytes": job.size,
        }
        self._stream.write(json.dumps(record) + "\n")
        self._stream.flush()


@contextlib.contextmanager
def open_journal(folder: Path, part: ListPart, jobs: Sequence[SceneJob]) -> Iterator[ArchiveJournal]:
    """Open the journal of a part of an archive.

    Args:
        folder: of the outputs; it is made.
        part: that is worked on.
        jobs: of all parts.

    Raises:
        ConfigError: another process works on the same part.
        OSError: the folder cannot be written.
    """
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    path = folder / FOLDER / f"journal{part.suffix}.jsonl"
    path.touch()
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock_folder(path, fcntl.LOCK_EX | fcntl.LOCK_NB))
        except BlockingIOError:
            what = f"part {part.number}/{part.count} of" if part.count > 1 else "the scenes of"
            raise ConfigError(f"another process works on {what} {folder}; wait for it, or end it") from None
        scenes = hash_content([job.name for job in jobs])
        records: dict[str, dict[str, Any]] = {}
        others: list[str] = []
        for file in sorted((folder / FOLDER).glob("journal*.jsonl")):
            lines = _read(file)
            _add_records(records, lines)
            others += _other_list(lines, part, scenes)
        stream = stack.enter_context(path.open("a"))
        if path.stat().st_size and not path.read_bytes().endswith(b"\n"):
            stream.write("\n")  # behind a line that was cut off
        stream.write(json.dumps({"part": part.number, "parts": part.count, "list": scenes}) + "\n")
        stream.flush()
        yield ArchiveJournal(stream, records, tuple(others))


def _read(path: Path) -> list[dict[str, Any]]:
    """Return the lines that are whole."""
    lines = []
    for line in path.read_text("utf-8", "replace").splitlines():
        with contextlib.suppress(ValueError):
            content = json.loads(line)
            if isinstance(content, dict):
                lines.append(content)
    return lines


def _add_records(records: dict[str, dict[str, Any]], lines: Sequence[dict[str, Any]]) -> None:
    for line in lines:
        if "key" in line and (line["name"] not in records or records[line["name"]]["time"] <= line["time"]):
            records[line["name"]] = line


def _other_list(lines: Sequence[dict[str, Any]], part: ListPart, scenes: str) -> list[str]:
    """Return a note where a part of as many last worked on another list: scenes would be in no part, or in two."""
    headers = [line for line in lines if line.get("parts") == part.count > 1]
    if not headers or headers[-1]["list"] == scenes or headers[-1]["part"] == part.number:
        return []
    return [
        f"part {headers[-1]['part']}/{part.count} worked on another list of scenes; run it again with this one, or the "
        "same command without --part at the end, which does what is left"
    ]


def _size(path: Path) -> int | None:
    """Return the bytes of an output, of a store those of its description; None: it is not there."""
    try:
        return (path / STORE_FILE if path.is_dir() else path).stat().st_size
    except OSError:
        return None
