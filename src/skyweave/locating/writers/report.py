"""A page about the tracks that needs nothing but itself: the map, the table, and what the uncertainty is made of."""

import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from skyweave.core.atomic_write import write_aside
from skyweave.locating.counting import CountShape, count_tracks
from skyweave.locating.error_budget import error_budget
from skyweave.locating.ground_points import CAMERA_ERRORS
from skyweave.locating.track_table import TrackTable, iso_times
from skyweave.locating.writers.base import TrackOutput
from skyweave.locating.writers.colours import colour_of
from skyweave.locating.writers.counts import COLUMNS, count_rows

MAP_PIXELS = 900
MARGIN = 0.05  # of the map's width, about the tracks
MAX_ROWS = 400  # of the table
UNITS = {
    "east": 1,
    "north": 1,
    "up": 1,
    "heading": 57.2958,
    "pitch": 57.2958,
    "roll": 57.2958,
    "focal": 100,
    "clock": 1,
}
UNIT_NAMES = {
    "east": "m", "north": "m", "up": "m", "heading": "deg", "pitch": "deg", "roll": "deg", "focal": "%", "clock": "s",
}  # fmt: skip
STYLE = """body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1000px;padding:0 1rem;color:#1d2733}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}svg{background:#f3f5f7;border-radius:6px;width:100%;height:auto}
table{border-collapse:collapse;width:100%}th,td{text-align:right;padding:.2rem .5rem;border-bottom:1px solid #dde3e9}
th:first-child,td:first-child,.l{text-align:left}.n{color:#5b6b7b}@media(prefers-color-scheme:dark){
body{background:#12181f;color:#dbe4ec}svg{background:#1b242d}th,td{border-color:#2d3a46}}"""


def write_track_report(output: TrackOutput, folder: Path) -> list[Path]:
    """Write ``report.html``.

    Args:
        output: what to write.
        folder: where.
    """
    path = folder / "report.html"
    parts = [
        f"<h1>{len(output.tables)} tracks</h1>",
        f"<p class=n>{html.escape(_when(output))}; nine of ten truths lie within the ellipses.</p>",
        track_map(output.tables, output.shapes),
        _legend(output.tables),
        _counts(output),
        "<h2>What the uncertainty is made of</h2>",
        _budget(output),
        "<h2>Poses, calibrated by what stands still</h2>",
        _calibration(output),
        "<h2>Tracks</h2>",
        _table(output.tables),
        *[f"<p class=n>{html.escape(note)}</p>" for note in output.result.notes],
    ]
    page = f"<!doctype html><html lang=en><meta charset=utf-8><title>Tracks</title><style>{STYLE}</style>"
    with write_aside(path) as aside:
        aside.write_text(page + "\n".join(parts) + "</html>\n", "utf-8")
    return [path]


def track_map(tables: Sequence[TrackTable], shapes: Sequence[CountShape] = ()) -> str:
    """Return the map of tracks as SVG, north up, with the ellipse of the last point of each and a scale.

    Args:
        tables: of the tracks.
        shapes: lines and areas that are drawn beneath.
    """
    if not tables:
        return "<p>Nothing was tracked.</p>"
    points = np.concatenate([*(table.points for table in tables), *(shape.points for shape in shapes)])
    low, high = points.min(0), points.max(0)
    size = max(float((high - low).max()), 10.0) * (1 + 2 * MARGIN)
    west, north = (low + high)[0] / 2 - size / 2, (low + high)[1] / 2 + size / 2
    scale = MAP_PIXELS / size
    height = max(float((high - low)[1]) * (1 + 2 * MARGIN), 0.4 * size)
    top = north - (size - height) / 2
    parts = [f'<svg viewBox="0 0 {MAP_PIXELS} {height * scale:.0f}" role="img" aria-label="map of the tracks">']
    parts += [_draw_shape(shape, (shape.points - [west, top]) * [scale, -scale]) for shape in shapes]
    for table in tables:
        pixels = (table.points - [west, top]) * [scale, -scale]
        colour = colour_of(table.category)
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in pixels)
        title = f"<title>{html.escape(table.category)} {table.number}</title>"
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2">{title}</polyline>')
        major, minor, angle = table.ellipses[-1]
        x, y = pixels[-1]
        parts.append(
            f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{major * scale:.1f}" ry="{minor * scale:.1f}" fill="{colour}" '
            f'fill-opacity=".18" stroke="{colour}" transform="rotate({-angle:.1f} {x:.1f} {y:.1f})">{title}</ellipse>'
        )
    length = _round_length(size / 5)
    bottom = height * scale - 14
    parts.append(f'<path d="M16 {bottom:.0f}h{length * scale:.0f}" stroke="currentColor" stroke-width="3"/>')
    parts.append(
        f'<text x="16" y="{bottom - 8:.0f}" fill="currentColor" font-size="14">{length:g} m, north up</text></svg>'
    )
    return "".join(parts)


def _draw_shape(shape: CountShape, pixels: np.ndarray) -> str:
    """Return a line, or an area as SVG."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in pixels)
    name, (x, y) = html.escape(shape.name), pixels.mean(0)
    outline = f'points="{path}" fill="{"none" if shape.kind == "line" else "currentColor"}" fill-opacity=".07"'
    return (
        f'<polyline {outline} stroke="currentColor" stroke-width="2" stroke-dasharray="6 4"><title>{name}</title>'
        f'</polyline><text x="{x:.1f}" y="{y - 6:.1f}" fill="currentColor" font-size="14">{name}</text>'
    )


def _counts(output: TrackOutput) -> str:
    """Return the table of counts over lines and areas; nothing where there are none."""
    if not output.shapes:
        return ""
    head = "".join(f"<th{' class=l' if number < 3 else ''}>{name}" for number, name in enumerate(COLUMNS))
    rows = [f"<tr>{head}</tr>"]
    for count in count_tracks(output.tables, output.shapes):
        for row in count_rows(count):
            cells = [f"<td{' class=l' if number < 3 else ''}>{html.escape(str(x))}" for number, x in enumerate(row)]
            rows.append(f"<tr>{''.join(cells)}</tr>")
    note = "Forward is from left to right as one looks along a line, or into an area."
    return f"<h2>Counts</h2><table>{''.join(rows)}</table><p class=n>{note}</p>"


def _round_length(metres: float) -> float:
    power = 10.0 ** np.floor(np.log10(metres))
    return float(power * max(step for step in (1, 2, 5) if step * power <= metres))


def _legend(tables: Sequence[TrackTable]) -> str:
    names = sorted({table.category for table in tables})
    marks = [f'<span style="color:{colour_of(name)}">&#9632;</span> {html.escape(name)}' for name in names]
    return f"<p>{' &nbsp; '.join(marks)}</p>"


def _when(output: TrackOutput) -> str:
    if not output.tables:
        return "no detections"
    times = np.array([[table.times[0], table.times[-1]] for table in output.tables])
    ends = np.array([times.min(), times.max()])
    if output.result.has_utc:
        return " to ".join(iso_times(ends))
    return f"{ends[0] / 1e9:.1f} to {ends[1] / 1e9:.1f} s from the first image"


def _budget(output: TrackOutput) -> str:
    budget = error_budget(output.result.located.values(), output.result.calibration)
    widest = max([*budget.values(), 1e-9])
    rows = []
    for number, (name, metres) in enumerate(sorted(budget.items(), key=lambda item: -item[1])):
        y = 6 + 24 * number
        rows.append(
            f'<text x="120" y="{y + 14}" text-anchor="end" fill="currentColor" font-size="14">{name}</text>'
            f'<rect x="130" y="{y}" width="{600 * metres / widest:.0f}" height="18" fill="#3b82c4"/>'
            f'<text x="{140 + 600 * metres / widest:.0f}" y="{y + 14}" fill="currentColor" font-size="14">'
            f"{metres:.2f} m</text>"
        )
    return (
        f'<svg viewBox="0 0 {MAP_PIXELS} {12 + 24 * len(budget)}" role="img" aria-label="errors">{"".join(rows)}</svg>'
    )


def _calibration(output: TrackOutput) -> str:
    calibration = output.result.calibration
    if not calibration.num_static:
        return "<p>Nothing was calibrated: the ellipses are those of the poses as logged.</p>"
    head = "<tr><th class=l>camera</th>" + "".join(f"<th>{name}, {UNIT_NAMES[name]}</th>" for name in CAMERA_ERRORS)
    rows = [head + "</tr>"]
    stds = np.sqrt(np.diag(calibration.covariance))[:-1].reshape(len(calibration.means), -1)
    for stream, mean, std, factor in zip(output.result.streams, calibration.means, stds, _factors(output), strict=True):
        cells = [
            f"<td>{mean[i] * factor[i] * UNITS[name]:+.2f} &plusmn; {std[i] * factor[i] * UNITS[name]:.2f}</td>"
            for i, name in enumerate(CAMERA_ERRORS)
        ]
        rows.append(f"<tr><td>{html.escape(stream.name)}</td>{''.join(cells)}</tr>")
    return f"<p>{calibration.num_static} objects stand still.</p><table>{''.join(rows)}</table>"


def _factors(output: TrackOutput) -> list[np.ndarray]:
    """Return what each error of unit variance is in metres, radians, and seconds: (8,) for each camera."""
    factors = []
    for stream in output.result.streams:
        times = np.array([stream.images[0].time], np.int64) if stream.images else np.zeros(1, np.int64)
        sample = next((one for one in stream.track.samples(times) if one is not None), None)
        factors.append(np.ones(len(CAMERA_ERRORS)) if sample is None else np.linalg.norm(sample.factor, axis=1))
    return factors


def _table(tables: Sequence[TrackTable]) -> str:
    rows = ["<tr><th>track<th class=l>class<th>points<th>seconds<th>metres<th>m/s<th>length, m<th>90 % ellipse, m</tr>"]
    for table in tables[:MAX_ROWS]:
        seconds = (table.times[-1] - table.times[0]) / 1e9
        major, minor, _ = np.median(table.ellipses, axis=0)
        rows.append(
            f"<tr><td>{table.number}<td class=l>{html.escape(table.category)}<td>{len(table)}<td>{seconds:.1f}"
            f"<td>{table.length:.1f}<td>{table.speeds.mean():.1f}<td>{table.size[0]:.1f}"
            f"<td>{major:.1f} x {minor:.1f}</tr>"
        )
    return f"<table>{''.join(rows)}</table>"
