"""The report of a fine-tuning: one self-contained HTML page."""

import base64
import html
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

import skyweave
from skyweave.core.atomic_write import write_aside
from skyweave.core.images.png import encode_png
from skyweave.core.images.true_color import true_color_image
from skyweave.downstream.finetuning.dataset import LabelledData
from skyweave.downstream.finetuning.report.explain import (
    BandImportance,
    attention_maps,
    band_importance,
    principal_maps,
)
from skyweave.downstream.finetuning.run import FinetuneResult
from skyweave.downstream.finetuning.tasks.base import ClassTable, Task
from skyweave.downstream.finetuning.tasks.drawing import CLASS_COLOURS
from skyweave.downstream.labels.sample import LabelledSample

MAX_SHOWN_SAMPLES = 6
"""Test samples that the page shows, evenly spaced over the part."""
MAX_OCCLUSION_SAMPLES = 24
"""Test samples that band importance is measured on, evenly spaced over the part."""


def write_report(path: Path, data: LabelledData, run: FinetuneResult, summary: dict[str, Any]) -> Path:
    """Write the page.

    Args:
        path: of the page.
        data: as the run had it; images of its test part are shown.
        run: with the predictions of the test part.
        summary: what ``scores.json`` holds.

    Returns:
        The path.
    """
    shown = _spaced(len(data.test), MAX_SHOWN_SAMPLES)
    occluded = [data.test[i] for i in _spaced(len(data.test), MAX_OCCLUSION_SAMPLES)]
    scored = [sample for sample in occluded if data.task.label_kind.is_known(sample.label)]
    sections = [
        _scores(summary, run),
        _classes(data.task.class_table(run.predictions, list(data.test)), data.task.classes),
        _samples(data.task, [data.test[i] for i in shown], [run.predictions[i].label for i in shown], run),
        _bands(data.task, band_importance(run.model, scored)),
        _notes(run),
    ]
    with write_aside(path) as aside:
        aside.write_text(_page(data.task, run, summary, "".join(sections)), encoding="utf-8")
    return path


def _page(task: Task, run: FinetuneResult, summary: dict[str, Any], content: str) -> str:
    name = html.escape(str(summary["name"]))
    css = (resources.files("skyweave.downstream.finetuning.report") / "report.css").read_text(encoding="utf-8")
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}</title>
<style>
{css}</style></head>
<body>
<header><h1>{name}</h1>
<p class="lead">{html.escape(task.kind.capitalize())}, method <b>{html.escape(str(summary["method"]))}</b>,
kept: <b>{html.escape(run.kept)}</b>;
{run.learned:,} of {run.parameters:,} weights learned ({100 * run.learned / run.parameters:.2g} %), on
{run.samples[0]} training and {run.samples[1]} validation samples; {run.samples[2]} test samples were scored.</p>
</header>
<main>
{content}</main>
<footer>Skyweave {skyweave.__version__}. Written by <code>skyweave finetune --report</code>.</footer>
</body>
</html>
"""


def _scores(summary: dict[str, Any], run: FinetuneResult) -> str:
    deviations = {name: "one seed" if value is None else _number(value) for name, value in summary["std"].items()}
    rows = [[name, _number(mean), deviations[name]] for name, mean in summary["mean"].items()]
    rates = ", ".join(f"{name} {rate:g}" for name, rate in run.rates.items())
    return _section(
        "Scores",
        _table(["score", "mean", "spread over seeds"], rows)
        + f"<p>The best validation score was {_number(run.validation)}. Learning rates, chosen by validation: {rates}."
        " The test part was read once, at the end.</p>",
    )


def _classes(table: ClassTable | None, classes: Sequence[str]) -> str:
    """Return per-class and confusion tables; nothing where there are no classes to confuse."""
    if table is None:
        return ""
    lines = [[name, f"{labels:,}", *(_number(value) for value in scores)] for name, labels, scores in table.rows]
    content = _table(["class", "labels", *table.columns], lines)
    if table.confusion is not None:
        content += _confusion(table.confusion, classes)
    return _section("Classes", content)


def _confusion(table: np.ndarray, classes: Sequence[str]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in classes)
    body = ""
    for i, name in enumerate(classes):
        total = max(1.0, float(table[i].sum()))
        cells = "".join(_cell(value / total, i == j) for j, value in enumerate(table[i]))
        body += f"<tr><th>{html.escape(name)}</th>{cells}</tr>"
    return (
        "<h3>Confusion</h3><p>Share of the true class (rows) that was predicted as a class (columns).</p>"
        f'<table class="confusion"><tr><th></th>{head}</tr>{body}</table>'
    )


def _samples(
    task: Task, samples: Sequence[LabelledSample], predicted: Sequence[np.ndarray], run: FinetuneResult
) -> str:
    """Return images, label, prediction and components side by side."""
    components = principal_maps(run.model, samples)
    attention = attention_maps(run.model, samples)
    rows = ""
    for number, (sample, prediction) in enumerate(zip(samples, predicted, strict=True)):
        name = sample.name or f"sample {number}"
        cells = [_figure(true_color_image(observation), name) for observation in sample.observations]
        for caption, label in (("label", sample.label), ("prediction", prediction)):
            image, words = task.draw(sample.observations[0], label, sample.label)
            cells.append(_figure(image, f"{caption}{words}"))
        if components:
            cells.append(_figure(components[number], "principal components"))
        if attention:
            grey = np.round(attention[number] * 255).astype(np.uint8)
            cells.append(_figure(np.repeat(grey[..., None], 3, 2), "attention of the head"))
        rows += f'<div class="grid">{"".join(cells)}</div>\n'
    legend = _legend(task.classes)
    return _section("Side by side", f"<p>{legend}</p>{rows}<p>Like colours of components are like features.</p>")


def _legend(classes: Sequence[str]) -> str:
    colours = [tuple(CLASS_COLOURS[i % len(CLASS_COLOURS)].tolist()) for i in range(len(classes))]
    return "".join(
        f'<span class="key"><i style="background: rgb{colour}"></i>{html.escape(name)}</span>'
        for name, colour in zip(classes, colours, strict=True)
    )


def _bands(task: Task, importances: Sequence[BandImportance]) -> str:
    largest = max([1e-9, *(abs(importance.loss) for importance in importances)])
    rows = ""
    for importance in importances:
        first, last = importance.bands[0], importance.bands[-1]
        name = first if len(importance.bands) == 1 else f"{first} to {last}"
        width = 100 * max(0.0, importance.loss) / largest
        bar = f'<div class="bar" style="width: {width:.0f}%"></div>'
        rows += f"<tr><th>{html.escape(name)}</th><td>{importance.loss:+.3f}</td><td class='wide'>{bar}</td></tr>"
    return _section(
        "What the bands are worth",
        f"<p>What {task.main_metric} loses where a band is set to its mean. Bands that hold the same stand in for each "
        f"other: a small loss says that one can be spared, not that it holds nothing.</p><table>{rows}</table>",
    )


def _notes(run: FinetuneResult) -> str:
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in run.notes)
    return _section("Notes", f"<ul>{notes}</ul>") if notes else ""


def _spaced(length: int, count: int) -> list[int]:
    """Return indices that are evenly spaced, ``count`` of them or fewer."""
    return [int(i) for i in np.linspace(0, length - 1, min(count, length))]


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>\n{content}\n</section>\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join(
        f"<tr><th>{html.escape(first)}</th>{''.join(f'<td>{html.escape(cell)}</td>' for cell in rest)}</tr>"
        for first, *rest in rows
    )
    return f"<table><tr>{top}</tr>{body}</table>"


def _cell(share: float, right: bool) -> str:
    hue = "11, 110, 110" if right else "170, 60, 40"
    return f'<td style="background: rgba({hue}, {0.75 * share:.2f})">{share:.2f}</td>'


def _figure(image: np.ndarray, caption: str) -> str:
    data = base64.b64encode(encode_png(np.ascontiguousarray(image))).decode("ascii")
    text = html.escape(caption)
    return f'<figure><img src="data:image/png;base64,{data}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "-"
