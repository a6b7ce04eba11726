"""Tracks as GeoJSON (RFC 7946): a line each, with the time, the speed and the ellipse of every point of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.atomic_write import write_aside
from skyweave.core.geometry.antimeridian import cut_line
from skyweave.locating.track_table import TrackTable, compass_degrees, iso_times, true_north_offset
from skyweave.locating.writers.base import TrackOutput
from skyweave.telemetry.poses_over_time import NS_PER_S

DECIMALS = 8  # of degrees: a millimetre


def write_track_geojson(output: TrackOutput, folder: Path) -> list[Path]:
    """Write ``tracks.geojson``.

    Args:
        output: what to write.
        folder: where.
    """
    path = folder / "tracks.geojson"
    features = [track_feature(table, output.result.crs, output.result.has_utc) for table in output.tables]
    with write_aside(path) as aside:
        aside.write_text(json.dumps({"type": "FeatureCollection", "features": features}, allow_nan=False), "utf-8")
    return [path]


def track_feature(table: TrackTable, crs: str, has_utc: bool) -> dict[str, Any]:
    """Return a track as a GeoJSON feature.

    Args:
        table: of the track.
        crs: of the map.
        has_utc: whether times count from 1970.
    """
    times: list[Any] = iso_times(table.times) if has_utc else np.round(table.times / NS_PER_S, 3).tolist()
    headings = compass_degrees(table.headings, true_north_offset(crs, table.lon_lat[0]))
    ellipses = np.round(table.ellipses, 3)
    properties = {
        "track": table.number,
        "category": table.category,
        "score": round(table.score, 3),
        "start": times[0],
        "end": times[-1],
        "points": len(table),
        "distance": round(table.length, 2),
        "mean_speed": round(float(table.speeds.mean()), 2),
        **dict(zip(("length", "width", "height"), np.round(table.size, 2).tolist(), strict=True)),
        "cameras": sorted(set(table.platforms.tolist())),
        "times": times,
        "speeds": np.round(table.speeds, 2).tolist(),
        "headings": np.round(headings, 1).tolist(),
        "ellipse_semi_major": ellipses[:, 0].tolist(),
        "ellipse_semi_minor": ellipses[:, 1].tolist(),
        "ellipse_bearing": np.round((90 - ellipses[:, 2]) % 180, 1).tolist(),
        "ellipse_probability": 0.9,
    }
    return {"type": "Feature", "id": table.number, "geometry": _geometry(table), "properties": properties}


def _geometry(table: TrackTable) -> dict[str, Any]:
    if len(table) == 1:
        return {"type": "Point", "coordinates": np.round(table.lon_lat[0], DECIMALS).tolist()}
    lines = [np.round(line, DECIMALS).tolist() for line in cut_line(table.lon_lat)]
    if len(lines) == 1:
        return {"type": "LineString", "coordinates": lines[0]}
    return {"type": "MultiLineString", "coordinates": lines}
