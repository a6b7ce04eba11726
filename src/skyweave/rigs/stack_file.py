"""A stack as a GeoTIFF whose bands say their wavelength and unit, and the sensor of the stacks as YAML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import yaml
from PIL import ExifTags
from rasterio.errors import NotGeoreferencedWarning

import skyweave
from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import DataError
from skyweave.core.images.decoding import open_image
from skyweave.core.quiet import ignore_warnings
from skyweave.core.sensors import Band, Encoding, Sensor, get_sensor, sensor_to_dict
from skyweave.data.written_raster import check_written
from skyweave.rigs.align import Stack
from skyweave.rigs.band_file import BandFile
from skyweave.telemetry.image_metadata.field_values import parse_text
from skyweave.telemetry.image_metadata.gps import read_altitude, read_position
from skyweave.telemetry.image_metadata.xmp import read_xmp

NOMINAL_DISTANCE_M = 0.1
RADIANCE = "radiance"


class SensorStatistics:
    """Bands of stacks, with the mean and standard deviation of their values over all of them."""

    def __init__(self) -> None:
        self._stack: Stack | None = None
        self._sums = np.zeros(0)

    def add(self, stack: Stack) -> None:
        """Count a stack.

        Args:
            stack: of the same bands as the others.

        Raises:
            DataError: of other bands.
        """
        if self._stack is None:
            self._stack, self._sums = stack, np.zeros((len(stack.bands), 3))
        names, others = (tuple(band.name for band in one.bands) for one in (self._stack, stack))
        if names != others:
            raise DataError(
                f"{stack.bands[0].path.name} is of a capture with the bands {', '.join(others)}, and the first one has "
                f"{', '.join(names)}; give files of one rig, all bands of each capture"
            )
        known = np.isfinite(stack.values)
        values = np.where(known, stack.values, 0).astype(np.float64)
        self._sums += np.stack([known.sum((1, 2)), values.sum((1, 2)), (values**2).sum((1, 2))], 1)

    def sensor(self, ground_sample_distance: float | None) -> Sensor:
        """Return the sensor of the stacks.

        Args:
            ground_sample_distance: metres; None: nominal.

        Raises:
            DataError: a band does not state its wavelength.
        """
        assert self._stack is not None, "no stack was added"
        count, total, squares = self._sums.T
        mean = total / np.maximum(count, 1)
        std = np.sqrt(np.maximum(squares / np.maximum(count, 1) - mean**2, 0)) + 1e-6
        bands = [_band(file, unit) for file, unit in zip(self._stack.bands, self._stack.units, strict=True)]
        measured = tuple(
            replace(band, mean=_short(m), std=_short(s)) for band, m, s in zip(bands, mean, std, strict=True)
        )
        first = self._stack.bands[0]
        unit = measured[0].unit
        return Sensor(
            name=first.model.casefold().replace(" ", "-") or "rig",
            title=f"{first.make.title()} {first.model}, aligned",
            bands=measured,
            ground_sample_distance=ground_sample_distance or NOMINAL_DISTANCE_M,
            encodings=(Encoding(unit),),
        )


def _short(number: float) -> float:
    return float(f"{number:.4g}")


def _band(file: BandFile, unit: str) -> Band:
    if file.wavelength is None or file.width is None:
        raise DataError(
            f"{file.path.name} does not state its wavelength and width (CentralWavelength, WavelengthFWHM); take the "
            "file as the camera wrote it"
        )
    return Band(
        name=file.name,
        kind="thermal" if file.is_thermal else "optical",
        unit=unit if unit in ("reflectance", "kelvin") else RADIANCE,
        wavelength=file.wavelength,
        width=file.width,
        aliases=(file.written_name,) if file.written_name != file.name else (),
    )


def write_sensor(statistics: SensorStatistics, path: Path, ground_sample_distance: float | None) -> str:
    """Write the sensor of stacks as YAML, which every command takes as ``--sensor``; return the unit to declare.

    Args:
        statistics: with every stack.
        path: of the file.
        ground_sample_distance: metres; None: nominal.

    Raises:
        DataError: a band does not state its wavelength.
    """
    sensor = statistics.sensor(ground_sample_distance)
    with write_aside(path) as aside:
        aside.write_text(yaml.safe_dump(sensor_to_dict(sensor), sort_keys=False, allow_unicode=True), encoding="utf-8")
    return sensor.encodings[0].name


def write_stack(stack: Stack, path: Path) -> Path:
    """Write a stack as a GeoTIFF without a place; return its path.

    Args:
        stack: of one capture.
        path: of the file.
    """
    described = [
        BandDescription(band.name, unit, band.wavelength, band.width)
        for band, unit in zip(stack.bands, stack.units, strict=True)
    ]
    focal, centre = stack.intrinsics[0, 0], stack.intrinsics[:2, 2]
    tags = {
        "REFERENCE_BAND": stack.reference,
        "FOCAL_PIXELS": f"{focal:.3f}",
        "PRINCIPAL_POINT": f"{centre[0]:.3f} {centre[1]:.3f}",
    }
    source = next(band.path for band in stack.bands if band.name == stack.reference)
    return _write_raster(path, stack.values, described, tags | _photo_tags(source))


def write_temperature(kelvin: np.ndarray, path: Path, source: Path) -> Path:
    """Write temperatures as a GeoTIFF without a place; return its path.

    Args:
        kelvin: (rows, columns), NaN where unknown.
        path: of the file.
        source: the thermal image.
    """
    lwir = get_sensor("thermal").bands[0]
    described = [BandDescription(lwir.name, lwir.unit, lwir.wavelength, lwir.width)]
    return _write_raster(path, kelvin[None], described, _photo_tags(source))


@dataclass(frozen=True)
class BandDescription:
    """What a file says of a band.

    Attributes:
        name: of the band.
        unit: of its values.
        wavelength: centre, nanometres.
        width: full width at half maximum, nanometres.
    """

    name: str
    unit: str
    wavelength: float | None
    width: float | None

    def tags(self) -> dict[str, str]:
        """Return wavelength and width as tags of a GeoTIFF's band, where they are known."""
        numbers = {"wavelength": self.wavelength, "fwhm": self.width}
        tags = {name: f"{value:g}" for name, value in numbers.items() if value is not None}
        return tags | ({"wavelength_units": "nanometers"} if tags else {})


def _write_raster(path: Path, values: np.ndarray, bands: Sequence[BandDescription], tags: Mapping[str, str]) -> Path:
    """Write (bands, rows, columns) float32 and what is known of them."""
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "height": values.shape[1],
        "width": values.shape[2],
        "count": len(bands),
        "dtype": "float32",
        "nodata": float("nan"),
        "compress": "deflate",
        "predictor": 3,
        "tiled": True,
        "interleave": "band",
        "bigtiff": "if_safer",
    }
    stored = values.astype(np.float32)
    with write_aside(path) as aside, ignore_warnings(NotGeoreferencedWarning):  # as a camera's images are
        with rasterio.open(aside, "w", **profile) as target:
            target.write(stored)
            target.descriptions = tuple(band.name for band in bands)
            target.units = tuple(band.unit for band in bands)
            target.update_tags(SOFTWARE=f"skyweave {skyweave.__version__}", **tags)
            for number, band in enumerate(bands, 1):
                target.update_tags(number, **band.tags())
        check_written(aside, stored)
    return path


def _photo_tags(source: Path) -> dict[str, str]:
    """What a raster keeps of an image: who took it, and where."""
    with open_image(source, source.name, eight_bit=False) as image:
        exif, (xmp, _) = image.getexif(), read_xmp(image)
        gps = dict(exif.get_ifd(ExifTags.IFD.GPSInfo))
    fields = {key.split(":", 1)[-1]: value for key, value in xmp.items()}
    place, altitude = read_position(gps, fields), read_altitude(gps, fields).metres
    camera = " ".join(parse_text(exif.get(tag)) for tag in (ExifTags.Base.Make, ExifTags.Base.Model))
    numbers = {"LATITUDE": place.latitude, "LONGITUDE": place.longitude, "ALTITUDE": altitude}
    return {"CAMERA": camera, **{name: f"{value:.9g}" for name, value in numbers.items() if value is not None}}
