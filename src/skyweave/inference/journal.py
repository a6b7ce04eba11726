"""Which strips of a raster lie on disk already, so that work that was killed goes on where it stopped."""

import contextlib
import json
import os
import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from skyweave.core.atomic_write import claim_folder
from skyweave.core.errors import SkyweaveError

SUFFIX = ".partial"
MAX_NAME_BYTES = 200  # of an output whose journal has its whole name; file systems take 255 bytes, with what is added
JOURNAL, VALUES = "journal.jsonl", "values"


@dataclass(frozen=True)
class StripRecord:
    """A strip that is written.

    Attributes:
        checksum: of its values, CRC-32.
        failures: parts of the source that could not be read for it.
        objects: rows of numbers, where the result is objects and not a raster.
    """

    checksum: int
    failures: tuple[str, ...] = ()
    objects: tuple[tuple[float, ...], ...] = ()


@dataclass
class Journal:
    """The strips that are written, in the order of work, one line of JSON each behind a line that says of which work.

    Attributes:
        folder: that holds it and the values.
        key: hash of all that the values depend on.
        records: of the strips so far.
    """

    folder: Path
    key: str
    records: list[StripRecord] = field(default_factory=list)

    @property
    def values(self) -> Path:
        """Return the file of the values."""
        return self.folder / VALUES

    def append(self, record: StripRecord) -> None:
        """Add a strip whose values are written.

        Args:
            record: of the next strip.

        Raises:
            OSError: the disk is full.
        """
        with (self.folder / JOURNAL).open("a") as stream:
            stream.write(json.dumps(asdict(record)) + "\n")
        self.records.append(record)

    def truncate(self, count: int) -> None:
        """Keep the first strips only.

        Args:
            count: that are kept.
        """
        kept, self.records = self.records[:count], []
        (self.folder / JOURNAL).write_text(json.dumps({"key": self.key}) + "\n")
        for record in kept:
            self.append(record)


@contextlib.contextmanager
def open_journal(output: Path, key: str) -> Iterator[Journal]:
    """Give the journal of an output, beside it in a folder that ends in ``.partial``; it goes when the block succeeds.

    It stays when the block is interrupted or fails (the disk is full, say) after a strip was written: the same work
    goes on from there. Of other work, and of a mistake of the user's, which would come again, nothing stays.

    Args:
        output: file or folder that the work makes.
        key: hash of all that the values depend on.

    Raises:
        ConfigError: another process does the same work.
        OSError: the folder cannot be made.
    """
    folder = output.with_name(_folder_name(output.name))
    missing = [parent for parent in folder.parents if not parent.exists()]
    with claim_folder(folder):
        journal = Journal(folder, key, _read(folder / JOURNAL, key))
        if not journal.records:
            journal.values.unlink(missing_ok=True)
        try:
            journal.truncate(len(journal.records))
            yield journal
        except BaseException as error:
            if not journal.records or isinstance(error, SkyweaveError):
                _remove(folder, missing)
            raise
        _remove(folder)


def _folder_name(name: str) -> str:
    """Return the name of an output's journal, no longer than names can be."""
    if len(os.fsencode(name)) <= MAX_NAME_BYTES:
        return name + SUFFIX
    return f"{name[:32]}.{zlib.crc32(os.fsencode(name)):08x}{SUFFIX}"


def _read(path: Path, key: str) -> list[StripRecord]:
    """Return the strips of the same work; a line that was cut off in the middle of writing ends them."""
    try:
        lines = path.read_text().splitlines()
        if json.loads(lines[0]) != {"key": key}:
            return []
    except (OSError, ValueError, IndexError):
        return []
    records = []
    for line in lines[1:]:
        record = _parse(line)
        if record is None:
            break
        records.append(record)
    return records


def _parse(line: str) -> StripRecord | None:
    try:
        content: dict[str, Any] = json.loads(line)
        objects = tuple(tuple(map(float, row)) for row in content["objects"])
        return StripRecord(int(content["checksum"]), tuple(content["failures"]), objects)
    except (ValueError, KeyError, TypeError):
        return None


def _remove(folder: Path, parents: Sequence[Path] = ()) -> None:
    """Remove the folder, and the folders above that were made for it."""
    shutil.rmtree(folder, ignore_errors=True)
    for parent in parents:
        with contextlib.suppress(OSError):
            os.rmdir(parent)
