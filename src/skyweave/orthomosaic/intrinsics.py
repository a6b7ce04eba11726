"""A picture's focal length in pixels, from the best of what its metadata offer."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import PinholeCamera
from skyweave.orthomosaic.metadata import PhotoMetadata

FILM_DIAGONAL = 43.267  # mm of 24 x 36 film; CIPA DCG-001 relates focal lengths by the diagonal
SENSOR_WIDTHS = {  # mm, of cameras that state only a 35 mm equivalent, rounded to whole millimetres; makers' data
    "FC300S": 6.17,
    "FC300X": 6.17,
    "FC330": 6.17,
    "FC350": 6.17,
    "FC6310": 13.2,
    "FC6310S": 13.2,
    "FC6510": 13.2,
    "FC6520": 17.3,
    "L1D-20C": 13.2,
}


@dataclass(frozen=True)
class Calibration:
    """Intrinsics given by the user.

    Attributes:
        focal: pixels at ``columns`` wide.
        columns: width of the picture they hold for; None: of the picture as it is.
        centre: principal point (u, v) in pixels at ``columns``; None: the middle.
        distortion: Brown-Conrady (k1, k2, p1, p2, k3), as OpenCV orders them.
    """

    focal: float
    columns: int | None = None
    centre: tuple[float, float] | None = None
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if not (np.isfinite(self.focal) and self.focal > 0):
            raise DataError(f"focal length {self.focal} must be pixels > 0")


def read_calibration(path: str | Path) -> Calibration:
    """Read a camera file: JSON with ``focal`` in pixels and, if known, ``columns``, ``centre`` and ``distortion``.

    Args:
        path: the file.

    Raises:
        FileNotFoundError: no such file.
        DataError: no JSON, unknown or missing keys; the message names the file.
    """
    from skyweave.core.config import config_from_dict

    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no such camera file: {path}")
    try:
        return config_from_dict(json.loads(path.read_text(encoding="utf-8")), Calibration)
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: {error}; a camera file is like {{'focal': 3666.7, 'columns': 5472}}") from None


def camera_from_metadata(photo: PhotoMetadata, calibration: Calibration | None = None) -> tuple[PinholeCamera, str]:
    """Return the camera of an image as stored, and where its focal length comes from.

    Args:
        photo: metadata of the image.
        calibration: replaces what the metadata say.

    Raises:
        DataError: the metadata say nothing of the focal length; the message names the remedy.
    """
    if calibration is not None:
        scale = photo.columns / (calibration.columns or photo.columns)
        u, v = calibration.centre or (photo.columns / scale / 2, photo.rows / scale / 2)
        return _camera(photo, calibration.focal * scale, (u * scale, v * scale), calibration.distortion), "given"
    focal, source = _focal(photo)
    return _camera(photo, focal, (photo.columns / 2, photo.rows / 2)), source


def _focal(photo: PhotoMetadata) -> tuple[float, str]:
    """In pixels of the file: a reduced copy keeps the EXIF of its original, so everything goes by the true width."""
    if photo.focal_pixels is not None:
        original = photo.declared_columns or photo.columns
        return photo.focal_pixels * photo.columns / original, "XMP calibrated focal length"
    if photo.focal_millimetres is not None:
        if photo.focal_plane_width is not None:
            return photo.focal_millimetres / photo.focal_plane_width * photo.columns, "EXIF focal plane resolution"
        width = SENSOR_WIDTHS.get(photo.model.upper())
        if width is not None:
            return photo.focal_millimetres / width * photo.columns, f"sensor width of the {photo.model}"
    if photo.focal_35mm is not None:
        return photo.focal_35mm / FILM_DIAGONAL * _full_diagonal(photo.columns, photo.rows), "EXIF 35 mm equivalent"
    raise DataError(f"{photo.path.name} does not state its focal length; give --focal PIXELS or --camera FILE")


def _full_diagonal(columns: int, rows: int) -> float:
    """Diagonal of the whole sensor in pixels: pictures wider than 3:2 are cut from a 4:3 sensor of the same width."""
    long, short = max(columns, rows), min(columns, rows)
    return long * 1.25 if long / short > 1.6 else float(np.hypot(long, short))


def _camera(
    photo: PhotoMetadata,
    focal: float,
    centre: tuple[float, float],
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0),
) -> PinholeCamera:
    matrix = np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1.0]])
    return PinholeCamera(matrix, photo.rows, photo.columns, distortion)
