"""An image on the grid of another one: resampled window by window, from any reference system, without a new file."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from skyweave.core.errors import ConfigError, DataError
from skyweave.core.observation import GeoTransform, Observation, check_window
from skyweave.core.sensors import Sensor
from skyweave.data.header import RasterHeader
from skyweave.data.raster_image import FilePart, RasterImage, Window

RESAMPLINGS = ("nearest", "bilinear", "cubic", "average")
"""Of pixels that lie between others. All but ``nearest`` mean over what is merged where the target is coarser."""
KERNEL_PIXELS = {"nearest": 1, "bilinear": 2, "cubic": 3, "average": 2}  # read beyond what a window covers
LATTICE_POINTS = 9  # a side, by which it is found where a window lies


@dataclass(frozen=True)
class RegriddedImage:
    """An image that is read as if it lay on a grid; what it does not cover is no data.

    Attributes:
        image: on its own grid, with a place.
        place: of the grid.
        shape: (rows, columns) of the grid.
        ground_sample_distance: metres per pixel of the grid.
        resampling: one of `RESAMPLINGS`; what is no data has no weight.

    Raises:
        ConfigError: no such resampling.
        DataError: the image has no place, or does not cover any of the grid.
    """

    image: RasterImage
    place: GeoTransform
    shape: tuple[int, int]
    ground_sample_distance: float
    resampling: str = "bilinear"

    def __post_init__(self) -> None:
        if self.resampling not in RESAMPLINGS:
            raise ConfigError(f"resampling {self.resampling!r}: choose one of {', '.join(RESAMPLINGS)}")
        path = self.finest.path
        if self.image.geotransform is None:
            raise DataError(f"{path} has no place on the Earth, so it cannot be laid over another scene; give it one")
        if self._part_of_image((0, 0, *self.shape)) is None:
            raise DataError(f"{path} covers nothing of the first scene; give scenes of the same ground")

    @property
    def geotransform(self) -> GeoTransform:
        """Return where the grid lies."""
        return self.place

    @property
    def parts(self) -> tuple[FilePart, ...]:
        """Return what is read from which file."""
        return self.image.parts

    @property
    def sensor(self) -> Sensor:
        """Return what took the image."""
        return self.image.sensor

    @property
    def unit(self) -> str:
        """Return how values are stored."""
        return self.image.unit

    @property
    def finest(self) -> RasterHeader:
        """Return the header of the file with the smallest pixels."""
        return self.image.finest

    @property
    def time(self) -> int | None:
        """Return UTC nanoseconds since 1970."""
        return self.image.time

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what a reader should know."""
        return self.image.notes

    def check_sample(self) -> tuple[str, ...]:
        """Look at some pixels of the image; see `RasterImage.check_sample`."""
        return self.image.check_sample()

    def read(self, window: Window | None = None) -> Observation:
        """Read a window of the grid. Any part of it is the same, whatever else is read with it.

        Args:
            window: (row, column, rows, columns); default: everything.

        Raises:
            DataError: the window leaves the grid, or as in `RasterImage.read`.
        """
        row, column, rows, columns = window = window or (0, 0, *self.shape)
        check_window(str(self.finest.path), window, self.shape)
        pixels = np.full((len(self.sensor), rows, columns), np.nan, np.float32)
        part = self._part_of_image(window)
        if part is not None:
            self._resample(self.image.read(part), pixels, self.place.window(row, column))
        valid = np.isfinite(pixels)
        return Observation(
            pixels=np.where(valid, pixels, np.float32(0)),
            sensor=self.sensor,
            valid=valid,
            ground_sample_distance=self.ground_sample_distance,
            geometry=self.place.window(row, column),
            time=self.time,
            source=str(self.finest.path),
            notes=self.notes,
        )

    def _resample(self, source: Observation, target: np.ndarray, place: GeoTransform) -> None:
        """Fill a target, (bands, rows, columns), where the source has values."""
        from affine import Affine
        from rasterio.enums import Resampling
        from rasterio.warp import reproject

        assert isinstance(source.geometry, GeoTransform)
        across, down = self._scales
        reproject(
            np.where(source.valid, source.pixels, np.float32(np.nan)),
            target,
            src_transform=Affine(*source.geometry.affine),
            src_crs=source.geometry.crs,
            src_nodata=np.nan,
            dst_transform=Affine(*place.affine),
            dst_crs=place.crs,
            dst_nodata=np.nan,
            resampling=Resampling[self.resampling],
            tolerance=0,  # the exact place of each pixel: an approximate one would depend on the window
            UNIFIED_SRC_NODATA="NO",  # of each band alone
            XSCALE=across,  # else GDAL takes them from the window
            YSCALE=down,
        )

    @cached_property
    def _scales(self) -> tuple[float, float]:
        """Return pixels of the grid for one of the image, across and down; 1 where the grid is the finer."""
        rows, columns = self.shape
        half = 0.5 * min(rows, columns, 64)
        middle = np.array([[columns / 2 - half, rows / 2], [columns / 2 + half, rows / 2]])
        upright = np.array([[columns / 2, rows / 2 - half], [columns / 2, rows / 2 + half]])
        lengths = [float(np.hypot(*np.ptp(self._to_image(points), axis=0))) for points in (middle, upright)]
        across, down = (2 * half / length if 0 < length < math.inf else 1.0 for length in lengths)
        return min(1.0, round(across, 6)), min(1.0, round(down, 6))

    def _part_of_image(self, window: Window) -> Window | None:
        """Return the window of the image that a window of the grid needs; None where it covers nothing."""
        row, column, rows, columns = window
        lattice = np.linspace(0, 1, LATTICE_POINTS)
        points = np.array([(column + x * columns, row + y * rows) for y in lattice for x in lattice])
        there = self._to_image(points)
        there = there[np.isfinite(there).all(axis=1)]
        if not len(there):
            return None
        steps = np.ptp(there, axis=0) / (columns, rows)
        reach = KERNEL_PIXELS[self.resampling] * np.maximum(np.ceil(steps), 1) + 1
        reach += np.ptp(there, axis=0) / LATTICE_POINTS**2  # the bend of an edge between two points of the lattice
        limit = np.array(self.image.shape[::-1])
        first = np.clip(np.floor(there.min(axis=0) - reach), 0, limit).astype(int)
        last = np.clip(np.ceil(there.max(axis=0) + reach), 0, limit).astype(int)
        if (last <= first).any():
            return None
        return int(first[1]), int(first[0]), int(last[1] - first[1]), int(last[0] - first[0])

    def _to_image(self, points: np.ndarray) -> np.ndarray:
        """Return (points, 2) columns and rows in the image of columns and rows of the grid; infinite beyond the map."""
        from rasterio.warp import transform

        assert self.image.geotransform is not None
        x, y = _apply(self.place.affine, points).T
        source = self.image.geotransform
        if source.crs != self.place.crs:
            x, y = (np.array(values) for values in transform(self.place.crs, source.crs, x.tolist(), y.tolist()))
        return _apply(_invert(source.affine), np.stack([x, y], axis=1))


def _apply(affine: Any, points: np.ndarray) -> np.ndarray:
    a, b, c, d, e, f = affine
    moved: np.ndarray = points @ np.array([[a, d], [b, e]]) + (c, f)
    return moved


def _invert(affine: Any) -> tuple[float, ...]:
    a, b, c, d, e, f = affine
    area = a * e - b * d
    return e / area, -b / area, (b * f - c * e) / area, -d / area, a / area, (c * d - a * f) / area
