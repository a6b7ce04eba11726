"""Which photos overlap, and how one must move on the map to lie on the other."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground
from skyweave.orthomosaic.correlation import Peak, correlate, flatten
from skyweave.orthomosaic.image_cache import ImageCache, sample_bilinear
from skyweave.orthomosaic.photo import Photo

MAP_CELLS = 160  # cells a side of the small map of one photo
MAX_CACHED_MAPS = 1024
MIN_OVERLAP = 0.12  # of the smaller photo
MIN_SIGNIFICANCE = 6.0  # standard deviations of chance correlation


@dataclass(frozen=True)
class Registration:
    """How photo b must move to lie on photo a.

    Attributes:
        a, b: indices of the photos.
        move: (2,) metres east and north to add to everything b shows.
        rotation: degrees b was turned about its optical axis for that, counter-clockwise.
        score: normalised correlation of the two small maps, -1 to 1.
        significance: of that score against all other moves.
    """

    a: int
    b: int
    move: np.ndarray
    rotation: float
    score: float
    significance: float


@dataclass(frozen=True)
class PhotoMap:
    """A small map of one photo.

    Attributes:
        values: (rows, columns) flattened brightness.
        known: (rows, columns) bool.
    """

    grid: MapGrid
    values: np.ndarray
    known: np.ndarray


class PhotoMaps:
    """Small maps of all photos at one resolution, made when asked for."""

    def __init__(self, photos: Sequence[Photo], ground: Ground, images: ImageCache, cells: int = MAP_CELLS) -> None:
        self.photos, self.ground, self.images, self.cells = photos, ground, images, cells
        self._kept: dict[tuple[int, float], PhotoMap] = {}
        self.centres = np.full((len(photos), 2), np.nan)
        self.radii = np.zeros(len(photos))
        for k, photo in enumerate(photos):
            points = photo.footprint(ground)[..., :2].reshape(-1, 2)
            points = points[np.isfinite(points[:, 0])]
            self.centres[k] = points.mean(0)
            self.radii[k] = np.hypot(*(points - self.centres[k]).T).max()
        self.resolution = 2 * float(np.median(self.radii)) / cells

    def get(self, k: int, rotation: float = 0.0) -> PhotoMap:
        """Return the small map of a photo.

        Args:
            k: index of the photo.
            rotation: degrees by which it is turned about its optical axis.
        """
        if (k, rotation) not in self._kept:
            if len(self._kept) >= MAX_CACHED_MAPS:
                del self._kept[next(iter(self._kept))]  # the oldest: pairs come in the order of their photos
            self._kept[k, rotation] = self._make(k, rotation)
        return self._kept[k, rotation]

    def register(self, a: int, b: int, rotation: float = 0.0, radius: float | None = None) -> Registration | None:
        """Return how photo b, turned, must move to lie on photo a; None where no move overlaps enough.

        Args:
            a: index of the photo that stays.
            b: index of the other.
            rotation: degrees by which b is turned about its optical axis.
            radius: metres a move may reach; None for any.
        """
        one, other = self.get(a), self.get(b, rotation)
        rows, columns = (one.grid.north - other.grid.north), (other.grid.west - one.grid.west)
        reach = None if radius is None else np.array([rows, columns, radius / self.resolution])
        peak: Peak | None = correlate(one.values, other.values, one.known, other.known, MIN_OVERLAP, reach)
        if peak is None:
            return None
        # cell x of b lies at x + offset on a's grid; what it shows belongs at x + shift
        row, column = peak.shift[0] - rows, peak.shift[1] - columns
        move = np.array([column, -row]) * self.resolution
        return Registration(a, b, move, rotation, peak.score, peak.significance)

    def _make(self, k: int, rotation: float) -> PhotoMap:
        photo = self.photos[k]
        x, y = self.centres[k]
        grid = MapGrid.around(x, y, self.cells * self.resolution, self.resolution)
        centres = grid.cell_centres()
        points = np.concatenate([centres, self.ground.height(centres)[..., None]], -1)
        pixels = (photo.rotated(rotation) if rotation else photo).pixels(points)
        per_cell = self.resolution / photo.ground_sample_distance(self.ground)
        factor = 2 ** max(int(np.floor(np.log2(max(per_cell, 1)))), 0)
        values = sample_bilinear(self.images.grey(photo, factor), factor, pixels)
        inside = np.isfinite(values)
        values[inside] = np.where(self.images.opaque(photo, factor, pixels[inside]), values[inside], np.nan)
        return PhotoMap(grid, flatten(values, max(self.cells // 24, 3)), np.isfinite(values))


def find_overlaps(maps: PhotoMaps, count: int, search_radius: float) -> list[tuple[int, int]]:
    """Return pairs of photos whose views may overlap, at most the ``count`` nearest of each photo.

    Photos of the very same pixels are no pair: that they agree says nothing.

    Args:
        maps: of all photos.
        count: pairs a photo.
        search_radius: metres that two photos may be nearer than their poses say.
    """
    pairs: set[tuple[int, int]] = set()
    shown = [photo.repeats or photo.name for photo in maps.photos]
    for k in range(len(maps.photos)):
        distance = np.hypot(*(maps.centres - maps.centres[k]).T)
        order = [j for j in np.argsort(distance, kind="stable") if shown[j] != shown[k]]
        # views of 4:3 pictures overlap by a worthwhile part up to about this distance
        near = [int(j) for j in order if distance[j] - search_radius < 0.8 * (maps.radii[k] + maps.radii[j])]
        pairs |= {(min(k, j), max(k, j)) for j in near[:count]}
    return sorted(pairs)
