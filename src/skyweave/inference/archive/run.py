"""An archive from its list to its report: what is done is skipped, what fails is named, and the rest goes on."""

import contextlib
import json
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import DataError
from skyweave.inference.archive.job import SceneJob, SceneOutcome
from skyweave.inference.archive.journal import ListPart, open_journal
from skyweave.inference.archive.pools import WorkerPool

MEGABYTE = 1e6
DEFAULT_RETRIES = 2

ReportOutcome = Callable[[SceneJob, SceneOutcome], None]
ReportShare = Callable[[SceneJob, float], None]
ReportWork = Callable[[str, float, float], None]
"""Called with what is done, how far, and of how much."""


@dataclass
class ArchiveReport:
    """What became of an archive, or a part of it.

    Attributes:
        part: of the list.
        scenes: in the part.
        done_before: scenes that were there.
        computed: scenes that were written now, wholly or in part.
        failed: a row for each scene that has no output, or none of a part of it.
        seconds: that the run took.
        worker_seconds: that the scenes took, added up.
        is_complete: the run came to its end.
    """

    part: ListPart
    scenes: int
    done_before: int = 0
    computed: int = 0
    failed: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    worker_seconds: float = 0.0
    is_complete: bool = False

    @property
    def lost(self) -> int:
        """Return how many scenes have no output at all."""
        return sum(not row["is_written"] for row in self.failed)

    def add(self, job: SceneJob, outcome: SceneOutcome) -> None:
        """Count what became of a scene.

        Args:
            job: of the scene.
            outcome: of its last attempt.
        """
        self.worker_seconds += outcome.seconds
        self.computed += outcome.result is not None
        if outcome.failures:
            row = {
                "name": job.name,
                "inputs": list(job.inputs),
                "output": str(job.output),
                "is_written": outcome.result is not None,
                "failures": list(outcome.failures),
                "attempts": outcome.attempts,
            }
            self.failed.append(row | ({"trace": outcome.trace} if outcome.trace else {}))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        fields = {**vars(self), "part": f"{self.part.number}/{self.part.count}"}
        return fields | {"seconds": round(self.seconds, 3), "worker_seconds": round(self.worker_seconds, 3)}


def run_archive(
    jobs: Sequence[SceneJob],
    pool: WorkerPool,
    folder: Path,
    part: ListPart | None = None,
    retries: int = DEFAULT_RETRIES,
    on_outcome: ReportOutcome | None = None,
    on_note: Callable[[str], None] | None = None,
    progress: ReportWork | None = None,
) -> ArchiveReport:
    """Work on all scenes of a part of an archive that are not done; write ``report.json`` into the folder.

    A scene is done when its output is there and was made from the same files, by the same model, with the same options;
    the journal knows. One that failed, wholly or in part, is tried again by the next run.

    Args:
        jobs: of all parts.
        pool: of workers, which is opened where there is something to do.
        folder: of the outputs.
        part: that is worked on; None: all.
        retries: attempts at a scene besides the first.
        on_outcome: called with each scene that is finished now.
        on_note: called with what a user should know.
        progress: called with megabytes of scenes done and in all; where their sizes are unknown, with scenes.

    Raises:
        ConfigError: another process works on the same part.
        OSError: the disk of the outputs is full; the same call goes on.
    """
    part = part or ListPart()
    selected = part.select(jobs)
    report, start = ArchiveReport(part, len(selected)), time.monotonic()
    with open_journal(folder, part, jobs) as journal:
        for note in journal.notes:
            (on_note or _ignore)(note)
        left = [job for job in selected if not journal.is_done(job)]
        report.done_before = len(selected) - len(left)
        try:
            if left:
                show = _count_work(selected, left, progress)
                with pool, contextlib.closing(process_jobs(left, pool, retries, show)) as finished:
                    for job, outcome in finished:
                        journal.append(job, outcome)
                        report.add(job, outcome)
                        (on_outcome or _ignore)(job, outcome)
            report.is_complete = True
        finally:
            report.seconds = time.monotonic() - start
            with write_aside(folder / f"report{part.suffix}.json") as aside:
                aside.write_text(json.dumps(report.to_dict(), indent=1) + "\n")
    return report


def process_jobs(
    jobs: Sequence[SceneJob], pool: WorkerPool, retries: int, on_share: ReportShare | None = None
) -> Generator[tuple[SceneJob, SceneOutcome], None, None]:
    """Give scenes to workers and yield each when it is finished.

    A worker has one scene at a time, and what fails or ends its worker is tried again when the others have begun.

    Args:
        jobs: to do.
        pool: of workers, open.
        retries: attempts at a scene besides the first.
        on_share: called with a scene and the share of it that is done.

    Raises:
        OSError: nothing more can be written where outputs go.
    """
    report = on_share or _ignore
    waiting = deque((job, 1) for job in jobs)
    running: dict[int, tuple[SceneJob, int]] = {}
    while waiting or running:
        for worker in pool.idle()[: len(waiting)]:
            running[worker] = waiting.popleft()
            pool.start(worker, running[worker][0])
        for worker, message in pool.wait():
            if isinstance(message, float):
                report(running[worker][0], message)
                continue
            job, attempt = running.pop(worker)
            outcome = replace(message or _describe_death(attempt), attempts=attempt)
            if outcome.is_disk_error:
                raise OSError(f"{job.output}: {outcome.error}; free some space and run the same command: it goes on")
            if outcome.error is not None and attempt <= retries:
                waiting.append((job, attempt + 1))
            else:
                yield job, outcome
                report(job, 1.0)


def check_report(report: ArchiveReport, what: str) -> None:
    """Raise an error where not one scene of several could be delivered.

    Args:
        report: of a run.
        what: was to be done, such as ``embedded``.

    Raises:
        DataError: names the first failure.
    """
    if report.scenes and report.lost == report.scenes:
        raise DataError(f"no scene could be {what}; the first: {report.failed[0]['failures'][0]}")


def _describe_death(attempt: int) -> SceneOutcome:
    times = "once" if attempt == 1 else f"{attempt} times"
    return SceneOutcome(
        None,
        f"the process that worked on it ended without a word, {times}: out of memory, killed, or a file that crashes "
        "what reads it",
    )


def _count_work(selected: Sequence[SceneJob], left: Sequence[SceneJob], progress: ReportWork | None) -> ReportShare:
    """Return what is called with the share of a scene that is done, and reports how far the work is.

    Scenes count by their size, one of unknown size as the mean of the others; where none is known, all alike.
    """
    sizes = [job.size / MEGABYTE for job in selected if job.size]
    mean = sum(sizes) / len(sizes) if sizes else 1.0
    what = "scenes, MB" if sizes else "scenes"
    by_name = {job.name: job.size / MEGABYTE or mean for job in selected}
    total = sum(by_name.values())
    done, shares = total - sum(by_name[job.name] for job in left), dict.fromkeys(by_name, 0.0)
    report = progress or _ignore
    report(what, done, total)

    def show(job: SceneJob, share: float) -> None:
        nonlocal done
        done += by_name[job.name] * (share - shares[job.name])
        shares[job.name] = share
        report(what, done, total)

    return show


def _ignore(*values: object) -> None:
    """Take what nobody asked for."""
