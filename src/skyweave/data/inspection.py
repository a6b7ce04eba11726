"""Inspect a raster: what its header declares and which values it holds, so that a user can declare sensor and unit."""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from skyweave.data.band_files import PLACEHOLDER, find_band_files
from skyweave.data.band_header import BandHeader
from skyweave.data.fill_values import find_usual_fill_value
from skyweave.data.georeference import IDENTITY
from skyweave.data.header import RasterHeader, read_header
from skyweave.data.stored_values import read_stored

MAX_STRIP_VALUES = 16_000_000  # read at most this many values at once (128 MB as float64)
MIN_STRIP_ROWS = 64


@dataclass(frozen=True)
class BandReport(BandHeader):
    """One band of a file: what its header says, and its values.

    Attributes:
        nodata_share: share of the pixels that are no measurement by the file itself (nodata, mask, transparency), or
            NaN or infinity, 0..1.
        nan_share: share of the pixels that are NaN or infinite, 0..1.
        minimum, maximum, mean: over valid pixels, as stored; None where there are none.
        lowest, highest: the same without ``fill``.
        fill: a value that usually stands for no data, far from all others, which the file does not declare.
        fill_count: how many pixels hold it.
    """

    nodata_share: float = 0.0
    nan_share: float = 0.0
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    lowest: float | None = None
    highest: float | None = None
    fill: float | None = None
    fill_count: int = 0

    @property
    def empty(self) -> bool:
        """Return whether no pixel is valid."""
        return self.minimum is None


@dataclass(frozen=True)
class RasterReport:
    """A raster file, or an image whose bands are separate files.

    Attributes:
        path: of the file, or the pattern of the files.
        driver: GDAL's name of the format.
        rows, columns: size in pixels, of the file with the smallest.
        crs: ``EPSG:32633``, WKT, or None.
        crs_name: the reference system in words, or None.
        located_by: what the place rests on, if it is no plain transform (``6 ground control points``).
        ground_sample_distance: metres per pixel (geometric mean of both sides), or None where unknown.
        bounds: (left, bottom, right, top) in units of the CRS, or None without a geotransform.
        time: acquisition time as ISO 8601 in UTC, or None.
        bands: in the file's order.
        sampled: values were read from a coarser version, so shares, minima and maxima are estimates.
        remedy: why the place cannot be used as it is, and what helps; None where it can.
        pages: names of further rasters in the file, which are not read.
        orientation: how EXIF asks viewers to turn the pixels; 1 for not at all.
    """

    path: str
    driver: str
    rows: int
    columns: int
    crs: str | None
    ground_sample_distance: float | None
    bounds: tuple[float, float, float, float] | None
    time: str | None
    crs_name: str | None = None
    located_by: str | None = None
    bands: list[BandReport] = field(default_factory=list)
    sampled: bool = False
    remedy: str | None = None
    pages: tuple[str, ...] = ()
    orientation: int = 1

    @property
    def measured(self) -> list[BandReport]:
        """Return the bands that are no transparency."""
        return [band for band in self.bands if not band.is_alpha]

    @property
    def names(self) -> list[str | None]:
        """Return the names of the measured bands, None where the file gives none."""
        return [band.name for band in self.measured]

    @property
    def wavelengths(self) -> list[float | None]:
        """Return the centre wavelengths of the measured bands in nanometres, None where the file gives none."""
        return [band.wavelength for band in self.measured]

    @property
    def minima(self) -> list[float]:
        """Return the smallest stored value of each measured band that has valid pixels, without a fill value."""
        return [band.lowest for band in self.measured if band.lowest is not None]

    @property
    def maxima(self) -> list[float]:
        """Return the largest stored value of each measured band that has valid pixels, without a fill value."""
        return [band.highest for band in self.measured if band.highest is not None]

    @property
    def identified(self) -> bool:
        """Return whether wavelengths, a file name or colours say of any band which it is."""
        return any(self.wavelengths) or any(band.name_from in ("file name", "colour") for band in self.bands)


def inspect_raster(
    path: str | Path, sample: int | None = None, progress: Callable[[float], None] | None = None
) -> RasterReport:
    """Read a raster's declarations and the range of its values; nothing is interpreted or scaled.

    Args:
        path: any file that GDAL opens, a name of its, or a path with ``{band}`` where bands are separate files.
        sample: read at most this many rows and columns (nearest pixels), for a quick look at a large file.
        progress: called with the share done, 0..1.

    Raises:
        MissingExtraError: rasterio is not installed (``pip install 'skyweave[geo]'``).
        FileNotFoundError, IsADirectoryError: no such file.
        DataError: not a raster, or its pixels cannot be read to the end (truncated, corrupt).
    """
    text = str(path)
    files = find_band_files(text) if PLACEHOLDER in text and not Path(text).exists() else {"": text}
    headers = {name: read_header(file) for name, file in files.items()}
    finest = min(headers.values(), key=lambda header: header.pixel_area)
    bands = [band for name, header in headers.items() for band in _band_reports(header, name, sample, progress)]
    place = finest.place
    return RasterReport(
        path=text,
        driver=finest.driver,
        rows=finest.shape[0],
        columns=finest.shape[1],
        crs=finest.crs,
        ground_sample_distance=finest.ground_sample_distance,
        bounds=None if finest.affine == IDENTITY else finest.bounds,
        time=None if finest.time is None else _utc(finest.time),
        crs_name=place.name,
        located_by=place.by,
        bands=[replace(band, number=number) for number, band in enumerate(bands, 1)],
        sampled=sample is not None and max(finest.shape) > sample,
        remedy=place.remedy,
        pages=finest.pages,
        orientation=finest.orientation,
    )


def _utc(nanoseconds: int) -> str:
    """Return nanoseconds since 1970 as ISO 8601 text, to the second."""
    return datetime.fromtimestamp(nanoseconds // 10**9, UTC).isoformat().replace("+00:00", "Z")


def _band_reports(
    header: RasterHeader, name: str, sample: int | None, progress: Callable[[float], None] | None
) -> list[BandReport]:
    """Return the bands of one file, whose one band is called ``name`` if it has no other name."""
    reports: dict[int, BandReport] = {}
    measured, alpha = _split_bands(header)
    for bands, nodata in ((measured, "file"), (alpha, None)):
        totals = _add_up(header, bands, nodata, sample, progress)
        reports |= {band: total.report(header.bands[band]) for band, total in zip(bands, totals, strict=True)}
    if name and header.count == 1 and not reports[0].name:
        reports[0] = replace(reports[0], name=name, name_from="file name")
    return [reports[band] for band in range(header.count)]


def _split_bands(header: RasterHeader) -> tuple[list[int], list[int]]:
    """Return the bands that are measured, and the one that is transparency."""
    alpha = header.alpha
    return [band for band in range(header.count) if band != alpha], [] if alpha is None else [alpha]


def _add_up(
    header: RasterHeader,
    bands: list[int],
    nodata: str | None,
    sample: int | None,
    progress: Callable[[float], None] | None,
) -> "list[_Totals]":
    """Return the totals of the values of each band."""
    totals = [_Totals() for _ in bands]
    for stored, mask in _blocks(header, bands, nodata, sample, progress):
        for total, values, valid in zip(totals, stored, mask, strict=True):
            total.add(values, valid)
    return totals


def _blocks(
    header: RasterHeader,
    bands: list[int],
    nodata: str | None,
    sample: int | None,
    progress: Callable[[float], None] | None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield values and mask of strips of the file, or of the nearest pixels of a coarser version."""
    rows, columns = header.shape
    if not bands:
        return
    if sample is not None and max(rows, columns) > sample:
        yield read_stored(header, bands, "file" if nodata else None, shape=(min(rows, sample), min(columns, sample)))
        return
    height = max(MIN_STRIP_ROWS, MAX_STRIP_VALUES // max(columns * len(bands), 1) // MIN_STRIP_ROWS * MIN_STRIP_ROWS)
    for top in range(0, rows, height):
        bottom = min(top + height, rows)
        yield read_stored(header, bands, "file" if nodata else None, window=((top, bottom), (0, columns)))
        if progress is not None:
            progress(bottom / rows)


class _Totals:
    """Running counts of one band."""

    def __init__(self) -> None:
        self.pixels = self.valid = self.nan = 0
        self.sum, self.low, self.high = 0.0, math.inf, -math.inf
        self.lowest, self.highest = math.inf, -math.inf
        self.fills: dict[float, int] = {}

    def add(self, stored: np.ndarray, mask: np.ndarray) -> None:
        """Count the values of a block.

        Args:
            stored: (rows, columns).
            mask: (rows, columns) bool.
        """
        self.pixels += stored.size
        self.nan += int(stored.size - np.isfinite(stored).sum())
        values = stored[mask]
        if not values.size:
            return
        self.valid += values.size
        self.sum += float(values.sum(dtype=np.float64))
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        if (fill := find_usual_fill_value(stored, mask)) is not None:
            self.fills[fill] = self.fills.get(fill, 0) + int((values == fill).sum())
            values = values[values != fill]
        if values.size:
            self.lowest, self.highest = min(self.lowest, float(values.min())), max(self.highest, float(values.max()))

    def report(self, header: BandHeader) -> BandReport:
        """Return what was counted, beside what the header says.

        Args:
            header: of the band.
        """
        fill = max(self.fills, key=self.fills.__getitem__, default=None)
        report = BandReport(
            **asdict(header),
            nodata_share=1.0 - self.valid / self.pixels,
            nan_share=self.nan / self.pixels,
            fill=fill,
            fill_count=self.fills.get(fill, 0) if fill is not None else 0,
        )
        if not self.valid:
            return report
        report = replace(report, minimum=self.low, maximum=self.high, mean=self.sum / self.valid)
        only_fill = math.isinf(self.lowest)
        return report if only_fill else replace(report, lowest=self.lowest, highest=self.highest)
