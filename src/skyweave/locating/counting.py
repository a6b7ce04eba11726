"""Counts over lines and areas on the map: who crossed which way, and who was inside for how long."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.geodesy import project_lon_lat
from skyweave.core.geometry.geojson import GeoShape, read_shapes
from skyweave.locating.track_table import TrackTable

HYSTERESIS_M = 0.5  # beside a line, within which a track has not crossed it: what stands on it trembles
KINDS: dict[str, Literal["line", "area"]] = {"LineString": "line", "Polygon": "area"}
NS_PER_S = 1e9


@dataclass(frozen=True)
class CountShape:
    """A line or an area on the map.

    Attributes:
        name: of it.
        kind: ``line``, or ``area``, whose outline it is.
        points: (n, 2) metres; an outline is closed.
    """

    name: str
    kind: Literal["line", "area"]
    points: np.ndarray


@dataclass(frozen=True)
class ShapeCount:
    """What was counted at one shape.

    Attributes:
        shape: line or area.
        forward: by class, crossings of a line from its left to its right, as one looks along it; of an area, entries.
        backward: by class, the other way; of an area, exits.
        inside: by class, different tracks that were in an area; of a line, that touched it.
        seconds: by class, that tracks spent in an area, all together.
    """

    shape: CountShape
    forward: Counter[str]
    backward: Counter[str]
    inside: Counter[str]
    seconds: dict[str, float]


def read_count_shapes(path: Path, crs: str) -> list[CountShape]:
    """Read lines and areas.

    Args:
        path: GeoJSON of lines and polygons; a property ``name`` names each.
        crs: of the map.

    Raises:
        FileNotFoundError: no such file.
        DataError: it is no GeoJSON, or holds no lines and areas.
    """
    drawn = [shape for shape in read_shapes(path) if shape.kind in KINDS]
    shapes = [_count_shape(shape, number, crs, path) for number, shape in enumerate(drawn, 1)]
    if not shapes:
        raise DataError(f"{path} holds no LineString and no Polygon; draw one where tracks are to be counted")
    return shapes


def _count_shape(shape: GeoShape, number: int, crs: str, path: Path) -> CountShape:
    """Return a line or an area on the map."""
    kind = KINDS[shape.kind]
    name = str(shape.properties.get("name") or f"{kind} {number}")
    if len(shape.rings) > 1:
        raise DataError(f"{path}: {name} has holes, which cannot be counted over; draw them as areas of their own")
    if len(shape.rings[0]) < 2:
        raise DataError(f"{path}: {name} has one point; draw a line from one side to the other")
    return CountShape(name, kind, project_lon_lat(shape.rings[0], crs))


def count_tracks(tables: Sequence[TrackTable], shapes: Sequence[CountShape]) -> list[ShapeCount]:
    """Count tracks over shapes.

    Args:
        tables: tracks.
        shapes: in the same reference system.
    """
    return [_count(tables, shape) for shape in shapes]


def _count(tables: Sequence[TrackTable], shape: CountShape) -> ShapeCount:
    count = ShapeCount(shape, Counter(), Counter(), Counter(), {})
    for table in tables:
        forward, backward, seconds, touched = (_over_line if shape.kind == "line" else _over_area)(table, shape.points)
        if touched:
            count.forward[table.category] += forward
            count.backward[table.category] += backward
            count.inside[table.category] += 1
            count.seconds[table.category] = count.seconds.get(table.category, 0.0) + seconds
    return count


def _over_line(table: TrackTable, line: np.ndarray) -> tuple[int, int, float, bool]:
    """Return crossings from left to right and back, no time, and whether there are any."""
    forward, backward = _crossings(table.points, line)
    return forward, backward, 0.0, forward + backward > 0


def _over_area(table: TrackTable, outline: np.ndarray) -> tuple[int, int, float, bool]:
    """Return entries, exits, the seconds inside, and whether a track was ever inside."""
    inside = _inside(table.points, outline)
    changes = np.diff(inside.astype(int))
    seconds = float((np.diff(table.times) * inside[:-1]).sum()) / NS_PER_S
    return int((changes > 0).sum()), int((changes < 0).sum()), seconds, bool(inside.any())


def _crossings(points: np.ndarray, line: np.ndarray) -> tuple[int, int]:
    """Return how often a path goes over a line from its left to its right, and back."""
    forward = backward = 0
    for start, end in pairwise(line):
        for direction in _segment_crossings(points, start, end):
            forward, backward = forward + (direction > 0), backward + (direction < 0)
    return forward, backward


def _segment_crossings(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> list[int]:
    """Return 1 for each crossing of a segment from left to right, -1 for the others; trembling on it does not count."""
    along = (end - start) / max(float(np.linalg.norm(end - start)), 1e-9)
    offset = points - start
    right = offset @ np.array([along[1], -along[0]])
    clear = np.flatnonzero(np.abs(right) > HYSTERESIS_M)
    crossings = []
    for before, after in pairwise(clear):
        if np.sign(right[before]) == np.sign(right[after]):
            continue
        share = right[before] / (right[before] - right[after])
        meeting = (offset[before] + share * (offset[after] - offset[before])) @ along
        if 0 <= meeting < np.linalg.norm(end - start):  # a corner belongs to one of its segments
            crossings.append(int(np.sign(right[after])))
    return crossings


def _inside(points: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """Return (n,) bool: whether points are in an area, by the crossings of a ray to the east (even-odd rule)."""
    x, y = points[:, 0, None], points[:, 1, None]
    (x1, y1), (x2, y2) = outline[:-1].T, outline[1:].T
    spans = (y1 > y) != (y2 > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        meets = x < x1 + (y - y1) * (x2 - x1) / (y2 - y1)
    return np.asarray((spans & meets).sum(1) % 2 == 1)
