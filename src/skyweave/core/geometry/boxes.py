"""Oriented 3D boxes that stand upright on the map."""

from dataclasses import dataclass

import numpy as np

from skyweave.core.errors import DataError

EDGE_TOLERANCE_M = 1e-9  # metres by which a corner may lie outside and still count as on a side
CORNER_SIGNS = np.array(  # of (length, width, height), bottom face first, each counter-clockwise from front left
    [[1, 1, -1], [-1, 1, -1], [-1, -1, -1], [1, -1, -1], [1, 1, 1], [-1, 1, 1], [-1, -1, 1], [1, -1, 1]]
)


@dataclass(frozen=True)
class Boxes:
    """Any number of boxes.

    Attributes:
        centres: (n, 3) world position of the middle of each box, metres (x east, y north, z up).
        sizes: (n, 3) length (along its heading), width, height, metres > 0.
        yaws: (n,) heading in radians, counter-clockwise from east.
    """

    centres: np.ndarray
    sizes: np.ndarray
    yaws: np.ndarray

    def __post_init__(self) -> None:
        for name, shape in (("centres", (-1, 3)), ("sizes", (-1, 3)), ("yaws", (-1,))):
            values = np.asarray(getattr(self, name), np.float64).reshape(shape)
            if not np.isfinite(values).all():
                raise DataError(f"{name} of boxes hold NaN or infinity")
            object.__setattr__(self, name, values)
        if not len(self.centres) == len(self.sizes) == len(self.yaws):
            raise DataError(f"{len(self.centres)} centres, {len(self.sizes)} sizes and {len(self.yaws)} yaws of boxes")
        if (self.sizes <= 0).any():
            raise DataError(f"box sizes must be metres > 0, got {self.sizes.min()}")

    def __len__(self) -> int:
        return len(self.centres)

    def select(self, indices: np.ndarray) -> "Boxes":
        """Return some of the boxes.

        Args:
            indices: (k,) integers, or (n,) bool.
        """
        return Boxes(self.centres[indices], self.sizes[indices], self.yaws[indices])

    def corners(self) -> np.ndarray:
        """Return the corners: (n, 8, 3) world positions, the bottom face first, counter-clockwise from front left."""
        local = CORNER_SIGNS * self.sizes[:, None] / 2
        c, s = np.cos(self.yaws)[:, None], np.sin(self.yaws)[:, None]
        x = c * local[..., 0] - s * local[..., 1]
        y = s * local[..., 0] + c * local[..., 1]
        corners: np.ndarray = np.stack([x, y, local[..., 2]], -1) + self.centres[:, None]
        return corners

    def footprints(self) -> np.ndarray:
        """Return the corners on the ground: (n, 4, 2), counter-clockwise from front left."""
        return self.corners()[:, :4, :2]


def intersection_over_union_bev(a: Boxes, b: Boxes) -> np.ndarray:
    """Return the exact overlap of footprints, seen from above: (n, m) in 0..1.

    Args:
        a: n boxes.
        b: m boxes.
    """
    shared = intersection_area(a, b)
    areas = [boxes.sizes[:, 0] * boxes.sizes[:, 1] for boxes in (a, b)]
    return _ratio(shared, areas[0][:, None] + areas[1] - shared)


def intersection_over_union_3d(a: Boxes, b: Boxes) -> np.ndarray:
    """Return the exact overlap of volumes: (n, m) in 0..1.

    Args:
        a: n boxes.
        b: m boxes.
    """
    tops = [boxes.centres[:, 2] + boxes.sizes[:, 2] / 2 for boxes in (a, b)]
    bottoms = [boxes.centres[:, 2] - boxes.sizes[:, 2] / 2 for boxes in (a, b)]
    height = np.minimum(tops[0][:, None], tops[1]) - np.maximum(bottoms[0][:, None], bottoms[1])
    shared = intersection_area(a, b) * np.maximum(height, 0)
    volumes = [boxes.sizes.prod(1) for boxes in (a, b)]
    return _ratio(shared, volumes[0][:, None] + volumes[1] - shared)


def intersection_area(a: Boxes, b: Boxes) -> np.ndarray:
    """Return the area that footprints share: (n, m) square metres.

    The shared polygon of two convex ones has as corners those of either that lie in the other, and the crossings of
    their sides: 24 candidates a pair, of which the valid ones are put in order about their middle.

    Args:
        a: n boxes.
        b: m boxes.
    """
    result = np.zeros((len(a), len(b)))
    radii = [np.hypot(boxes.sizes[:, 0], boxes.sizes[:, 1]) / 2 for boxes in (a, b)]
    distance = np.linalg.norm(a.centres[:, None, :2] - b.centres[None, :, :2], axis=-1)
    i, j = np.nonzero(distance < radii[0][:, None] + radii[1])
    if not len(i):
        return result
    origin = a.centres[i, None, :2]  # differences of coordinates of millions of metres lose digits
    first, second = a.footprints()[i] - origin, b.footprints()[j] - origin
    inside_second, inside_first = _inside(first, second), _inside(second, first)
    crossings, crossed = _crossings(first, second)
    points = np.concatenate([first, second, crossings], 1)
    valid = np.concatenate([inside_second, inside_first, crossed], 1)
    count = np.maximum(valid.sum(1), 1)
    middle = (points * valid[..., None]).sum(1) / count[:, None]
    offset = np.where(valid[..., None], points - middle[:, None], 0.0)
    angle = np.where(valid, np.arctan2(offset[..., 1], offset[..., 0]), np.inf)
    order = np.argsort(angle, axis=1, kind="stable")
    offset = np.take_along_axis(offset, order[..., None], 1)
    # candidates that are none come last, as the middle itself: they span no area; the last valid one closes the ring
    last = np.arange(offset.shape[1]) >= count[:, None]
    offset = np.where(last[..., None], offset[:, :1], offset)
    following = np.roll(offset, -1, 1)
    area = (offset[..., 0] * following[..., 1] - offset[..., 1] * following[..., 0]).sum(1) / 2
    smaller = np.minimum(a.sizes[i, 0] * a.sizes[i, 1], b.sizes[j, 0] * b.sizes[j, 1])
    result[i, j] = np.clip(area, 0, smaller)
    return result


def _inside(points: np.ndarray, polygons: np.ndarray) -> np.ndarray:
    """Return (k, 4) bool: which corners (k, 4, 2) lie in or on convex polygons (k, 4, 2), counter-clockwise."""
    sides = np.roll(polygons, -1, 1) - polygons
    offset = points[:, :, None] - polygons[:, None]
    cross = sides[:, None, :, 0] * offset[..., 1] - sides[:, None, :, 1] * offset[..., 0]
    length = np.linalg.norm(sides, axis=-1)[:, None]
    return np.asarray((cross >= -EDGE_TOLERANCE_M * length).all(-1))


def _crossings(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (k, 16, 2) where the sides of polygons cross, and (k, 16) bool whether they do."""
    p, r = first[:, :, None], (np.roll(first, -1, 1) - first)[:, :, None]
    q, s = second[:, None], (np.roll(second, -1, 1) - second)[:, None]
    cross = r[..., 0] * s[..., 1] - r[..., 1] * s[..., 0]
    lengths = np.linalg.norm(r, axis=-1) * np.linalg.norm(s, axis=-1)
    parallel = np.abs(cross) < 1e-12 * lengths
    safe = np.where(parallel, 1.0, cross)
    d = q - p
    t = (d[..., 0] * s[..., 1] - d[..., 1] * s[..., 0]) / safe
    u = (d[..., 0] * r[..., 1] - d[..., 1] * r[..., 0]) / safe
    valid = ~parallel & (t >= 0) & (t <= 1) & (u >= 0) & (u <= 1)
    points = p + np.clip(t, 0, 1)[..., None] * r
    return points.reshape(len(first), -1, 2), valid.reshape(len(first), -1)


def _ratio(shared: np.ndarray, union: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(shared / np.maximum(union, 1e-300), 0, 1))
