"""Where a raster lies on the Earth, as GeoJSON wants it: longitude and latitude, cut at the antimeridian."""

from typing import Any

import numpy as np

from skyweave.core.errors import DataError

POINTS_A_SIDE = 5
"""Of a raster's outline: its sides are curves on the Earth."""
HALF_TURN_DEG = 180.0

Ring = list[list[float]]


def trace_outline(transform: tuple[float, ...], rows: int, columns: int, points: int = POINTS_A_SIDE) -> np.ndarray:
    """Return points along the edge of a raster, counter-clockwise where north is up: (points, 2) as x and y.

    Args:
        transform: (a, b, c, d, e, f) of the pixels.
        rows: of the raster.
        columns: of the raster.
        points: along each side.
    """
    steps = np.linspace(0, 1, points)[:-1]
    down, right = np.zeros_like(steps), np.ones_like(steps)
    column = np.concatenate([down, steps, right, 1 - steps]) * columns
    row = np.concatenate([steps, right, 1 - steps, down]) * rows
    a, b, c, d, e, f = transform
    return np.stack([a * column + b * row + c, d * column + e * row + f], 1)


def to_degrees(points: np.ndarray, crs: str) -> np.ndarray:
    """Return longitudes from -180 to 180 and latitudes in degrees.

    Args:
        points: (points, 2) as x and y.
        crs: of the points, as WKT.

    Raises:
        DataError: a point has no place on the Earth.
    """
    from pyproj import CRS, Transformer

    transformer = Transformer.from_crs(CRS.from_wkt(crs), "OGC:CRS84", always_xy=True)
    degrees: np.ndarray = np.stack(transformer.transform(points[..., 0], points[..., 1]), -1)
    if not np.isfinite(degrees).all():
        raise DataError("a part of the raster has no place on the Earth; are its reference system and transform right?")
    beyond = np.abs(degrees[..., 0]) > HALF_TURN_DEG
    degrees[beyond, 0] = (degrees[beyond, 0] + HALF_TURN_DEG) % (2 * HALF_TURN_DEG) - HALF_TURN_DEG
    return degrees


def describe_footprint(
    transform: tuple[float, ...], rows: int, columns: int, crs: str | None
) -> tuple[dict[str, Any] | None, list[float] | None]:
    """Return the GeoJSON geometry of a raster and its bounding box; neither where the reference system is unknown.

    Args:
        transform: (a, b, c, d, e, f) of the pixels.
        rows: of the raster.
        columns: of the raster.
        crs: as WKT.
    """
    if crs is None:
        return None, None
    parts = split_at_antimeridian(to_degrees(trace_outline(transform, rows, columns), crs))
    rings = [_close(part) for part in parts]
    latitudes = np.concatenate(parts)[:, 1]
    west, east = float(parts[0][:, 0].min()), float(parts[-1][:, 0].max())  # west > east across the antimeridian
    box = [west, float(latitudes.min()), east, float(latitudes.max())]
    if len(rings) == 1:
        return {"type": "Polygon", "coordinates": [rings[0]]}, box
    return {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]}, box


def split_at_antimeridian(ring: np.ndarray) -> list[np.ndarray]:
    """Return a ring as one or, where it crosses the antimeridian, two: the one west of it first.

    Args:
        ring: (points, 2) longitude and latitude in degrees, not closed.
    """
    longitudes = ring[:, 0]
    if np.abs(np.diff(longitudes, append=longitudes[0])).max() <= HALF_TURN_DEG:
        return [ring]
    unrolled = np.stack([np.where(longitudes < 0, longitudes + 360, longitudes), ring[:, 1]], 1)
    before, after = _clip(unrolled, 1.0), _clip(unrolled, -1.0) - [360.0, 0.0]
    return [part for part in (before, after) if len(part) > 2]


def _clip(ring: np.ndarray, side: float) -> np.ndarray:
    """Return the part of a convex ring at longitudes up to 180 degrees (side 1) or from there on (side -1)."""
    kept: list[np.ndarray] = []
    beyond = side * (ring[:, 0] - HALF_TURN_DEG)
    for number, point in enumerate(ring):
        following = (number + 1) % len(ring)
        if beyond[number] <= 0:
            kept.append(point)
        if beyond[number] * beyond[following] < 0:
            share = beyond[number] / (beyond[number] - beyond[following])
            kept.append(point + share * (ring[following] - point))
    return np.array(kept).reshape(-1, 2)


def _close(ring: np.ndarray) -> Ring:
    rounded = np.round(ring, 7).tolist()  # a centimetre
    return [*rounded, rounded[0]]
