"""What a raster file says of itself, and its values: the facts on which a user declares sensor and unit."""

import math
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.sensors.matching import parse_wavelength

METRES_PER_DEGREE = 111_320.0  # along a meridian; along a parallel times the cosine of the latitude
MAX_STRIP_VALUES = 16_000_000  # read at most this many values at once (128 MB as float64)


@dataclass
class BandReport:
    """One band of a file.

    Attributes:
        number: 1-based, as GDAL counts.
        name: description in the file, or None.
        name_from: where ``name`` comes from: ``description``, ``file name``, ``colour`` or None.
        wavelength, width: centre and full width at half maximum in nanometres, if the file gives them.
        scale, offset, unit: tags of the file; what is shown below is *not* scaled by them.
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
        """No pixel is valid."""
        return self.minimum is None


@dataclass
class RasterReport:
    """A raster file.

    Attributes:
        crs: ``EPSG:32633``, a WKT name, or None.
        ground_sample_distance: metres per pixel (geometric mean of both sides), or None without a CRS.
        bounds: (left, bottom, right, top) in units of the CRS, or None without a geotransform.
        time: acquisition time as the tags write it, or None.
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
        """Band names as far as the file gives them."""
        return [band.name for band in self.bands]

    @property
    def wavelengths(self) -> list[float | None]:
        """Centre wavelengths in nanometres as far as the file gives them."""
        return [band.wavelength for band in self.bands]


def inspect_raster(
    path: str | Path, sample: int | None = None, progress: Callable[[float], None] | None = None
) -> RasterReport:
    """Read a raster's declarations and the range of its values; nothing is interpreted or scaled.

    Args:
        path: any file that GDAL opens.
        sample: read at most this many rows and columns (nearest pixels), for a quick look at a large file.
        progress: called with the share done, 0..1.

    Raises:
        ModuleNotFoundError: rasterio is not installed (``pip install 'skyweave[geo]'``).
        FileNotFoundError, IsADirectoryError: no such file.
        ValueError: not a raster, or its pixels cannot be read to the end (truncated, corrupt).
    """
    import rasterio
    from rasterio.errors import RasterioError

    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give one raster file")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
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
    description = dataset.descriptions[number - 1]
    colour = dataset.colorinterp[number - 1].name
    tags, imagery = dataset.tags(number), dataset.tags(number, ns="IMAGERY")
    name, source = description or None, "description" if description else None
    if name is None and dataset.count == 1 and (stem := band_from_file_name(path.name)):
        name, source = stem, "file name"
    if name is None and dataset.count in (3, 4) and dataset.dtypes[0] == "uint8" and colour in ("red", "green", "blue"):
        name, source = colour, "colour"
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
        colour=colour,
        nodata=dataset.nodatavals[number - 1],
    )


def band_from_file_name(file_name: str) -> str | None:
    """The band that a one-band file is called after: ``S2A_..._36_85_B8A.tif`` is ``B8A``, ``..._VV.tif`` is ``VV``."""
    tokens = file_name.split(".")[0].split("_")
    if len(tokens) > 1 and re.fullmatch(r"\d+m", tokens[-1], re.I):
        tokens.pop()  # Sentinel-2 product folders: ..._B02_10m.jp2
    token = tokens[-1]
    return token if re.fullmatch(r"B\d{1,3}A?|VV|VH|HH|HV", token, re.I) else None


def _nanometres(tags: dict[str, str], imagery: dict[str, str], key: str, imagery_key: str) -> float | None:
    """A length from the band's own tags (with its unit) or GDAL's IMAGERY domain (micrometres)."""
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
    """Fill in shares, minimum, maximum and mean, strip by strip."""
    from rasterio.enums import Resampling
    from rasterio.windows import Window

    rows, columns, count = report.rows, report.columns, len(report.bands)
    totals = [_Totals() for _ in report.bands]
    if sample is not None and max(rows, columns) > sample:
        shape = (count, min(rows, sample), min(columns, sample))
        report.sampled = True
        for total, band, pixels in zip(
            totals, report.bands, dataset.read(out_shape=shape, resampling=Resampling.nearest), strict=True
        ):
            total.add(pixels, band.nodata)
    else:
        block = max(dataset.block_shapes[0][0], 1)
        height = max(block, MAX_STRIP_VALUES // max(columns * count, 1) // block * block)
        for top in range(0, rows, height):
            strip = dataset.read(window=Window(0, top, columns, min(height, rows - top)))
            for total, band, pixels in zip(totals, report.bands, strip, strict=True):
                total.add(pixels, band.nodata)
            progress(min(1.0, (top + height) / rows))
    for total, band in zip(totals, report.bands, strict=True):
        total.write(band)


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
