"""Runs of a benchmark on disk: one JSON file each."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import DataError


@dataclass(frozen=True)
class BenchmarkRun:
    """One fine-tuning, as its JSON file holds it.

    Attributes:
        task: of GEO-Bench.
        method: of `skyweave.downstream.finetuning.benchmark.config.METHODS`.
        fraction: of the training samples.
        seed: of the run.
        digest: of all that determines it: another digest is another run.
        settings: digest of what the runs of one table have in common: recipe and options.
        weights: name and fingerprint of the backbone's.
        scores: of the test part, the main one first.
        resampled: main scores with the test samples drawn anew.
        rates: learning rates that were used.
        parameters: of the model.
        trained: of those, how many learned.
        samples: numbers of training, validation and test samples.
        seconds: of wall clock.
        device: it ran on.
        notes: what a reader should know.
    """

    task: str
    method: str
    fraction: float
    seed: int
    digest: str
    settings: str
    weights: str
    scores: dict[str, float]
    resampled: list[float]
    rates: dict[str, float]
    parameters: int
    trained: int
    samples: list[int]
    seconds: float
    device: str
    notes: list[str]


@dataclass(frozen=True)
class FailedRun:
    """A run that could not be made.

    Attributes:
        task: of GEO-Bench.
        method: of it.
        fraction: of the training samples.
        seed: of the run.
        reason: why.
    """

    task: str
    method: str
    fraction: float
    seed: int
    reason: str


def read_runs(output: str | Path) -> list[BenchmarkRun]:
    """Return all runs in a folder, whoever made them.

    Args:
        output: folder of the benchmark.

    Raises:
        DataError: one that is damaged.
    """
    return [read_run(path) for path in sorted((Path(output) / "runs").glob("*/*.json"))]


def read_run(path: Path) -> BenchmarkRun:
    """Return a run.

    Args:
        path: of its file.

    Raises:
        DataError: no run of this benchmark.
    """
    try:
        return BenchmarkRun(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise DataError(f"{path} is no run of this benchmark ({error}); remove it to make the run again") from error


def write_run(path: Path, run: BenchmarkRun) -> None:
    """Write a run.

    Args:
        path: of its file.
        run: that is done.
    """
    with write_aside(path) as aside:
        aside.write_text(json.dumps(asdict(run), indent=1) + "\n", encoding="utf-8")
