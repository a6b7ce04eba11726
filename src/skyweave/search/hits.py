"""Hits of a search: where the best patches lie, far enough from each other, as GeoJSON."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.atomic_write import write_aside
from skyweave.core.geometry.antimeridian import cut_polygon
from skyweave.search.archive import PatchArchive
from skyweave.search.exact import Matches

EARTH_RADIUS_M = 6_371_008.8
FIRST_CANDIDATES = 256
DEGREE_DECIMALS = 7  # a centimetre


@dataclass(frozen=True)
class Hit:
    """A patch that a search gave.

    Attributes:
        rank: from 1.
        score: see the ranking.
        path: of the file of embeddings.
        names: what names the patch in its file, such as its row and column.
        outline: (4, 2) longitude and latitude.
        tags: what the file says of how it was made.
    """

    rank: int
    score: float
    path: str
    names: dict[str, Any]
    outline: np.ndarray
    tags: dict[str, str]


def collect_hits(
    archive: PatchArchive, search: Callable[[int], Matches], count: int, spacing: float = 0.0
) -> list[Hit]:
    """Search until enough patches are far enough from each other.

    Args:
        archive: that is searched.
        search: returns so many patches by falling score.
        count: of hits.
        spacing: metres that the centres of two hits are apart.
    """
    candidates = count if spacing <= 0 else max(count, FIRST_CANDIDATES)
    while True:
        matches = search(candidates)
        kept = _spaced(archive.outlines(matches.numbers), count, spacing)
        if len(kept) >= count or len(matches.numbers) < candidates:
            break
        candidates *= 4
    chosen = Matches(matches.numbers[kept], matches.scores[kept])
    return _describe(archive, chosen)


def write_hits(path: str | Path, hits: list[Hit], ranking: str) -> None:
    """Write hits as a GeoJSON feature collection (RFC 7946), the best first.

    Args:
        path: of the file.
        hits: of a search.
        ranking: what the scores mean.
    """
    features = [
        {
            "type": "Feature",
            "geometry": _geometry(hit.outline),
            "properties": {"rank": hit.rank, "score": hit.score, "file": hit.path, **hit.names},
        }
        for hit in hits
    ]
    content = {"type": "FeatureCollection", "ranking": ranking, "features": features}
    with write_aside(path) as aside:
        aside.write_text(json.dumps(content, allow_nan=False), "utf-8")


def _describe(archive: PatchArchive, matches: Matches) -> list[Hit]:
    outlines = archive.outlines(matches.numbers)
    hits = []
    for rank, (number, score, outline) in enumerate(zip(matches.numbers, matches.scores, outlines, strict=True), 1):
        part, local = archive.locate(int(number))
        score = round(float(score), 6)
        hits.append(Hit(rank, score, part.path, part.places.describe(local), outline, dict(part.tags)))
    return hits


def _spaced(outlines: np.ndarray, count: int, spacing: float) -> np.ndarray:
    """Return the indices of the first patches that keep their distance from all before, at most so many."""
    if spacing <= 0 or not len(outlines):
        return np.arange(min(count, len(outlines)))
    centres = _directions(outlines).mean(1) * EARTH_RADIUS_M
    kept: list[int] = []
    for index, centre in enumerate(centres):
        if all(np.linalg.norm(centre - centres[other]) >= spacing for other in kept):
            kept.append(index)
        if len(kept) == count:
            break
    return np.array(kept, np.int64)


def _directions(degrees: np.ndarray) -> np.ndarray:
    """Return unit vectors from the Earth's centre, (..., 3), of (..., 2) longitudes and latitudes."""
    longitude, latitude = np.radians(degrees[..., 0]), np.radians(degrees[..., 1])
    x, y = np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude)
    return np.stack([x, y, np.sin(latitude)], axis=-1)


def _geometry(outline: np.ndarray) -> dict[str, Any]:
    """Return an outline as GeoJSON, cut where it crosses the antimeridian."""
    polygons = cut_polygon([np.concatenate([outline, outline[:1]])])
    coordinates = [[ring.round(DEGREE_DECIMALS).tolist() for ring in rings] for rings in polygons]
    if len(coordinates) == 1:
        return {"type": "Polygon", "coordinates": coordinates[0]}
    return {"type": "MultiPolygon", "coordinates": coordinates}
