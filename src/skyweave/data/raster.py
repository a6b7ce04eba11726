"""Any GDAL raster to an Observation: bands by name, declared units, a mask for everything that is no measurement."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.observation import GeoTransform, Observation
from skyweave.core.sensors import Encoding, Sensor
from skyweave.data.band_order import resolve_channels
from skyweave.data.header import RasterHeader, open_raster, read_header
from skyweave.data.resampling import resample
from skyweave.data.units import check_unit

Window = tuple[int, int, int, int]
Nodata = float | Literal["file"] | None


def read_observation(
    paths: str | Path | Sequence[str | Path] | Mapping[str, str | Path],
    sensor: Sensor,
    *,
    unit: str,
    bands: Sequence[str | None] | Literal["sensor"] | None = None,
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
        OSError: no raster, truncated or damaged.
        ValueError: bands that cannot be told, a missing band, a unit that does not fit the values, a nodata value
            that the type cannot hold, a window outside the image, files that do not cover the same ground.
    """
    files, names = _as_files(paths, bands)
    headers = [read_header(file) for file in files]
    reader = resolve_channels(headers, sensor, names)  # (header index, band index, sensor channel)
    present = sensor.select([sensor.bands[channel].name for _, _, channel in reader])
    encoding = present.encoding(unit)

    finest = min(headers, key=lambda header: abs(header.pixel_area))
    distance, notes = _ground_sample_distance(finest, sensor, ground_sample_distance)
    for header in headers:
        _check_same_ground(header, finest)
    height, width = finest.shape
    if resolution:
        height, width = (max(1, round(side * distance / resolution)) for side in finest.shape)
    row, column, rows, columns = _inside(window, (height, width), finest.path)

    pixels = np.zeros((len(present), rows, columns), np.float32)
    valid = np.zeros(pixels.shape, bool)
    for number, header in enumerate(headers):
        own = [(band, place) for place, (file, band, _) in enumerate(reader) if file == number]
        if not own:
            continue
        part = present.select([present.bands[place].name for _, place in own])
        scale = header.shape[0] / height, header.shape[1] / width
        extent = row * scale[0], column * scale[1], rows * scale[0], columns * scale[1]
        bands_here = [band for band, _ in own]
        margin = 0 if scale == (1.0, 1.0) else math.ceil(max(1.0, *scale)) + 1  # the resampling filter's reach
        values, mask, inner = _read(header, part, bands_here, part.encoding(unit), offset, nodata, extent, margin)
        if scale != (1.0, 1.0):
            values, mask = resample(values, mask, (rows, columns), inner)
        places = [place for _, place in own]
        pixels[places], valid[places] = values, mask
    check_unit(pixels, valid, present, encoding, finest.path)

    geometry = _geometry(finest, (height, width))
    return Observation(
        pixels=pixels,
        sensor=present,
        valid=valid,
        ground_sample_distance=distance * math.sqrt(finest.shape[0] * finest.shape[1] / (height * width)),
        geometry=_shifted(geometry, row, column),
        time=next((header.time for header in headers if header.time is not None), None),
        source=str(finest.path),
        notes=notes,
    )


def _as_files(
    paths: str | Path | Sequence[str | Path] | Mapping[str, str | Path],
    bands: Sequence[str | None] | Literal["sensor"] | None,
) -> tuple[list[Path], list[str | None] | Literal["sensor"] | None]:
    """The files as a list, and the band names that go with them."""
    if isinstance(bands, str) and bands != "sensor":
        bands = [bands]
    names = bands if bands is None or isinstance(bands, str) else list(bands)
    if isinstance(paths, str | Path):
        return [Path(paths)], names  # type: ignore[return-value]
    if isinstance(paths, Mapping):
        return [Path(path) for path in paths.values()], list(paths)
    if not paths:
        raise DataError("no file was given to read")
    return [Path(path) for path in paths], names  # type: ignore[return-value]


def _read(
    header: RasterHeader,
    sensor: Sensor,
    bands: list[int],
    encoding: Encoding,
    offset: float,
    nodata: Nodata,
    extent: tuple[float, float, float, float],
    margin: int,
) -> tuple[np.ndarray, np.ndarray, tuple[float, float, float, float]]:
    """Decoded values of ``extent`` and a margin around it, their mask, and where ``extent`` lies in them."""
    if isinstance(nodata, int | float):
        _check_nodata(nodata, header, bands)
    top, left = max(0, math.floor(extent[0]) - margin), max(0, math.floor(extent[1]) - margin)
    bottom = min(header.shape[0], math.ceil(extent[0] + extent[2]) + margin)
    right = min(header.shape[1], math.ceil(extent[1] + extent[3]) + margin)
    with open_raster(header.path) as dataset:
        place = ((top, bottom), (left, right))
        numbers = [band + 1 for band in bands]
        stored = dataset.read(numbers, window=place)
        mask = np.ones(stored.shape, bool)
        if nodata == "file":
            mask = _declared_mask(dataset, numbers, place, mask)
    if np.iscomplexobj(stored):
        raise DataError(f"{header.path}: values are complex; give intensities, this reads real values only")
    if isinstance(nodata, int | float) and not math.isnan(nodata):
        mask &= stored != np.asarray(nodata).astype(stored.dtype)
    mask &= np.isfinite(stored)
    values = encoding.decode(np.where(mask, stored, 0).astype(np.float32) + np.float32(offset))
    decoded = np.isfinite(values)
    if (mask & ~decoded).sum() > 0.5 * max(1, mask.sum()):
        raise DataError(
            f"{header.path}: unit {encoding.name!r} cannot be right: {encoding.formula()} is undefined for most of the "
            f"values ({float(stored[mask].min()):g} to {float(stored[mask].max()):g}); declare the unit they are "
            f"stored in: {', '.join(known.name for known in sensor.encodings)}"
        )
    mask &= decoded
    inner = extent[0] - top, extent[1] - left, extent[2], extent[3]
    return np.where(mask, values, np.float32(0)), mask, inner


def _declared_mask(dataset: Any, numbers: list[int], place: Any, everything: np.ndarray) -> np.ndarray:
    """What the file itself calls valid: its nodata value, mask or alpha band.

    A fourth band marked as alpha that is read as a measurement (the near infrared of many aerial files) is no mask.
    """
    from rasterio.enums import ColorInterp, MaskFlags
    from rasterio.errors import NodataShadowWarning

    alpha = [number for number, kind in enumerate(dataset.colorinterp, 1) if kind == ColorInterp.alpha]
    if MaskFlags.alpha in dataset.mask_flag_enums[numbers[0] - 1] and set(alpha) & set(numbers):
        return everything
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NodataShadowWarning)  # nodata wins over alpha, which is what is wanted
        return np.asarray(dataset.read_masks(numbers, window=place)) > 0


def _check_nodata(nodata: float, header: RasterHeader, bands: list[int]) -> None:
    """A nodata value that the stored type cannot hold would silently mask nothing."""
    for band in bands:
        kind = np.dtype(header.dtypes[band])
        fits = kind.kind == "f" or (float(nodata).is_integer() and np.iinfo(kind).min <= nodata <= np.iinfo(kind).max)
        if not fits:
            raise DataError(
                f"{header.path}: nodata {nodata:g} cannot occur in {kind} values; declare the value the file uses, "
                "'file' for what it says itself, or null for none"
            )


def _check_same_ground(header: RasterHeader, finest: RasterHeader) -> None:
    """Files of one image must cover the same rectangle to within a pixel of the coarser one."""
    if header is finest:
        return
    if header.crs != finest.crs:
        raise DataError(f"{header.path} has CRS {header.crs}, {finest.path} has {finest.crs}: reproject one of them")
    if header.crs is None:
        same = abs(header.shape[0] / header.shape[1] / (finest.shape[0] / finest.shape[1]) - 1) < 0.02
    else:
        tolerance = max(abs(header.affine[0]), abs(header.affine[4]), abs(header.affine[1]))
        same = all(abs(a - b) <= tolerance for a, b in zip(header.bounds, finest.bounds, strict=True))
    if not same:
        raise DataError(
            f"{header.path} covers {header.bounds}, {finest.path} covers {finest.bounds}: the bands of one image must "
            "cover the same ground; crop them first"
        )


def _ground_sample_distance(
    header: RasterHeader, sensor: Sensor, declared: float | None
) -> tuple[float, tuple[str, ...]]:
    """Metres per pixel of a file: declared, else measured, else the sensor's nominal one with a note."""
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


def _inside(window: Window | None, shape: tuple[int, int], path: Path) -> Window:
    """The window, checked; the whole image by default."""
    if window is None:
        return 0, 0, *shape
    row, column, rows, columns = window
    if rows < 1 or columns < 1 or row < 0 or column < 0 or row + rows > shape[0] or column + columns > shape[1]:
        raise DataError(
            f"{path}: window rows {row}:{row + rows}, columns {column}:{column + columns} leaves the image of "
            f"{shape[0]} x {shape[1]}"
        )
    return window


def _geometry(header: RasterHeader, shape: tuple[int, int]) -> GeoTransform | None:
    """The result's geotransform: the file's, stretched to the result's shape."""
    if header.crs is None:
        return None
    a, b, c, d, e, f = header.affine
    x, y = header.shape[1] / shape[1], header.shape[0] / shape[0]
    return GeoTransform(header.crs, (a * x, b * y, c, d * x, e * y, f))


def _shifted(geometry: GeoTransform | None, row: int, column: int) -> GeoTransform | None:
    if geometry is None:
        return None
    a, b, c, d, e, f = geometry.affine
    return replace(geometry, affine=(a, b, c + a * column + b * row, d, e, f + d * column + e * row))
