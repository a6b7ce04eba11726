"""The lens that a photograph describes: its model, focal length, principal point and distortion.

DJI: XMP ``DewarpData``, OpenCV's numbers with the principal point counted from the middle of the image; ``DewarpFlag``
1 says that the camera has rectified the image with them. Pix4D's ``Camera`` namespace: millimetres from the upper left
corner of the sensor, and distortion as k1, k2, k3, p1, p2.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags

from skyweave.telemetry.image_metadata.field_values import (
    parse_number,
    parse_numbers,
    parse_positive,
    parse_text,
    parse_whole,
)

Distortion = tuple[float, float, float, float, float]
NO_DISTORTION = (0.0, 0.0, 0.0, 0.0, 0.0)
MILLIMETRES_PER_UNIT = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}  # of FocalPlaneResolutionUnit
MAX_SENSOR_MM = 120.0
FISHEYE = re.compile("fish-?eye")


@dataclass(frozen=True)
class Lens:
    """What a photograph says of its lens; None where it says nothing. Pixels count at the size the camera wrote.

    Attributes:
        model: ``perspective`` or another, in lower case.
        focal_pixels: calibrated focal lengths along columns and rows.
        centre_offset: of the principal point from the middle of the image (right, down), pixels.
        distortion: Brown-Conrady (k1, k2, p1, p2, k3), as OpenCV orders them.
        source: of the calibration.
        focal_millimetres, focal_35mm: focal length, true and as on 35 mm film.
        sensor_width: millimetres, from the focal plane resolution.
        digital_zoom: factor by which the camera cut the image out and enlarged it.
    """

    model: str = "perspective"
    focal_pixels: tuple[float, float] | None = None
    centre_offset: tuple[float, float] = (0.0, 0.0)
    distortion: Distortion = NO_DISTORTION
    source: str = "XMP calibrated focal length"
    focal_millimetres: float | None = None
    focal_35mm: float | None = None
    sensor_width: float | None = None
    digital_zoom: float = 1.0


def read_lens(xmp: Mapping[str, str], camera: Mapping[int, Any], columns: int, rows: int) -> Lens:
    """Read what EXIF and XMP say of the lens.

    Args:
        xmp: values of the XMP packet by name, from `read_xmp`.
        camera: EXIF's directory of the camera.
        columns: width of the image that the camera wrote, pixels.
        rows: height of it.
    """
    tag = ExifTags.Base
    sensor_width = _sensor_width(camera, columns)
    common = {
        "model": _model(xmp, camera),
        "focal_millimetres": parse_positive(camera.get(tag.FocalLength)),
        "focal_35mm": parse_positive(camera.get(tag.FocalLengthIn35mmFilm)),
        "sensor_width": sensor_width,
        "digital_zoom": parse_positive(camera.get(tag.DigitalZoomRatio)) or 1.0,
    }
    fields = {key.split(":", 1)[-1]: value for key, value in xmp.items()}
    calibrated: dict[str, Any] = _dewarp(fields) or _pix4d(xmp, sensor_width, columns, rows) or {}
    focal = parse_positive(fields.get("CalibratedFocalLength"))
    if not calibrated and focal is not None:
        calibrated = {"focal_pixels": (focal, focal), "centre_offset": _optical_centre(fields, columns, rows)}
    return Lens(**{**common, **calibrated})


def _model(xmp: Mapping[str, str], camera: Mapping[int, Any]) -> str:
    """In small letters: as Pix4D's namespace says, or the name of the lens, where that is one of fisheyes."""
    stated = xmp.get("camera:ModelType", "").strip().lower()
    name = parse_text(camera.get(ExifTags.Base.LensModel)).lower()
    return stated or ("fisheye" if FISHEYE.search(name) else "perspective")


def _optical_centre(fields: Mapping[str, str], columns: int, rows: int) -> tuple[float, float]:
    """Pixels right and down from the middle of the image; DJI counts from its upper left corner."""
    x, y = (parse_positive(fields.get(f"CalibratedOpticalCenter{axis}")) for axis in "XY")
    return (0.0, 0.0) if x is None or y is None else (x - columns / 2, y - rows / 2)


def _dewarp(fields: Mapping[str, str]) -> dict[str, Any] | None:
    numbers = parse_numbers(fields.get("DewarpData", "").rsplit(";", 1)[-1], 9)
    if numbers is None or not (numbers[0] > 0 and numbers[1] > 0):
        return None
    rectified = parse_number(fields.get("DewarpFlag")) == 1
    return {
        "focal_pixels": numbers[:2],
        "centre_offset": numbers[2:4],
        "distortion": NO_DISTORTION if rectified else numbers[4:],
        "source": "XMP dewarp data",
    }


def _pix4d(xmp: Mapping[str, str], sensor_width: float | None, columns: int, rows: int) -> dict[str, Any] | None:
    focal = parse_positive(xmp.get("camera:PerspectiveFocalLength"))
    if focal is None:
        return None
    if xmp.get("camera:PerspectiveFocalLengthUnits", "mm").strip().lower() == "mm":
        if sensor_width is None:
            return {"focal_millimetres": focal}
        pixels_per_millimetre = columns / sensor_width
        focal *= pixels_per_millimetre
    else:
        pixels_per_millimetre = 0.0 if sensor_width is None else columns / sensor_width
    centre = parse_numbers(xmp.get("camera:PrincipalPoint"), 2)
    offset = (0.0, 0.0)
    if centre is not None and min(centre) > 0 and pixels_per_millimetre:
        offset = centre[0] * pixels_per_millimetre - columns / 2, centre[1] * pixels_per_millimetre - rows / 2
    k1, k2, k3, p1, p2 = parse_numbers(xmp.get("camera:PerspectiveDistortion"), 5) or NO_DISTORTION
    return {
        "focal_pixels": (focal, focal),
        "centre_offset": offset,
        "distortion": (k1, k2, p1, p2, k3),
        "source": "XMP perspective focal length",
    }


def _sensor_width(camera: Mapping[int, Any], columns: int) -> float | None:
    """Millimetres from the focal plane resolution; None where that is not what it says."""
    resolution = parse_positive(camera.get(ExifTags.Base.FocalPlaneXResolution))
    unit = MILLIMETRES_PER_UNIT.get(parse_whole(camera.get(ExifTags.Base.FocalPlaneResolutionUnit)) or 2)
    if resolution is None or unit is None:
        return None
    width = columns / resolution * unit
    return width if 1 < width < MAX_SENSOR_MM else None
