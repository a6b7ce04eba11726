"""What a raster file says of itself: shape, types, band names, wavelengths, place and time."""

import contextlib
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.sensors.matching import parse_wavelength

TIME_TAGS = ("datetime", "start_time", "acquisition_time", "ACQUISITION_DATETIME", "DATATAKE_1_DATATAKE_SENSING_START")


@dataclass(frozen=True)
class RasterHeader:
    """A raster file without its values.

    Attributes:
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
        """Number of bands."""
        return len(self.dtypes)

    @property
    def pixel_area(self) -> float:
        """Area of a pixel in square units of the grid; without georeference, relative to the image's size."""
        if self.crs is None:
            return 1.0 / (self.shape[0] * self.shape[1])
        a, b, _, d, e, _ = self.affine
        return abs(a * e - b * d)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(x, y) of the upper left and of the lower right corner."""
        a, b, c, d, e, f = self.affine
        rows, columns = self.shape
        return c, f, c + a * columns + b * rows, f + d * columns + e * rows


def read_header(path: str | Path) -> RasterHeader:
    """Read a file's header. Raises ``FileNotFoundError``, or ``OSError`` if GDAL cannot read it."""
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
    """An open rasterio dataset; GDAL's errors become ``OSError`` that name the file and say what to do."""
    try:
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning, RasterioError
    except ImportError as error:
        raise ImportError("reading rasters needs rasterio: pip install 'skyweave[geo]'") from error
    if not path.exists():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # not an error here: notes tell of it
            dataset = rasterio.open(path)
        with dataset:
            yield dataset
    except RasterioError as error:
        cause = str(error.__cause__ or error)
        raise OSError(
            f"{path}: GDAL cannot read it ({cause}); the file is no raster, or truncated or damaged: "
            "copy or download it again"
        ) from error


def _wavelength(tags: dict[str, str], description: str | None) -> float | None:
    return _nanometres(tags, "wavelength") or parse_wavelength(description or "")


def _nanometres(tags: dict[str, str], key: str) -> float | None:
    """A number from the band's tags in nanometres; micrometres are converted where the tags say so."""
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
    """Side of a pixel in metres at the centre of the image; degrees are measured on the ellipsoid there."""
    from pyproj import CRS

    a, b, c, d, e, f = affine
    system = CRS.from_user_input(crs)
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
    """Acquisition time from the tags that mean it (not a file's writing time); taken as UTC without an offset."""
    for key in TIME_TAGS:
        text = tags.get(key)
        if not text:
            continue
        try:
            moment = datetime.fromisoformat(text[:-1] if text.endswith("Z") else text)
        except ValueError:
            try:
                return int(np.datetime64(text, "ns").astype(np.int64))  # more digits than datetime reads
            except ValueError:
                continue
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        return round(moment.replace(microsecond=0).timestamp()) * 10**9 + moment.microsecond * 1000
    return None
