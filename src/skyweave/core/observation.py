"""Observations, the one input type: pixels, the sensor that took them, where, when, and which of them are valid."""

from dataclasses import dataclass, replace

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.sensors.sensor import Sensor


@dataclass(frozen=True)
class GeoTransform:
    """Where an orthorectified image lies.

    Attributes:
        crs: coordinate reference system as WKT or ``EPSG:code``; None for a plain pixel grid.
        affine: six numbers (a, b, c, d, e, f) of the GDAL/rasterio affine: x = a*col + b*row + c and
            y = d*col + e*row + f, where integer (col, row) is a pixel's upper left corner.
    """

    crs: str | None
    affine: tuple[float, float, float, float, float, float]

    def window(self, row: int, column: int) -> "GeoTransform":
        """Return the geotransform of a window of the image.

        Args:
            row: of the window's upper left pixel.
            column: of the window's upper left pixel.
        """
        a, b, c, d, e, f = self.affine
        return replace(self, affine=(a, b, c + a * column + b * row, d, e, f + d * column + e * row))


@dataclass(frozen=True)
class Observation:
    """The image that one sensor took at one time and place.

    Attributes:
        pixels: (bands, rows, columns) float32 in each band's unit; finite everywhere (invalid pixels hold 0).
        sensor: its bands are the channels, in order.
        valid: (bands, rows, columns) bool, False where nodata, NaN or infinity was read.
        ground_sample_distance: metres per pixel of these pixels (not the sensor's nominal one).
        geometry: where it lies, if known: a geotransform where it is orthorectified, else a camera and its pose.
        time: UTC nanoseconds since 1970, if known.
        source: file or stream it came from, for messages.
        notes: what a reader should know about how it was read (a nominal ground sample distance was used, say).

    Raises:
        DataError: shapes, channels or values that do not fit together; the message names the source.
    """

    pixels: np.ndarray
    sensor: Sensor
    valid: np.ndarray
    ground_sample_distance: float
    geometry: GeoTransform | CameraGeometry | None = None
    time: int | None = None
    source: str = "memory"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check_shapes()
        if not self.ground_sample_distance > 0:
            raise DataError(f"{self.source}: ground sample distance {self.ground_sample_distance} must be metres > 0")
        if not np.isfinite(self.pixels).all():
            raise DataError(f"{self.source}: pixels hold NaN or infinity; build it with Observation.from_pixels")

    def _check_shapes(self) -> None:
        """Refuse pixels that are not those of the sensor's bands, and a mask that is not theirs."""
        if self.pixels.ndim != 3 or self.pixels.shape[0] != len(self.sensor):
            raise DataError(
                f"{self.source}: pixels have shape {self.pixels.shape}, but sensor {self.sensor.name!r} has "
                f"{len(self.sensor)} bands; give (bands, rows, columns), or select the bands with sensor.select([...])"
            )
        self._check_mask()

    def _check_mask(self) -> None:
        """Refuse a mask that is not that of the pixels."""
        if self.valid.shape != self.pixels.shape or self.valid.dtype != bool:
            raise DataError(
                f"{self.source}: valid must be bool of shape {self.pixels.shape}, is {self.valid.dtype} "
                f"{self.valid.shape}"
            )

    @classmethod
    def from_pixels(
        cls,
        pixels: np.ndarray,
        sensor: Sensor,
        ground_sample_distance: float | None = None,
        valid: np.ndarray | None = None,
        geometry: GeoTransform | CameraGeometry | None = None,
        time: int | None = None,
        source: str = "memory",
        notes: tuple[str, ...] = (),
    ) -> "Observation":
        """Build an observation from values in the bands' units: NaN and infinity become invalid zeros.

        Args:
            pixels: (bands, rows, columns), any real dtype, in each band's unit.
            sensor: its bands are the channels, in order.
            ground_sample_distance: metres per pixel; default: the sensor's nominal one.
            valid: (bands, rows, columns) or (rows, columns) bool; default: everything finite.
            geometry: where it lies.
            time: UTC nanoseconds since 1970.
            source: file or stream it came from, for messages.
            notes: what a reader should know about how it was read.

        Raises:
            DataError: shapes or channels that do not fit together.
        """
        pixels = np.asarray(pixels, np.float32)
        finite = np.isfinite(pixels)
        mask = finite if valid is None else finite & np.broadcast_to(valid, pixels.shape)
        return cls(
            pixels=np.where(mask, pixels, np.float32(0)),
            sensor=sensor,
            valid=np.ascontiguousarray(mask),
            ground_sample_distance=ground_sample_distance or sensor.ground_sample_distance,
            geometry=geometry,
            time=time,
            source=source,
            notes=notes,
        )

    @property
    def geotransform(self) -> GeoTransform | None:
        """Return the geometry if the image is orthorectified, else None."""
        return self.geometry if isinstance(self.geometry, GeoTransform) else None

    @property
    def shape(self) -> tuple[int, int]:
        """Return the size as (rows, columns)."""
        return self.pixels.shape[1], self.pixels.shape[2]

    def select(self, bands: list[str]) -> "Observation":
        """Return the observation with some of its bands.

        Args:
            bands: names, in the order of the result's channels.

        Raises:
            UnknownNameError: the sensor has no such band.
        """
        channels = [self.sensor.index(name) for name in bands]
        return replace(self, pixels=self.pixels[channels], valid=self.valid[channels], sensor=self.sensor.select(bands))

    def window(self, row: int, column: int, rows: int, columns: int) -> "Observation":
        """Return a part of the image.

        Args:
            row: of the upper left pixel.
            column: of the upper left pixel.
            rows: height in pixels.
            columns: width in pixels.

        Raises:
            DataError: the window does not lie inside the image.
        """
        check_window(self.source, (row, column, rows, columns), self.shape)
        geometry = self.geometry
        if isinstance(geometry, CameraGeometry):
            geometry = replace(geometry, camera=geometry.camera.cropped(row, column, rows, columns))
        elif geometry is not None:
            geometry = geometry.window(row, column)
        part = (slice(None), slice(row, row + rows), slice(column, column + columns))
        return replace(self, pixels=self.pixels[part], valid=self.valid[part], geometry=geometry)


def check_window(source: str, window: tuple[int, int, int, int], shape: tuple[int, int]) -> None:
    """Check that a window lies inside an image.

    Args:
        source: of the image, for the message.
        window: (row, column, rows, columns) in pixels.
        shape: (rows, columns) of the image.

    Raises:
        DataError: it does not, or it is empty.
    """
    row, column, rows, columns = window
    if not (_is_span(row, rows, shape[0]) and _is_span(column, columns, shape[1])):
        raise DataError(
            f"{source}: window rows {row}:{row + rows}, columns {column}:{column + columns} leaves the image of "
            f"{shape[0]} x {shape[1]}"
        )


def _is_span(start: int, length: int, limit: int) -> bool:
    """Return whether a span is not empty and lies within 0 to ``limit``."""
    return start >= 0 and length >= 1 and start + length <= limit
