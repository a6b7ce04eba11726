"""GeoJSON (RFC 7946) as people and GIS programs write it: nested, of several parts, with a byte order mark.

The older ``crs`` member is heeded: everything comes out in longitude and latitude.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import CRS
from pyproj.exceptions import ProjError

from skyweave.core.errors import DataError
from skyweave.core.geometry.geodesy import GEOGRAPHIC_CRS, unproject_lon_lat
from skyweave.core.json_text import parse_json

CRS84 = "CRS84"  # end of the name of longitude and latitude on WGS84, of which most programs write all of it
MEMBERS = {"FeatureCollection": "features", "GeometryCollection": "geometries"}
SIMPLE = ("Point", "LineString", "Polygon")
PARTS = {"MultiPoint": "Point", "MultiLineString": "LineString", "MultiPolygon": "Polygon"}


@dataclass(frozen=True)
class GeoShape:
    """One point, line or polygon.

    Attributes:
        kind: ``Point``, ``LineString`` or ``Polygon``.
        rings: (n, 2) longitudes and latitudes each: of a polygon its outline, then its holes; else one.
        properties: of its feature.
    """

    kind: str
    rings: list[np.ndarray]
    properties: dict[str, Any]


def read_shapes(path: Path) -> list[GeoShape]:
    """Read all points, lines and polygons of a file; those of several parts one by one.

    Args:
        path: of a GeoJSON file.

    Raises:
        DataError: it is none, or its coordinates are no longitudes and latitudes, and it names no system.
        OSError: it cannot be opened.
    """
    try:
        content = parse_json(path.read_bytes())
        to_degrees = _transform_of(content)
        shapes = [_shape(geometry, fields, to_degrees) for geometry, fields in _geometries(content, {})]
    except (ValueError, LookupError, TypeError, AttributeError, ProjError) as error:
        raise DataError(f"{path} is no GeoJSON ({error}); export it from your GIS as GeoJSON in EPSG:4326") from None
    for shape in shapes:
        _check_degrees(np.concatenate(shape.rings), path)
    return shapes


def _geometries(content: dict[str, Any], properties: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the geometries of one part each, with the properties of their features."""
    for part in _parts(content):
        yield from _geometries(part, content.get("properties") or properties)
    if content["type"] in SIMPLE:
        yield content, properties


def _parts(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what an object consists of; nothing of a geometry of one part."""
    kind = content["type"]
    if kind == "Feature":
        return [part for part in [content["geometry"]] if part is not None]
    if kind in PARTS:
        return [{"type": PARTS[kind], "coordinates": coordinates} for coordinates in content["coordinates"]]
    return list(content.get(MEMBERS.get(kind, ""), []))


def _shape(
    geometry: dict[str, Any], properties: dict[str, Any], to_degrees: Callable[[np.ndarray], np.ndarray]
) -> GeoShape:
    stated = geometry["coordinates"]
    coordinates = {"Point": [[stated]], "LineString": [stated], "Polygon": stated}[geometry["type"]]
    rings = [to_degrees(np.array([point[:2] for point in ring], np.float64).reshape(-1, 2)) for ring in coordinates]
    if not rings or not all(map(len, rings)):
        raise ValueError(f"a {geometry['type']} without coordinates")
    if geometry["type"] == "Polygon" and not _encloses(rings[0]):
        raise ValueError(f"a Polygon of {len(rings[0])} points that encloses nothing")
    return GeoShape(geometry["type"], rings, properties)


def _encloses(ring: np.ndarray) -> bool:
    """Return whether places do not all lie on one line; what is no number is another's matter."""
    beside = ring - ring[0]
    farthest = beside[np.argmax((beside**2).sum(1))]
    return bool((beside[:, 0] * farthest[1] - beside[:, 1] * farthest[0] != 0).any())


def _transform_of(content: dict[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
    """What brings coordinates to longitude and latitude."""
    name = str((content.get("crs") or {}).get("properties", {}).get("name") or CRS84)
    if name.endswith(CRS84) or CRS.from_user_input(name) == CRS.from_user_input(GEOGRAPHIC_CRS):
        return lambda points: points
    return lambda points: unproject_lon_lat(points, name)


def _check_degrees(points: np.ndarray, path: Path) -> None:
    """Refuse coordinates that are no longitudes and latitudes."""
    wrong = points[~(np.abs(points) <= [360, 90]).all(1)]
    if not len(wrong):
        return
    x, y = wrong[0]
    remedy = "name their system in its `crs`, or export it in EPSG:4326"
    if abs(x) <= 90 and abs(y) <= 180:
        remedy = "longitude comes first in GeoJSON: exchange them"
    raise DataError(f"{path} holds {x:g}, {y:g}, which is no longitude and latitude in degrees; {remedy}")
