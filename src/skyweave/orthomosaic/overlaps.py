"""Which photos overlap, and how one must move on the map to lie on the other."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground
from skyweave.orthomosaic.correlation import Peak, correlate, flatten
from skyweave.orthomosaic.image_cache import PictureStore, sample
from skyweave.orthomosaic.photo import Photo

CHIP = 160  # cells a side of the small map of one photo
CHIPS_KEPT = 1024
LEAST_OVERLAP = 0.12  # of the smaller photo
SIGNIFICANT = 6.0  # standard deviations of chance correlation


@dataclass(frozen=True)
class Registration:
    """How photo b must move to lie on photo a.

    Attributes:
        a, b: indices of the photos.
        move: (2,) metres east and north to add to everything b shows.
        turn: degrees b was turned about its optical axis for that, counter-clockwise.
        score: normalised correlation of the two small maps, -1 to 1.
        significance: of that score against all other moves.
    """

    a: int
    b: int
    move: np.ndarray
    turn: float
    score: float
    significance: float


@dataclass(frozen=True)
class Chip:
    """A small map of one photo: (rows, columns) flattened values and where they are known."""

    grid: MapGrid
    values: np.ndarray
    known: np.ndarray


class Chips:
    """Small maps of all photos at one resolution, made when asked for."""

    def __init__(self, photos: Sequence[Photo], ground: Ground, pictures: PictureStore, cells: int = CHIP) -> None:
        self.photos, self.ground, self.pictures, self.cells = photos, ground, pictures, cells
        self._kept: dict[tuple[int, float], Chip] = {}
        self.centres = np.full((len(photos), 2), np.nan)
        self.radii = np.zeros(len(photos))
        for k, photo in enumerate(photos):
            points = photo.footprint(ground)[..., :2].reshape(-1, 2)
            points = points[np.isfinite(points[:, 0])]
            self.centres[k] = points.mean(0)
            self.radii[k] = np.hypot(*(points - self.centres[k]).T).max()
        self.resolution = 2 * float(np.median(self.radii)) / cells

    def get(self, k: int, turn: float = 0.0) -> Chip:
        """The small map of photo k, turned about its optical axis by degrees."""
        if (k, turn) not in self._kept:
            if len(self._kept) >= CHIPS_KEPT:
                del self._kept[next(iter(self._kept))]  # the oldest: pairs come in the order of their photos
            self._kept[k, turn] = self._make(k, turn)
        return self._kept[k, turn]

    def register(self, a: int, b: int, turn: float = 0.0, radius: float | None = None) -> Registration | None:
        """How b, turned, must move to lie on a; None where no move overlaps enough.

        Args:
            radius: metres a move may reach; None for any.
        """
        one, other = self.get(a), self.get(b, turn)
        rows, columns = (one.grid.north - other.grid.north), (other.grid.west - one.grid.west)
        reach = None if radius is None else np.array([rows, columns, radius / self.resolution])
        peak: Peak | None = correlate(one.values, other.values, one.known, other.known, LEAST_OVERLAP, reach)
        if peak is None:
            return None
        # cell x of b lies at x + offset on a's grid; what it shows belongs at x + shift
        row, column = peak.shift[0] - rows, peak.shift[1] - columns
        move = np.array([column, -row]) * self.resolution
        return Registration(a, b, move, turn, peak.score, peak.significance)

    def _make(self, k: int, turn: float) -> Chip:
        photo = self.photos[k]
        x, y = self.centres[k]
        grid = MapGrid.around(x, y, self.cells * self.resolution, self.resolution)
        centres = grid.cell_centres()
        points = np.concatenate([centres, self.ground.height(centres)[..., None]], -1)
        pixels = (photo.turn(turn) if turn else photo).pixels(points)
        per_cell = self.resolution / photo.ground_sample_distance(self.ground)
        factor = 2 ** max(int(np.floor(np.log2(max(per_cell, 1)))), 0)
        values = sample(self.pictures.grey(photo, factor), factor, pixels)
        known = np.isfinite(values)
        return Chip(grid, flatten(values, max(self.cells // 24, 3)), known)


def neighbours(chips: Chips, count: int, slack: float) -> list[tuple[int, int]]:
    """Pairs whose views may overlap, at most the ``count`` nearest of each photo.

    Args:
        slack: metres that two photos may be nearer than their poses say.
    """
    pairs: set[tuple[int, int]] = set()
    for k in range(len(chips.photos)):
        distance = np.hypot(*(chips.centres - chips.centres[k]).T)
        order = [j for j in np.argsort(distance, kind="stable") if j != k]
        # views of 4:3 pictures overlap by a worthwhile part up to about this distance
        near = [int(j) for j in order if distance[j] - slack < 0.8 * (chips.radii[k] + chips.radii[j])]
        pairs |= {(min(k, j), max(k, j)) for j in near[:count]}
    return sorted(pairs)
