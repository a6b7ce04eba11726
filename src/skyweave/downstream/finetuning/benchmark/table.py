"""Runs of the benchmark as one table: means with intervals, leads over the floors, cost, and published rows beside."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml

from skyweave.downstream.finetuning.benchmark.baselines import BASELINES
from skyweave.downstream.finetuning.benchmark.benchmark import METHODS, BenchmarkRun
from skyweave.downstream.finetuning.bootstrap import seed_interval
from skyweave.downstream.geobench import list_tasks

BASELINE_METHODS = (*BASELINES, "unet", "scratch")


@dataclass(frozen=True)
class BenchmarkRow:
    """One method on one task at one fraction of the labels.

    Attributes:
        metric: the main score's name.
        mean: over seeds; ``low``, ``high``: 95 % interval over seeds and test samples together.
        scores: means of all scores.
        lead: over the best floor, with its interval (the same resampled test samples for both); None for floors and
            where there is none.
        floor: that floor.
        trained: parameters that learned; ``seconds``: of one run, on ``device``.
        samples: of training, validation and test.
        published: whether the samples are the published ones, so that the scores compare.
        settings: the same for rows that were made with the same recipe and options.
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
    floor: str
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
    """Rows in the order of tasks, fractions (whole first) and methods (floors first)."""
    groups: dict[tuple[str, float, str], list[BenchmarkRun]] = {}
    for run in runs:
        groups.setdefault((run.task, run.fraction, run.method), []).append(run)
    order = list(list_tasks())
    keys = sorted(groups, key=lambda key: (order.index(key[0]), -key[1], METHODS.index(key[2])))
    rows = []
    for task, fraction, method in keys:
        own = groups[task, fraction, method]
        floors = [groups[task, fraction, floor] for floor in BASELINE_METHODS if (task, fraction, floor) in groups]
        best = max(floors, key=_mean, default=None) if method not in BASELINE_METHODS else None
        low, high = seed_interval([run.resampled for run in own])
        metric = next(iter(own[0].scores))
        rows.append(
            BenchmarkRow(
                task=task,
                method=method,
                fraction=fraction,
                metric=metric,
                mean=_mean(own),
                low=low,
                high=high,
                scores={name: float(np.mean([run.scores[name] for run in own])) for name in own[0].scores},
                seeds=len(own),
                lead=_lead(own, best) if best else None,
                floor=best[0].method if best else "",
                parameters=own[0].parameters,
                trained=own[0].trained,
                seconds=float(np.mean([run.seconds for run in own])),
                device=own[0].device,
                samples=tuple(own[0].samples),
                published=not any(
                    note.startswith("not the published samples") or "--limit" in note for note in own[0].notes
                ),
                settings=own[0].settings,
                weights=own[0].weights,
            )
        )
    return rows


def as_markdown(rows: Sequence[BenchmarkRow]) -> str:
    """One table a task: measured rows, then published ones, with what to know of them below."""
    parts = ["# GEO-Bench\n", TABLE_CAPTION]
    for task in dict.fromkeys(row.task for row in rows):
        own = [row for row in rows if row.task == task]
        lines = [
            f"\n## {task}: {list_tasks()[task].title}\n",
            f"| labels | row | {own[0].metric} | interval | {_others(own[0])} | lead over floor | learned | seconds |",
        ]
        lines.append("| --- " * lines[-1].count(" | ") + "| --- |")
        for row in own:
            others = " / ".join(f"{row.scores[name]:.3f}" for name in list(row.scores)[1:])
            lines.append(
                f"| {row.fraction:.0%} | {row.method} | {row.mean:.3f} | {row.low:.3f} to {row.high:.3f} | {others} | "
                f"{lead_text(row)} | {row.trained:,} | {row.seconds:.0f} |"
            )
        fractions = {row.fraction for row in own}
        for other in published_rows():
            if task in other.scores and other.fraction in fractions:
                mark = "" if other.read else " (recalled)"
                lines.append(
                    f"| {other.fraction:.0%} | *{other.row}, {other.how}*{mark} | *{other.scores[task]:.3f}* |"
                    + " |" * 5
                )
        if not own[0].published:
            counts = " + ".join(map(str, own[0].samples))
            lines.append(
                f"\nMeasured on {counts} samples, not the published ones: the rows do not compare with published rows."
            )
        parts.append("\n".join(lines) + "\n")
    used = dict.fromkeys(row.weights for row in rows if row.weights)
    devices = dict.fromkeys(row.device for row in rows)
    hours = sum(row.seconds * row.seeds for row in rows) / 3600
    parts.append(
        f"\nWeights: {', '.join(used) or 'none'}. Seconds are of one run on {', '.join(devices)}; all "
        f"{sum(row.seeds for row in rows)} runs took {hours:.1f} hours.\n"
    )
    if len({row.settings for row in rows}) > 1:
        parts.append("Rows were made with different recipes or options: compare them with care.\n")
    return "\n".join(parts)


TABLE_CAPTION = (
    "Means over seeds; intervals are 95 %, over seeds and test samples together. The lead is over the best floor "
    "(statistics, random convolutions, U-Net or the same network from random weights) on the same resampled test "
    "samples. Rows in italics are published by others, with other protocols; those marked as recalled were not checked "
    "against their source."
)


def lead_text(row: BenchmarkRow) -> str:
    """The lead in words: number, interval and over which floor."""
    if row.lead is None:
        return ""
    mean, low, high = row.lead
    return f"{mean:+.3f} ({low:+.3f} to {high:+.3f}) over {row.floor}"


@cache
def published_rows() -> tuple[PublishedRow, ...]:
    """Rows that others have published."""
    text = (files("skyweave.downstream.finetuning.benchmark") / "published.yaml").read_text(encoding="utf-8")
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return tuple(PublishedRow(**row) for row in yaml.load(text, Loader=loader))


def _mean(runs: Sequence[BenchmarkRun]) -> float:
    return float(np.mean([next(iter(run.scores.values())) for run in runs]))


def _lead(own: Sequence[BenchmarkRun], floor: Sequence[BenchmarkRun]) -> tuple[float, float, float]:
    """Difference of means, and its interval; seed by seed where both have as many, else of the mean floor."""
    if len(own) == len(floor):
        pairs = [np.subtract(a.resampled, b.resampled).tolist() for a, b in zip(own, floor, strict=True)]
    else:
        level = np.mean([run.resampled for run in floor], axis=0)
        pairs = [np.subtract(run.resampled, level).tolist() for run in own]
    return (_mean(own) - _mean(floor), *seed_interval(pairs))


def _others(row: BenchmarkRow) -> str:
    return " / ".join(list(row.scores)[1:])
