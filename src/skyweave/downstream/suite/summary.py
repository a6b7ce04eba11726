"""The suite's result: rows and comparisons of every task, and their means."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from skyweave.downstream.probing.prepared import MetricValues, metric_values
from skyweave.downstream.scoring.bootstrap import Interval, percentile_interval
from skyweave.downstream.suite.cells import Cell
from skyweave.downstream.suite.comparison import (
    Comparison,
    MeanComparison,
    mean_comparison,
    minimal_detectable_difference,
)
from skyweave.downstream.suite.config import SuiteConfig
from skyweave.downstream.suite.finetuned import METHOD
from skyweave.downstream.suite.task import PROTOCOL, SuiteTask

STRONGEST_BASELINE = "strongest baseline"
UNTRAINED = "untrained"


@dataclass(frozen=True)
class SuiteRow:
    """One line of a task's table.

    Attributes:
        cell: what was computed.
        score: of the task's metric, with its interval; None: it could not be computed.
        per_seed: the metric of each seed.
    """

    cell: Cell
    score: Interval | None
    per_seed: list[float]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types of everything in it."""
        address = {key: value for key, value in vars(self.cell.address).items() if key != "task"}
        score = None if self.score is None else self.score.to_dict()
        return {**address, "score": score, "per_seed": self.per_seed, **self.cell.about}


@dataclass(frozen=True)
class TaskSummary:
    """Rows and comparisons of a task.

    Attributes:
        task: which.
        rows: every cell.
        comparisons: of encoders with the strongest baseline and with each other.
        samples: that are tested.
        groups: that they are in.
    """

    task: SuiteTask
    rows: list[SuiteRow]
    comparisons: list[Comparison]
    samples: int
    groups: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types of everything in it."""
        scored = self.task.scored
        target, classes = scored.samples.target[scored.samples.testable], scored.samples.classes
        return {
            "metric": self.task.config.metric,
            "sensor": self.task.config.data.source.sensor,
            "samples": self.samples,
            "groups": self.groups,
            "class_counts": {name: int((target == i).sum()) for i, name in enumerate(classes)},
            "notes": scored.notes,
            "rows": [row.to_dict() for row in self.rows],
            "comparisons": [comparison.to_dict() for comparison in self.comparisons],
        }


@dataclass(frozen=True)
class SuiteSummary:
    """The result of a suite.

    Attributes:
        tasks: summaries by name.
        means: over the tasks that two sources both read.
        seeds: repetitions.
    """

    tasks: dict[str, TaskSummary]
    means: list[MeanComparison]
    seeds: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types of everything in it."""
        return {
            "protocol": PROTOCOL,
            "seeds": self.seeds,
            "means": [mean.to_dict() for mean in self.means],
            "tasks": {name: task.to_dict() for name, task in self.tasks.items()},
        }


def summarise(tasks: list[SuiteTask], cells: dict[str, list[Cell]], config: SuiteConfig) -> SuiteSummary:
    """Score all cells and compare them.

    Args:
        tasks: of the suite.
        cells: of each task.
        config: of the run.
    """
    summaries = {task.name: _summarise_task(task, cells[task.name]) for task in tasks}
    pairs: dict[tuple[str, str, str, float], list[Comparison]] = {}
    for summary in summaries.values():
        for one in summary.comparisons:
            pairs.setdefault((one.source, one.method, one.opponent, one.share), []).append(one)
    return SuiteSummary(summaries, [mean_comparison(group) for group in pairs.values()], config.seeds)


def _summarise_task(task: SuiteTask, cells: list[Cell]) -> TaskSummary:
    prepared, metric = task.scored, task.config.metric
    values = [metric_values(prepared, cell.predictions) if cell.is_scored else None for cell in cells]
    rows = [
        SuiteRow(cell, None, [])
        if one is None
        else SuiteRow(cell, percentile_interval(one.mean[metric], one.resampled[metric]), one.per_seed[metric])
        for cell, one in zip(cells, values, strict=True)
    ]
    scored = [(cell, one) for cell, one in zip(cells, values, strict=True) if one is not None]
    samples = prepared.samples
    comparisons = _compare(scored, metric)
    tested = samples.testable
    return TaskSummary(task, rows, comparisons, int(tested.sum()), len(np.unique(samples.group[tested])))


def _compare(scored: list[tuple[Cell, MetricValues]], metric: str) -> list[Comparison]:
    """Compare each encoder with the strongest baseline, and with every other encoder that the same method reads."""
    comparisons = []
    for cell, values in scored:
        if cell.address.role not in ("weights", "peer"):
            continue
        is_finetuned = cell.address.method == METHOD
        rivals = [
            (c, v)
            for c, v in scored
            if c.address.share == cell.address.share and (c.address.method == METHOD) == is_finetuned
        ]
        baselines = [(c, v) for c, v in rivals if c.address.role == "baseline"]
        if baselines:
            strongest = max(baselines, key=lambda pair: pair[1].mean[metric])
            comparisons.append(_comparison(cell, values, *strongest, metric, STRONGEST_BASELINE))
        for other, its in rivals:
            same = other.address.method == cell.address.method and other.address.source != cell.address.source
            if same and other.address.role != "baseline":
                comparisons.append(_comparison(cell, values, other, its, metric, other.address.source))
    return comparisons


def _comparison(
    cell: Cell, values: MetricValues, other: Cell, its: MetricValues, metric: str, opponent: str
) -> Comparison:
    resampled = values.resampled[metric] - its.resampled[metric]
    method = other.address.method
    if opponent == STRONGEST_BASELINE:
        method = f"{other.address.source}, {method}"
    return Comparison(
        cell.address.source,
        cell.address.method,
        opponent,
        method,
        cell.address.share,
        percentile_interval(values.mean[metric] - its.mean[metric], resampled),
        minimal_detectable_difference(resampled),
        resampled,
    )
