"""Write results to files: GeoJSON and GeoParquet for a GIS, GeoTIFF for maps. nuScenes JSON: `nuscenes_json`.

Each kind of result says what it is as vector features (`skyweave.perception.results.Result`): boxes their footprints,
trajectories one line a mode, instances the outlines of their cells. GeoJSON is RFC 7946: longitude and latitude in
degrees (WGS84), outer rings counter-clockwise, cut at the antimeridian. GeoParquet is 1.1: WKB in the result's own
reference system, in metres.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import DataError, MissingExtraError
from skyweave.core.geometry.antimeridian import cut_line, cut_polygon
from skyweave.data.written_raster import check_written
from skyweave.perception.results import CoverMap, InstanceMap, Result, VectorFeature
from skyweave.perception.results.vector import GeometryType
from skyweave.recordings.recording import UNKNOWN_COVER

NANOSECONDS_PER_MICROSECOND = 1000
COVER_COLOURS = {
    "road": (90, 90, 96),
    "crossing": (240, 240, 240),
    "pavement": (190, 176, 160),
    "building": (200, 60, 50),
    "tree": (30, 110, 40),
    "grass": (130, 200, 95),
    "water": (50, 100, 220),
    "bare": (205, 180, 110),
}
GREY = (150, 150, 150)  # of other classes


def write_geojson(path: str | Path, results: Result | Sequence[Result]) -> None:
    """Write results of any kinds as one GeoJSON feature collection (RFC 7946).

    Args:
        path: of the file.
        results: one or several, of any kinds.

    Raises:
        DataError: a result in a local frame, whose place on the Earth is unknown.
        MissingExtraError: outlines of instances need rasterio.
    """
    content = geojson(results)
    with write_aside(path) as aside:
        aside.write_text(json.dumps(content, allow_nan=False), "utf-8")


def geojson(results: Result | Sequence[Result]) -> dict[str, Any]:
    """Return results of any kinds as one GeoJSON feature collection of plain JSON types.

    Args:
        results: one or several, of any kinds.

    Raises:
        DataError: a result in a local frame, whose place on the Earth is unknown.
        MissingExtraError: outlines of instances need rasterio.
    """
    content = []
    for result in _sequence(results):
        if result.crs is None:
            raise DataError(
                f"{type(result).__name__} in a local frame has no place on Earth; GeoJSON needs one: set its crs, or "
                "write GeoParquet or nuScenes JSON"
            )
        content += _json_features(result.features(), result.crs)
    return {"type": "FeatureCollection", "features": content}


def write_geoparquet(path: str | Path, results: Result | Sequence[Result]) -> None:
    """Write results of one reference system as one GeoParquet 1.1 table.

    Args:
        path: of the file.
        results: one or several, of any kinds.

    Raises:
        DataError: no results, or of more than one reference system.
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise MissingExtraError("GeoParquet needs pyarrow; install skyweave[geo]") from error

    results = _sequence(results)
    _check_system(results)
    rows = [feature for result in results for feature in result.features()]
    bounds = np.array([_bounds(row) for row in rows]).reshape(-1, 4)
    table: dict[str, Any] = _columns(rows)
    table["time"] = pa.array(_microseconds(table.get("time", [])), pa.timestamp("us", tz="UTC"))
    table["geometry"] = pa.array([_wkb(row) for row in rows], pa.binary())
    table["bbox"] = pa.StructArray.from_arrays(list(bounds.T), ["xmin", "ymin", "xmax", "ymax"])
    geo = _geo_metadata(results[0].crs, sorted({row.kind.label for row in rows}), bounds)
    arrow = pa.table(table).replace_schema_metadata({"geo": json.dumps(geo)})
    with write_aside(path) as aside:
        parquet.write_table(arrow, aside)


def _check_system(results: list[Result]) -> None:
    """Check that results have one reference system."""
    systems = sorted({str(result.crs) for result in results})
    if len(systems) != 1:
        raise DataError(
            f"one table has one reference system, not {len(systems)} ({', '.join(systems) or 'no results'})"
        )


def _columns(rows: Sequence[VectorFeature]) -> dict[str, list[Any]]:
    """The properties of all features as columns; None where one has none."""
    names = dict.fromkeys(name for row in rows for name in row.properties)
    return {name: [row.properties.get(name) for row in rows] for name in names}


def _microseconds(times: Sequence[int | None]) -> list[int | None]:
    """Nanoseconds as microseconds, as few readers know nanoseconds; None where unknown."""
    return [None if time is None else time // NANOSECONDS_PER_MICROSECOND for time in times]


def write_geotiff(path: str | Path, maps: InstanceMap | CoverMap | Sequence[InstanceMap | CoverMap]) -> None:
    """Write maps of one grid and one kind as bands, one a frame.

    Instance maps are 32-bit identities, 0 for none; land cover is an 8-bit index into the classes, whose names are in
    the band's tags, with colours.

    Args:
        path: of the file.
        maps: one or several.

    Raises:
        DataError: no maps, grids that differ, or maps of both kinds.
        MissingExtraError: rasterio is not installed.
    """
    try:
        import rasterio
    except ImportError as error:
        raise MissingExtraError("GeoTIFF needs rasterio; install skyweave[geo]") from error
    maps = [maps] if isinstance(maps, InstanceMap | CoverMap) else list(maps)
    _check_same_grid(maps)
    grid, bands = maps[0].grid, [_band(one) for one in maps]
    profile = {
        "driver": "GTiff",
        "count": len(maps),
        "dtype": bands[0].values.dtype.name,
        "nodata": bands[0].nodata,
        "width": grid.columns,
        "height": grid.rows,
        "crs": grid.crs,
        "transform": rasterio.Affine(*grid.affine),
        "compress": "deflate",
    }
    values = np.stack([band.values for band in bands])
    with write_aside(path) as aside:
        with rasterio.open(aside, "w", **profile) as target:
            target.write(values)
            for number, (one, band) in enumerate(zip(maps, bands, strict=True), 1):
                target.update_tags(number, time=one.time, categories=json.dumps(band.categories))
            if bands[0].colours:
                target.write_colormap(1, bands[0].colours)
        check_written(aside, values)


@dataclass(frozen=True)
class _Band:
    """Of a GeoTIFF: its values, the one that stands for none, names of values, and colours of them."""

    values: np.ndarray
    nodata: int
    categories: dict[int, str]
    colours: dict[int, tuple[int, int, int]]


def _band(one: InstanceMap | CoverMap) -> _Band:
    """What a map is in a raster."""
    if isinstance(one, InstanceMap):
        return _Band(one.identities, 0, one.categories, {})
    names = dict(enumerate(one.names))
    return _Band(one.classes, UNKNOWN_COVER, names, {k: COVER_COLOURS.get(name, GREY) for k, name in names.items()})


def _check_same_grid(maps: Sequence[InstanceMap | CoverMap]) -> None:
    """Check that maps have one grid and are of one kind."""
    if len({(type(one), one.grid) for one in maps}) != 1:
        raise DataError(
            f"bands of one raster are maps of one grid and kind; got {len(maps)} maps of different ones or none"
        )


def _json_features(features: Sequence[VectorFeature], crs: str) -> list[dict[str, Any]]:
    """Features with longitudes and latitudes; all points are projected at once, as a call costs more than a point."""
    rings = _all_rings(features)
    if not rings:
        return []
    points = np.concatenate(rings)
    longitude, latitude = _to_degrees(crs).transform(points[:, 0], points[:, 1])
    ends = np.cumsum([len(ring) for ring in rings])[:-1]
    in_degrees = iter(np.split(np.stack([longitude, latitude], 1), ends))
    return [
        _json_feature(feature, [[next(in_degrees) for _ in part] for part in feature.parts]) for feature in features
    ]


def _all_rings(features: Sequence[VectorFeature]) -> list[np.ndarray]:
    """Return the rings of all features."""
    return [ring for feature in features for part in feature.parts for ring in part]


@lru_cache(maxsize=16)  # making one costs more than all the points of a scene
def _to_degrees(crs: str) -> Any:
    from pyproj import Transformer

    return Transformer.from_crs(crs, "OGC:CRS84", always_xy=True)


def _json_feature(feature: VectorFeature, parts: list[list[np.ndarray]]) -> dict[str, Any]:
    """A feature; across the antimeridian it is cut in two."""
    geometry = _json_geometry(feature, parts)
    properties = dict(feature.properties)
    if properties["time"] is not None:  # as ISO 8601: nanoseconds are no exact numbers in JSON
        properties["time"] = f"{np.datetime64(properties['time'], 'ns')}Z"
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _json_geometry(feature: VectorFeature, parts: list[list[np.ndarray]]) -> dict[str, Any]:
    """Return the geometry of a feature, cut where it crosses the antimeridian."""
    if feature.kind == GeometryType.LINE_STRING:
        lines = [_rounded(line) for line in cut_line(parts[0][0])]
        geometry = _single_or_multi("LineString", lines)
    else:
        polygons = [polygon for rings in parts for polygon in cut_polygon(rings)]
        coordinates = [[_rounded(ring) for ring in polygon] for polygon in polygons]
        if feature.kind == GeometryType.POLYGON:
            geometry = _single_or_multi("Polygon", coordinates)
        else:
            geometry = {"type": feature.kind.label, "coordinates": coordinates}
    return geometry


def _single_or_multi(label: str, pieces: list[Any]) -> dict[str, Any]:
    if len(pieces) == 1:
        return {"type": label, "coordinates": pieces[0]}
    return {"type": f"Multi{label}", "coordinates": pieces}


def _rounded(path: np.ndarray) -> list[list[float]]:
    """Longitudes and latitudes, to about a millimetre."""
    points: list[list[float]] = np.round(path, 8).tolist()
    return points


def _wkb(feature: VectorFeature) -> bytes:
    """Little-endian well-known binary."""
    if feature.kind == GeometryType.LINE_STRING:
        return struct.pack("<BI", 1, GeometryType.LINE_STRING) + _wkb_points(feature.parts[0][0])
    polygons = [
        struct.pack("<BII", 1, GeometryType.POLYGON, len(rings)) + b"".join(map(_wkb_points, rings))
        for rings in feature.parts
    ]
    if feature.kind == GeometryType.POLYGON:
        return polygons[0]
    return struct.pack("<BII", 1, GeometryType.MULTI_POLYGON, len(polygons)) + b"".join(polygons)


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


def _bounds(feature: VectorFeature) -> np.ndarray:
    points = np.concatenate([ring for rings in feature.parts for ring in rings])
    return np.concatenate([points.min(0), points.max(0)])


def _sequence(results: Result | Sequence[Result]) -> list[Result]:
    return list(results) if isinstance(results, Sequence) else [results]
