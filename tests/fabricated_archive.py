"""An archive of text files, whose work is to write them in capitals; some of them are hostile."""

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import DataError, WeightsError
from skyweave.inference.archive.job import ProcessScene, SceneJob, SceneOutcome, SceneResult, SceneWork, attempt_job
from skyweave.inference.archive.scene_list import ListedScene, plan_jobs
from waiting import until


@dataclass(frozen=True)
class Capitals:
    """Writes texts in capitals, and a line into a log for each that is written.

    Attributes:
        log: to write to.
        gate: file without which scenes that say `gated` wait.
    """

    log: Path
    gate: Path | None = None

    def load(self) -> ProcessScene:
        return self._write

    def _write(self, job: SceneJob, report: Callable[[float], None]) -> SceneResult:
        text = Path(job.inputs[0]).read_text()
        if text == "gated" and self.gate is not None:
            until(self.gate.exists, "the gate")
        report(0.5)
        if text == "damaged":
            raise DataError("it is damaged")
        if text == "fault":
            raise ValueError("a library's fault")
        if text == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        if text == "deadly once":
            Path(job.inputs[0]).write_text("recovered")
            os.kill(os.getpid(), signal.SIGKILL)
        with write_aside(job.output) as aside:
            aside.write_text(text.upper())
        with self.log.open("a") as stream:
            stream.write(f"{job.name}\n")
        return SceneResult((job.output,), ("a block",) if text == "holes" else ())


class Unloadable:
    """Has no weights."""

    def load(self) -> ProcessScene:
        raise WeightsError("there are no such weights")


class InlinePool:
    """One worker in this process: for tests of what commands do, which need no other."""

    def __init__(self, work: SceneWork) -> None:
        self._work, self._jobs = work, list[SceneJob]()
        self._process: ProcessScene | None = None

    def __enter__(self) -> "InlinePool":
        self._process = self._work.load()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process = None

    def idle(self) -> list[int]:
        return [] if self._jobs else [0]

    def start(self, worker: int, job: SceneJob) -> None:
        self._jobs.append(job)

    def wait(self) -> list[tuple[int, SceneOutcome | float | None]]:
        assert self._process is not None
        shares: list[float] = []
        outcome = attempt_job(self._process, self._jobs.pop(), shares.append)
        return [*((0, share) for share in shares), (0, outcome)]


def open_inline_pool(args: Any, work: SceneWork) -> InlinePool:
    return InlinePool(work)


def write_texts(folder: Path, texts: Sequence[str]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"scene-{number:02d}.txt" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return paths


def plan_texts(paths: Sequence[Path], folder: Path, made_by: str = "capitals") -> list[SceneJob]:
    return plan_jobs([ListedScene((str(path),)) for path in paths], folder, ".out", made_by)
