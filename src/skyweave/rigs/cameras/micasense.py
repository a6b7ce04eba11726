"""MicaSense RedEdge and Altum: radiance and temperature of raw values, irradiance of the light sensor.

After MicaSense's published "RedEdge Camera Radiometric Calibration Model": the radiance is
``V a1 / gain (p - p_black) / (exposure + a2 row - a3 exposure row)``, with p as a share of the largest value, V the
inverse of the vignetting, and a1, a2, a3 from the XMP; the thermal band of an Altum holds hundredths of a kelvin. The
light sensor (DLS 2) states the irradiance on level ground.
"""

import numpy as np
from PIL import ExifTags

from skyweave.rigs.band_file import BandFile
from skyweave.rigs.cameras.registry import RigCamera
from skyweave.rigs.vignetting import vignetting

BLACK_LEVEL = 50714  # of DNG
KELVIN_PER_VALUE = 0.01
TILTED = "its light sensor states the irradiance on its tilted plane alone, which is not used; photograph the panel"
MICROWATT_PER_SQUARE_CENTIMETRE = 0.01  # W/m2; what the second light sensor states where it names no scale


def radiance(band: BandFile) -> np.ndarray:
    """Return (rows, columns) in W / (m2 sr nm); of a thermal band, kelvin.

    Args:
        band: of the rig.

    Raises:
        DataError: the file does not state what the formula needs.
    """
    if band.is_thermal:
        return band.stored * KELVIN_PER_VALUE
    gain_of_radiance, dimming_by_exposure, dimming = band.require_xmp_sequence("RadiometricCalibration", 3)[:3]
    exposure, gain = band.tag(ExifTags.Base.ExposureTime), _gain(band)
    row = np.arange(band.stored.shape[0])[:, None]
    read_out = 1.0 + dimming_by_exposure * row / exposure - dimming * row
    share = (band.stored - black_level(band)) / 2.0**16
    dimmed = vignetting(band)
    return gain_of_radiance * share / (gain * exposure * read_out * (1.0 if dimmed is None else dimmed))


def black_level(band: BandFile) -> float:
    """Return the value of a pixel without light: the mean over the colour pattern that DNG states it for.

    Args:
        band: of any rig that writes the tag.
    """
    stated = band.tags.get(BLACK_LEVEL)
    return float(np.mean(np.asarray(stated, float))) if stated is not None else 0.0


def irradiance(band: BandFile) -> float | None:
    """Return the irradiance on level ground in W / (m2 nm); None where no light sensor states it.

    Args:
        band: of the rig.
    """
    level = _level_irradiance(band)
    if level is None or level <= 0:
        return None
    return level * (band.number("IrradianceScaleToSIUnits") or MICROWATT_PER_SQUARE_CENTIMETRE)


def _level_irradiance(band: BandFile) -> float | None:
    """On level ground, in the unit of the file."""
    direct, scattered = band.number("DirectIrradiance"), band.number("ScatteredIrradiance")
    elevation = band.number("SolarElevation")  # radians
    if direct is None or scattered is None or elevation is None:
        return band.number("HorizontalIrradiance")
    # early firmware states both parts rightly, and a sum on the plane of the sensor
    return float(direct * np.sin(elevation) + scattered)


def _gain(band: BandFile) -> float:
    """Gain of the amplifier; the ISO speed over 100."""
    speed = band.tags.get(ExifTags.Base.ISOSpeed)
    return (float(speed) if speed else band.tag(ExifTags.Base.ISOSpeedRatings)) / 100.0


def notes(band: BandFile) -> list[str]:
    """Return what a band does not state.

    Args:
        band: of the rig.
    """
    if band.is_thermal:
        return []
    missing = {
        "no black level: taken as 0": BLACK_LEVEL not in band.tags,
        "no vignetting: edges stay darker than they are": vignetting(band) is None,
        TILTED: band.number("SpectralIrradiance") is not None and irradiance(band) is None,
    }
    return [note for note, is_missing in missing.items() if is_missing]


MICASENSE = RigCamera(radiance, "W/m2/sr/nm", irradiance, True, notes)
