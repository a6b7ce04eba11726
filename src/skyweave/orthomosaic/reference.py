"""Where a map really lies, from an image of the place that everybody has: another season, another sensor.

Grey values of two dates have little in common, the directions of edges do (Fitch et al., "Orientation correlation",
BMVC 2002). Each cell is the unit vector of twice its gradient's angle, so that a bright roof on dark ground and a dark
one on snow agree; both images are correlated by FFT over their known cells. The peak is believed where it stands out of
what other shifts reach by chance, no other peak comes near it, within the search or beyond, and it is not at the border
of the search; else nothing is known. Its covariance is that of the posterior around it (Laplace), for noise as large as
the correlation at other shifts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.errors import RasterioIOError
from rasterio.vrt import WarpedVRT

from skyweave.core.errors import DataError
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.images.edge_directions import edge_directions
from skyweave.orthomosaic.flight import Flight
from skyweave.orthomosaic.image_cache import ImageCache
from skyweave.orthomosaic.mosaic import render_map

MIN_SIGNIFICANCE = 7.0  # standard deviations of the correlation at other shifts
MAX_RIVAL = 0.75  # of the peak, that the best one elsewhere may reach
MIN_OVERLAP = 0.4  # of the known cells of the smaller image
RIVAL_DISTANCE_CELLS = 6  # from the peak, beyond which another one is a rival
BORDER_CELLS = 1  # of the search, where a peak may be the flank of one beyond
COVARIANCE_FACTOR = 4.0  # neighbouring cells share noise, and the two dates differ in more than noise
MAX_SIDE_CELLS = 1500
SEARCH_STDS, MIN_RADIUS_M = 4.0, 12.0  # how far a flight is looked for, by the error of its positions


@dataclass(frozen=True)
class ReferenceShift:
    """Where a map lies on its reference.

    Attributes:
        shift: (2,) metres east and north by which the map must be moved.
        covariance: (2, 2) square metres.
        significance: of the peak, in standard deviations of the correlation at other shifts.
        rival: best correlation elsewhere, as a share of the peak's.
        reason: why the shift is not to be believed; None where it is.
    """

    shift: np.ndarray
    covariance: np.ndarray
    significance: float
    rival: float
    reason: str | None

    @property
    def known(self) -> bool:
        """Return whether the shift is to be believed."""
        return self.reason is None


def locate_on_reference(image: np.ndarray, reference: np.ndarray, resolution: float, radius: float) -> ReferenceShift:
    """Find where an image lies on a reference.

    Args:
        image: (rows, columns) grey values, NaN where unknown; row 0 is north.
        reference: of the same grid, likewise.
        resolution: metres a cell.
        radius: of the search, metres.

    Raises:
        ValueError: images of two shapes.
    """
    if image.shape != reference.shape:
        raise ValueError(f"the image has {image.shape} cells, the reference {reference.shape}; put both on one grid")
    surface, row, column = _correlation(edge_directions(image), edge_directions(reference))
    reach = radius / resolution
    inside = np.isfinite(surface) & (np.hypot(row, column) <= reach)
    if not inside.any():
        return _unknown("the two images hardly overlap")
    searched = np.where(inside, surface, -np.inf)
    top = np.unravel_index(int(searched.argmax()), surface.shape)
    peak = float(surface[top])
    near = np.hypot(row - row[top], column - column[top]) <= RIVAL_DISTANCE_CELLS
    elsewhere = surface[np.isfinite(surface) & ~near]
    if peak <= 0 or not elsewhere.size:
        return _unknown("nothing of the one image is in the other")
    noise = 1.4826 * float(np.median(np.abs(elsewhere - np.median(elsewhere)))) + 1e-12
    rival = float(elsewhere.max()) / peak
    offset, covariance = _laplace(surface, (int(top[0]), int(top[1])), noise)
    shift = np.array([column[top] + offset[1], -(row[top] + offset[0])]) * resolution
    to_metres = np.array([[0.0, 1.0], [-1.0, 0.0]]) * resolution  # (row, column) to (east, north)
    covariance = to_metres @ covariance @ to_metres.T
    at_border = float(np.hypot(row[top], column[top])) > reach - BORDER_CELLS
    return ReferenceShift(shift, covariance, peak / noise, rival, _doubt(peak / noise, rival, at_border))


@dataclass(frozen=True)
class ReferenceReport:
    """How a flight was moved to a reference.

    Attributes:
        east, north: metres.
        std: standard deviation of either, metres.
        significance: see `ReferenceShift`.
    """

    east: float
    north: float
    std: float
    significance: float

    @classmethod
    def of(cls, shift: ReferenceShift) -> "ReferenceReport":
        """Return the report of a shift.

        Args:
            shift: that is known.
        """
        east, north = shift.shift.tolist()
        return cls(east, north, float(np.sqrt(np.trace(shift.covariance) / 2)), shift.significance)


def align_to_reference(
    flight: Flight, images: ImageCache, grid: MapGrid, path: str | Path
) -> tuple[Flight, ReferenceShift]:
    """Return a flight moved to where its reference says that it was, where that is sure; else as it is.

    Args:
        flight: with poses.
        images: pixels of its photos.
        grid: of the mosaic as the poses have it.
        path: of the reference, see `read_reference`.
    """
    std = max(photo.std.horizontal for photo in flight.photos)
    radius = max(SEARCH_STDS * std, MIN_RADIUS_M)
    coarse = reference_grid(
        grid.bounds, max(grid.resolution, pixel_size(path, flight.zone.crs)), radius, flight.zone.crs
    )
    colours = render_map(flight.photos, flight.ground, coarse, images)
    grey = np.where(colours[3] > 0, colours[:3].mean(0), np.nan)
    shift = locate_on_reference(grey, read_reference(path, coarse), coarse.resolution, radius)
    if not shift.known:
        return flight, shift
    moved = tuple(photo.moved(np.append(shift.shift, 0.0)) for photo in flight.photos)
    return replace(flight, photos=moved), shift


def describe_shift(shift: ReferenceShift, path: str | Path) -> str:
    """Return in words what a reference told.

    Args:
        shift: on the reference.
        path: of the reference.
    """
    if not shift.known:
        return f"where the flight lies on {path} is not known, so it was not moved: {shift.reason}"
    east, north = shift.shift.tolist()
    std = float(np.sqrt(np.trace(shift.covariance) / 2))
    return (
        f"the flight was moved by {east:+.2f} m east and {north:+.2f} m north to {path}, within {std:.2f} m (1 sigma)"
    )


def pixel_size(path: str | Path, crs: str) -> float:
    """Return the metres a pixel of a raster has in a reference system.

    Args:
        path: of the raster.
        crs: with metres.

    Raises:
        DataError: the raster has no reference system.
    """
    with _open_reference(path) as source:
        if source.crs is None:
            raise DataError(f"{path} has no reference system; a reference needs one: georeference it first")
        with WarpedVRT(source, crs=crs) as warped:
            return float(max(warped.res))


def _doubt(significance: float, rival: float, at_border: bool) -> str | None:
    """Return why a peak is not to be believed, if it is not."""
    if at_border:
        return "the best place is at the border of the search"
    if significance < MIN_SIGNIFICANCE:
        return f"the best place stands out by {significance:.1f} standard deviations, {MIN_SIGNIFICANCE:g} are needed"
    if rival > MAX_RIVAL:
        return f"another place is {rival:.0%} as good as the best"
    return None


def _unknown(reason: str) -> ReferenceShift:
    return ReferenceShift(np.zeros(2), np.full((2, 2), np.inf), 0.0, 1.0, reason)


def _correlation(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the correlation of ``b`` at cell x + shift with ``a`` at x, NaN where too little overlaps, and the shifts.

    It is scaled by the root of the energy that overlaps, so that small overlaps do not win by chance.
    """
    size = 2 * a.shape[0], 2 * a.shape[1]

    def across(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.asarray(np.fft.ifft2(np.fft.fft2(one, size).conj() * np.fft.fft2(other, size)).real)

    product = across(a, b)
    energy_a, energy_b = np.abs(a) ** 2, np.abs(b) ** 2
    known_a, known_b = (energy_a > 0).astype(np.float64), (energy_b > 0).astype(np.float64)
    overlap = across(known_a, known_b)
    enough = overlap >= max(MIN_OVERLAP * min(known_a.sum(), known_b.sum()), 64)
    energy = np.sqrt(np.maximum(across(energy_a, known_b) * across(known_a, energy_b), 1e-12))
    surface = np.where(enough, product / energy * np.sqrt(np.maximum(overlap, 0)), np.nan)
    row, column = np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in size), indexing="ij")
    return surface, row, column


def _laplace(surface: np.ndarray, top: tuple[int, int], noise: float) -> tuple[np.ndarray, np.ndarray]:
    """(2,) offset of the peak from its cell and (2, 2) covariance, both in (row, column) cells."""
    rows, columns = ((top[axis] + np.arange(-1, 2)) % surface.shape[axis] for axis in (0, 1))
    around = np.nan_to_num(surface[np.ix_(rows, columns)], nan=float(surface[top]))
    slope = np.array([around[2, 1] - around[0, 1], around[1, 2] - around[1, 0]]) / 2
    mixed = (around[2, 2] - around[2, 0] - around[0, 2] + around[0, 0]) / 4
    bend = np.array([
        [around[0, 1] - 2 * around[1, 1] + around[2, 1], mixed],
        [mixed, around[1, 0] - 2 * around[1, 1] + around[1, 2]],
    ])  # fmt: skip
    values, axes = np.linalg.eigh(-bend)
    sharpness = axes @ np.diag(np.maximum(values, 1e-3 * around[1, 1])) @ axes.T
    offset = np.clip(np.linalg.solve(sharpness, slope), -0.5, 0.5)
    posterior = np.linalg.inv(sharpness) * noise**2 / around[1, 1]
    return offset, COVARIANCE_FACTOR * posterior + np.eye(2) / 12


def read_reference(path: str | Path, grid: MapGrid) -> np.ndarray:
    """Return (rows, columns) grey values of a raster on a grid, NaN where it has none.

    Args:
        path: of any raster that GDAL reads, with a reference system; its first three bands count.
        grid: the map.

    Raises:
        DataError: the raster does not meet the grid.
    """
    with _open_reference(path) as source:
        options = {"transform": rasterio.Affine(*grid.affine), "width": grid.columns, "height": grid.rows}
        with WarpedVRT(source, crs=grid.crs, resampling=Resampling.average, **options) as warped:
            bands = list(range(1, min(warped.count, 3) + 1))
            grey = warped.read(bands).astype(np.float64).mean(0)
            grey[warped.dataset_mask() == 0] = np.nan
    if not np.isfinite(grey).any():
        raise DataError(f"{path} shows nothing of where the pictures were taken; give a reference of that place")
    return np.asarray(grey)


def _open_reference(path: str | Path) -> rasterio.DatasetReader:
    """Open a raster; what GDAL cannot read is named with what helps."""
    try:
        return rasterio.open(path)
    except RasterioIOError as error:
        raise DataError(f"the reference cannot be read: {error}; give an orthophoto of the place, a GeoTIFF") from None


def reference_grid(bounds: Sequence[float], resolution: float, radius: float, crs: str) -> MapGrid:
    """Return the grid on which a map is compared with its reference.

    Args:
        bounds: west, south, east, north of the map, metres.
        resolution: at least, metres a cell; coarser where the map is large.
        radius: of the search, metres, which is added on each side.
        crs: of the map.
    """
    west, south, east, north = bounds
    side = max(east - west, north - south) + 2 * radius
    cell = max(resolution, side / MAX_SIDE_CELLS)
    return MapGrid.covering((west - radius, south - radius, east + radius, north + radius), cell, crs)
