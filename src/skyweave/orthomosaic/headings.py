"""Headings from the overlaps: pictures turned upside down without a word, and flights that state no heading.

Two overlapping photos tell how one is turned against the other. What no pair can tell, whether all of a flight are
turned, the positions tell: the ground must move from photo to photo as the camera did.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from skyweave.core.geometry.ground import Ground
from skyweave.orthomosaic.image_cache import ImageCache
from skyweave.orthomosaic.overlaps import MIN_SIGNIFICANCE, PhotoMaps, Registration, find_overlaps
from skyweave.orthomosaic.photo import NEAR_NADIR, Photo, PoseStd

NEIGHBOURS = 6
COARSE_MAP_CELLS = 96  # cells of the maps that a whole circle of headings is tried on
ANGLE_STEP_DEG = 12.0  # degrees between those headings; correlation of aerial pictures survives half of it
MIN_SIGNIFICANCE_LEAD = 1.0  # standard deviations by which the best heading must beat the others
DECISIVE_SIGNIFICANCE = 12.0  # a heading this significant needs no rival


def recover_headings(
    photos: Sequence[Photo], ground: Ground, images: ImageCache, search_radius: float
) -> tuple[tuple[Photo, ...], list[Registration], list[str]]:
    """Turn photos about their optical axes until the overlaps and the positions agree.

    Photos with a stated heading are turned by 0 or 180 degrees, those without by any angle. Oblique photos stay.

    Args:
        photos: with poses as read.
        ground: level or with relief.
        images: pixels of the photos.
        search_radius: metres that two photos may be nearer to each other than their poses say.

    Returns:
        The photos; the registrations this rests on; and notes on what remained open.
    """
    maps = PhotoMaps(photos, ground, images)
    free = [photo.yaw_source in ("track", "none") for photo in photos]
    coarse = PhotoMaps(photos, ground, images, COARSE_MAP_CELLS) if any(free) else maps
    pairs = find_overlaps(maps, NEIGHBOURS, search_radius)
    edges = [edge for a, b in pairs if (edge := _relative(maps, coarse, a, b, free[a] or free[b])) is not None]
    relative, roots = _spanning(len(photos), edges)
    absolute = _absolute(photos, edges, relative, roots, free)
    matched = {k for edge in edges for k in (edge.a, edge.b)}
    result = tuple(_rotate_photos(photo, absolute[k], free[k] and k in matched) for k, photo in enumerate(photos))
    return result, edges, _open_questions(photos, edges, relative, matched)


def _absolute(
    photos: Sequence[Photo], edges: list[Registration], relative: np.ndarray, roots: np.ndarray, free: Sequence[bool]
) -> list[float]:
    """Return the degrees by which each photo is to be turned, given how those of a group are turned against another."""
    rotations = [0.0] * len(photos)
    for members in _groups(roots):
        inside = [edge for edge in edges if roots[edge.a] == roots[members[0]]]
        common = _common(photos, inside, relative, any(not free[k] for k in members))
        for k in members:
            rotation = (relative[k] + common) % 360
            rotations[k] = _snap(rotation) if not free[k] else rotation if inside else 0.0
    return rotations


def _open_questions(
    photos: Sequence[Photo], edges: list[Registration], relative: np.ndarray, matched: set[int]
) -> list[str]:
    """Return notes on photos without overlaps and on overlaps that contradict the headings."""
    return [*_isolated_notes(photos, matched), *_contradiction_notes(edges, relative)]


def _isolated_notes(photos: Sequence[Photo], matched: set[int]) -> list[str]:
    """Return a note on the photos that overlap no other."""
    isolated = [photo.name for k, photo in enumerate(photos) if k not in matched]
    if not isolated or len(photos) <= 1:
        return []
    return [f"{len(isolated)} pictures overlap no other clearly enough to check their heading ({isolated[0]}, ..)"]


def _contradiction_notes(edges: list[Registration], relative: np.ndarray) -> list[str]:
    """Return a note where many overlaps contradict the headings."""
    against = [e for e in edges if _angle_between(relative[e.b] - relative[e.a], e.rotation) > 30]
    if len(against) <= 0.2 * len(edges):
        return []
    return [f"{len(against)} of {len(edges)} overlaps contradict the headings found; look at the mosaic"]


def _angle_between(a: float, b: float) -> float:
    """Return the angle between two directions in degrees, 0 to 180."""
    return abs((a - b + 180) % 360 - 180)


def height_ratio(photos: Sequence[Photo], edges: Sequence[Registration], turned: Sequence[Photo]) -> float:
    """Return the true height above ground as a multiple of the assumed one, from how the ground moves between photos.

    Args:
        photos: as read.
        edges: registrations of pairs of them.
        turned: the photos with recovered headings.

    Returns:
        NaN where fewer than two overlaps with a baseline tell.
    """
    ratios, weights = [], []
    for edge in edges:
        baseline = (photos[edge.b].position - photos[edge.a].position)[:2]
        length = float(np.hypot(*baseline))
        if length < 3.0:
            continue
        rotation = np.radians(turned[edge.a].turned)
        c, s = np.cos(rotation), np.sin(rotation)
        seen = np.array([[c, -s], [s, c]]) @ (baseline + edge.move)
        along = float(baseline @ seen)
        if along > 0.8 * length * np.hypot(*seen):  # else it is a false match, or its heading is wrong
            ratios.append(length**2 / along)
            weights.append(length)
    if len(ratios) < 2:
        return float("nan")
    order = np.argsort(ratios)
    total = np.cumsum(np.array(weights)[order])
    return float(np.array(ratios)[order][np.searchsorted(total, total[-1] / 2)])


def _relative(maps: PhotoMaps, coarse: PhotoMaps, a: int, b: int, free: bool) -> Registration | None:
    """Return how b is turned against a, if that is clear."""
    candidates = sorted(_candidates(maps, coarse, a, b, free), key=lambda one: -one.significance)
    if not candidates:
        return None
    best = candidates[0]
    if not _is_clear(best, candidates):
        return None
    return _refined(maps, a, b, best) if free else best


def _is_clear(best: Registration, candidates: list[Registration]) -> bool:
    """Return whether the best registration leads those at other angles by enough."""
    rivals = [one.significance for one in candidates if _angle_between(one.rotation, best.rotation) > 30]
    required = max(MIN_SIGNIFICANCE, max(rivals, default=0.0) + MIN_SIGNIFICANCE_LEAD)
    return best.significance >= required


def _refined(maps: PhotoMaps, a: int, b: int, best: Registration) -> Registration:
    """Return the best registration at angles near the given one's, or that itself."""
    nearby = [maps.register(a, b, (best.rotation + d) % 360) for d in (-8.0, -4.0, 4.0, 8.0)]
    return max([best, *(one for one in nearby if one)], key=lambda one: one.significance)


def _candidates(maps: PhotoMaps, coarse: PhotoMaps, a: int, b: int, free: bool) -> list[Registration]:
    """Register b on a as it is, upside down if that is not decisive, and at other angles if its heading is unknown."""
    tried = [maps.register(a, b)]
    if max(maps.photos[a].off_nadir, maps.photos[b].off_nadir) <= NEAR_NADIR:
        if not _is_decisive(tried[0]):
            tried.append(maps.register(a, b, 180.0))
        if free and not any(_is_decisive(one) for one in tried):
            tried += [maps.register(a, b, angle) for angle in _likely_angles(coarse, a, b)]
    return [one for one in tried if one]


def _likely_angles(coarse: PhotoMaps, a: int, b: int) -> list[float]:
    """Return the two angles at which coarse maps register best, of all but 0 and 180 degrees."""
    angles = [angle for angle in np.arange(ANGLE_STEP_DEG, 360, ANGLE_STEP_DEG) if angle != 180]
    circle = [one for angle in angles if (one := coarse.register(a, b, angle))]
    return [one.rotation for one in sorted(circle, key=lambda one: -one.significance)[:2]]


def _is_decisive(registration: Registration | None) -> bool:
    return registration is not None and registration.significance > DECISIVE_SIGNIFICANCE


def _spanning(count: int, edges: list[Registration]) -> tuple[np.ndarray, np.ndarray]:
    """Turn of every photo against the first of its group along the most significant overlaps, and the group's name."""
    rotations, roots = np.zeros(count), np.arange(count)
    for edge in sorted(edges, key=lambda e: -e.significance):
        one, other = roots[edge.a], roots[edge.b]
        if one != other:
            # rotations[b] - rotations[a] must be edge.rotation: turn all of b's group
            moved = roots == other
            rotations[moved] = (rotations[moved] + rotations[edge.a] + edge.rotation - rotations[edge.b]) % 360
            roots[moved] = one
    return rotations, roots


def _groups(roots: np.ndarray) -> list[list[int]]:
    return [np.flatnonzero(roots == root).tolist() for root in np.unique(roots)]


def _common(photos: Sequence[Photo], edges: list[Registration], rotations: np.ndarray, stated: bool) -> float:
    """Degrees by which a whole group must still be turned so that the ground moves as the cameras did."""
    vote = _vote(photos, edges, rotations)
    if not stated:
        return float(np.degrees(np.angle(vote))) if vote else 0.0
    if vote.real == 0:
        return _fewer_rotations(edges, rotations)
    return 180.0 if vote.real < 0 else 0.0


def _fewer_rotations(edges: list[Registration], rotations: np.ndarray) -> float:
    """Return what turns fewer photos upside down: with nothing to tell, most stated headings are right."""
    members = {k for edge in edges for k in (edge.a, edge.b)}
    return 180.0 if sum(_snap(rotations[k]) == 180 for k in members) > len(members) / 2 else 0.0


def _vote(photos: Sequence[Photo], edges: list[Registration], rotations: np.ndarray) -> complex:
    """Return the sum of the directions, as complex numbers, by which the ground moves otherwise than the cameras."""
    vote = 0j
    for edge in edges:
        baseline = complex(*(photos[edge.b].position - photos[edge.a].position)[:2])
        seen = baseline + complex(*edge.move)
        # `seen` holds for photo a as it came; as it stands now it is turned by rotations[a]
        seen *= np.exp(1j * np.radians(rotations[edge.a]))
        std = np.hypot(photos[edge.a].std.horizontal, photos[edge.b].std.horizontal)
        if abs(baseline) > std and abs(seen) > 0:
            vote += baseline * np.conj(seen) / abs(seen) * edge.significance
    return vote


def _snap(rotation: float) -> float:
    return 180.0 if abs(rotation % 360 - 180) < 90 else 0.0


def _rotate_photos(photo: Photo, rotation: float, free: bool) -> Photo:
    moved = photo.rotated(rotation) if rotation else photo
    if free:
        std = PoseStd(photo.std.horizontal, photo.std.vertical, float(np.radians(8.0)), photo.std.tilt)
        moved = replace(moved, yaw_source="overlaps", std=std)
    return moved
