"""Tie points: spots of ground found in two photos, as pixels of both.

They are found once, before any pose is refined, and kept as pixels: how far apart two sets of poses place the same
spots is then one and the same measure for both. Every other square of the map is held out: its ties judge and never
fit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from skyweave.geometry.ground import Ground
from skyweave.photos.correlation import match_patches
from skyweave.photos.overlaps import Registration
from skyweave.photos.photo import Photo
from skyweave.photos.pictures import PictureStore, sample

WORK_SIDE = 1400  # pixels; longer pictures are matched on a reduced copy
COARSE = 4  # coarse cells are this many fine ones
PATCH_COARSE, PATCH_FINE = 21, 33  # cells a side
REACH_FINE = 9  # cells either way
REACH_SHARE = 0.16  # of the height above ground: how far relief and tilt may move a spot from its photo's move
LEAST_SCORE = (0.5, 0.6)
LEAST_MARGIN = 0.05
AGREE = 1.0  # fine cells: there and back again


@dataclass(frozen=True)
class Ties:
    """Spots seen by two photos, n of them.

    Attributes:
        a, b: (n,) indices of the photos.
        pixels_a, pixels_b: (n, 2) pixels (u, v) of the spot in each, at full size.
        score: (n,) normalised correlation.
        held_out: (n,) bool: for judging only.
    """

    a: np.ndarray
    b: np.ndarray
    pixels_a: np.ndarray
    pixels_b: np.ndarray
    score: np.ndarray
    held_out: np.ndarray

    def __len__(self) -> int:
        return len(self.a)

    def select(self, which: np.ndarray) -> "Ties":
        """Those at these indices, or where a mask is true."""
        return Ties(*(getattr(self, name)[which] for name in self.__dataclass_fields__))

    def distances(self, photos: Sequence[Photo], ground: Ground) -> np.ndarray:
        """(n,) metres on the map between where both photos place the spot; NaN where one places it nowhere."""
        one, other = np.full((len(self), 2), np.nan), np.full((len(self), 2), np.nan)
        for k, photo in enumerate(photos):
            for side, pixels, places in ((self.a, self.pixels_a, one), (self.b, self.pixels_b, other)):
                mine = side == k
                if mine.any():
                    places[mine] = photo.ground_points(pixels[mine], ground)[:, :2]
        return np.hypot(*(one - other).T)


def find_ties(
    photos: Sequence[Photo],
    ground: Ground,
    pictures: PictureStore,
    registrations: Sequence[Registration],
    progress: Callable[[int, int], None] | None = None,
) -> Ties:
    """Ties of every registered pair, by patches on a fixed lattice of the map."""
    sizes = np.array([photo.ground_sample_distance(ground) for photo in photos])
    factors = [working_factor(photo) for photo in photos]
    cell = float(np.median(sizes * factors))
    reach = max(
        float(np.ceil(REACH_SHARE * _median_height(photos, ground) / (COARSE * cell))), 6.0
    )
    spacing = max(1.6 * PATCH_FINE * cell, 0.13 * _median_side(photos, ground))
    found = []
    for done, registration in enumerate(registrations):
        found.append(_pair(photos, ground, pictures, factors, registration, cell, int(reach), spacing))
        if progress is not None:
            progress(done + 1, len(registrations))
    if not found:
        nothing = np.zeros(0, np.int64)
        return Ties(nothing, nothing, np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0), np.zeros(0, bool))
    return Ties(*(np.concatenate([getattr(t, name) for t in found]) for name in Ties.__dataclass_fields__))


def working_factor(photo: Photo) -> int:
    """Power of two by which a picture is reduced for matching."""
    side = max(photo.geometry.camera.rows, photo.geometry.camera.columns)
    return int(2 ** max(np.ceil(np.log2(side / WORK_SIDE)), 0))


def _pair(
    photos: Sequence[Photo],
    ground: Ground,
    pictures: PictureStore,
    factors: Sequence[int],
    registration: Registration,
    cell: float,
    reach: int,
    spacing: float,
) -> Ties:
    a, b = registration.a, registration.b
    centres, held = _lattice(photos[a], photos[b], ground, registration.move, spacing)

    def look(k: int, at: np.ndarray, side: int, size: float, factor: int) -> np.ndarray:
        """(n, side, side) brightness of photo k around map points (n, 2)."""
        offset = (np.arange(side) - (side - 1) / 2) * size
        x = at[:, 0, None, None] + offset[None, None, :]
        y = at[:, 1, None, None] - offset[None, :, None]
        flat = np.stack(np.broadcast_arrays(x, y), -1)
        points = np.concatenate([flat, ground.height(flat)[..., None]], -1)
        return sample(pictures.grey(photos[k], factor), factor, photos[k].pixels(points))

    # b shows at x - move what a shows at x
    place = centres - registration.move
    coarse = cell * COARSE
    patches = look(a, centres, PATCH_COARSE, coarse, factors[a] * COARSE)
    windows = look(b, place, PATCH_COARSE + 2 * reach, coarse, factors[b] * COARSE)
    # a window that leaves the picture still shows the spot somewhere: fill what is unknown with its mean
    share = np.isfinite(windows).mean((1, 2))
    windows = np.where(np.isfinite(windows), windows, _means(windows)[:, None, None])
    windows[share < 0.5] = np.nan
    shifts, scores, margins = match_patches(patches, windows)
    good = (scores > LEAST_SCORE[0]) & (margins > LEAST_MARGIN)
    centres, held, place = centres[good], held[good], place[good] + shifts[good][:, ::-1] * (coarse, -coarse)
    side = PATCH_FINE + 2 * REACH_FINE
    shifts, scores, _ = match_patches(
        look(a, centres, PATCH_FINE, cell, factors[a]), look(b, place, side, cell, factors[b])
    )
    good = scores > LEAST_SCORE[1]
    centres, held, place, scores = centres[good], held[good], place[good] + shifts[good][:, ::-1] * (cell, -cell), scores[good]
    back, again, _ = match_patches(
        look(b, place, PATCH_FINE, cell, factors[b]), look(a, centres, side, cell, factors[a])
    )
    good = (again > LEAST_SCORE[1]) & (np.abs(back).max(1, initial=0) < AGREE)
    pixels_a, pixels_b = (
        photos[k].pixels(np.concatenate([at[good], ground.height(at[good])[:, None]], 1))
        for k, at in ((a, centres), (b, place))
    )
    kept = np.isfinite(pixels_a[:, 0]) & np.isfinite(pixels_b[:, 0])
    count = int(kept.sum())
    return Ties(
        np.full(count, a), np.full(count, b), pixels_a[kept], pixels_b[kept], scores[good][kept], held[good][kept]
    )


def _lattice(
    a: Photo, b: Photo, ground: Ground, move: np.ndarray, spacing: float
) -> tuple[np.ndarray, np.ndarray]:
    """Points of the map's lattice that both photos see, and whether their square is held out."""
    boxes = []
    for photo, shift in ((a, np.zeros(2)), (b, move)):
        points = photo.footprint(ground)[..., :2].reshape(-1, 2) + shift
        boxes.append((np.nanmin(points, 0), np.nanmax(points, 0)))
    low, high = np.maximum(boxes[0][0], boxes[1][0]), np.minimum(boxes[0][1], boxes[1][1])
    columns = np.arange(np.ceil(low[0] / spacing), np.floor(high[0] / spacing) + 1)
    rows = np.arange(np.ceil(low[1] / spacing), np.floor(high[1] / spacing) + 1)
    index = np.stack(np.meshgrid(columns, rows), -1).reshape(-1, 2)
    centres = index * spacing
    seen = np.ones(len(centres), bool)
    for photo, shift in ((a, np.zeros(2)), (b, move)):
        at = centres - shift
        seen &= np.isfinite(photo.pixels(np.concatenate([at, ground.height(at)[:, None]], 1))[:, 0])
    return centres[seen], index[seen].sum(1) % 2 == 1


def _means(windows: np.ndarray) -> np.ndarray:
    known = np.isfinite(windows)
    means: np.ndarray = np.where(known, windows, 0).sum((1, 2)) / np.maximum(known.sum((1, 2)), 1)
    return means


def _median_height(photos: Sequence[Photo], ground: Ground) -> float:
    points = np.array([photo.position for photo in photos])
    return float(np.nanmedian(points[:, 2] - ground.height(points)))


def _median_side(photos: Sequence[Photo], ground: Ground) -> float:
    """Shorter side of the median picture on the ground, metres."""
    return float(
        np.median(
            [
                min(photo.geometry.camera.rows, photo.geometry.camera.columns) * photo.ground_sample_distance(ground)
                for photo in photos
            ]
        )
    )
