"""Counts over lines and areas as a table: a row for each shape and class."""

import csv
from collections.abc import Iterator
from pathlib import Path

from skyweave.core.atomic_write import write_aside
from skyweave.locating.counting import ShapeCount, count_tracks
from skyweave.locating.writers.base import TrackOutput

COLUMNS = ("name", "kind", "class", "forward", "backward", "tracks", "seconds")


def write_counts(output: TrackOutput, folder: Path) -> list[Path]:
    """Write ``counts.csv``; none without lines and areas.

    Args:
        output: what to write.
        folder: where.
    """
    if not output.shapes:
        return []
    path = folder / "counts.csv"
    with write_aside(path) as aside, aside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for count in count_tracks(output.tables, output.shapes):
            writer.writerows(count_rows(count))
    return [path]


def count_rows(count: ShapeCount) -> Iterator[tuple[str, str, str, int, int, int, float]]:
    """Yield a row of `COLUMNS` for each class that was counted at a shape, and one for ``all``.

    Args:
        count: of the shape.
    """
    shape = count.shape
    for name in sorted(count.inside):
        numbers = count.forward[name], count.backward[name], count.inside[name]
        yield shape.name, shape.kind, name, *numbers, round(count.seconds[name], 2)
    totals = count.forward.total(), count.backward.total(), count.inside.total()
    yield shape.name, shape.kind, "all", *totals, round(sum(count.seconds.values()), 2)
