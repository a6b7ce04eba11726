"""Headers of raster files: shape, types, band names, wavelengths, georeference and time."""

import contextlib
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError, MissingExtraError
from skyweave.core.sensors.matching import parse_wavelength

TIME_TAGS = ("datetime", "start_time", "acquisition_time", "ACQUISITION_DATETIME", "DATATAKE_1_DATATAKE_SENSING_START")


@dataclass(frozen=True)
class RasterHeader:
    """A raster file without its values.

    Attributes:
        path: of the file.
        shape: (rows, columns).
        dtypes: one per band.
        descriptions: band names as written in the file, None where there is none.
        wavelengths, widths: centre and full width at half maximum in nanometres, None where the file gives none.
        nodata: one per band.
        crs: ``EPSG:code`` where it has one, else WKT; None without.
        affine: GDAL affine of the pixel grid (a, b, c, d, e, f); the identity without georeference.
        ground_sample_distance: metres per pixel, geometric mean of both sides at the image's centre; None without CRS.
        time: UTC nanoseconds since 1970 from the tags, None without.
    """

    path: Path
    shape: tuple[int, int]
    dtypes: tuple[str, ...]
    descriptions: tuple[str | None, ...]
    wavelengths: tuple[float | None, ...]
    widths: tuple[float | None, ...]
    nodata: tuple[float | None, ...]
    crs: str | None
    affine: tuple[float, float, float, float, float, float]
    ground_sample_distance: float | None
    time: int | None

    @property
    def count(self) -> int:
        """Return the number of bands."""
        return len(self.dtypes)

    @property
    def pixel_area(self) -> float:
        """Return the area of a pixel in square units of the grid; without CRS, relative to the image's size."""
        if self.crs is None:
            return 1.0 / (self.shape[0] * self.shape[1])
        a, b, _, d, e, _ = self.affine
        return abs(a * e - b * d)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Return (x, y) of the upper left and of the lower right corner."""
        a, b, c, d, e, f = self.affine
        rows, columns = self.shape
        return c, f, c + a * columns + b * rows, f + d * columns + e * rows


def read_header(path: str | Path) -> RasterHeader:
    """Read a file's header.

    Args:
        path: any file that GDAL opens.

    Raises:
        FileNotFoundError: no such file.
        IsADirectoryError: a folder.
        DataError: GDAL cannot read it, or its reference system is not known.
        MissingExtraError: rasterio is not installed.
    """
    path = Path(path)
    with open_raster(path) as dataset:
        crs = None
        if dataset.crs:
            code = dataset.crs.to_epsg()
            crs = f"EPSG:{code}" if code else dataset.crs.to_wkt()
        tags = [dataset.tags(band) for band in dataset.indexes]
        transform = dataset.transform
        affine = (transform.a, transform.b, transform.c, transform.d, transform.e, transform.f)
        shape = (dataset.height, dataset.width)
        return RasterHeader(
            path=path,
            shape=shape,
            dtypes=tuple(dataset.dtypes),
            descriptions=tuple(dataset.descriptions),
            wavelengths=tuple(map(_wavelength, tags, dataset.descriptions)),
            widths=tuple(_nanometres(tag, "fwhm") for tag in tags),
            nodata=tuple(dataset.nodatavals),
            crs=crs,
            affine=affine,
            ground_sample_distance=_metres_per_pixel(crs, affine, shape) if crs else None,
            time=_time(dataset.tags()),
        )


@contextlib.contextmanager
def open_raster(path: Path) -> Iterator[Any]:
    """Open a file with rasterio; GDAL's errors name the file and the remedy, also those of reading in the block.

    Args:
        path: any file that GDAL opens.

    Raises:
        FileNotFoundError: no such file.
        IsADirectoryError: a folder.
        DataError: GDAL cannot read it.
        MissingExtraError: rasterio is not installed.
    """
    try:
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning, RasterioError
    except ImportError as error:
        raise MissingExtraError("reading rasters needs rasterio: pip install 'skyweave[geo]'") from error
    if not path.exists():
        raise FileNotFoundError(f"no such file: {path}")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give a raster file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # no error here: it becomes a note
            dataset = rasterio.open(path)
        with dataset:
            yield dataset
    except RasterioError as error:
        cause = str(error.__cause__ or error)
        raise DataError(
            f"{path}: GDAL cannot read it ({cause}); the file is no raster, or truncated or damaged: "
            "copy or download it again"
        ) from error


def _wavelength(tags: dict[str, str], description: str | None) -> float | None:
    return _nanometres(tags, "wavelength") or parse_wavelength(description or "")


def _nanometres(tags: dict[str, str], key: str) -> float | None:
    """Return a number from the band's tags in nanometres; micrometres are converted where the tags say so."""
    lower = {name.casefold(): text for name, text in tags.items()}
    try:
        value = float(lower[key])
    except (KeyError, ValueError):
        return None
    in_micrometres = lower.get("wavelength_units", "nanometers").casefold().startswith(("micro", "um", "µm"))
    return value * 1000 if in_micrometres else value


def _metres_per_pixel(
    crs: str, affine: tuple[float, float, float, float, float, float], shape: tuple[int, int]
) -> float | None:
    """Return the side of a pixel in metres at the image's centre; degrees are measured on the ellipsoid there."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    a, b, c, d, e, f = affine
    try:
        system = CRS.from_user_input(crs)
    except CRSError as error:
        raise DataError(f"its coordinate reference system {crs!r} is not known ({error}); reproject it") from error
    if system.is_geographic:
        geod = system.get_geod()
        if geod is None:
            return None
        x = c + a * shape[1] / 2 + b * shape[0] / 2
        y = f + d * shape[1] / 2 + e * shape[0] / 2
        _, _, across = geod.inv(x, y, x + a, y + d)
        _, _, down = geod.inv(x, y, x + b, y + e)
        return float(math.sqrt(across * down))
    if not system.is_projected:
        return None  # a local engineering grid: its unit is not known to be metres on the ground
    return float(math.sqrt(abs(a * e - b * d)) * system.axis_info[0].unit_conversion_factor)


def _time(tags: dict[str, str]) -> int | None:
    """Return the acquisition time from the tags that mean it (not a file's writing time)."""
    times = (_nanoseconds(tags[key]) for key in TIME_TAGS if tags.get(key))
    return next((time for time in times if time is not None), None)


def _nanoseconds(text: str) -> int | None:
    """Return UTC nanoseconds since 1970 of an ISO 8601 time, taken as UTC without an offset; None if it is none."""
    try:
        time = datetime.fromisoformat(text[:-1] if text.endswith("Z") else text)
    except ValueError:
        try:
            return int(np.datetime64(text, "ns").astype(np.int64))  # more digits than datetime reads
        except ValueError:
            return None
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time
    return round(time.replace(microsecond=0).timestamp()) * 10**9 + time.microsecond * 1000
