"""JPEG and PNG images to observations of a camera, with limits on what may be decoded.

An image is taken as viewers show it, turned as its EXIF orientation asks; its camera is the one of the upright image.
"""

import io
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import numpy as np

from skyweave.core.errors import DataError, FleetError
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.images.decoding import (
    MAX_MESSAGE_PIXELS,
    MESSAGE_FORMATS,
    decode_upright,
    open_image,
    upright_size,
)
from skyweave.core.observation import Observation
from skyweave.core.sensors import Sensor, get_sensor

if TYPE_CHECKING:
    from PIL import Image

MIN_HEIGHT_M = 1.0  # above the ground, for the ground sample distance
EIGHT_BIT_UNITS = ("uint8", "dn")  # of bands, that the values of such an image can be


def decode_image(
    content: bytes, geometry: CameraGeometry, sensor: str, source: str, from_file: bool = False
) -> tuple[np.ndarray, np.ndarray | None]:
    """Decode a JPEG or PNG image.

    Args:
        content: bytes of the image.
        geometry: of its camera.
        sensor: name of the camera's sensor: one band is read as grey, others as RGB.
        source: of the image, for messages.
        from_file: the user's, not a message: more formats are read, and larger images.

    Returns:
        (bands, rows, columns) float32, 0 to 255; and the mask (rows, columns) of pixels that are not transparent, None
        where all are.

    Raises:
        FleetError: it cannot be read, has more than 8 bits, or another size than its camera.
    """
    camera, size = geometry.camera, image_size(content, source, from_file)
    if size != (camera.rows, camera.columns):
        raise FleetError(f"{source} is {size} pixels; its camera has {camera.rows} x {camera.columns}")
    try:
        with _open(content, source, from_file) as image:
            decoded, valid = decode_upright(image, "L" if len(get_sensor(sensor)) == 1 else "RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise FleetError(f"{source}: no image: {error}") from None
    pixels = np.asarray(decoded, np.float32)
    return (pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)), valid


def observation_from_pixels(
    pixels: np.ndarray, geometry: CameraGeometry, sensor: str, source: str, valid: np.ndarray | None = None
) -> Observation:
    """Return an image as an observation.

    Args:
        pixels: (bands, rows, columns), 8 bits.
        geometry: of its camera.
        sensor: name of the camera's sensor.
        source: of the image, for messages.
        valid: (rows, columns) bool; None where all pixels are.

    Raises:
        FleetError: it does not fit camera and sensor.
    """
    bands, camera = get_sensor(sensor), geometry.camera
    check_eight_bit_sensor(bands)
    expected = (len(bands), camera.rows, camera.columns)
    if pixels.shape != expected:
        raise FleetError(f"{source} has shape {pixels.shape}; {sensor} and its camera have {expected}")
    height = max(float(geometry.position[2]), MIN_HEIGHT_M)
    ground_sample_distance = height / float(camera.intrinsics[0, 0])
    return Observation.from_pixels(pixels, bands, ground_sample_distance, valid, geometry=geometry, source=source)


def observation_from_image(
    content: bytes, geometry: CameraGeometry, sensor: str, source: str, from_file: bool = False
) -> Observation:
    """Decode a JPEG or PNG image to an observation.

    Args:
        content: bytes of the image.
        geometry: of its camera.
        sensor: name of the camera's sensor.
        source: of the image, for messages.
        from_file: the user's, not a message: more formats are read, and larger images.

    Raises:
        FleetError: it cannot be read, or does not fit camera and sensor.
    """
    pixels, valid = decode_image(content, geometry, sensor, source, from_file)
    return observation_from_pixels(pixels, geometry, sensor, source, valid)


def image_size(content: bytes, source: str = "the image", from_file: bool = False) -> tuple[int, int]:
    """Return (rows, columns) of a JPEG or PNG image as viewers show it, without decoding it.

    Args:
        content: bytes of the image.
        source: of the image, for messages.
        from_file: the user's, not a message: more formats are read, and larger images.

    Raises:
        FleetError: it is none, too large, or of more than 8 bits.
    """
    try:
        with _open(content, source, from_file) as image:
            rows, columns = upright_size(image)
    except DataError as error:
        raise FleetError(f"no image: {error}") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise FleetError(f"{source}: no image: {error}") from None
    return rows, columns


def _open(content: bytes, source: str, from_file: bool) -> "AbstractContextManager[Image.Image]":
    if from_file:
        return open_image(io.BytesIO(content), source)
    return open_image(io.BytesIO(content), source, MESSAGE_FORMATS, MAX_MESSAGE_PIXELS)


def check_eight_bit_sensor(sensor: Sensor) -> None:
    """Raise an error for a sensor whose values are not those of an image of 8 bits.

    Args:
        sensor: of the camera.

    Raises:
        FleetError: it measures another unit, such as kelvin.
    """
    other = next((band.unit for band in sensor.bands if band.unit not in EIGHT_BIT_UNITS), None)
    if other is not None:
        raise FleetError(
            f"an image of 8 bits has values of 0 to 255; the sensor {sensor.name!r} measures {other}: choose one of "
            "uint8, such as rgb"
        )
