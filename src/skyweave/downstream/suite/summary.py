"""The suite's result: rows and comparisons of every task, and their means."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from skyweave.downstream.probing.prepared import MetricValues, metric_values
from skyweave.downstream.scoring.bootstrap import Interval, percentile_interval
from skyweave.downstream.suite.cells import Cell, CellAddress
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
    rows = [_suite_row(cell, one, metric) for cell, one in zip(cells, values, strict=True)]
    scored = [(cell, one) for cell, one in zip(cells, values, strict=True) if one is not None]
    samples = prepared.samples
    comparisons = _compare(scored, metric)
    tested = samples.testable
    return TaskSummary(task, rows, comparisons, int(tested.sum()), len(np.unique(samples.group[tested])))


def _suite_row(cell: Cell, values: MetricValues | None, metric: str) -> SuiteRow:
    if values is None:
        return SuiteRow(cell, None, [])
    score = percentile_interval(values.mean[metric], values.resampled[metric])
    return SuiteRow(cell, score, values.per_seed[metric])


def _compare(scored: list[tuple[Cell, MetricValues]], metric: str) -> list[Comparison]:
    """Compare each encoder with the strongest baseline, and with every other encoder that the same method reads."""
    comparisons: list[Comparison] = []
    for cell, values in scored:
        if cell.address.role in ("weights", "peer"):
            rivals = [(other, its) for other, its in scored if _are_rivals(cell.address, other.address)]
            comparisons += _compare_to_rivals(cell, values, rivals, metric)
    return comparisons


def _are_rivals(address: CellAddress, other: CellAddress) -> bool:
    """Return whether two cells read as many labels, both of frozen features or both after fine-tuning."""
    return address.share == other.share and (address.method == METHOD) == (other.method == METHOD)


def _compare_to_rivals(
    cell: Cell, values: MetricValues, rivals: list[tuple[Cell, MetricValues]], metric: str
) -> list[Comparison]:
    """Compare one encoder with the strongest of the baselines, and with the other encoders of its method."""
    comparisons = []
    baselines = [pair for pair in rivals if pair[0].address.role == "baseline"]
    if baselines:
        strongest = max(baselines, key=lambda pair: pair[1].mean[metric])
        comparisons.append(_comparison(cell, values, *strongest, metric, STRONGEST_BASELINE))
    for other, its in rivals:
        if _is_other_encoder(cell.address, other.address):
            comparisons.append(_comparison(cell, values, other, its, metric, other.address.source))
    return comparisons


def _is_other_encoder(address: CellAddress, other: CellAddress) -> bool:
    """Return whether a cell is of another encoder that the same method reads."""
    return other.role != "baseline" and other.method == address.method and other.source != address.source


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
