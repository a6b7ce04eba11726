"""Thermal images by format: who recognises a file, and reads it as kelvin."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.registry import Registry

MIN_KELVIN, MAX_KELVIN = 120.0, 2300.0  # what uncooled cameras measure, with room


@dataclass(frozen=True)
class ThermalOptions:
    """What the user says of a measurement; None: as the camera was set.

    Attributes:
        emissivity: of the ground, 0 to 1.
        distance: to it, metres.
        humidity: of the air, 0 to 1.
        reflected: temperature of what the ground reflects, kelvin.
        unit: of the values of a plain TIFF: an encoding of the sensor ``thermal``.
        dji_sdk: ``libdirp`` of DJI's Thermal SDK.
    """

    emissivity: float | None = None
    distance: float | None = None
    humidity: float | None = None
    reflected: float | None = None
    unit: str | None = None
    dji_sdk: Path | None = None


@dataclass(frozen=True)
class ThermalFormat:
    """A format of thermal images.

    Attributes:
        recognises: whether a file's content is of the format.
        read: its temperatures, (rows, columns) kelvin.
    """

    recognises: Callable[[bytes], bool]
    read: Callable[[Path, bytes, ThermalOptions], np.ndarray]


THERMAL_FORMATS: Registry[ThermalFormat] = Registry(
    "thermal_formats",
    "format of thermal images",
    {
        "flir": "skyweave.rigs.thermal.flir:FLIR",
        "dji": "skyweave.rigs.thermal.dji:DJI",
        "tiff": "skyweave.rigs.thermal.tiff:TIFF",
    },
)
"""In the order in which they are tried."""


def thermal_format(content: bytes, options: ThermalOptions) -> ThermalFormat | None:
    """Return the format of a file; None where it is no thermal image. A TIFF is one where its unit is stated.

    Args:
        content: of the file.
        options: of the user.
    """
    names = [name for name in THERMAL_FORMATS if name != "tiff" or options.unit is not None]
    return next((THERMAL_FORMATS[name] for name in names if THERMAL_FORMATS[name].recognises(content)), None)


def read_temperature(path: str | Path, options: ThermalOptions | None = None) -> np.ndarray | None:
    """Read a thermal image: (rows, columns) float32 kelvin; None where it is no thermal image.

    Args:
        path: of the file.
        options: of the user.

    Raises:
        FileNotFoundError: no such file.
        DataError: its values cannot become temperatures; the message says what is missing.
    """
    path, options = Path(path), options or ThermalOptions()
    content = path.read_bytes()
    matched = thermal_format(content, options)
    if matched is None:
        return None
    kelvin = matched.read(path, content, options)
    known = kelvin[np.isfinite(kelvin)]
    if not known.size or not MIN_KELVIN <= float(np.median(known)) <= MAX_KELVIN:
        median = float(np.median(known)) if known.size else float("nan")
        raise DataError(f"{path.name} would have a median of {median:.0f} kelvin; check --thermal-unit")
    return np.asarray(kelvin, np.float32)
