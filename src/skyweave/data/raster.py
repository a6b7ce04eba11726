"""Any GDAL raster to an Observation: bands by name, declared units, a mask for everything that is no measurement."""

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from skyweave.core.errors import DataError
from skyweave.core.observation import Observation
from skyweave.core.sensors import Sensor
from skyweave.core.sensors.lookup import sensor_names
from skyweave.data.band_files import find_band_files
from skyweave.data.band_order import FileChannel, resolve_channels
from skyweave.data.georeference import IDENTITY
from skyweave.data.header import RasterHeader, describe_orientation, read_header
from skyweave.data.raster_image import FilePart, RasterImage, Window
from skyweave.data.scale_tags import check_scale_tags, find_unit_of_tags
from skyweave.data.storage import Nodata, Storage, nodata_of_sensor
from skyweave.data.units import check_bytes

BandNames = Sequence[str | None] | Literal["sensor"] | None
RasterPaths = str | Path | Sequence[str | Path] | Mapping[str, str | Path]

UNIT_OF_FILE = "file"  # stands for the unit that the file's tags lead to
MAX_ASPECT_DIFFERENCE = 0.02  # relative, between files of one image that have no georeference
MAX_GSD_DEVIATION = 0.02  # of a declared pixel size from the file's, before it is noted


def read_observation(
    paths: RasterPaths,
    sensor: Sensor,
    *,
    unit: str,
    bands: BandNames = None,
    offset: float = 0.0,
    nodata: Nodata = "file",
    window: Window | None = None,
    resolution: float | None = None,
    ground_sample_distance: float | None = None,
    ignore_scale_tags: bool = False,
) -> Observation:
    """Read a raster, or one image whose bands are separate files, possibly of different resolutions.

    Channels of the result are in the sensor's order, whatever the order in the file. Files on a coarser grid are
    resampled (bilinear, valid pixels only) to the finest grid, or to ``resolution``.

    Args:
        paths: one multi-band file, or GDAL's name of a raster in it; or single-band files (a list, a dict from band
            name to file, or a path with ``{band}`` for each of ``bands``).
        sensor: what took the image; ``unit`` is one of its encodings.
        unit: how values are stored (``dn``, ``dn_offset1000``, ``db``, ...), or ``file``: as the file's scale, offset
            and unit say. Declared, never guessed.
        bands: names of the file's bands in the file's order (None for one to skip; transparency may be left out), or
            of a part of them where the file names its bands; ``sensor``: the file has exactly the sensor's bands in the
            sensor's order; None: the file's own names, wavelengths and colours (or the file names' endings) decide, and
            all must be there.
        offset: added to the stored values first, in stored units (-1000, say).
        nodata: ``file``: what the file declares (nodata, mask or alpha); ``clouds``: that, and what its product calls
            no clear ground; None: nothing; a number: this stored value; a list: each of them.
        window: (row, column, rows, columns) on the result's grid.
        resolution: metres per pixel of the result; default: the finest of the files.
        ground_sample_distance: metres per pixel of the (finest) file, where the file does not know or is wrong.
        ignore_scale_tags: use ``unit`` although the file's scale and offset tags say otherwise.

    Returns:
        Nodata, NaN and infinity are invalid, per band. Without a CRS and a declared ground sample distance the
        sensor's nominal one is used, and ``notes`` says so.

    Raises:
        FileNotFoundError: no such file.
        DataError: no raster, truncated or damaged; bands that cannot be identified, a missing band, a unit that does
            not fit the values or the file's tags, a nodata value that the type cannot hold or that nobody declares, a
            window outside the image, files that do not cover the same ground, a place that needs warping first.
    """
    image = open_image(
        paths,
        sensor,
        unit=unit,
        bands=bands,
        offset=offset,
        nodata=nodata,
        resolution=resolution,
        ground_sample_distance=ground_sample_distance,
        ignore_scale_tags=ignore_scale_tags,
    )
    return image.read(window)


def open_image(
    paths: RasterPaths,
    sensor: Sensor,
    *,
    unit: str,
    bands: BandNames = None,
    offset: float = 0.0,
    nodata: Nodata = "file",
    resolution: float | None = None,
    ground_sample_distance: float | None = None,
    ignore_scale_tags: bool = False,
) -> RasterImage:
    """Hold what files say of themselves against what is declared, once, so that windows can be read.

    Args:
        paths: as in `read_observation`, and so are the other arguments.
        sensor: what took the image.
        unit: how values are stored.
        bands: names of the file's bands.
        offset: added to the stored values first.
        nodata: what is no measurement.
        resolution: metres per pixel of the result.
        ground_sample_distance: metres per pixel of the (finest) file.
        ignore_scale_tags: use ``unit`` although the file's tags say otherwise.

    Raises:
        FileNotFoundError: no such file.
        DataError: as in `read_observation`.
    """
    files, names = _as_files(paths, bands, sensor)
    headers = list(map(read_header, files))
    channels = resolve_channels(headers, sensor, names)
    present = _select(sensor, [channel for _, _, channel in channels])
    _check_sensor(headers, sensor)
    nodata = nodata_of_sensor(nodata, present)
    if unit == UNIT_OF_FILE:
        named = [(headers[file].bands[band], channel) for file, band, channel in channels]
        unit = find_unit_of_tags(named, sensor, headers[0].path)
    finest = min(headers, key=lambda header: abs(header.pixel_area))
    distance, notes = _ground_sample_distance(finest, sensor, ground_sample_distance)
    for header in headers:
        _check_same_ground(header, finest)
    parts = [
        FilePart(storage, indices)
        for number, header in enumerate(headers)
        if (indices := list((where := _bands_of_file(channels, number)).values()))
        for storage in [_storage(header, tuple(where), _select(present, indices), unit, offset, nodata)]
    ]
    _check_parts(parts, ignore_scale_tags)
    shape = _scaled_shape(finest.shape, distance, resolution)
    return RasterImage(tuple(parts), present, unit, finest, shape, distance, _first_time(headers), notes)


def _check_sensor(headers: Sequence[RasterHeader], sensor: Sensor) -> None:
    """Refuse another sensor of the catalogue than the one that a product says it is of."""
    for header in headers:
        if header.sensor not in (None, sensor.name) and sensor.name in sensor_names():
            raise DataError(f"{header.path} is a product of {header.sensor}, not of {sensor.name}: declare that sensor")


def _check_palette(storage: Storage) -> None:
    """Refuse numbers of colours, which measure nothing."""
    header = storage.header
    if any(header.bands[band].colour == "palette" for band in storage.bands):
        raise DataError(
            f"{header.path}: its values are numbers of colours in a palette, no measurements; give the colours "
            f"themselves: `gdal_translate -expand rgb {shlex.quote(str(header.path))} colours.tif`"
        )


def _check_parts(parts: list[FilePart], ignore_scale_tags: bool) -> None:
    """Refuse palettes, pictures made from measurements, and scale tags that contradict the declared unit."""
    for part in parts:
        _check_palette(part.storage)
        if _is_bytes(part.storage):
            check_bytes(part.storage.sensor, part.storage.encoding, part.storage.header.path)
    if not ignore_scale_tags:
        for part in parts:
            check_scale_tags(part.storage)


def _is_bytes(storage: Storage) -> bool:
    """Return whether all bands are stored in 8 bits."""
    return all(storage.header.bands[band].dtype == "uint8" for band in storage.bands)


def _as_files(
    paths: RasterPaths, bands: BandNames, sensor: Sensor
) -> tuple[list[str], list[str | None] | Literal["sensor"] | None]:
    """Return the files as a list, and the band names that go with them."""
    names = _as_names(bands)
    if isinstance(paths, str | Path):
        return _files_of_path(str(paths), names, sensor)
    if isinstance(paths, Mapping):
        return [str(path) for path in paths.values()], list(paths)
    if not paths:
        raise DataError("no file was given to read")
    return [str(path) for path in paths], names


def _as_names(bands: BandNames) -> list[str | None] | Literal["sensor"] | None:
    if bands is None or bands == "sensor":
        return bands
    return [bands] if isinstance(bands, str) else list(bands)


def _select(sensor: Sensor, channels: list[int]) -> Sensor:
    """Return the sensor with these channels alone."""
    return sensor.select([sensor.bands[channel].name for channel in channels])


def _storage(
    header: RasterHeader, bands: tuple[int, ...], sensor: Sensor, unit: str, offset: float, nodata: Nodata
) -> Storage:
    return Storage(header, bands, sensor, sensor.encoding(unit), offset, nodata)


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
    a, b, _, d, e, _ = header.affine
    tolerance = max(abs(a) + abs(b), abs(d) + abs(e))
    pairs = zip(header.corners, finest.corners, strict=True)  # corner by corner: a turned or mirrored file has others
    return all(abs(one[axis] - other[axis]) <= tolerance for one, other in pairs for axis in (0, 1))


def _files_of_path(
    path: str, names: list[str | None] | Literal["sensor"] | None, sensor: Sensor
) -> tuple[list[str], list[str | None] | Literal["sensor"] | None]:
    """Return one file, or those of a path with ``{band}`` in it, and the band names that go with them."""
    if "{band}" not in path or Path(path).exists():
        return [path], names
    files = find_band_files(path, sensor, names)
    return list(files.values()), list(files)


def _ground_sample_distance(
    header: RasterHeader, sensor: Sensor, declared: float | None
) -> tuple[float, tuple[str, ...]]:
    """Return the metres per pixel of a file: declared, else measured, else the sensor's nominal one with a note."""
    if declared is not None:
        if not declared > 0:
            raise DataError(f"{header.path}: ground sample distance {declared} must be positive metres")
        return declared, (*_contradiction(header, declared), *_place_notes(header))
    if header.place.remedy:
        raise DataError(
            f"{header.path}: {header.place.remedy}; or declare its ground sample distance (--gsd METRES) to read it "
            "on its own pixel grid, without a place"
        )
    if header.ground_sample_distance is not None:
        return header.ground_sample_distance, _place_notes(header)
    return sensor.ground_sample_distance, (_nominal_note(header, sensor), *_place_notes(header))


def _contradiction(header: RasterHeader, declared: float) -> tuple[str, ...]:
    """Return the note on a pixel size that is another one than the file's."""
    measured = header.ground_sample_distance
    if measured is None or abs(declared / measured - 1) <= MAX_GSD_DEVIATION:
        return ()
    return (
        f"{header.path}: the file says that its pixels measure {measured:g} m; you declared {declared:g} m, which is "
        "used",
    )


def _nominal_note(header: RasterHeader, sensor: Sensor) -> str:
    """Return the note on a file whose pixel size is not known, and is taken to be the sensor's."""
    side = "" if header.affine == IDENTITY else f" (its pixels are {_side(header)} units of an unknown length)"
    return (
        f"{header.path}: no CRS{side}, so the ground sample distance is taken to be the nominal "
        f"{sensor.ground_sample_distance:g} m of {sensor.name}; declare ground_sample_distance if it is not"
    )


def _side(header: RasterHeader) -> str:
    """Return the side of a pixel in units of the grid."""
    a, b, _, d, e, _ = header.affine
    return f"{math.sqrt(abs(a * e - b * d)):g}"


def _place_notes(header: RasterHeader) -> tuple[str, ...]:
    """Return what is unusual about where a file lies, or which of its rasters is read."""
    notes = []
    if header.place.remedy:
        without = ", without a place" if header.crs is None else ""
        notes.append(f"{header.path}: read on its own pixel grid{without}; {header.place.remedy}")
    if header.pages:
        notes.append(f"{header.path}: holds further rasters, which are not read: {'; '.join(header.pages[:3])}")
    turn = describe_orientation(header.orientation)
    if turn is not None:
        notes.append(f"{header.path}: {turn}")
    return tuple(notes)
