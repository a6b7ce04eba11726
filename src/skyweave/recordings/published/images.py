"""Images of published recordings as observations, read when they are asked for."""

from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.camera_checks import check_camera
from skyweave.core.images.decoding import decode_upright, open_image
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor

LOW_CAMERA_M = 5.0  # below it a camera is a vehicle's, and its ground sample distance is that at NOMINAL_RANGE_M
NOMINAL_RANGE_M = 20.0


def image_size(path: Path) -> tuple[int, int]:
    """Return (rows, columns) of an image without decoding it.

    Args:
        path: of the file.

    Raises:
        DataError: it is no image.
    """
    try:
        with open_image(path, path.name) as image:
            columns, rows = image.size
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path} cannot be read as an image: {error}; copy it once more from where it came") from None
    return rows, columns


def load_image(path: Path, geometry: CameraGeometry, ground: float) -> Observation:
    """Read an image of a camera.

    Args:
        path: of the file.
        geometry: of its camera.
        ground: height of the ground, metres in the world.

    Raises:
        DataError: it is no image, or of another size than its camera.
    """
    try:
        with open_image(path, path.name) as image:
            decoded, _ = decode_upright(image, "RGB")
            pixels = np.asarray(decoded, np.float32).transpose(2, 0, 1)
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path} cannot be read as an image: {error}; copy it once more from where it came") from None
    if pixels.shape[1:] != (geometry.camera.rows, geometry.camera.columns):
        raise DataError(f"{path} is {pixels.shape[1:]} pixels, not those of the first image of its camera")
    height = float(geometry.position[2]) - ground
    distance = (height if height > LOW_CAMERA_M else NOMINAL_RANGE_M) / float(geometry.camera.intrinsics[0, 0])
    return Observation.from_pixels(pixels, get_sensor("rgb"), distance, geometry=geometry, source=str(path))


def camera_from_matrix(matrix: object, path: Path, where: str) -> PinholeCamera:
    """Return the camera of a matrix K, for images of the size of one of them.

    Args:
        matrix: (3, 3) as a file has it.
        path: of an image.
        where: the matrix stands, for messages.

    Raises:
        DataError: it is no camera, or that of images of another size.
    """
    try:
        camera = PinholeCamera(np.array(matrix, np.float64).reshape(3, 3), *image_size(path))
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: {error}") from None
    check_camera(camera, where)
    return camera
