"""The report of an adaptation: one self-contained HTML page."""

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
from skyweave.downstream.finetuning.report.explain import (
    BandImportance,
    attention_maps,
    band_importance,
    principal_maps,
)
from skyweave.downstream.finetuning.report.label_images import COLOURS, label_image
from skyweave.downstream.finetuning.run import FinetuneResult
from skyweave.downstream.finetuning.scores import MAIN_METRIC, class_scores, confusion_tables
from skyweave.downstream.labels.labelled_data import LabelledData, LabelledSample, Task

MAX_SHOWN_SAMPLES = 6
"""Test samples that the page shows, evenly spaced over the part."""
MAX_OCCLUSION_SAMPLES = 24
"""Test samples that band importance is measured on, at most."""


def write_report(path: Path, data: LabelledData, run: FinetuneResult, written: dict[str, Any]) -> Path:
    """Write the page.

    Args:
        data: as the run had it; pictures of its test part are shown.
        run: with the predictions of the test part.
        written: what ``scores.json`` holds.
    """
    shown = [int(i) for i in np.linspace(0, len(data.test) - 1, min(MAX_SHOWN_SAMPLES, len(data.test)))]
    samples = [data.test[i] for i in shown]
    some = [data.test[int(i)] for i in np.linspace(0, len(data.test) - 1, min(MAX_OCCLUSION_SAMPLES, len(data.test)))]
    sections = [
        _scores(written, run),
        _classes(data.task, run, list(data.test)),
        _pictures(data.task, samples, [run.predictions[i].label for i in shown], run),
        _bands(data.task, band_importance(run.model, _measurable(data.task, some))),
        _notes(run),
    ]
    page = f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(str(written["name"]))}</title>
<style>
{(resources.files("skyweave.downstream.finetuning.report") / "report.css").read_text(encoding="utf-8")}</style></head>
<body>
<header><h1>{html.escape(str(written["name"]))}</h1>
<p class="lead">{html.escape(data.task.kind.capitalize())}, method <b>{html.escape(str(written["method"]))}</b>:
{run.trained:,} of {run.parameters:,} weights learned ({100 * run.trained / run.parameters:.2g} %), on
{run.samples[0]} training and {run.samples[1]} validation samples; {run.samples[2]} test samples were scored.</p>
</header>
<main>
{"".join(sections)}</main>
<footer>Skyweave {skyweave.__version__}. Written by <code>skyweave finetune --report</code>.</footer>
</body>
</html>
"""
    with write_aside(path) as aside:
        aside.write_text(page, encoding="utf-8")
    return path


def _scores(written: dict[str, Any], run: FinetuneResult) -> str:
    rows = [
        [name, _number(mean), _number(written["spread"][name]) if written["spread"][name] is not None else "one seed"]
        for name, mean in written["mean"].items()
    ]
    rates = ", ".join(f"{name} {rate:g}" for name, rate in run.rates.items())
    return _section(
        "Scores",
        _table(["score", "mean", "spread over seeds"], rows)
        + f"<p>The best validation score was {_number(run.validation)}. Learning rates, chosen by validation: {rates}."
        " The test part was read once, at the end.</p>",
    )


def _classes(task: Task, run: FinetuneResult, samples: Sequence[LabelledSample]) -> str:
    """Per-class and confusion tables; nothing where there are no classes to confuse."""
    if task.kind == "multilabel":
        truth = np.stack([np.asarray(own.label) for own in samples])
        found = np.stack([own.label for own in run.predictions])
        rows = []
        for i, name in enumerate(task.classes):
            hits, true, said = (truth[:, i] & found[:, i]).sum(), truth[:, i].sum(), found[:, i].sum()
            f1 = 2 * hits / (true + said) if true + said else float("nan")
            rows.append([name, str(true), _number(hits / max(1, said)), _number(hits / max(1, true)), _number(f1)])
        return _section("Classes", _table(["class", "labels", "precision", "recall", "F1"], rows))
    if task.kind in ("regression", "detection"):
        return ""
    table = confusion_tables(task, run.predictions, samples).sum(0)
    lines = [
        [own.name, f"{own.labels:,}", *(_number(value) for value in (own.precision, own.recall, own.f1, own.iou))]
        for own in class_scores(task, table)
    ]
    head = "".join(f"<th>{html.escape(name)}</th>" for name in task.classes)
    body = ""
    for i, name in enumerate(task.classes):
        total = max(1.0, float(table[i].sum()))
        cells = "".join(_cell(value / total, i == j) for j, value in enumerate(table[i]))
        body += f"<tr><th>{html.escape(name)}</th>{cells}</tr>"
    return _section(
        "Classes",
        _table(["class", "labels", "precision", "recall", "F1", "intersection over union"], lines)
        + "<h3>Confusion</h3><p>Share of the true class (rows) that was called something (columns).</p>"
        f'<table class="confusion"><tr><th></th>{head}</tr>{body}</table>',
    )


def _pictures(task: Task, samples: Sequence[LabelledSample], found: Sequence[np.ndarray], run: FinetuneResult) -> str:
    """Side by side: picture, label, answer, components."""
    components = principal_maps(run.model, samples)
    attention = attention_maps(run.model, samples)
    rows = ""
    for number, (sample, label) in enumerate(zip(samples, found, strict=True)):
        name = sample.name or f"sample {number}"
        cells = [_figure(true_color_image(own), name) for own in sample.observations]
        for caption, own in (("label", np.asarray(sample.label)), ("answer", label)):
            image, words = label_image(task, sample.observations[0], own, np.asarray(sample.label))
            cells.append(_figure(image, f"{caption}{words}"))
        if components:
            cells.append(_figure(components[number], "principal components"))
        if attention:
            grey = np.round(attention[number] * 255).astype(np.uint8)
            cells.append(_figure(np.repeat(grey[..., None], 3, 2), "attention of the head"))
        rows += f'<div class="grid">{"".join(cells)}</div>\n'
    legend = ""
    if task.classes:
        legend = "".join(
            f'<span class="key"><i style="background: rgb{tuple(COLOURS[i % len(COLOURS)].tolist())}"></i>'
            f"{html.escape(name)}</span>"
            for i, name in enumerate(task.classes)
        )
    return _section("Side by side", f"<p>{legend}</p>{rows}<p>Like colours of components are like features.</p>")


def _bands(task: Task, found: Sequence[BandImportance]) -> str:
    largest = max([1e-9, *(abs(own.loss) for own in found)])
    rows = ""
    for own in found:
        name = own.bands[0] if len(own.bands) == 1 else f"{own.bands[0]} to {own.bands[-1]}"
        width = 100 * max(0.0, own.loss) / largest
        bar = f'<div class="bar" style="width: {width:.0f}%"></div>'
        rows += f"<tr><th>{html.escape(name)}</th><td>{own.loss:+.3f}</td><td class='wide'>{bar}</td></tr>"
    return _section(
        "What the bands are worth",
        f"<p>What {MAIN_METRIC[task.kind]} loses where a band is set to its mean. Bands that tell the same stand in for each "
        f"other: a small loss says that one can be spared, not that it tells nothing.</p><table>{rows}</table>",
    )


def _notes(run: FinetuneResult) -> str:
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in run.notes)
    return _section("Notes", f"<ul>{notes}</ul>") if notes else ""


def _measurable(task: Task, samples: Sequence[LabelledSample]) -> Sequence[LabelledSample]:
    """Samples with something to score."""
    if task.kind == "regression":
        return [own for own in samples if np.isfinite(np.asarray(own.label)).any()]
    return samples


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>\n{content}\n</section>\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join(
        f"<tr><th>{html.escape(first)}</th>{''.join(f'<td>{html.escape(own)}</td>' for own in rest)}</tr>"
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
