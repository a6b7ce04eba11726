"""Headings from the overlaps: pictures turned upside down without a word, and flights that state no heading.

Two overlapping photos tell how one is turned against the other. What no pair can tell, whether all of a flight are
turned, the positions tell: the ground must move from photo to photo as the camera did.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from skyweave.core.geometry.ground import Ground
from skyweave.orthomosaic.image_cache import PictureStore
from skyweave.orthomosaic.overlaps import SIGNIFICANT, Chips, Registration, neighbours
from skyweave.orthomosaic.photo import NEAR_NADIR, Photo, Spread

NEIGHBOURS = 6
COARSE = 96  # cells of the maps that a whole circle of headings is tried on
STEP = 12.0  # degrees between those headings; correlation of aerial pictures survives half of it
CLEAR = 1.0  # standard deviations by which the best heading must beat the others
SETTLED = 12.0  # a heading this significant needs no rival


def find_turns(
    photos: Sequence[Photo], ground: Ground, pictures: PictureStore, slack: float
) -> tuple[tuple[Photo, ...], list[Registration], list[str]]:
    """Turn photos about their optical axes until the overlaps and the positions agree.

    Photos with a stated heading are turned by 0 or 180 degrees, those without by any angle. Oblique photos stay.

    Args:
        slack: metres that two photos may be nearer to each other than their poses say.

    Returns:
        the photos; the registrations this rests on; and notes on what remained open.
    """
    chips = Chips(photos, ground, pictures)
    free = [photo.yaw_source in ("track", "none") for photo in photos]
    coarse = Chips(photos, ground, pictures, COARSE) if any(free) else chips
    edges = []
    for a, b in neighbours(chips, NEIGHBOURS, slack):
        edge = _relative(chips, coarse, a, b, free[a] or free[b])
        if edge is not None:
            edges.append(edge)
    turns, roots = _spanning(len(photos), edges)
    settled, notes = [], []
    for members in _groups(roots):
        inside = [edge for edge in edges if roots[edge.a] == roots[members[0]]]
        stated = [k for k in members if not free[k]]
        common = _common(photos, inside, turns, bool(stated))
        for k in members:
            turn = (turns[k] + common) % 360
            settled.append((k, _snap(turn) if not free[k] else turn if inside else 0.0))
    turned = {k: turn for k, turn in settled if turn}
    result = tuple(
        _turned(photo, turned.get(k, 0.0), free[k] and any(k in (e.a, e.b) for e in edges))
        for k, photo in enumerate(photos)
    )
    alone = [photos[k].name for k in range(len(photos)) if not any(k in (e.a, e.b) for e in edges)]
    if alone and len(photos) > 1:
        notes.append(f"{len(alone)} pictures overlap no other clearly enough to check their heading ({alone[0]}, ..)")
    against = [e for e in edges if abs((turns[e.b] - turns[e.a] - e.turn + 180) % 360 - 180) > 30]
    if len(against) > 0.2 * len(edges):
        notes.append(f"{len(against)} of {len(edges)} overlaps contradict the headings found; look at the mosaic")
    return result, edges, notes


def height_ratio(photos: Sequence[Photo], edges: Sequence[Registration], turned: Sequence[Photo]) -> float:
    """True height above ground as a multiple of the assumed one, from how far the ground moves between photos.

    NaN where fewer than two overlaps with a baseline tell.
    """
    ratios, weights = [], []
    for edge in edges:
        baseline = (photos[edge.b].position - photos[edge.a].position)[:2]
        length = float(np.hypot(*baseline))
        if length < 3.0:
            continue
        turn = np.radians(turned[edge.a].turned)
        c, s = np.cos(turn), np.sin(turn)
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


def _relative(chips: Chips, coarse: Chips, a: int, b: int, free: bool) -> Registration | None:
    """How b is turned against a, if that is clear."""
    if chips.photos[a].off_nadir > NEAR_NADIR or chips.photos[b].off_nadir > NEAR_NADIR:
        found = [chips.register(a, b)]
    else:
        found = [chips.register(a, b)]
        if not _settles(found[0]):
            found.append(chips.register(a, b, 180.0))
        if free and not any(_settles(one) for one in found):
            circle = [coarse.register(a, b, turn) for turn in np.arange(STEP, 360, STEP) if turn != 180]
            ranked = sorted((one for one in circle if one), key=lambda one: -one.significance)[:2]
            found += [chips.register(a, b, one.turn) for one in ranked]
    known = sorted((one for one in found if one), key=lambda one: -one.significance)
    if not known:
        return None
    best = known[0]
    others = [one.significance for one in known if abs((one.turn - best.turn + 180) % 360 - 180) > 30]
    if best.significance < SIGNIFICANT or best.significance < max(others, default=0.0) + CLEAR:
        return None
    if free:
        nearby = [chips.register(a, b, (best.turn + d) % 360) for d in (-8.0, -4.0, 4.0, 8.0)]
        best = max([best, *(one for one in nearby if one)], key=lambda one: one.significance)
    return best


def _settles(found: Registration | None) -> bool:
    return found is not None and found.significance > SETTLED


def _spanning(count: int, edges: list[Registration]) -> tuple[np.ndarray, np.ndarray]:
    """Turn of every photo against the first of its group along the most significant overlaps, and the group's name."""
    turns, roots = np.zeros(count), np.arange(count)
    for edge in sorted(edges, key=lambda e: -e.significance):
        one, other = roots[edge.a], roots[edge.b]
        if one != other:
            # turn[b] - turn[a] must be edge.turn: turn all of b's group
            moved = roots == other
            turns[moved] = (turns[moved] + turns[edge.a] + edge.turn - turns[edge.b]) % 360
            roots[moved] = one
    return turns, roots


def _groups(roots: np.ndarray) -> list[list[int]]:
    return [np.flatnonzero(roots == root).tolist() for root in np.unique(roots)]


def _common(photos: Sequence[Photo], edges: list[Registration], turns: np.ndarray, stated: bool) -> float:
    """Degrees by which a whole group must still be turned so that the ground moves as the cameras did."""
    vote = 0j
    for edge in edges:
        baseline = complex(*(photos[edge.b].position - photos[edge.a].position)[:2])
        seen = baseline + complex(*edge.move)
        # `seen` holds for photo a as it came; as it stands now it is turned by turns[a]
        seen *= np.exp(1j * np.radians(turns[edge.a]))
        spread = np.hypot(photos[edge.a].spread.horizontal, photos[edge.b].spread.horizontal)
        if abs(baseline) > spread and abs(seen) > 0:
            vote += baseline * np.conj(seen) / abs(seen) * edge.significance
    if stated:
        # most headings are right: with nothing to tell, the fewer turns
        members = sorted({k for edge in edges for k in (edge.a, edge.b)})
        if vote.real == 0:
            return 180.0 if sum(_snap(turns[k]) == 180 for k in members) > len(members) / 2 else 0.0
        return 180.0 if vote.real < 0 else 0.0
    return float(np.degrees(np.angle(vote))) if vote else 0.0


def _snap(turn: float) -> float:
    return 180.0 if abs(turn % 360 - 180) < 90 else 0.0


def _turned(photo: Photo, turn: float, free: bool) -> Photo:
    moved = photo.turn(turn) if turn else photo
    if free:
        spread = Spread(photo.spread.horizontal, photo.spread.vertical, float(np.radians(8.0)), photo.spread.tilt)
        moved = replace(moved, yaw_source="overlaps", spread=spread)
    return moved
