"""Headers of raster files: everything that a file says of itself, read once and in one place for every command."""

import shlex
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.data.band_header import BandHeader, read_band_headers
from skyweave.data.georeference import Affine, Georeference, locate
from skyweave.data.orientation import UPRIGHT, read_orientation
from skyweave.data.products.product import find_product
from skyweave.data.raster_files import open_raster, raster_name
from skyweave.data.tiff_dataset import TiffDataset

TIME_TAGS = (
    "datetime",
    "start_time",
    "acquisition_time",
    "ACQUISITION_DATETIME",
    "ACQUISITIONDATETIME",
    "DATATAKE_1_DATATAKE_SENSING_START",
)
PRODUCT_DRIVER = "product"
"""Stands for GDAL's name of a format, of a product of one file a band."""


@dataclass(frozen=True)
class RasterHeader:
    """A raster file without its values.

    Attributes:
        path: of the file, or GDAL's name of it.
        driver: GDAL's name of the format.
        bands: in the file's order.
        place: where its pixels lie.
        time: UTC nanoseconds since 1970 from the tags, None without.
        pages: names of further rasters in the file, which are not read.
        orientation: how EXIF asks viewers to turn the pixels, 1 to 8; 1 for not at all.
        sensor: name of what took it, where it is a product that says so.
    """

    path: str
    driver: str
    bands: tuple[BandHeader, ...]
    place: Georeference
    time: int | None
    pages: tuple[str, ...] = ()
    orientation: int = 1
    sensor: str | None = None

    @property
    def count(self) -> int:
        """Return the number of bands."""
        return len(self.bands)

    @property
    def shape(self) -> tuple[int, int]:
        """Return the size as (rows, columns)."""
        return self.place.shape

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Return the stored type of each band."""
        return tuple(band.dtype for band in self.bands)

    @property
    def descriptions(self) -> tuple[str | None, ...]:
        """Return the band names, None where the file gives none."""
        return tuple(band.name for band in self.bands)

    @property
    def wavelengths(self) -> tuple[float | None, ...]:
        """Return the centre wavelengths in nanometres, None where the file gives none."""
        return tuple(band.wavelength for band in self.bands)

    @property
    def widths(self) -> tuple[float | None, ...]:
        """Return full widths at half maximum in nanometres, None where the file gives none."""
        return tuple(band.width for band in self.bands)

    @property
    def nodata(self) -> tuple[float | None, ...]:
        """Return the declared nodata value of each band."""
        return tuple(band.nodata for band in self.bands)

    @property
    def alpha(self) -> int | None:
        """Return the 0-based band that is tagged as transparency, None without."""
        return next((index for index, band in enumerate(self.bands) if band.is_alpha), None)

    @property
    def crs(self) -> str | None:
        """Return ``EPSG:code`` where it has one, else WKT; None without."""
        return self.place.crs

    @property
    def affine(self) -> Affine:
        """Return the GDAL affine of the pixel grid (a, b, c, d, e, f); the identity without georeference."""
        return self.place.affine

    @property
    def ground_sample_distance(self) -> float | None:
        """Return metres per pixel, geometric mean of both sides at the image's centre; None where unknown."""
        return self.place.metres_per_pixel

    @property
    def pixel_area(self) -> float:
        """Return the area of a pixel in square units of the grid; without CRS, relative to the image's size."""
        if self.crs is None:
            return 1.0 / (self.shape[0] * self.shape[1])
        a, b, _, d, e, _ = self.affine
        return abs(a * e - b * d)

    @property
    def corners(self) -> tuple[tuple[float, float], ...]:
        """Return (x, y) of the upper left, upper right, lower left and lower right corner."""
        a, b, c, d, e, f = self.affine
        rows, columns = self.shape
        grid = ((0, 0), (0, columns), (rows, 0), (rows, columns))
        return tuple((a * column + b * row + c, d * column + e * row + f) for row, column in grid)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Return (left, bottom, right, top) in units of the grid."""
        xs, ys = zip(*self.corners, strict=True)
        return min(xs), min(ys), max(xs), max(ys)


def read_header(path: str | Path) -> RasterHeader:
    """Read a file's header.

    Args:
        path: any file that GDAL opens, or a name of its: a subdataset, a virtual file, a URL.

    Raises:
        FileNotFoundError: no such file.
        IsADirectoryError: a folder.
        DataError: GDAL cannot read it, its reference system is not known, or its pixels are no rectangles.
        MissingExtraError: rasterio is not installed.
    """
    with open_raster(path) as dataset:
        header, product = header_of(dataset, path), find_product(path)
    return header if product is None else replace(header, driver=PRODUCT_DRIVER, sensor=product.sensor)


def header_of(dataset: Any, path: str | Path) -> RasterHeader:
    """Return the header of an open dataset.

    Args:
        dataset: of rasterio, or without GDAL a `TiffDataset`.
        path: by which it was opened.

    Raises:
        DataError: its reference system is not known, or its pixels are no rectangles.
    """
    try:
        place = dataset.place if isinstance(dataset, TiffDataset) else locate(dataset)
    except DataError as error:
        raise DataError(f"{path}: {str(error).replace('PATH', shlex.quote(str(path)))}") from error
    return RasterHeader(
        path=raster_name(path),
        driver=dataset.driver,
        bands=read_band_headers(dataset, path),
        place=place,
        time=_time(dataset.tags()),
        pages=tuple(name for name in dataset.subdatasets if not name.startswith("GTIFF_DIR:1:")),
        orientation=read_orientation(dataset.tags(), path) if place.crs is None else UPRIGHT,
    )


def describe_orientation(orientation: int) -> str | None:
    """Return what a turn that EXIF asks viewers to make means for labels; None where there is none.

    Args:
        orientation: of EXIF.
    """
    if orientation == 1:
        return None
    return (
        f"EXIF asks viewers to turn it (orientation {orientation}): it is read as stored, and what was drawn on the "
        "turned image lies elsewhere; store it upright, with Pillow: `ImageOps.exif_transpose(image).save(path)`"
    )


def _time(tags: dict[str, str]) -> int | None:
    """Return the acquisition time from the tags that mean it (not a file's writing time)."""
    times = (_nanoseconds(tags[key]) for key in TIME_TAGS if tags.get(key))
    return next((time for time in times if time is not None), None)


def _nanoseconds(text: str) -> int | None:
    """Return UTC nanoseconds since 1970 of an ISO 8601 time, taken as UTC without an offset; None if it is none."""
    try:
        time = datetime.fromisoformat(text[:-1] if text.endswith("Z") else text)
    except ValueError:
        return _fine_nanoseconds(text)
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time
    return round(time.replace(microsecond=0).timestamp()) * 10**9 + time.microsecond * 1000


def _fine_nanoseconds(text: str) -> int | None:
    """Return nanoseconds of a time with more digits than datetime reads; None if it is none."""
    try:
        return int(np.datetime64(text, "ns").astype(np.int64))
    except ValueError:
        return None
