"""The suite's page: one table over all tasks, the means, and a table a task; as Markdown and as HTML."""

import html

from skyweave.downstream.scoring.bootstrap import Interval
from skyweave.downstream.suite.summary import STRONGEST_BASELINE, SuiteRow, SuiteSummary, TaskSummary

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:75em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse;margin:1em 0}"
    "td,th{padding:.2em .7em;border-bottom:1px solid #ccc;text-align:left}td+td{text-align:right}"
)
Table = list[list[str]]


def render_markdown(summary: SuiteSummary) -> str:
    """Return the page as Markdown.

    Args:
        summary: of a suite.
    """
    parts = ["# Suite of labelled tasks"]
    for title, text, table in _sections(summary):
        parts += [f"## {title}", text, _markdown_table(table)]
    return "\n\n".join(part for part in parts if part) + "\n"


def render_html(summary: SuiteSummary) -> str:
    """Return the page as one HTML file.

    Args:
        summary: of a suite.
    """
    parts = [
        f"<!doctype html><meta charset='utf-8'><title>Suite</title><style>{STYLE}</style>",
        "<h1>Suite of labelled tasks</h1>",
    ]
    for title, text, table in _sections(summary):
        parts.append(
            f"<h2>{html.escape(title)}</h2>" + (f"<p>{html.escape(text)}</p>" if text else "") + _html_table(table)
        )
    return "\n".join(parts) + "\n"


def _sections(summary: SuiteSummary) -> list[tuple[str, str, Table]]:
    sections = [
        (
            "Tasks",
            "Score of each source with its linear model (encoders) or its best readout (baselines), and the smallest "
            "difference to the strongest baseline that the size of the task can show.",
            overview_table(summary),
        )
    ]
    if summary.means:
        text = (
            "Mean over the tasks that both read, with the 95 % interval over groups of samples, and the tasks in which "
        )
        sections.append(("Differences", text + "the whole interval is above or below zero.", _mean_table(summary)))
    sections += [(name, _task_text(task), _task_table(task)) for name, task in summary.tasks.items()]
    return sections


def overview_table(summary: SuiteSummary) -> Table:
    """Return one line a task: what is strongest, and the scores of all encoders.

    Args:
        summary: of a suite.
    """
    columns = _encoder_columns(summary)
    table = [["task", "metric", "groups", "strongest baseline", *(f"{s}, {m}" for s, m in columns), "detectable"]]
    for name, task in summary.tasks.items():
        rows = [row for row in task.rows if row.cell.address.share == 1]
        scores = {(row.cell.address.source, row.cell.address.method): _mean(row) for row in rows}
        cells = [_strongest_baseline(rows), *(scores.get(column, "-") for column in columns), _detectable(task)]
        table.append([name, task.task.config.metric.replace("_", " "), str(task.groups), *cells])
    return table


def _strongest_baseline(rows: list[SuiteRow]) -> str:
    """Return score and name of the best baseline among some rows."""
    baselines = [row for row in rows if row.cell.address.role == "baseline" and row.score]
    best = max(baselines, key=_mean_or_zero, default=None)
    return "-" if best is None else f"{_mean(best)} ({best.cell.address.source}, {best.cell.address.method})"


def _mean_or_zero(row: SuiteRow) -> float:
    return row.score.mean if row.score else 0.0


def _detectable(task: TaskSummary) -> str:
    """Return the smallest difference to the strongest baseline that the size of a task can show."""
    limits = [c.detectable for c in task.comparisons if c.opponent == STRONGEST_BASELINE and c.share == 1]
    return f"{max(limits):.3f}" if limits else "-"


def _encoder_columns(summary: SuiteSummary) -> list[tuple[str, str]]:
    """Return the (source, method) of all encoders, in the order in which they occur."""
    addresses = [row.cell.address for task in summary.tasks.values() for row in task.rows]
    kept = [(a.source, a.method) for a in addresses if a.role != "baseline"]
    return list(dict.fromkeys(kept))


def _mean_table(summary: SuiteSummary) -> Table:
    table = [["source, method", "minus", "labels", "difference", "above", "below", "tasks"]]
    for mean in summary.means:
        numbers = [str(mean.above), str(mean.below), str(mean.tasks)]
        table.append(
            [f"{mean.source}, {mean.method}", mean.opponent, f"{mean.share:.0%}", _signed(mean.difference), *numbers]
        )
    return table


def _task_text(task: TaskSummary) -> str:
    classes = task.to_dict()["class_counts"]
    text = f"{task.samples} samples in {task.groups} groups, sensor {task.task.config.data.source.sensor}; "
    text += ", ".join(f"{name} {count}" for name, count in classes.items()) if classes else "a number"
    reasons = {row.cell.address.source: row.cell.about["reason"] for row in task.rows if row.score is None}
    return text + "." + "".join(f" {source} cannot read it: {reason}." for source, reason in reasons.items())


def _task_table(task: TaskSummary) -> Table:
    table = [["source", "method", "labels", task.task.config.metric.replace("_", " "), "minus the strongest baseline"]]
    leads = {(c.source, c.method, c.share): c.difference for c in task.comparisons if c.opponent == STRONGEST_BASELINE}
    for row in sorted(task.rows, key=_mean_or_zero, reverse=True):
        if row.score is None:
            continue
        address = row.cell.address
        lead = leads.get((address.source, address.method, address.share))
        score = f"{row.score.mean:.3f} ({row.score.low:.3f} to {row.score.high:.3f})"
        cells = [address.source, address.method, f"{address.share:.0%}", score, _signed(lead) if lead else ""]
        table.append(cells)
    return table


def _mean(row: SuiteRow) -> str:
    return "-" if row.score is None else f"{row.score.mean:.3f}"


def _signed(interval: Interval) -> str:
    return f"{interval.mean:+.3f} ({interval.low:+.3f} to {interval.high:+.3f})"


def _markdown_table(table: Table) -> str:
    lines = [table[0], ["---"] * len(table[0]), *table[1:]]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _html_table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in table[0])
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>" for line in table[1:])
    return f"<table><tr>{head}</tr>{body}</table>"
