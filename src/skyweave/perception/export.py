"""Results as files: GeoJSON and GeoParquet for a GIS, GeoTIFF for instance maps. nuScenes JSON: `nuscenes_json`.

Boxes leave as their footprints, trajectories as one line a mode, instances as the outlines of their cells. GeoJSON is
RFC 7946: longitude and latitude in degrees (WGS84), outer rings counter-clockwise. GeoParquet is 1.1: WKB in the
result's own reference system, in metres.
"""

import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import DataError
from skyweave.perception.results import Detections, InstanceMap, Trajectories

Result = Detections | InstanceMap | Trajectories
LINE, POLYGON, MULTIPOLYGON = 2, 3, 6  # kinds of geometry by their WKB code
KINDS = {LINE: "LineString", POLYGON: "Polygon", MULTIPOLYGON: "MultiPolygon"}
Rings = list[np.ndarray]  # of a polygon: (points, 2) each, closed, the outer one first; of a line its one path


@dataclass(frozen=True)
class Feature:
    """A geometry in the world frame (one part unless it is a multipolygon) and what is known about it."""

    kind: int
    parts: list[Rings]
    properties: dict[str, Any]


def write_geojson(path: str | Path, results: Result | Sequence[Result]) -> None:
    """Write results of any kinds as one collection.

    Raises:
        ValueError: a result of a local frame, which no Earth is known for.
        ImportError: outlines of instances need rasterio.
    """
    content = geojson(results)
    with write_aside(path) as aside:
        aside.write_text(json.dumps(content, allow_nan=False), "utf-8")


def geojson(results: Result | Sequence[Result]) -> dict[str, Any]:
    """Results of any kinds as one feature collection, plain JSON types.

    Raises:
        ValueError: a result of a local frame, which no Earth is known for.
        ImportError: outlines of instances need rasterio.
    """
    from pyproj import Transformer

    content = []
    for result in _sequence(results):
        if result.crs is None:
            raise DataError(
                f"{type(result).__name__} in a local frame has no place on Earth; GeoJSON needs one: set its crs, or "
                "write GeoParquet or nuScenes JSON"
            )
        degrees = Transformer.from_crs(result.crs, "OGC:CRS84", always_xy=True)
        content += [_json_feature(feature, degrees) for feature in features(result)]
    return {"type": "FeatureCollection", "features": content}


def write_geoparquet(path: str | Path, results: Result | Sequence[Result]) -> None:
    """Write results of one reference system as one table with a ``geometry`` column.

    Raises:
        ValueError: no results, or of more than one reference system.
        ImportError: pyarrow is missing.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ImportError("GeoParquet needs pyarrow; install skyweave[geo]") from error

    results = _sequence(results)
    systems = sorted({str(result.crs) for result in results})
    if len(systems) != 1:
        raise DataError(
            f"one table has one reference system, not {len(systems)} ({', '.join(systems) or 'no results'})"
        )
    rows = [feature for result in results for feature in features(result)]
    names = list(dict.fromkeys(name for row in rows for name in row.properties))
    bounds = np.array([_bounds(row) for row in rows]).reshape(-1, 4)
    table = {name: [row.properties.get(name) for row in rows] for name in names}
    times = [None if time is None else time // 1000 for time in table.get("time", [])]  # few readers know nanoseconds
    table["time"] = pa.array(times, pa.timestamp("us", tz="UTC"))
    table["geometry"] = pa.array([_wkb(row) for row in rows], pa.binary())
    table["bbox"] = pa.StructArray.from_arrays(list(bounds.T), ["xmin", "ymin", "xmax", "ymax"])
    geo = _geo_metadata(results[0].crs, sorted({KINDS[row.kind] for row in rows}), bounds)
    arrow = pa.table(table).replace_schema_metadata({"geo": json.dumps(geo)})
    with write_aside(path) as aside:
        parquet.write_table(arrow, aside)


def write_geotiff(path: str | Path, maps: InstanceMap | Sequence[InstanceMap]) -> None:
    """Write instance maps of one grid as bands of 32-bit identities (0: none), one a moment.

    Raises:
        ValueError: no maps, or grids that differ.
        ImportError: rasterio is missing.
    """
    try:
        import rasterio
    except ImportError as error:
        raise ImportError("GeoTIFF needs rasterio; install skyweave[geo]") from error
    maps = [maps] if isinstance(maps, InstanceMap) else list(maps)
    if not maps or any(one.grid != maps[0].grid for one in maps):
        raise DataError(f"bands of one raster are maps of one grid; got {len(maps)} maps of different grids or none")
    grid = maps[0].grid
    profile = {
        "driver": "GTiff",
        "count": len(maps),
        "dtype": "int32",
        "nodata": 0,
        "width": grid.columns,
        "height": grid.rows,
        "crs": grid.crs,
        "transform": rasterio.Affine(*grid.affine),
        "compress": "deflate",
    }
    with write_aside(path) as aside, rasterio.open(aside, "w", **profile) as target:
        target.write(np.stack([one.identities for one in maps]))
        for band, one in enumerate(maps, 1):
            target.update_tags(band, time=one.time, categories=json.dumps(one.categories))


def features(result: Result) -> list[Feature]:
    """A result as geometries with properties; every number is a plain one, NaN is None."""
    if isinstance(result, Detections):
        return _boxes(result)
    if isinstance(result, Trajectories):
        return _paths(result)
    return _instances(result)


def _boxes(result: Detections) -> list[Feature]:
    rings = _closed(result.boxes.footprints())
    columns = {
        "category": list(result.categories),
        "score": result.scores.tolist(),
        "instance": list(result.instances or [None] * len(result)),
        "time": [result.time] * len(result),
        **dict(zip(("x", "y", "z"), result.boxes.centres.T.tolist(), strict=True)),
        **dict(zip(("length", "width", "height"), result.boxes.sizes.T.tolist(), strict=True)),
        "yaw": result.boxes.yaws.tolist(),
        **dict(zip(("velocity_east", "velocity_north"), result.velocities.T.tolist(), strict=True)),
    }
    return [
        Feature(POLYGON, [[ring]], {name: _plain(values[i]) for name, values in columns.items()})
        for i, ring in enumerate(rings)
    ]


def _paths(result: Trajectories) -> list[Feature]:
    found = []
    for i, modes in enumerate(result.modes):
        for mode, path in enumerate(modes):
            line = path if len(path) > 1 else np.repeat(path, 2, 0)  # a line has two points
            properties = {
                "category": result.categories[i],
                "instance": result.instances[i] if result.instances else None,
                "object": i,
                "mode": mode,
                "probability": float(result.probabilities[i, mode]),
                "time": result.time,
                "seconds": result.times.tolist(),
            }
            found.append(Feature(LINE, [[line]], properties))
    return found


def _instances(result: InstanceMap) -> list[Feature]:
    try:
        import rasterio
        from rasterio.features import shapes
    except ImportError as error:
        raise ImportError("outlines of instances need rasterio; install skyweave[geo]") from error
    parts: dict[int, list[Rings]] = {}
    outlines = shapes(result.identities, result.identities > 0, transform=rasterio.Affine(*result.grid.affine))
    for outline, identity in outlines:
        parts.setdefault(int(identity), []).append([np.array(ring) for ring in outline["coordinates"]])
    cell = result.grid.resolution**2
    return [
        Feature(
            POLYGON if len(of) == 1 else MULTIPOLYGON,
            [[_turned(ring, outer=not number) for number, ring in enumerate(rings)] for rings in of],
            {
                "instance": str(identity),
                "category": result.categories.get(identity),
                "score": result.scores.get(identity),
                "area": float(np.count_nonzero(result.identities == identity) * cell),
                "time": result.time,
            },
        )
        for identity, of in sorted(parts.items())
    ]


def _json_feature(feature: Feature, degrees: Any) -> dict[str, Any]:
    parts = [[_degrees(ring, degrees) for ring in rings] for rings in feature.parts]
    coordinates: Any = parts if feature.kind == MULTIPOLYGON else parts[0] if feature.kind == POLYGON else parts[0][0]
    geometry = {"type": KINDS[feature.kind], "coordinates": coordinates}
    properties = dict(feature.properties)
    if properties["time"] is not None:  # as ISO 8601: nanoseconds are no exact numbers in JSON
        properties["time"] = f"{np.datetime64(properties['time'], 'ns')}Z"
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _degrees(ring: np.ndarray, degrees: Any) -> list[list[float]]:
    """Longitudes and latitudes, to about a millimetre. Across the antimeridian they go on beyond 180 degrees."""
    longitude, latitude = degrees.transform(ring[:, 0], ring[:, 1])
    longitude = longitude[0] + (longitude - longitude[0] + 180) % 360 - 180
    return np.round(np.stack([longitude, latitude], 1), 8).tolist()


def _wkb(feature: Feature) -> bytes:
    """Little-endian well-known binary."""
    if feature.kind == LINE:
        return struct.pack("<BI", 1, LINE) + _wkb_points(feature.parts[0][0])
    polygons = [
        struct.pack("<BII", 1, POLYGON, len(rings)) + b"".join(map(_wkb_points, rings)) for rings in feature.parts
    ]
    if feature.kind == POLYGON:
        return polygons[0]
    return struct.pack("<BII", 1, MULTIPOLYGON, len(polygons)) + b"".join(polygons)


def _wkb_points(points: np.ndarray) -> bytes:
    return struct.pack("<I", len(points)) + np.ascontiguousarray(points, "<f8").tobytes()


def _geo_metadata(crs: str | None, kinds: list[str], bounds: np.ndarray) -> dict[str, Any]:
    from pyproj import CRS

    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": kinds,
        "crs": None if crs is None else CRS.from_user_input(crs).to_json_dict(),  # left out it would mean WGS84
        "orientation": "counterclockwise",
        "covering": {"bbox": {name: ["bbox", name] for name in ("xmin", "ymin", "xmax", "ymax")}},
    }
    if len(bounds):
        column["bbox"] = [*bounds[:, :2].min(0).tolist(), *bounds[:, 2:].max(0).tolist()]
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}


def _bounds(feature: Feature) -> np.ndarray:
    points = np.concatenate([ring for rings in feature.parts for ring in rings])
    return np.concatenate([points.min(0), points.max(0)])


def _closed(rings: np.ndarray) -> np.ndarray:
    return np.concatenate([rings, rings[:, :1]], 1)


def _turned(ring: np.ndarray, outer: bool) -> np.ndarray:
    """Counter-clockwise where it is the outer ring, clockwise where it is a hole."""
    x, y = (ring - ring[0]).T
    counter_clockwise = float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) > 0
    return ring if counter_clockwise == outer else ring[::-1]


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _sequence(results: Result | Iterable[Result]) -> list[Result]:
    return [results] if isinstance(results, Detections | InstanceMap | Trajectories) else list(results)
