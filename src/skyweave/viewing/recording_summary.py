"""``skyweave inspect DIR``: the summary of a recording, printed."""

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from skyweave.recordings.nuscenes.summary import ChannelSummary, RecordingSummary

MAX_ROWS = 10  # scenes and channels in the tables without --all
QUICK_SCENES = 5  # scenes that --quick reads


def print_recording_summary(folder: str, version: str | None, quick: bool, everything: bool, as_json: bool) -> int:
    """Print what a recording holds.

    Args:
        folder: of the recording.
        version: of its tables, where it has several.
        quick: read a few scenes only.
        everything: print all scenes and cameras.
        as_json: print JSON instead of tables.

    Returns:
        0.

    Raises:
        DataError: no recording, or a damaged one.
    """
    from rich.console import Console
    from rich.progress import Progress

    from skyweave.recordings.nuscenes import find_version, load_recording, recording_layout
    from skyweave.recordings.nuscenes.summary import summarise_recording

    root, version = find_version(folder, version)
    layout = recording_layout(root, version)
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("reading tables", total=None)
        recording = load_recording(root, version)
        summary = summarise_recording(
            recording,
            QUICK_SCENES if quick else None,
            lambda done, total: bar.update(task, description="reading scenes", completed=done, total=total),
        )
    if as_json:
        head = {"path": str(root), "version": version, "layout": layout, "all_scenes": len(recording.scenes)}
        print(json.dumps(head | asdict(summary), indent=2, allow_nan=False))
    else:
        _print(str(root), version, layout, len(recording.scenes), summary, everything)
    return 0


def _print(path: str, version: str, layout: str, scenes: int, summary: "RecordingSummary", everything: bool) -> None:
    from rich.text import Text

    from skyweave.core.console import table_console

    console = table_console()
    rate = f"{summary.rate:.3g} frames a second" if summary.rate else "single frames"
    console.print(Text(path, style="bold"))
    console.print(Text(f"{summary.name}: {layout} layout, {version}, {scenes} scenes, {summary.frames} frames, {rate}"))
    console.print(Text(", ".join(crs or "local metres, no CRS" for crs in summary.crs)))
    if summary.read < scenes:
        console.print(f"counted over the first {summary.read} scenes (--quick)")
    limit = None if everything else MAX_ROWS
    _print_cameras(console, summary, limit)
    _print_scenes(console, summary, limit)
    _print_objects(console, summary)
    _print_notes(console, summary)


def _print_notes(console: "Console", summary: "RecordingSummary") -> None:
    from rich.text import Text

    if summary.notes:
        console.print("\nNotes", style="bold")
        for note in summary.notes:
            console.print(Text(f"- {note}"))


def _print_cameras(console: "Console", summary: "RecordingSummary", limit: int | None) -> None:
    from rich.text import Text

    cameras = _table("camera", "platform", "images", "missing", "size", "view", "altitude", "pitch", "truth")
    for name, channel in list(summary.channels.items())[:limit]:
        cameras.add_row(Text(name), Text(channel.platform), *_cells(channel))
    console.print(cameras)
    _print_rest(console, len(summary.channels), limit, "cameras")


def _print_scenes(console: "Console", summary: "RecordingSummary", limit: int | None) -> None:
    from rich.text import Text

    console.print("\nScenes", style="bold")
    table = _table("scene", "frames", "seconds", "objects", "split")
    for scene in summary.scenes[:limit]:
        row = str(scene.frames), f"{scene.seconds:.1f}", str(scene.objects), ", ".join(scene.splits)
        table.add_row(Text(scene.name), *row)
    console.print(table)
    _print_rest(console, len(summary.scenes), limit, "scenes")
    splits = ", ".join(f"{name} {count}" for name, count in summary.splits.items())
    console.print(Text(f"splits: {splits or 'none'}"))


def _print_objects(console: "Console", summary: "RecordingSummary") -> None:
    from rich.text import Text

    console.print(f"\nObjects in {summary.annotated} annotated frames", style="bold")
    categories = _table("category", "boxes", "objects")
    for name, (boxes, objects) in summary.categories.items():
        categories.add_row(Text(name), str(boxes), str(objects))
    console.print(categories)
    if total := sum(summary.visibility.values()):
        shares = ", ".join(f"{name} {count / total:.0%}" for name, count in summary.visibility.items())
        console.print(Text(f"seen by the best camera: {shares}"))


def _cells(channel: "ChannelSummary") -> list[str]:
    return [
        str(channel.images),
        str(channel.missing) if channel.missing else "-",
        ", ".join(f"{rows} x {columns}" for rows, columns in channel.sizes),
        _interval(channel.field_of_view, "°"),
        _interval(channel.altitude, " m"),
        _interval(channel.pitch, "°"),
        ", ".join(channel.truth) or "-",
    ]


def _table(*headings: str) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, no_wrap=heading in ("camera", "scene", "category"))  # names are there to be copied
    return table


def _print_rest(console: "Console", count: int, limit: int | None, noun: str) -> None:
    if limit is not None and count > limit:
        console.print(f"... {count - limit} more {noun} (--all shows them)")


def _interval(interval: tuple[float, float] | None, unit: str) -> str:
    if interval is None:
        return "-"
    low, high = (f"{value:.0f}" for value in interval)
    return f"{low}{unit}" if low == high else f"{low} to {high}{unit}"
