"""Any GDAL raster to an Observation: bands by name, declared units, a mask for everything that is no measurement."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.images.resampling import resample
from skyweave.core.observation import GeoTransform, Observation, check_window
from skyweave.core.sensors import Sensor
from skyweave.data.band_order import FileChannel, resolve_channels
from skyweave.data.decoding import Nodata, read_decoded
from skyweave.data.header import RasterHeader, read_header
from skyweave.data.units import check_unit

Window = tuple[int, int, int, int]
"""Row, column, rows, columns."""
BandNames = Sequence[str | None] | Literal["sensor"] | None

MAX_ASPECT_DIFFERENCE = 0.02  # relative, between files of one image that have no georeference


def read_observation(
    paths: str | Path | Sequence[str | Path] | Mapping[str, str | Path],
    sensor: Sensor,
    *,
    unit: str,
    bands: BandNames = None,
    offset: float = 0.0,
    nodata: Nodata = "file",
    window: Window | None = None,
    resolution: float | None = None,
    ground_sample_distance: float | None = None,
) -> Observation:
    """Read a raster, or one image whose bands are separate files, possibly of different resolutions.

    Channels of the result are in the sensor's order, whatever the order in the file. Files on a coarser grid are
    resampled (bilinear, valid pixels only) to the finest grid, or to ``resolution``.

    Args:
        paths: one multi-band file; or single-band files (a list, or a dict from band name to file).
        sensor: what took the image; ``unit`` is one of its encodings.
        unit: how values are stored (``dn``, ``dn_offset1000``, ``db``, ...). Declared, never guessed.
        bands: names of the file's bands in the file's order (None for one to skip), or of a part of them where the
            file names its bands; ``sensor``: the file has exactly the sensor's bands in the sensor's order;
            None: the file's own names and wavelengths (or the file names' endings) decide, and all must be there.
        offset: added to the stored values first, in stored units (-1000, say).
        nodata: ``file``: what the file declares (nodata, mask or alpha); None: nothing; a number: this stored value.
        window: (row, column, rows, columns) on the result's grid.
        resolution: metres per pixel of the result; default: the finest of the files.
        ground_sample_distance: metres per pixel of the (finest) file, where the file does not know or is wrong.

    Returns:
        Nodata, NaN and infinity are invalid, per band. Without a CRS and a declared ground sample distance the
        sensor's nominal one is used, and ``notes`` says so.

    Raises:
        FileNotFoundError: no such file.
        DataError: no raster, truncated or damaged; bands that cannot be identified, a missing band, a unit that does
            not fit the values, a nodata value that the type cannot hold, a window outside the image, files that do not
            cover the same ground.
    """
    files, names = _as_files(paths, bands)
    headers = list(map(read_header, files))
    channels = resolve_channels(headers, sensor, names)
    present = _select(sensor, [channel for _, _, channel in channels])
    encoding = present.encoding(unit)
    finest = min(headers, key=lambda header: abs(header.pixel_area))
    distance, notes = _ground_sample_distance(finest, sensor, ground_sample_distance)
    for header in headers:
        _check_same_ground(header, finest)
    grid = _Grid(finest, _scaled_shape(finest.shape, distance, resolution), window)

    pixels = np.zeros((len(present), *grid.size), np.float32)
    valid = np.zeros(pixels.shape, bool)
    for number, header in enumerate(headers):
        if where := _bands_of_file(channels, number):
            indices = list(where.values())
            part = _select(present, indices)
            pixels[indices], valid[indices] = _read_file(header, grid, part, list(where), unit, offset, nodata)
    check_unit(pixels, valid, present, encoding, finest.path)
    return Observation(
        pixels=pixels,
        sensor=present,
        valid=valid,
        ground_sample_distance=distance * grid.zoom,
        geometry=grid.geotransform,
        time=_first_time(headers),
        source=str(finest.path),
        notes=notes,
    )


@dataclass
class _Grid:
    """The pixel grid of the result: the finest file's, resampled to ``shape``, of which ``window`` is read."""

    finest: RasterHeader
    shape: tuple[int, int]
    window: Window | None

    def __post_init__(self) -> None:
        if self.window is None:
            self.window = (0, 0, *self.shape)
        check_window(str(self.finest.path), self.window, self.shape)
        self.row, self.column, *size = self.window
        self.size = (size[0], size[1])

    @property
    def zoom(self) -> float:
        """Return how much larger a pixel is than the finest file's."""
        return math.sqrt(self.finest.shape[0] * self.finest.shape[1] / (self.shape[0] * self.shape[1]))

    @property
    def geotransform(self) -> GeoTransform | None:
        """Return the window's geotransform: the finest file's, stretched to the shape."""
        if self.finest.crs is None:
            return None
        a, b, c, d, e, f = self.finest.affine
        x, y = self.finest.shape[1] / self.shape[1], self.finest.shape[0] / self.shape[0]
        return GeoTransform(self.finest.crs, (a * x, b * y, c, d * x, e * y, f)).window(self.row, self.column)


def _as_files(
    paths: str | Path | Sequence[str | Path] | Mapping[str, str | Path], bands: BandNames
) -> tuple[list[Path], list[str | None] | Literal["sensor"] | None]:
    """Return the files as a list, and the band names that go with them."""
    names = _as_names(bands)
    if isinstance(paths, str | Path):
        return [Path(paths)], names
    if isinstance(paths, Mapping):
        return [Path(path) for path in paths.values()], list(paths)
    if not paths:
        raise DataError("no file was given to read")
    return [Path(path) for path in paths], names


def _as_names(bands: BandNames) -> list[str | None] | Literal["sensor"] | None:
    if bands is None or bands == "sensor":
        return bands
    return [bands] if isinstance(bands, str) else list(bands)


def _select(sensor: Sensor, channels: list[int]) -> Sensor:
    """Return the sensor with these channels alone."""
    return sensor.select([sensor.bands[channel].name for channel in channels])


def _first_time(headers: Sequence[RasterHeader]) -> int | None:
    """Return the time of the first file that has one."""
    return next((header.time for header in headers if header.time is not None), None)


def _bands_of_file(channels: Sequence[FileChannel], file: int) -> dict[int, int]:
    """Return the 0-based bands of a file, and where in the result each one goes."""
    return {band: index for index, (number, band, _) in enumerate(channels) if number == file}


def _scaled_shape(shape: tuple[int, int], distance: float, resolution: float | None) -> tuple[int, int]:
    if not resolution:
        return shape
    rows, columns = (max(1, round(side * distance / resolution)) for side in shape)
    return rows, columns


def _read_file(
    header: RasterHeader, grid: _Grid, sensor: Sensor, bands: list[int], unit: str, offset: float, nodata: Nodata
) -> tuple[np.ndarray, np.ndarray]:
    """Return the values (bands, rows, columns) and the mask of one file on the result's grid."""
    scale = header.shape[0] / grid.shape[0], header.shape[1] / grid.shape[1]
    extent = grid.row * scale[0], grid.column * scale[1], grid.size[0] * scale[0], grid.size[1] * scale[1]
    margin = 0 if scale == (1.0, 1.0) else math.ceil(max(1.0, *scale)) + 1  # the resampling filter's support
    values, mask, inner = read_decoded(header, sensor, bands, sensor.encoding(unit), offset, nodata, extent, margin)
    return (values, mask) if scale == (1.0, 1.0) else resample(values, mask, grid.size, inner)


def _check_same_ground(header: RasterHeader, finest: RasterHeader) -> None:
    """Refuse files of one image that do not cover the same rectangle to within a pixel of the coarser one."""
    if header is finest:
        return
    if header.crs != finest.crs:
        raise DataError(f"{header.path} has CRS {header.crs}, {finest.path} has {finest.crs}: reproject one of them")
    if not _same_ground(header, finest):
        raise DataError(
            f"{header.path} covers {header.bounds}, {finest.path} covers {finest.bounds}: the bands of one image must "
            "cover the same ground; crop them first"
        )


def _same_ground(header: RasterHeader, finest: RasterHeader) -> bool:
    if header.crs is None:
        aspect = header.shape[0] / header.shape[1] / (finest.shape[0] / finest.shape[1])
        return abs(aspect - 1) < MAX_ASPECT_DIFFERENCE
    tolerance = max(abs(header.affine[0]), abs(header.affine[4]), abs(header.affine[1]))
    return all(abs(a - b) <= tolerance for a, b in zip(header.bounds, finest.bounds, strict=True))


def _ground_sample_distance(
    header: RasterHeader, sensor: Sensor, declared: float | None
) -> tuple[float, tuple[str, ...]]:
    """Return the metres per pixel of a file: declared, else measured, else the sensor's nominal one with a note."""
    if declared is not None:
        if not declared > 0:
            raise DataError(f"{header.path}: ground sample distance {declared} must be positive metres")
        return declared, ()
    if header.ground_sample_distance is not None:
        return header.ground_sample_distance, ()
    nominal = sensor.ground_sample_distance
    note = (
        f"{header.path}: no CRS, so the ground sample distance is taken to be the nominal {nominal:g} m of "
        f"{sensor.name}; declare ground_sample_distance if it is not"
    )
    return nominal, (note,)
