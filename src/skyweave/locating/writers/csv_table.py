"""Points of tracks as CSV, for spreadsheets."""

import csv
from pathlib import Path
from typing import Any

from skyweave.core.atomic_write import write_aside
from skyweave.locating.track_table import iso_times
from skyweave.locating.writers.base import TrackOutput
from skyweave.locating.writers.columns import point_columns

DECIMALS = {"longitude": 8, "latitude": 8}


def write_track_csv(output: TrackOutput, folder: Path) -> list[Path]:
    """Write ``tracks.csv``.

    Args:
        output: what to write.
        folder: where.
    """
    columns = point_columns(output)
    cells: dict[str, list[Any]] = {}
    for name, values in columns.items():
        if name == "time":
            cells[name] = iso_times(values) if output.result.has_utc else [f"{time / 1e9:.3f}" for time in values]
        elif values.dtype.kind == "f":
            cells[name] = [f"{value:.{DECIMALS.get(name, 4)}f}" for value in values.tolist()]
        else:
            cells[name] = values.tolist()
    path = folder / "tracks.csv"
    with write_aside(path) as aside, aside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(cells)
        writer.writerows(zip(*cells.values(), strict=True))
    return [path]
