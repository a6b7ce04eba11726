"""JPEG and PNG images to observations of a camera, with limits on what may be decoded."""

import io

import numpy as np

from skyweave.core.errors import FleetError
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor

MAX_PIXELS = 50_000_000
MIN_HEIGHT_M = 1.0  # above the ground, for the ground sample distance


def decode_image(content: bytes, geometry: CameraGeometry, sensor: str, source: str) -> np.ndarray:
    """Decode a JPEG or PNG image.

    Args:
        content: bytes of the image.
        geometry: of its camera.
        sensor: name of the camera's sensor: one band is read as grey, others as RGB.
        source: of the image, for messages.

    Returns:
        (bands, rows, columns) float32, 0 to 255.

    Raises:
        FleetError: it cannot be read, or has another size than its camera.
    """
    from PIL import Image, UnidentifiedImageError

    camera, size = geometry.camera, image_size(content)
    if size != (camera.rows, camera.columns):
        raise FleetError(f"{source} is {size} pixels; its camera has {camera.rows} x {camera.columns}")
    try:
        image = Image.open(io.BytesIO(content))
        pixels = np.asarray(image.convert("L" if len(get_sensor(sensor)) == 1 else "RGB"), np.float32)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise FleetError(f"{source}: no image: {error}") from None
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def observation_from_pixels(pixels: np.ndarray, geometry: CameraGeometry, sensor: str, source: str) -> Observation:
    """Return an image as an observation.

    Args:
        pixels: (bands, rows, columns), 8 bits.
        geometry: of its camera.
        sensor: name of the camera's sensor.
        source: of the image, for messages.

    Raises:
        FleetError: it does not fit camera and sensor.
    """
    bands, camera = get_sensor(sensor), geometry.camera
    expected = (len(bands), camera.rows, camera.columns)
    if pixels.shape != expected:
        raise FleetError(f"{source} has shape {pixels.shape}; {sensor} and its camera have {expected}")
    height = max(float(geometry.position[2]), MIN_HEIGHT_M)
    ground_sample_distance = height / float(camera.intrinsics[0, 0])
    return Observation.from_pixels(pixels, bands, ground_sample_distance, geometry=geometry, source=source)


def observation_from_image(content: bytes, geometry: CameraGeometry, sensor: str, source: str) -> Observation:
    """Decode a JPEG or PNG image to an observation.

    Args:
        content: bytes of the image.
        geometry: of its camera.
        sensor: name of the camera's sensor.
        source: of the image, for messages.

    Raises:
        FleetError: it cannot be read, or does not fit camera and sensor.
    """
    return observation_from_pixels(decode_image(content, geometry, sensor, source), geometry, sensor, source)


def image_size(content: bytes) -> tuple[int, int]:
    """Return (rows, columns) of a JPEG or PNG image without decoding it.

    Args:
        content: bytes of the image.

    Raises:
        FleetError: it is none, or too large.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise FleetError(f"no image: {error}") from None
    if width * height > MAX_PIXELS:
        raise FleetError(f"an image of {width} x {height} pixels is too large")
    return height, width
