"""A picture's focal length in pixels, from the best of what its metadata offer."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import PinholeCamera
from skyweave.core.geometry.camera_checks import check_camera
from skyweave.telemetry.image_metadata.lens import NO_DISTORTION, Distortion
from skyweave.telemetry.image_metadata.metadata import PhotoMetadata

FILM_DIAGONAL = 43.267  # mm of 24 x 36 film; CIPA DCG-001 relates focal lengths by the diagonal
MIN_FOCAL_SHARE, MAX_FOCAL_SHARE = 0.1, 200.0  # of the image's width: views of 157 degrees, and of 0.3
MAX_WIDTH_RATIO = 1.2  # between a sensor's width and what the focal plane resolution says of it
MAX_FOCAL_PIXELS = 1e6
MAX_FOCAL_RATIO = 1.3  # between two statements of one focal length: crops and rounding take less
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
    distortion: Distortion = NO_DISTORTION

    def __post_init__(self) -> None:
        if not 0 < self.focal <= MAX_FOCAL_PIXELS:
            raise DataError(f"focal length {self.focal} must be pixels > 0, and at most {MAX_FOCAL_PIXELS:g}")


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
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(f"{path}: {error}; write a camera file like {{'focal': 3666.7, 'columns': 5472}}") from None


def camera_from_metadata(photo: PhotoMetadata, calibration: Calibration | None = None) -> tuple[PinholeCamera, str]:
    """Return the camera of an image as stored, and where its focal length comes from.

    Args:
        photo: metadata of the image.
        calibration: replaces what the metadata say.

    Raises:
        DataError: the metadata say nothing of the focal length, or of a lens that is no pinhole; the message names the
            remedy.
    """
    if calibration is not None:
        camera = _calibrated_camera(photo, calibration)
        check_camera(camera, "--focal or --camera")
        return camera, "given"
    lens = photo.lens
    if lens.model != "perspective":
        raise DataError(
            f"{photo.path.name} was taken with a lens of the model {lens.model!r}, which is not read; rectify the "
            "pictures and give --focal PIXELS, or --camera FILE"
        )
    focals, source = _focal_lengths(photo)
    if not MIN_FOCAL_SHARE < focals[0] / photo.columns < MAX_FOCAL_SHARE:
        raise DataError(
            f"{photo.path.name} states a focal length of {focals[0]:.3g} pixels ({source}), which no camera of "
            f"{photo.columns} columns has; give --focal PIXELS or --camera FILE"
        )
    centre = _principal_point(photo, focals[0])
    if not (0 < centre[0] < photo.columns and 0 < centre[1] < photo.rows):
        raise DataError(
            f"{photo.path.name} states a principal point of ({centre[0]:.0f}, {centre[1]:.0f}) pixels ({source}), "
            f"outside of its {photo.columns} x {photo.rows}; give --focal PIXELS or --camera FILE"
        )
    return _camera(photo, focals, centre, lens.distortion), source


def _calibrated_camera(photo: PhotoMetadata, calibration: Calibration) -> PinholeCamera:
    """Return the camera of an image by a calibration, at the size of the image."""
    scale = photo.columns / (calibration.columns or photo.columns)
    u, v = calibration.centre or (photo.columns / scale / 2, photo.rows / scale / 2)
    focal = calibration.focal * scale
    return _camera(photo, (focal, focal), (u * scale, v * scale), calibration.distortion)


def _principal_point(photo: PhotoMetadata, focal: float) -> tuple[float, float]:
    """Return the principal point in pixels, given the focal length that is used."""
    lens = photo.lens
    scale = focal / lens.focal_pixels[0] if lens.focal_pixels is not None else 1.0
    return photo.columns / 2 + scale * lens.centre_offset[0], photo.rows / 2 + scale * lens.centre_offset[1]


def doubt_focal_length(photo: PhotoMetadata) -> str | None:
    """Return what speaks against the focal length that is used; None if nothing does.

    Args:
        photo: metadata of an image whose camera is read from them.
    """
    lens = photo.lens
    if lens.digital_zoom > 1 and lens.focal_35mm is None:
        return f"a digital zoom of {lens.digital_zoom:g} is counted into the focal length"
    if lens.focal_35mm is None or (lens.focal_pixels is None and lens.focal_millimetres is None):
        return None
    (used, _), source = _focal_lengths(photo)
    other = _focal_from_film(photo)
    if abs(np.log(used / other)) <= np.log(MAX_FOCAL_RATIO):
        return None
    return (
        f"focal length of {used:.0f} pixels ({source}), against {other:.0f} by the 35 mm equivalent; --focal PIXELS "
        "decides"
    )


def _refuse_zoom(photo: PhotoMetadata) -> None:
    """Refuse a digital zoom beside a 35 mm focal length, which may have it counted in or not."""
    lens = photo.lens
    if lens.digital_zoom > 1:
        raise DataError(
            f"{photo.path.name} states a digital zoom of {lens.digital_zoom:g} and not whether its 35 mm focal length "
            f"of {lens.focal_35mm:g} has it counted in; give --focal PIXELS or --camera FILE"
        )


def _focal_lengths(photo: PhotoMetadata) -> tuple[tuple[float, float], str]:
    """In pixels of the file: a reduced copy keeps the EXIF of its original, so everything goes by the true width."""
    lens, columns = photo.lens, photo.columns
    zoom = lens.digital_zoom
    if lens.focal_pixels is not None:
        scale = zoom * columns / (photo.declared_columns or columns)
        return (lens.focal_pixels[0] * scale, lens.focal_pixels[1] * scale), lens.source
    width, source = _sensor_width(photo)
    if lens.focal_millimetres is not None and width is not None:
        focal = zoom * lens.focal_millimetres / width * columns
        return (focal, focal), source
    if lens.focal_35mm is not None:
        _refuse_zoom(photo)
        focal = _focal_from_film(photo)
        return (focal, focal), "EXIF 35 mm equivalent"
    raise DataError(f"{photo.path.name} does not state its focal length; give --focal PIXELS or --camera FILE")


def _sensor_width(photo: PhotoMetadata) -> tuple[float | None, str]:
    """Millimetres; that of a known camera where the focal plane resolution is of another size of the image."""
    stated, known = photo.lens.sensor_width, SENSOR_WIDTHS.get(photo.model.upper())
    if stated is not None and (known is None or abs(np.log(stated / known)) < np.log(MAX_WIDTH_RATIO)):
        return stated, "EXIF focal plane resolution"
    return known, f"sensor width of the {photo.model}"


def _focal_from_film(photo: PhotoMetadata) -> float:
    assert photo.lens.focal_35mm is not None
    return photo.lens.focal_35mm / FILM_DIAGONAL * _full_diagonal(photo.columns, photo.rows)


def _full_diagonal(columns: int, rows: int) -> float:
    """Diagonal of the whole sensor in pixels: pictures wider than 3:2 are cut from a 4:3 sensor of the same width."""
    long, short = max(columns, rows), min(columns, rows)
    return long * 1.25 if long / short > 1.6 else float(np.hypot(long, short))


def _camera(
    photo: PhotoMetadata, focals: tuple[float, float], centre: tuple[float, float], distortion: Distortion
) -> PinholeCamera:
    matrix = np.array([[focals[0], 0, centre[0]], [0, focals[1], centre[1]], [0, 0, 1.0]])
    return PinholeCamera(matrix, photo.rows, photo.columns, distortion)
