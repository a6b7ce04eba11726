"""Geometries in degrees cut where they cross the antimeridian, as GeoJSON asks (RFC 7946, 3.1.9)."""

from itertools import pairwise

import numpy as np

from skyweave.core.geometry.geodesy import unwrap_longitudes

EDGE = 180.0  # degrees


def cut_line(path: np.ndarray) -> list[np.ndarray]:
    """Return the pieces of a line, each on one side of the antimeridian: (points, 2) longitudes and latitudes.

    Args:
        path: (points, 2) longitudes and latitudes; from point to point less than half way round the Earth.
    """
    (line,) = _unwrapped([path])
    pieces, piece = [], [line[0]]
    for before, after in pairwise(line):
        if (before[0] - EDGE) * (after[0] - EDGE) < 0:
            crossing = _crossing(before, after)
            pieces.append(np.array([*piece, crossing]))
            piece = [crossing]
        piece.append(after)
    pieces.append(np.array(piece))
    return [_wrapped(piece) for piece in pieces]


def cut_polygon(rings: list[np.ndarray]) -> list[list[np.ndarray]]:
    """Return the polygons that a polygon is cut into by the antimeridian, each with its rings.

    Args:
        rings: (points, 2) longitudes and latitudes each, closed, the outer one first.
    """
    rings = _unwrapped(rings)
    if all(ring[:, 0].max() <= EDGE for ring in rings):
        return [rings]
    parts = [[_clipped(ring, side) for ring in rings] for side in (-1.0, 1.0)]
    return [[_wrapped(ring) for ring in part if len(ring)] for part in parts if len(part[0])]


def _unwrapped(paths: list[np.ndarray]) -> list[np.ndarray]:
    """Paths near the first point, whose longitudes go on beyond 180 degrees instead of jumping to the other side."""
    longitudes = [unwrap_longitudes(path[:, 0], float(paths[0][0, 0])) for path in paths]
    shift = 360.0 * (min(longitude.min() for longitude in longitudes) < -EDGE)
    return [np.stack([longitude + shift, path[:, 1]], 1) for path, longitude in zip(paths, longitudes, strict=True)]


def _clipped(ring: np.ndarray, side: float) -> np.ndarray:
    """The part of a ring to the west (-1) or the east (1) of the antimeridian (Sutherland and Hodgman, 1974)."""
    kept: list[np.ndarray] = []
    for before, after in pairwise(ring):
        inside = side * (before[0] - EDGE) >= 0, side * (after[0] - EDGE) >= 0
        if inside[0] != inside[1]:
            kept.append(_crossing(before, after))
        if inside[1]:
            kept.append(after)
    return np.array([*kept, kept[0]]) if len(kept) > 2 else np.zeros((0, 2))


def _crossing(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    share = (EDGE - before[0]) / (after[0] - before[0])
    return np.array([EDGE, before[1] + share * (after[1] - before[1])])


def _wrapped(path: np.ndarray) -> np.ndarray:
    """With longitudes of -180 to 180 degrees."""
    return path - [360.0, 0.0] if path[:, 0].mean() > EDGE else path
