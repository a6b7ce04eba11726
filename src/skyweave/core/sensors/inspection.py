"""Inspect a raster: what its header declares and which values it holds, so that a user can declare sensor and unit."""

import math
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError, MissingExtraError
from skyweave.core.sensors.matching import parse_wavelength

METRES_PER_DEGREE = 111_320.0  # along a meridian; along a parallel times the cosine of the latitude
MAX_STRIP_VALUES = 16_000_000  # read at most this many values at once (128 MB as float64)


@dataclass
class BandReport:
    """One band of a file.

    Attributes:
        number: 1-based, as GDAL counts.
        dtype: of the stored values (``uint16``).
        name: description in the file, or None.
        name_from: where ``name`` comes from: ``description``, ``file name``, ``colour`` or None.
        wavelength, width: centre and full width at half maximum in nanometres, if the file gives them.
        scale, offset, unit: tags of the file; what is shown below is *not* scaled by them.
        colour: GDAL's colour interpretation (``red``, ``alpha``).
        nodata: declared nodata value.
        nodata_share: share of the pixels that hold nodata, NaN or infinity, 0..1.
        nan_share: share of the pixels that are NaN or infinite, 0..1.
        minimum, maximum, mean: over valid pixels, as stored; None where there are none.
    """

    number: int
    dtype: str
    name: str | None = None
    name_from: str | None = None
    wavelength: float | None = None
    width: float | None = None
    scale: float = 1.0
    offset: float = 0.0
    unit: str | None = None
    colour: str | None = None
    nodata: float | None = None
    nodata_share: float = 0.0
    nan_share: float = 0.0
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None

    @property
    def empty(self) -> bool:
        """Return whether no pixel is valid."""
        return self.minimum is None


@dataclass
class RasterReport:
    """A raster file.

    Attributes:
        path: of the file.
        driver: GDAL's name of the format.
        rows, columns: size in pixels.
        crs: ``EPSG:32633``, a WKT name, or None.
        ground_sample_distance: metres per pixel (geometric mean of both sides), or None without a CRS.
        bounds: (left, bottom, right, top) in units of the CRS, or None without a geotransform.
        time: acquisition time as the tags write it, or None.
        bands: in the file's order.
        sampled: values were read from a coarser version, so shares, minima and maxima are estimates.
    """

    path: str
    driver: str
    rows: int
    columns: int
    crs: str | None
    ground_sample_distance: float | None
    bounds: tuple[float, float, float, float] | None
    time: str | None
    bands: list[BandReport] = field(default_factory=list)
    sampled: bool = False

    @property
    def names(self) -> list[str | None]:
        """Return the band names, None where the file gives none."""
        return [band.name for band in self.bands]

    @property
    def wavelengths(self) -> list[float | None]:
        """Return the centre wavelengths in nanometres, None where the file gives none."""
        return [band.wavelength for band in self.bands]

    @property
    def minima(self) -> list[float]:
        """Return the smallest stored value of each band that has valid pixels."""
        return [band.minimum for band in self.bands if band.minimum is not None]

    @property
    def maxima(self) -> list[float]:
        """Return the largest stored value of each band that has valid pixels."""
        return [band.maximum for band in self.bands if band.maximum is not None]

    @property
    def identified(self) -> bool:
        """Return whether wavelengths, a file name or colours say of any band which it is."""
        return any(self.wavelengths) or any(band.name_from in ("file name", "colour") for band in self.bands)


def inspect_raster(
    path: str | Path, sample: int | None = None, progress: Callable[[float], None] | None = None
) -> RasterReport:
    """Read a raster's declarations and the range of its values; nothing is interpreted or scaled.

    Args:
        path: any file that GDAL opens.
        sample: read at most this many rows and columns (nearest pixels), for a quick look at a large file.
        progress: called with the share done, 0..1.

    Raises:
        MissingExtraError: rasterio is not installed (``pip install 'skyweave[geo]'``).
        FileNotFoundError, IsADirectoryError: no such file.
        DataError: not a raster, or its pixels cannot be read to the end (truncated, corrupt).
    """
    try:
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning, RasterioError
    except ModuleNotFoundError as error:
        raise MissingExtraError("inspecting rasters needs rasterio: pip install 'skyweave[geo]'") from error

    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give one raster file")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; check its name")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            dataset = rasterio.open(path)
        except RasterioError as error:
            raise DataError(f"{path} is not a raster that GDAL can open (or it is cut short): {error}") from error
        with dataset:
            report = _declarations(dataset, path)
            try:
                _values(dataset, report, sample, progress or (lambda share: None))
            except RasterioError as error:
                raise DataError(
                    f"{path}: opened, but its pixels cannot be read to the end: the file is truncated or corrupt; "
                    f"fetch it again ({error})"
                ) from error
    return report


def _declarations(dataset: Any, path: Path) -> RasterReport:
    if not dataset.count:
        names = "; ".join(dataset.subdatasets[:4]) or "none"
        raise DataError(f"{path} holds no bands of its own; give one of its subdatasets: {names}")
    crs = dataset.crs
    georeferenced = not dataset.transform.is_identity
    tags = dataset.tags()
    time = next((tags[key] for key in _TIME_TAGS if tags.get(key)), None)
    return RasterReport(
        path=str(path),
        driver=dataset.driver,
        rows=dataset.height,
        columns=dataset.width,
        crs=None if crs is None else (crs.to_string() if crs.to_epsg() is None else f"EPSG:{crs.to_epsg()}"),
        ground_sample_distance=_ground_sample_distance(dataset),
        bounds=tuple(dataset.bounds) if georeferenced else None,
        time=time,
        bands=[_band(dataset, number, path) for number in range(1, dataset.count + 1)],
    )


_TIME_TAGS = ("datetime", "start_time", "acquisition_time", "ACQUISITIONDATETIME", "TIFFTAG_DATETIME", "EXIF_DateTime")


def _band(dataset: Any, number: int, path: Path) -> BandReport:
    tags, imagery = dataset.tags(number), dataset.tags(number, ns="IMAGERY")
    name, source = _name(dataset, number, path)
    return BandReport(
        number=number,
        dtype=dataset.dtypes[number - 1],
        name=name,
        name_from=source,
        wavelength=_nanometres(tags, imagery, "wavelength", "CENTRAL_WAVELENGTH_UM") or parse_wavelength(name or ""),
        width=_nanometres(tags, imagery, "fwhm", "FWHM_UM"),
        scale=dataset.scales[number - 1],
        offset=dataset.offsets[number - 1],
        unit=dataset.units[number - 1] or None,
        colour=dataset.colorinterp[number - 1].name,
        nodata=dataset.nodatavals[number - 1],
    )


def _name(dataset: Any, number: int, path: Path) -> tuple[str | None, str | None]:
    """Return the name of a band and where it comes from."""
    if description := dataset.descriptions[number - 1]:
        return description, "description"
    if dataset.count == 1 and (stem := band_from_file_name(path.name)):
        return stem, "file name"
    colour = dataset.colorinterp[number - 1].name
    if dataset.count in (3, 4) and dataset.dtypes[0] == "uint8" and colour in ("red", "green", "blue"):
        return colour, "colour"
    return None, None


def band_from_file_name(file_name: str) -> str | None:
    """Return the band that a one-band file is called after, or None.

    Args:
        file_name: such as ``S2A_..._36_85_B8A.tif`` (``B8A``) or ``..._VV.tif`` (``VV``).
    """
    tokens = file_name.split(".")[0].split("_")
    if len(tokens) > 1 and re.fullmatch(r"\d+m", tokens[-1], re.I):
        tokens.pop()  # Sentinel-2 product folders: ..._B02_10m.jp2
    token = tokens[-1]
    return token if re.fullmatch(r"B\d{1,3}A?|VV|VH|HH|HV", token, re.I) else None


def _nanometres(tags: dict[str, str], imagery: dict[str, str], key: str, imagery_key: str) -> float | None:
    """Return a length from the band's own tags (with its unit) or GDAL's IMAGERY domain (micrometres)."""
    try:
        if key in tags:
            value = float(tags[key])
            units = tags.get("wavelength_units", "Nanometers").casefold()
            return value * 1000 if units.startswith(("micro", "um")) else value
        if imagery_key in imagery:
            return float(imagery[imagery_key]) * 1000
    except ValueError:
        return None
    return None


def _ground_sample_distance(dataset: Any) -> float | None:
    if dataset.crs is None or dataset.transform.is_identity:
        return None
    t = dataset.transform
    x, y = math.hypot(t.a, t.d), math.hypot(t.b, t.e)
    if dataset.crs.is_geographic:
        latitude = t.f + t.d * dataset.width / 2 + t.e * dataset.height / 2
        return METRES_PER_DEGREE * math.sqrt(x * y * max(math.cos(math.radians(latitude)), 1e-6))
    return math.sqrt(x * y) * float(dataset.crs.linear_units_factor[1])


def _values(dataset: Any, report: RasterReport, sample: int | None, progress: Callable[[float], None]) -> None:
    """Fill in shares, minimum, maximum and mean."""
    report.sampled = sample is not None and max(report.rows, report.columns) > sample
    totals = [_Totals() for _ in report.bands]
    blocks = _sample(dataset, report, sample) if report.sampled and sample else _strips(dataset, report, progress)
    for pixels in blocks:
        for total, band, values in zip(totals, report.bands, pixels, strict=True):
            total.add(values, band.nodata)
    for total, band in zip(totals, report.bands, strict=True):
        total.write(band)


def _sample(dataset: Any, report: RasterReport, sample: int) -> Iterator[np.ndarray]:
    """Yield the nearest pixels of a coarser version: (bands, rows, columns) with at most ``sample`` of each."""
    from rasterio.enums import Resampling

    shape = (len(report.bands), min(report.rows, sample), min(report.columns, sample))
    yield dataset.read(out_shape=shape, resampling=Resampling.nearest)


def _strips(dataset: Any, report: RasterReport, progress: Callable[[float], None]) -> Iterator[np.ndarray]:
    """Yield (bands, rows, columns) strip by strip, each of whole blocks of the file."""
    from rasterio.windows import Window

    rows, columns = report.rows, report.columns
    block = max(dataset.block_shapes[0][0], 1)
    height = max(block, MAX_STRIP_VALUES // max(columns * len(report.bands), 1) // block * block)
    for top in range(0, rows, height):
        yield dataset.read(window=Window(0, top, columns, min(height, rows - top)))
        progress(min(1.0, (top + height) / rows))


class _Totals:
    """Running counts of one band."""

    def __init__(self) -> None:
        self.pixels = self.valid = self.nan = 0
        self.sum, self.low, self.high = 0.0, math.inf, -math.inf

    def add(self, pixels: np.ndarray, nodata: float | None) -> None:
        valid = np.isfinite(pixels)
        self.pixels += pixels.size
        self.nan += int(pixels.size - valid.sum())
        if nodata is not None and math.isfinite(nodata):
            valid &= pixels != nodata
        values = pixels[valid]
        if values.size:
            self.valid += values.size
            self.sum += float(values.sum(dtype=np.float64))
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))

    def write(self, band: BandReport) -> None:
        band.nodata_share = 1.0 - self.valid / self.pixels
        band.nan_share = self.nan / self.pixels
        if self.valid:
            band.minimum, band.maximum, band.mean = self.low, self.high, self.sum / self.valid
