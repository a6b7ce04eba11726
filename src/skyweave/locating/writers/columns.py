"""Every point of every track as a row: the columns that tables of all formats share."""

from typing import Any

import numpy as np

from skyweave.locating.track_table import compass_degrees, true_north_offset
from skyweave.locating.writers.base import TrackOutput


def point_columns(output: TrackOutput) -> dict[str, np.ndarray]:
    """Return columns by name, a row for each point of each track.

    Args:
        output: tracks.
    """
    rows = [_columns(table, output) for table in output.tables]
    if not rows:
        return {}
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def _columns(table: Any, output: TrackOutput) -> dict[str, np.ndarray]:
    count = len(table)
    names = np.array([stream.name for stream in output.result.streams], dtype=object)
    boxes = np.array([
        output.result.located[platform, frame].detections.boxes[row]
        for platform, frame, row in zip(table.platforms.tolist(), table.frames.tolist(), table.rows, strict=True)
    ])  # fmt: skip
    convergence = true_north_offset(output.result.crs, table.lon_lat[0])
    return {
        "track": np.full(count, table.number),
        "time": table.times,
        "category": np.full(count, table.category, dtype=object),
        "camera": names[table.platforms],
        "frame": table.frames,
        "longitude": table.lon_lat[:, 0],
        "latitude": table.lon_lat[:, 1],
        "x": table.points[:, 0],
        "y": table.points[:, 1],
        "z": table.up,
        "variance_x": table.covariances[:, 0, 0],
        "variance_y": table.covariances[:, 1, 1],
        "covariance_xy": table.covariances[:, 0, 1],
        "velocity_x": table.velocities[:, 0],
        "velocity_y": table.velocities[:, 1],
        "velocity_variance_x": table.velocity_covariances[:, 0, 0],
        "velocity_variance_y": table.velocity_covariances[:, 1, 1],
        "heading": compass_degrees(table.headings, convergence),
        "length": np.full(count, table.size[0]),
        "width": np.full(count, table.size[1]),
        "height": np.full(count, table.size[2]),
        "left": boxes[:, 0],
        "top": boxes[:, 1],
        "right": boxes[:, 2],
        "bottom": boxes[:, 3],
    }
