"""Points of tracks as GeoParquet 1.1, in metres of the map's reference system."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.atomic_write import write_aside
from skyweave.locating.writers.base import TrackOutput
from skyweave.locating.writers.columns import point_columns

WKB_POINT = 1


def write_track_geoparquet(output: TrackOutput, folder: Path) -> list[Path]:
    """Write ``tracks.parquet``: a row for each point, its covariance in columns.

    Args:
        output: what to write.
        folder: where.

    Raises:
        ModuleNotFoundError: pyarrow is not installed.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    columns = point_columns(output)
    arrays: dict[str, Any] = dict(columns)
    if columns:
        arrays["time"] = pa.array(columns["time"] // 1000, pa.timestamp("us", "UTC" if output.result.has_utc else None))
    points = np.column_stack([columns["x"], columns["y"]]) if columns else np.zeros((0, 2))
    arrays["geometry"] = pa.array([struct.pack("<BIdd", 1, WKB_POINT, x, y) for x, y in points], pa.binary())
    table = pa.table(arrays).replace_schema_metadata({"geo": json.dumps(_metadata(output.result.crs, points))})
    path = folder / "tracks.parquet"
    with write_aside(path) as aside:
        parquet.write_table(table, aside, compression="zstd")
    return [path]


def _metadata(crs: str, points: np.ndarray) -> dict[str, Any]:
    from pyproj import CRS

    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": ["Point"],
        "crs": CRS.from_user_input(crs).to_json_dict(),
    }
    if len(points):
        column["bbox"] = [*points.min(0).tolist(), *points.max(0).tolist()]
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
