"""A map of change: distances, how probable they are without change, and what counts as change."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.atomic_write import write_aside
from skyweave.core.geometry.antimeridian import cut_polygon
from skyweave.core.geometry.geodesy import unproject_lon_lat
from skyweave.core.quiet import ignore_warnings
from skyweave.data.written_raster import check_written
from skyweave.search.change.null_distribution import BulkNull, EmpiricalNull, control_false_discoveries
from skyweave.search.change.pair import DatePair
from skyweave.search.places import GridPlaces, Ring

BAND_NAMES = ("distance", "p value", "change")
DEGREE_DECIMALS = 7


@dataclass(frozen=True)
class ChangeMap:
    """Change between two dates.

    Attributes:
        places: of the patches.
        distances: (patches,) float32, see `DatePair.distances`.
        p_values: (patches,) of so large a distance without change.
        changed: (patches,) bool.
        threshold: smallest distance that counts as change; infinite where none does.
        null: what was compared with.
        rate: of false discoveries that was allowed.
        doubts: what makes the result doubtful.
    """

    places: GridPlaces
    distances: np.ndarray
    p_values: np.ndarray
    changed: np.ndarray
    threshold: float
    null: BulkNull | EmpiricalNull
    rate: float
    doubts: tuple[str, ...]

    def raster(self) -> np.ndarray:
        """Return distance, p value and change (0 or 1), (3, rows, columns) float32, NaN where there is no patch."""
        bands = np.full((3, self.places.shape[0] * self.places.shape[1]), np.nan, np.float32)
        bands[:, self.places.cells] = self.distances, self.p_values, self.changed
        return bands.reshape(3, *self.places.shape)


def detect_change(pair: DatePair, rate: float = 0.05, unchanged: list[list[Ring]] | None = None) -> ChangeMap:
    """Find the patches whose vectors differ by more than chance explains.

    Args:
        pair: of dates.
        rate: share of false discoveries among the changed patches that is allowed, 0 to 1.
        unchanged: polygons of ground that did not change, (points, 2) longitude and latitude a ring; default: the
            lower half of all distances is taken for unchanged.

    Raises:
        DataError: too few patches.
    """
    distances = pair.distances()
    null: BulkNull | EmpiricalNull
    if unchanged is None:
        null = BulkNull.fit(distances)
    else:
        numbers = [pair.places.inside(rings) for rings in unchanged]
        known = np.unique(np.concatenate(numbers)) if numbers else np.zeros(0, np.int64)
        null = EmpiricalNull.fit(distances[known])
    p_values = null.p_values(distances)
    changed = control_false_discoveries(p_values, rate)
    threshold = float(distances[changed].min()) if changed.any() else math.inf
    doubts = (*pair.doubts, *null.doubts())
    return ChangeMap(pair.places, distances, p_values, changed, threshold, null, rate, doubts)


def write_change_map(path: str | Path, change: ChangeMap) -> None:
    """Write distance, p value and change as a GeoTIFF of three bands.

    Args:
        path: of the file.
        change: to write.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    places = change.places
    rows, columns = places.shape
    profile: dict[str, Any] = {"driver": "GTiff", "count": 3, "height": rows, "width": columns, "dtype": "float32"}
    profile |= {"nodata": math.nan, "compress": "deflate", "crs": places.crs}
    values = change.raster()
    with ignore_warnings(NotGeoreferencedWarning), write_aside(path) as aside:
        with rasterio.open(aside, "w", **profile, transform=rasterio.Affine(*places.affine)) as target:
            target.write(values)
            target.descriptions = BAND_NAMES
            target.update_tags(THRESHOLD=f"{change.threshold:g}", FALSE_DISCOVERY_RATE=f"{change.rate:g}")
        check_written(aside, values)


def write_change_geojson(path: str | Path, change: ChangeMap) -> int:
    """Write what changed as polygons of neighbouring patches, as GeoJSON (RFC 7946), the largest first.

    Args:
        path: of the file.
        change: to write.

    Returns:
        The number of polygons.

    Raises:
        DataError: the place on the Earth is not known.
    """
    features = sorted(_features(change), key=lambda feature: -feature["properties"]["patches"])
    content = {"type": "FeatureCollection", "features": features}
    with write_aside(path) as aside:
        aside.write_text(json.dumps(content, allow_nan=False), "utf-8")
    return len(features)


def _features(change: ChangeMap) -> list[dict[str, Any]]:
    from rasterio import Affine
    from rasterio.features import rasterize, shapes

    crs = change.places.known_crs()
    distance, p_value, changed = change.raster()
    mask = np.nan_to_num(changed).astype(np.uint8)
    transform = Affine(*change.places.affine)
    outlines = [shape for shape, value in shapes(mask, mask > 0, connectivity=4, transform=transform) if value]
    if not outlines:
        return []
    numbered = ((outline, number) for number, outline in enumerate(outlines, 1))
    region = rasterize(numbered, mask.shape, transform=transform, dtype="int32")
    features = []
    for number, outline in enumerate(outlines, 1):
        inside = region == number
        properties = {
            "patches": int(inside.sum()),
            "distance": round(float(distance[inside].max()), 4),
            "p_value": float(p_value[inside].min()),
        }
        geometry = _geometry(outline["coordinates"], crs)
        features.append({"type": "Feature", "geometry": geometry, "properties": properties})
    return features


def _geometry(rings: list[list[tuple[float, float]]], crs: str) -> dict[str, Any]:
    """Return a polygon in degrees: outline counter-clockwise, holes clockwise, cut at the antimeridian."""
    degrees = [_wound(unproject_lon_lat(np.array(ring), crs), index == 0) for index, ring in enumerate(rings)]
    polygons = [[ring.round(DEGREE_DECIMALS).tolist() for ring in part] for part in cut_polygon(degrees)]
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def _wound(ring: np.ndarray, counter_clockwise: bool) -> np.ndarray:
    x, y = ring.T
    area = float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum())
    return ring if (area > 0) == counter_clockwise else ring[::-1]
