"""Parrot Sequoia: irradiance at the sensor in a unit of its own, and the counts of its sunshine sensor.

After Parrot's application notes SEQ-AN-01 ("pixel value to irradiance") and SEQ-AN-02 on the sunshine sensor: what
arrives is ``f^2 (p - B) / (A exposure ISO + C)`` with A, B, C of the ``SensorModel`` in the XMP, in a unit that all
Sequoias share; reflectance is that over the sunshine sensor's counts, times a factor that an image of a panel gives.
Firmware before 1.2.1 states no sensor model. The sensor is an ams TSL2591, whose data sheet has the gains.
"""

import base64
import binascii
import struct

import numpy as np
from PIL import ExifTags

from skyweave.core.errors import DataError
from skyweave.rigs.band_file import BandFile
from skyweave.rigs.cameras.micasense import black_level
from skyweave.rigs.cameras.registry import RigCamera
from skyweave.rigs.vignetting import vignetting
from skyweave.telemetry.image_metadata.capture_time import CaptureTime, read_time

READING = struct.Struct("<QHHHHfff")  # microseconds since start, both channels, gain, milliseconds, yaw, pitch, roll
SENSOR_GAINS = (1.0, 25.0, 428.0, 9876.0)
MAX_COUNT = 65_535


def radiance(band: BandFile) -> np.ndarray:
    """Return (rows, columns) in the Sequoia's unit, proportional to radiance.

    Args:
        band: of the rig.

    Raises:
        DataError: the file does not state what the formula needs.
    """
    slope, black, offset = band.read_xmp_sequence("SensorModel", 3) or (1.0, black_level(band), 0.0)
    exposure = band.tag(ExifTags.Base.ExposureTime)
    speed = band.tag(ExifTags.Base.ISOSpeedRatings)
    dimmed = vignetting(band)
    signal = (band.stored - black) / (1.0 if dimmed is None else dimmed)
    return np.asarray(band.tag(ExifTags.Base.FNumber) ** 2 * signal / (slope * exposure * speed + offset))


def irradiance(band: BandFile) -> float | None:
    """Return the counts of the sunshine sensor a second at gain 1; None where there are none.

    Args:
        band: of the rig.

    Raises:
        DataError: what it states is no list of readings.
    """
    text = band.text("IrradianceList")
    if not text:
        return None
    readings = _readings(text, band.path.name)
    usable = [reading for reading in readings if 0 < reading[1] < MAX_COUNT and reading[4] > 0]
    if not usable:
        return None
    since_start = _seconds_since_start(band)
    _, count, _, gain, milliseconds, *_ = (
        usable[-1] if since_start is None else min(usable, key=lambda reading: abs(reading[0] / 1e6 - since_start))
    )
    return float(count / (SENSOR_GAINS[gain] * milliseconds / 1000.0))


def _readings(text: str, name: str) -> list[tuple[int, int, int, int, int, float, float, float]]:
    """The readings of the sunshine sensor before an image."""
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
        readings = list(READING.iter_unpack(content))
    except (binascii.Error, struct.error) as error:
        raise DataError(f"{name} states an IrradianceList that is none: {error}") from None
    if any(reading[3] >= len(SENSOR_GAINS) for reading in readings):
        raise DataError(f"{name} states an IrradianceList with a gain that the sunshine sensor does not have")
    return readings


def _seconds_since_start(band: BandFile) -> float | None:
    """Seconds from the camera's start to the image, which it writes as the time of digitisation."""
    tag = ExifTags.Base
    tags = {tag.DateTimeOriginal: band.tags.get(tag.DateTimeDigitized)}
    time: CaptureTime | None = read_time(tags | {tag.SubsecTimeOriginal: band.tags.get(tag.SubsecTimeDigitized)}, {})
    return None if time is None else time.seconds


def notes(band: BandFile) -> list[str]:
    """Return what a band does not state.

    Args:
        band: of the rig.
    """
    missing = []
    if band.read_xmp_sequence("SensorModel", 3) is None:
        missing.append("no SensorModel (firmware before 1.2.1): its response is taken as proportional to the exposure")
    if vignetting(band) is None:
        missing.append("no vignetting: edges stay darker than they are")
    return missing


SEQUOIA = RigCamera(radiance, "sequoia", irradiance, False, notes)
