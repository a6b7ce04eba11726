"""Tie points: spots of ground ties in two photos, as pixels of both.

They are ties once, before any pose is refined, and kept as pixels: how far apart two sets of poses place the same
spots is then one and the same measure for both. Every other square of the map is held out: its ties judge and never
fit.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground
from skyweave.orthomosaic.correlation import match_patches
from skyweave.orthomosaic.image_cache import ImageCache, sample_bilinear
from skyweave.orthomosaic.overlaps import Registration
from skyweave.orthomosaic.photo import Photo, median_height

WORK_SIDE = 1400  # pixels; longer pictures are matched on a reduced copy
COARSE = 4  # coarse cells are this many fine ones
PATCH_COARSE, PATCH_FINE = 21, 33  # cells a side
REACH_FINE = 9  # cells either way
REACH_SHARE = 0.16  # of the height above ground: how far relief and tilt may move a spot from its photo's move
MIN_SCORES = (0.5, 0.6)
MIN_MARGIN = 0.05
MAX_CACHED_MAPS = 64
MAX_TIES_PER_PAIR = 80  # spots tried a pair
MAX_ROUND_TRIP_CELLS = 1.0  # fine cells, between a spot and where the way back ends


@dataclass(frozen=True)
class TiePoints:
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

    def select(self, which: np.ndarray) -> "TiePoints":
        """Return some of the tie points.

        Args:
            which: indices or a mask.
        """
        return TiePoints(*(getattr(self, name)[which] for name in self.__dataclass_fields__))

    def distances(self, photos: Sequence[Photo], ground: Ground) -> np.ndarray:
        """Return how far apart both photos place each spot.

        Args:
            photos: with poses.
            ground: level or with relief.

        Returns:
            (n,) metres on the map; NaN where one places it nowhere.
        """
        one, other = np.full((len(self), 2), np.nan), np.full((len(self), 2), np.nan)
        for k, photo in enumerate(photos):
            for side, pixels, places in ((self.a, self.pixels_a, one), (self.b, self.pixels_b, other)):
                of_photo = side == k
                if of_photo.any():
                    places[of_photo] = photo.ground_points(pixels[of_photo], ground)[:, :2]
        return np.asarray(np.hypot(*(one - other).T))


def find_tie_points(
    photos: Sequence[Photo],
    ground: Ground,
    images: ImageCache,
    registrations: Sequence[Registration],
    progress: Callable[[int, int], None] | None = None,
) -> TiePoints:
    """Find tie points of every registered pair, by patches around the points of a fixed lattice of the map.

    Args:
        photos: with poses.
        ground: level or with relief.
        images: pixels of the photos.
        registrations: pairs and how they lie on another.
        progress: called with pairs done and all pairs.
    """
    search = _Search(photos, ground, images)
    ties = []
    for done, registration in enumerate(registrations):
        ties.append(search.pair(registration))
        if progress is not None:
            progress(done + 1, len(registrations))
    if not ties:
        nothing = np.zeros(0, np.int64)
        return TiePoints(nothing, nothing, np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0), np.zeros(0, bool))
    return TiePoints(*(np.concatenate([getattr(t, name) for t in ties]) for name in TiePoints.__dataclass_fields__))


def working_factor(photo: Photo) -> int:
    """Return the power of two by which an image is reduced for matching.

    Args:
        photo: the image.
    """
    side = max(photo.geometry.camera.rows, photo.geometry.camera.columns)
    return int(2 ** max(np.ceil(np.log2(side / WORK_SIDE)), 0))


class _Search:
    """Patches of photos as they lie on the map: coarse ones cut from one small map a photo, fine ones looked up."""

    def __init__(self, photos: Sequence[Photo], ground: Ground, images: ImageCache) -> None:
        self.photos, self.ground, self.images = photos, ground, images
        sizes = np.array([photo.ground_sample_distance(ground) for photo in photos])
        self.factors = [working_factor(photo) for photo in photos]
        self.cell = float(np.median(sizes * self.factors))
        reach = REACH_SHARE * median_height(photos, ground)
        self.reach = max(int(np.ceil(reach / (COARSE * self.cell))), 6)
        self.spacing = 1.2 * PATCH_FINE * self.cell
        self._maps: OrderedDict[int, tuple[MapGrid, np.ndarray]] = OrderedDict()

    def pair(self, registration: Registration) -> TiePoints:
        """Return the tie points of two photos: coarse patches find the place, fine ones refine it, and the way back
        checks it.

        Args:
            registration: of the two.
        """
        a, b, cell = registration.a, registration.b, self.cell
        centres, held = _lattice(self.photos[a], self.photos[b], self.ground, registration.move, self.spacing)
        if len(centres) > MAX_TIES_PER_PAIR:  # some of them, anywhere
            some = np.random.default_rng(0).permutation(len(centres))[:MAX_TIES_PER_PAIR]
            centres, held = centres[some], held[some]
        centres, held, place = self._coarse(a, b, centres, held, registration.move)
        side = PATCH_FINE + 2 * REACH_FINE
        shifts, scores, _ = match_patches(self._sample_view(a, centres, PATCH_FINE), self._sample_view(b, place, side))
        good = scores > MIN_SCORES[1]
        centres, held, scores = centres[good], held[good], scores[good]
        place = place[good] + shifts[good][:, ::-1] * (cell, -cell)
        back, round_trip, _ = match_patches(
            self._sample_view(b, place, PATCH_FINE), self._sample_view(a, centres, side)
        )
        good = (round_trip > MIN_SCORES[1]) & (np.abs(back).max(1, initial=0) < MAX_ROUND_TRIP_CELLS)
        pixels_a, pixels_b = (
            self.photos[k].pixels(np.concatenate([at, self.ground.height(at)[:, None]], 1))
            for k, at in ((a, centres), (b, place))
        )
        good &= np.isfinite(pixels_a[:, 0]) & np.isfinite(pixels_b[:, 0])
        count = int(good.sum())
        return TiePoints(np.full(count, a), np.full(count, b), pixels_a[good], pixels_b[good], scores[good], held[good])

    def _coarse(
        self, a: int, b: int, centres: np.ndarray, held: np.ndarray, move: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Those of the centres that b shows clearly as well, and where, to a fraction of a coarse cell."""
        cells, corner = [], []
        for k, at, side in ((a, centres, PATCH_COARSE), (b, centres - move, PATCH_COARSE + 2 * self.reach)):
            grid, values = self._map(k)
            middle = np.floor(grid.cells_from_world(at)).astype(np.int64)
            half = side // 2
            padded = np.pad(values, half, constant_values=np.nan)
            middle = np.clip(middle, 0, np.array(values.shape) - 1)
            view = np.lib.stride_tricks.sliding_window_view(padded, (side, side))
            cells.append(view[middle[:, 0], middle[:, 1]])
            corner.append(grid.world_from_cells(middle + 0.5))
        patches, windows = cells
        # a window that leaves the picture still shows the spot somewhere: its mean stands for what is unknown
        known = np.isfinite(windows)
        count = known.sum((1, 2))
        means = np.where(known, windows, 0).sum((1, 2)) / np.maximum(count, 1)
        windows = np.where(known, windows, means[:, None, None].astype(np.float32))
        windows[count < 0.5 * windows[0].size if len(windows) else []] = np.nan
        shifts, scores, margins = match_patches(patches, windows)
        good = (scores > MIN_SCORES[0]) & (margins > MIN_MARGIN)
        size = self.cell * COARSE
        place = corner[1] + shifts[:, ::-1] * (size, -size) + (centres - corner[0])
        return centres[good], held[good], place[good]

    def _map(self, k: int) -> tuple[MapGrid, np.ndarray]:
        """The whole of photo k on the map in coarse cells."""
        if k not in self._maps:
            photo, size = self.photos[k], self.cell * COARSE
            points = photo.footprint(self.ground)[..., :2].reshape(-1, 2)
            low, high = np.nanmin(points, 0), np.nanmax(points, 0)
            high = np.maximum(high, low + size)
            grid = MapGrid.covering((low[0], low[1], high[0], high[1]), size)
            self._maps[k] = grid, self._values(k, grid.cell_centres(), self.factors[k] * COARSE)
            if len(self._maps) > MAX_CACHED_MAPS:
                self._maps.popitem(last=False)
        self._maps.move_to_end(k)
        return self._maps[k]

    def _sample_view(self, k: int, at: np.ndarray, side: int) -> np.ndarray:
        """(n, side, side) brightness of photo k in fine cells around map points (n, 2)."""
        offset = (np.arange(side) - (side - 1) / 2) * self.cell
        x = at[:, 0, None, None] + offset[None, None, :]
        y = at[:, 1, None, None] - offset[None, :, None]
        return self._values(k, np.stack(np.broadcast_arrays(x, y), -1), self.factors[k])

    def _values(self, k: int, places: np.ndarray, factor: int) -> np.ndarray:
        points = np.concatenate([places, self.ground.height(places)[..., None]], -1)
        return sample_bilinear(self.images.grey(self.photos[k], factor), factor, self.photos[k].pixels(points))


def _lattice(a: Photo, b: Photo, ground: Ground, move: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray]:
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
