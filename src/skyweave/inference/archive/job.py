"""One scene of an archive: what is read, what is written, and what became of it."""

import errno
import hashlib
import json
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from skyweave.core.errors import SkyweaveError

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Of the place that outputs go to: every other scene would fail of the same."""


@dataclass(frozen=True)
class SceneJob:
    """A scene to work on.

    Attributes:
        name: of the output without its suffix, which no other scene of the archive has.
        inputs: files, names or addresses that are read; several of models that read several.
        output: file or store to write.
        key: hash of all that the output is made from: files with sizes and times, weights, options.
        size: bytes of the inputs, as a measure of the work; 0: unknown.
        items: of a STAC catalogue, as JSON types, where the scene is composed of these.
    """

    name: str
    inputs: tuple[str, ...]
    output: Path
    key: str
    size: int = 0
    items: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class SceneResult:
    """What was written of a scene.

    Attributes:
        files: that must be there for the scene to be done.
        failures: parts of the scene that could not be read, where the output holds no data.
        notes: what a user should know.
        summary: of the output, as JSON types.
    """

    files: tuple[Path, ...]
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    summary: dict[str, Any] | None = None


@dataclass(frozen=True)
class SceneOutcome:
    """What became of a scene.

    Attributes:
        result: what was written; None: nothing.
        error: why nothing was; None: it was.
        trace: of an error that is not the scene's, for a report of the fault.
        is_disk_error: nothing more can be written where outputs go.
        seconds: that the last attempt took.
        attempts: how often it was begun.
    """

    result: SceneResult | None
    error: str | None = None
    trace: str | None = None
    is_disk_error: bool = False
    seconds: float = 0.0
    attempts: int = 1

    @property
    def failures(self) -> tuple[str, ...]:
        """Return why the scene, or a part of it, has no output."""
        if self.error is not None:
            return (self.error,)
        return self.result.failures if self.result else ()


ReportShare = Callable[[float], None]
"""Called with the share of a scene that is done, 0 to 1."""
ProcessScene = Callable[[SceneJob, ReportShare], SceneResult]


class SceneWork(Protocol):
    """What is done to every scene; it travels to the processes that do it."""

    def load(self) -> ProcessScene:
        """Load the model, once in each process, and return what works on one scene after the other."""
        ...


def attempt_job(process: ProcessScene, job: SceneJob, report: ReportShare) -> SceneOutcome:
    """Work on a scene; whatever is wrong with it is an outcome, and no end of the archive's.

    Args:
        process: that `SceneWork` loaded.
        job: to do.
        report: called with the share that is done.
    """
    start = time.monotonic()
    try:
        return SceneOutcome(process(job, report), seconds=time.monotonic() - start)
    except Exception as error:
        is_known = isinstance(error, SkyweaveError | OSError)
        text = " ".join(str(error).split()) or type(error).__name__
        return SceneOutcome(
            None,
            text if is_known else f"{type(error).__name__}: {text}",
            None if is_known else traceback.format_exc(),
            isinstance(error, OSError) and error.errno in DISK_ERRORS,
            time.monotonic() - start,
        )


def hash_content(content: Any) -> str:
    """Return a hash of JSON types, paths and dates.

    Args:
        content: to hash.
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
