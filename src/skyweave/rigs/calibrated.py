"""A band in physical units: reflectance, radiance or temperature."""

from dataclasses import dataclass

import numpy as np

from skyweave.core.errors import DataError
from skyweave.rigs.band_file import BandFile
from skyweave.rigs.cameras.registry import RigCamera, rig_camera
from skyweave.rigs.panel import Panel


@dataclass(frozen=True)
class CalibratedBand:
    """A band in its camera's pixels.

    Attributes:
        values: (rows, columns) float32, NaN where saturated.
        unit: of them: reflectance, kelvin, or the radiance of the maker.
        notes: what was missing, and what was done about it.
    """

    values: np.ndarray
    unit: str
    notes: tuple[str, ...]


def calibrate_band(band: BandFile, panel: Panel | None, as_radiance: bool) -> CalibratedBand:
    """Calibrate one band.

    Args:
        band: of a rig.
        panel: photographed on the same day; None: by the light sensor.
        as_radiance: radiance instead of reflectance, which needs neither.

    Raises:
        DataError: something that the formulas need is not stated; the message names it and the remedy.
    """
    camera = rig_camera(band)
    values = np.maximum(camera.radiance(band), 0.0)
    unit = "kelvin" if band.is_thermal else camera.radiance_unit
    if not band.is_thermal and not as_radiance:
        values, unit = np.pi * values / _irradiance(band, camera, panel), "reflectance"
    values = np.where(band.saturated, np.nan, values).astype(np.float32)
    return CalibratedBand(values, unit, tuple(camera.notes(band)))


def _irradiance(band: BandFile, camera: RigCamera, panel: Panel | None) -> float:
    light = camera.irradiance(band)
    if panel is not None:
        return panel.irradiance_at(band.name, light)
    if light is None or not camera.irradiance_is_absolute:
        lacking = (
            "no light sensor states the irradiance"
            if light is None
            else f"the sunshine sensor of a {band.model} counts in a unit of its own"
        )
        raise DataError(
            f"{band.path.name}: {lacking}; give images of a panel with --panel FILES, or take --radiance, which needs "
            "neither"
        )
    return light
