"""Convex polygons to pixels, all polygons of a picture at once, without a loop over any of them.

A polygon is cut into rows, a row into pixels (the scanline method): a pixel belongs to the polygon if its centre
does, with the left and upper edge counted in and the right and lower out, so that neighbours share no pixel.
"""

from dataclasses import dataclass

import numpy as np

NEAR_PLANE_M = 0.2  # metres; what is nearer to the camera is cut off


@dataclass(frozen=True)
class Pixels:
    """The pixels that some polygons cover, polygon by polygon.

    Attributes:
        polygon: (p,) index of the polygon.
        row: (p,); column: (p,).
    """

    polygon: np.ndarray
    row: np.ndarray
    column: np.ndarray


def rasterise_polygons(polygons: np.ndarray, rows: int, columns: int) -> Pixels:
    """Return the pixels of convex polygons.

    Args:
        polygons: (n, corners, 2) pixel coordinates (u, v), either way round; repeat a corner where there are fewer.
        rows: of the image.
        columns: of the image.
    """
    u, v = polygons[..., 0], polygons[..., 1]
    top = np.ceil(v.min(1) - 0.5).clip(0, rows).astype(np.int32)
    bottom = np.ceil(v.max(1) - 0.5).clip(0, rows).astype(np.int32)
    owner, row = _expand(top, bottom)
    next_u, next_v = np.roll(u, -1, 1), np.roll(v, -1, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(v == next_v, 0.0, (next_u - u) / (next_v - v))
    middle = (row + 0.5)[:, None]
    crosses = (v[owner] <= middle) != (next_v[owner] <= middle)
    at = (u - v * slope)[owner] + middle * slope[owner]
    left = np.where(crosses, at, np.inf).min(1)
    right = np.where(crosses, at, -np.inf).max(1)
    start = np.ceil(left - 0.5).clip(0, columns).astype(np.int32)
    stop = np.ceil(right - 0.5).clip(0, columns).astype(np.int32)
    span, column = _expand(start, stop)
    return Pixels(owner[span], row[span], column)


def depth_test(pixels: Pixels, inverse_depth: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Which polygon each pixel shows: the z-buffer.

    Args:
        pixels: from `rasterise_polygons`.
        inverse_depth: (p,) float32, of each of them.
        background: (rows, columns) float32 inverse depth of what lies behind everything that is nearer.

    Returns:
        (rows, columns) int32 polygon, -1 for the background.
    """
    best = background.ravel().copy()
    place = pixels.row * background.shape[1] + pixels.column
    np.maximum.at(best, place, inverse_depth)
    wins = inverse_depth == best[place]
    shown = np.full(best.shape, -1, np.int32)
    shown[place[wins]] = pixels.polygon[wins]
    return shown.reshape(background.shape)


def count_unoccluded_pixels(
    pixels: Pixels, polygons: np.ndarray, owners: np.ndarray, count: int, rows: int, columns: int
) -> np.ndarray:
    """Count the pixels of each object as if nothing were in front of it: the union of its polygons.

    Args:
        pixels: from `rasterise_polygons`, of ``polygons`` and an image of rows and columns.
        polygons: (n, corners, 2) pixel coordinates.
        owners: (n,) object of each polygon, -1 for one that is not counted.
        count: number of objects.
        rows: of the image.
        columns: of the image.

    Returns:
        (count,) pixels.
    """
    its = owners >= 0
    low, high = np.zeros((2, count), np.int64), np.zeros((2, count), np.int64)
    for axis, size in ((0, rows), (1, columns)):
        at = polygons[its][..., 1 - axis]
        low[axis], high[axis] = size, 0
        np.minimum.at(low[axis], owners[its], np.floor(at.min(1)).clip(0, size).astype(np.int64))
        np.maximum.at(high[axis], owners[its], np.ceil(at.max(1)).clip(0, size).astype(np.int64))
    sides = np.maximum(high - low, 0)  # each object gets a small canvas of its own
    ends = np.cumsum(sides[0] * sides[1])
    starts = ends - sides[0] * sides[1]
    origin = starts - low[0] * sides[1] - low[1]
    counted = its[pixels.polygon]
    owner = owners[pixels.polygon[counted]]
    covered = np.zeros(int(ends[-1]) if count else 0, bool)
    covered[origin[owner] + pixels.row[counted] * sides[1][owner] + pixels.column[counted]] = True
    total = np.concatenate([[0], np.cumsum(covered)])
    return np.asarray(total[ends] - total[starts])


def clip_to_near_plane(quads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what of quads is in front of the near plane, as quads again (Sutherland and Hodgman 1974).

    Args:
        quads: (n, 4, 3) in the camera frame.

    Returns:
        (m, 4, 3) quads and (m,) index of the quad that each is a part of.
    """
    z = quads[..., 2]
    whole = np.flatnonzero((z >= NEAR_PLANE_M).all(1))
    parts, sources = [quads[whole]], [whole]
    for index in np.flatnonzero((z >= NEAR_PLANE_M).any(1) & (z < NEAR_PLANE_M).any(1)):
        corners = _cut(quads[index])
        fan = [np.stack([corners[0], corners[i], corners[i + 1], corners[i + 1]]) for i in range(1, len(corners) - 1)]
        parts.append(np.array(fan).reshape(-1, 4, 3))
        sources.append(np.full(len(fan), index))
    return np.concatenate(parts), np.concatenate(sources)


def _cut(corners: np.ndarray) -> list[np.ndarray]:
    """Sutherland-Hodgman against the near plane."""
    kept = []
    for here, there in zip(corners, np.roll(corners, -1, 0), strict=True):
        if here[2] >= NEAR_PLANE_M:
            kept.append(here)
        if (here[2] >= NEAR_PLANE_M) != (there[2] >= NEAR_PLANE_M):
            kept.append(here + (there - here) * (NEAR_PLANE_M - here[2]) / (there[2] - here[2]))
    return kept


def _expand(start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All whole numbers of all intervals [start, stop), and the interval that each belongs to."""
    length = np.maximum(stop - start, 0)
    owner = np.repeat(np.arange(len(length), dtype=np.int32), length)
    ends = np.cumsum(length, dtype=np.int32)
    first = start - (ends - length)
    return owner, np.arange(len(owner), dtype=np.int32) + first[owner]
