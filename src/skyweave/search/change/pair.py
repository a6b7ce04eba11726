"""Embeddings of two dates on one grid: the patches that both have, and how far apart their vectors are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.search.archive import DECODED_AT_ONCE, PatchArchive, build_archive
from skyweave.search.places import GridPlaces
from skyweave.search.reader import PatchReader

MAX_SHIFT_CELLS = 0.01
"""By which corners of two grids may differ; an eighth of a pixel of a patch of 8 is 0.016."""
TINY = 1e-30  # keeps a division by a length finite
MIN_SHIFT_GAIN = 0.02  # in correlation, by which a shift fits better than none before it is said
SHIFTS = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1) if (row, column) != (0, 0)]


@dataclass(frozen=True)
class DatePair:
    """Patches that have features on both dates.

    Attributes:
        before: the earlier vectors.
        after: the later ones.
        before_numbers: (patches,) of the earlier archive.
        after_numbers: (patches,) of the later archive, of the same cells.
        places: of these patches.
        doubts: what makes the comparison doubtful.
    """

    before: PatchArchive
    after: PatchArchive
    before_numbers: np.ndarray
    after_numbers: np.ndarray
    places: GridPlaces
    doubts: tuple[str, ...]

    def distances(self) -> np.ndarray:
        """Return the length of the difference of both vectors of each patch, (patches,) float32.

        This is change vector analysis (Malila 1980) in feature space. The mean of each date over these patches is
        subtracted first: what all ground does between two dates, such as the season, is no change. A distance of 1 is
        the root mean square length of a vector, so that 1.4 is how far two unrelated patches are from each other.
        """
        squares = np.empty(len(self.before_numbers), np.float32)
        total = 0.0
        for part, first, second in self._centred(self.before_numbers, self.after_numbers):
            squares[part] = np.square(second - first).sum(1)
            total += float(np.square(first).sum() + np.square(second).sum()) / 2
        lengths: np.ndarray = np.sqrt(squares / max(total / len(squares), TINY))
        return lengths

    def best_shift(self) -> tuple[tuple[int, int], float]:
        """Return the shift in rows and columns of cells at which the dates fit best, and by how much better than none.

        The shift is (0, 0) where none is better.
        """
        gains: dict[tuple[int, int], float] = {}
        lookup = np.full(self.places.shape[0] * self.places.shape[1], -1)
        lookup[self.places.cells] = np.arange(len(self.places.cells))
        rows, columns = np.divmod(self.places.cells, self.places.shape[1])
        for shift in SHIFTS:
            shifted_rows, shifted_columns = rows + shift[0], columns + shift[1]
            inside = (shifted_rows >= 0) & (shifted_rows < self.places.shape[0])
            inside &= (shifted_columns >= 0) & (shifted_columns < self.places.shape[1])
            first = np.flatnonzero(inside)
            second = lookup[shifted_rows[first] * self.places.shape[1] + shifted_columns[first]]
            first, second = first[second >= 0], second[second >= 0]
            if len(first):
                still = self._correlation(self.before_numbers[first], self.after_numbers[first])
                gains[shift] = self._correlation(self.before_numbers[first], self.after_numbers[second]) - still
        best: tuple[int, int] = max(gains, key=lambda shift: gains[shift], default=(0, 0))
        return (best, gains[best]) if gains.get(best, 0.0) > 0 else ((0, 0), 0.0)

    def _correlation(self, before_numbers: np.ndarray, after_numbers: np.ndarray) -> float:
        """Return the correlation of both dates over all channels of some patches."""
        products = np.zeros(3)
        for _, first, second in self._centred(before_numbers, after_numbers):
            products += [float((a * b).sum()) for a, b in ((first, second), (first, first), (second, second))]
        return float(products[0] / max(np.sqrt(products[1] * products[2]), TINY))

    def _centred(
        self, before_numbers: np.ndarray, after_numbers: np.ndarray
    ) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Yield patches of both dates, minus the mean of each date, some thousand at a time."""
        means = _mean(self.before, before_numbers), _mean(self.after, after_numbers)
        for part in _parts(len(before_numbers)):
            first = self.before.decode(before_numbers[part]) - means[0]
            yield part, first, self.after.decode(after_numbers[part]) - means[1]


def pair_dates(before: PatchReader, after: PatchReader, progress: Callable[[int, int], None] | None = None) -> DatePair:
    """Read the embeddings of two dates and pair their patches.

    Args:
        before: the earlier date.
        after: the later one.
        progress: called with (files read, files to read).

    Raises:
        DataError: two encoders, two grids, or no patch that both have.
    """
    if conflict := after.space.conflict(before.space):
        raise DataError(f"{after.path} and {before.path} cannot be compared: {conflict}; embed both with one model")
    report = progress or (lambda done, total: None)
    archives, file_doubts = [], []
    for done, reader in enumerate((before, after)):
        report(done, 2)
        archive, doubts_of_file = build_archive([reader])
        archives.append(archive)
        file_doubts += doubts_of_file
    report(2, 2)
    grids = [_grid_of(archive, reader.path) for archive, reader in zip(archives, (before, after), strict=True)]
    _check_same_grid(grids[0], grids[1], before.path, after.path)
    cells, first, second = np.intersect1d(grids[0].cells, grids[1].cells, return_indices=True)
    if not len(cells):
        raise DataError(f"no patch has features in {before.path} and in {after.path}: do clouds cover all of it?")
    places = GridPlaces(cells, grids[0].shape, grids[0].affine, grids[0].crs)
    doubts = (*file_doubts, *after.space.doubts(before.space))
    pair = DatePair(archives[0], archives[1], first, second, places, doubts)
    return DatePair(archives[0], archives[1], first, second, places, (*doubts, *_shift_doubts(pair)))


def _shift_doubts(pair: DatePair) -> list[str]:
    """Say where the dates fit better when one is moved by a patch: then the scenes are not co-registered."""
    (rows, columns), gain = pair.best_shift()
    if gain < MIN_SHIFT_GAIN:
        return []
    return [
        f"the dates fit better when the later one is moved by {-rows} rows and {-columns} columns of patches "
        f"(correlation +{gain:.2f}): are the scenes co-registered? What looks like change may be the shift"
    ]


def _grid_of(archive: PatchArchive, path: Path) -> GridPlaces:
    places = archive.parts[0].places
    if not isinstance(places, GridPlaces):
        raise DataError(f"{path} is a table of patches, and change needs two grids; give rasters of embeddings")
    return places


def _check_same_grid(before: GridPlaces, after: GridPlaces, before_path: Path, after_path: Path) -> None:
    """Refuse two grids that differ in reference system, size, or by more than a hundredth of a cell."""
    from rasterio.crs import CRS

    systems = [grid.crs and CRS.from_user_input(grid.crs) for grid in (before, after)]
    difference = ""
    if systems[0] != systems[1]:
        names = [f"EPSG:{system.to_epsg()}" if system and system.to_epsg() else str(system) for system in systems]
        difference = f"reference systems {names[0]} and {names[1]}"
    elif before.shape != after.shape:
        sizes = [f"{grid.shape[1]} x {grid.shape[0]}" for grid in (before, after)]
        difference = f"{sizes[0]} and {sizes[1]} patches (width x height)"
    elif (shift := _corner_difference(before, after)) > MAX_SHIFT_CELLS:
        difference = f"their corners are up to {shift:.3g} patches apart"
    if difference:
        raise DataError(
            f"{before_path} and {after_path} are not on one grid: {difference}; bring the later scene onto the grid of "
            "the earlier one (gdalwarp -t_srs .. -te .. -tr ..) and embed it again"
        )


def _corner_difference(before: GridPlaces, after: GridPlaces) -> float:
    """Return how far the corners of two grids are apart, in cells of the first."""
    rows, columns = before.shape
    corners = np.array([(0, 0, 1), (columns, 0, 1), (0, rows, 1), (columns, rows, 1)], np.float64)
    first, second = np.reshape(before.affine, (2, 3)), np.reshape(after.affine, (2, 3))
    offsets = corners @ (second - first).T
    in_cells = offsets @ np.linalg.inv(first[:, :2]).T
    return float(np.linalg.norm(in_cells, axis=1).max())


def _mean(archive: PatchArchive, numbers: np.ndarray) -> np.ndarray:
    total = np.zeros(archive.space.channels)
    for part in _parts(len(numbers)):
        total += archive.decode(numbers[part]).sum(0, dtype=np.float64)
    return (total / len(numbers)).astype(np.float32)


def _parts(count: int) -> Iterator[slice]:
    return (slice(first, first + DECODED_AT_ONCE) for first in range(0, count, DECODED_AT_ONCE))
