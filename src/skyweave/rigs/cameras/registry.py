"""What a maker's rig needs to be calibrated: radiance of raw values, and irradiance by its light sensor."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.registry import Registry
from skyweave.rigs.band_file import BandFile


@dataclass(frozen=True)
class RigCamera:
    """A maker's formulas.

    Attributes:
        radiance: (rows, columns) float of a band, black level, vignetting, exposure and gain undone.
        radiance_unit: of those values.
        irradiance: by the light sensor on top of the drone, on level ground; None where none was carried or its
            values cannot be used.
        irradiance_is_absolute: whether radiance and irradiance have one scale, so that reflectance needs no panel.
        notes: what is missing in a band's metadata and what was done about it.
    """

    radiance: Callable[[BandFile], np.ndarray]
    radiance_unit: str
    irradiance: Callable[[BandFile], float | None]
    irradiance_is_absolute: bool
    notes: Callable[[BandFile], list[str]]


RIG_CAMERAS: Registry[RigCamera] = Registry(
    "rig_cameras",
    "maker of multispectral rigs",
    {"micasense": "skyweave.rigs.cameras.micasense:MICASENSE", "parrot": "skyweave.rigs.cameras.sequoia:SEQUOIA"},
)
"""By the ``Make`` of EXIF in small letters."""


def rig_camera(band: BandFile) -> RigCamera:
    """Return the formulas for a band's maker.

    Args:
        band: of the rig.

    Raises:
        DataError: the file does not say who made the camera, or nobody's formulas are known for it.
    """
    if band.make not in RIG_CAMERAS:
        stated = f"is of the maker {band.make!r}" if band.make else "does not say who made its camera"
        raise DataError(
            f"{band.path.name} {stated}; rigs of {', '.join(RIG_CAMERAS)} are calibrated (another one is an entry "
            "point in skyweave.rig_cameras)"
        )
    return RIG_CAMERAS[band.make]
