"""Runs of the benchmark as one table: means with intervals, leads over baselines, cost, and published rows beside."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml

from skyweave.downstream.finetuning.benchmark.config import BASELINE_METHODS, METHODS
from skyweave.downstream.finetuning.benchmark.runs import BenchmarkRun
from skyweave.downstream.geobench import list_tasks
from skyweave.downstream.scoring.bootstrap import seed_interval


@dataclass(frozen=True)
class BenchmarkRow:
    """One method on one task at one fraction of the labels.

    Attributes:
        task: of GEO-Bench.
        method: of `skyweave.downstream.finetuning.benchmark.config.METHODS`.
        fraction: of the training samples.
        metric: the main score's name.
        mean: over seeds.
        low: lower end of the 95 % interval over seeds and test samples together.
        high: upper end.
        scores: means of all scores.
        seeds: how many.
        lead: over the best baseline, with its interval (the same resampled test samples for both); None for baselines
            and where there is none.
        baseline: that baseline.
        parameters: of the model.
        trained: of those, how many learned.
        seconds: of one run.
        device: it ran on.
        samples: of training, validation and test.
        published: whether the samples are the published ones, so that the scores compare.
        settings: the same for rows that were made with the same recipe and options.
        weights: of the backbone.
    """

    task: str
    method: str
    fraction: float
    metric: str
    mean: float
    low: float
    high: float
    scores: dict[str, float]
    seeds: int
    lead: tuple[float, float, float] | None
    baseline: str
    parameters: int
    trained: int
    seconds: float
    device: str
    samples: tuple[int, ...]
    published: bool
    settings: str
    weights: str


@dataclass(frozen=True)
class PublishedRow:
    """A published row, see ``published.yaml``."""

    row: str
    how: str
    source: str
    read: bool
    scores: dict[str, float]
    fraction: float = 1.0


def summarise_runs(runs: Sequence[BenchmarkRun]) -> list[BenchmarkRow]:
    """Return rows in the order of tasks, fractions (whole first) and methods (baselines first).

    Args:
        runs: of all seeds.
    """
    groups: dict[tuple[str, float, str], list[BenchmarkRun]] = {}
    for run in runs:
        groups.setdefault((run.task, run.fraction, run.method), []).append(run)
    order = list(list_tasks())
    keys = sorted(groups, key=lambda key: (order.index(key[0]), -key[1], METHODS.index(key[2])))
    rows = []
    for task, fraction, method in keys:
        candidates = [groups[task, fraction, other] for other in BASELINE_METHODS if (task, fraction, other) in groups]
        best = max(candidates, key=_mean, default=None) if method not in BASELINE_METHODS else None
        rows.append(_row(groups[task, fraction, method], best))
    return rows


def _has_published_samples(run: BenchmarkRun) -> bool:
    """Say whether a run's samples are the published ones."""
    return not any(note.startswith("not the published samples") or "--limit" in note for note in run.notes)


def _row(runs: Sequence[BenchmarkRun], baseline: Sequence[BenchmarkRun] | None) -> BenchmarkRow:
    """Return the row of one method's seeds, and its lead over the seeds of a baseline."""
    first = runs[0]
    low, high = seed_interval([run.resampled for run in runs])
    return BenchmarkRow(
        task=first.task,
        method=first.method,
        fraction=first.fraction,
        metric=next(iter(first.scores)),
        mean=_mean(runs),
        low=low,
        high=high,
        scores={name: float(np.mean([run.scores[name] for run in runs])) for name in first.scores},
        seeds=len(runs),
        lead=_lead(runs, baseline) if baseline else None,
        baseline=baseline[0].method if baseline else "",
        parameters=first.parameters,
        trained=first.trained,
        seconds=float(np.mean([run.seconds for run in runs])),
        device=first.device,
        samples=tuple(first.samples),
        published=_has_published_samples(first),
        settings=first.settings,
        weights=first.weights,
    )


def as_markdown(rows: Sequence[BenchmarkRow]) -> str:
    """Return one table a task: measured rows, then published ones, with what to know of them below.

    Args:
        rows: of `summarise_runs`.
    """
    parts = ["# GEO-Bench\n", TABLE_CAPTION]
    parts += [_task_table([row for row in rows if row.task == task]) for task in dict.fromkeys(r.task for r in rows)]
    parts.append(_cost_note(rows))
    if len({row.settings for row in rows}) > 1:
        parts.append("Rows were made with different recipes or options: compare them with care.\n")
    return "\n".join(parts)


def _cost_note(rows: Sequence[BenchmarkRow]) -> str:
    """Return which weights and devices the runs used, and how long they took."""
    weights = dict.fromkeys(row.weights for row in rows if row.weights)
    devices = dict.fromkeys(row.device for row in rows)
    hours = sum(row.seconds * row.seeds for row in rows) / 3600
    return (
        f"\nWeights: {', '.join(weights) or 'none'}. Seconds are of one run on {', '.join(devices)}; all "
        f"{sum(row.seeds for row in rows)} runs took {hours:.1f} hours.\n"
    )


def _published_lines(task: str, fractions: set[float]) -> list[str]:
    """Return the lines of published rows of a task at these fractions."""
    lines = []
    for published in published_rows():
        if task in published.scores and published.fraction in fractions:
            mark = "" if published.read else " (recalled)"
            name = f"*{published.row}, {published.how}*{mark}"
            lines.append(f"| {published.fraction:.0%} | {name} | *{published.scores[task]:.3f}* |" + " |" * 5)
    return lines


def _task_table(rows: Sequence[BenchmarkRow]) -> str:
    """Return the table of one task."""
    task, others = rows[0].task, " / ".join(list(rows[0].scores)[1:])
    lines = [
        f"\n## {task}: {list_tasks()[task].title}\n",
        f"| labels | row | {rows[0].metric} | interval | {others} | lead over baseline | learned | seconds |",
    ]
    lines.append("| --- " * lines[-1].count(" | ") + "| --- |")
    lines += [_measured_line(row) for row in rows]
    lines += _published_lines(task, {row.fraction for row in rows})
    if not rows[0].published:
        counts = " + ".join(map(str, rows[0].samples))
        lines.append(
            f"\nMeasured on {counts} samples, not the published ones: the rows do not compare with published rows."
        )
    return "\n".join(lines) + "\n"


def _measured_line(row: BenchmarkRow) -> str:
    others = " / ".join(f"{row.scores[name]:.3f}" for name in list(row.scores)[1:])
    return (
        f"| {row.fraction:.0%} | {row.method} | {row.mean:.3f} | {row.low:.3f} to {row.high:.3f} | {others} | "
        f"{lead_text(row)} | {row.trained:,} | {row.seconds:.0f} |"
    )


TABLE_CAPTION = (
    "Means over seeds; intervals are 95 %, over seeds and test samples together. The lead is over the best baseline "
    "(statistics, random convolutions, U-Net or the same network from random weights) on the same resampled test "
    "samples. Rows in italics are published by others, with other protocols; those marked as recalled were not checked "
    "against their source."
)


def lead_text(row: BenchmarkRow) -> str:
    """Return the lead in words: number, interval and over which baseline.

    Args:
        row: measured.
    """
    if row.lead is None:
        return ""
    mean, low, high = row.lead
    return f"{mean:+.3f} ({low:+.3f} to {high:+.3f}) over {row.baseline}"


@cache
def published_rows() -> tuple[PublishedRow, ...]:
    """Return the rows that others have published."""
    text = (files("skyweave.downstream.finetuning.benchmark") / "published.yaml").read_text(encoding="utf-8")
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return tuple(PublishedRow(**row) for row in yaml.load(text, Loader=loader))


def _mean(runs: Sequence[BenchmarkRun]) -> float:
    return float(np.mean([next(iter(run.scores.values())) for run in runs]))


def _lead(runs: Sequence[BenchmarkRun], baseline: Sequence[BenchmarkRun]) -> tuple[float, float, float]:
    """Return the difference of means and its interval; seed by seed where both have as many, else of the mean."""
    if len(runs) == len(baseline):
        pairs = [np.subtract(run.resampled, b.resampled).tolist() for run, b in zip(runs, baseline, strict=True)]
    else:
        level = np.mean([run.resampled for run in baseline], axis=0)
        pairs = [np.subtract(run.resampled, level).tolist() for run in runs]
    return (_mean(runs) - _mean(baseline), *seed_interval(pairs))
