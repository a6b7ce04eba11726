"""What one picture's EXIF, XMP and DJI maker note say about where it was taken and how.

EXIF 2.32 (CIPA DC-008), XMP (ISO 16684-1). Vendors' fields: DJI and Autel write gimbal angles above the horizon
(`GimbalPitchDegree` -90 is straight down), Parrot and Skydio likewise under other names; senseFly, older Autel and
whoever follows Pix4D's `Camera` namespace write the attitude of a body whose camera looks out of its belly (pitch 0
is straight down). Early DJI firmware has its angles in the maker note alone.
"""

import math
import struct
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from PIL import ExifTags, Image

from skyweave.core.errors import DataError
from skyweave.orthomosaic.xmp import read_xmp

Convention = Literal["gimbal", "body"]
GIMBAL_FIELDS = (
    ("GimbalYawDegree", "GimbalPitchDegree", "GimbalRollDegree"),  # DJI, Autel
    ("CameraYawDegree", "CameraPitchDegree", "CameraRollDegree"),  # Parrot
    ("CameraOrientationNED/Yaw", "CameraOrientationNED/Pitch", "CameraOrientationNED/Roll"),  # Skydio
)
FLIGHT_YAW_FIELDS = ("FlightYawDegree", "DroneYawDegree", "BodyYaw")
EIGHT_BIT = {"L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"}
MAKER_NOTE, MAKER_NOTE_FLOAT = 37500, 11
MAKER_NOTE_ANGLES = {0x07: "flight_yaw", 0x09: "pitch", 0x0A: "yaw", 0x0B: "roll"}  # as ExifTool documents them


@dataclass(frozen=True)
class Attitude:
    """Where a camera looks, in degrees.

    Attributes:
        yaw: compass heading, clockwise from true north.
        pitch: ``gimbal``: above the horizon, -90 is straight down. ``body``: nose up, 0 is straight down.
        roll: right side down.
        convention: which of the two.
    """

    yaw: float
    pitch: float
    roll: float
    convention: Convention = "gimbal"


@dataclass(frozen=True)
class PhotoMetadata:
    """What a picture says of itself; None where it says nothing.

    Attributes:
        path: the file.
        columns, rows: size of the pixels as stored, before any turn that `orientation` asks viewers to make.
        latitude, longitude: degrees, WGS84.
        altitude: metres above sea level as EXIF or XMP give it; drones are often tens of metres off.
        relative_altitude: metres above the take-off point.
        attitude: of the camera.
        flight_yaw: compass heading of the aircraft, degrees.
        time: seconds since 1970 in the camera's own clock and zone: good for the order of pictures only.
        make, model: of the camera.
        orientation: EXIF orientation, 1 to 8.
        focal_millimetres, focal_35mm: focal length, true and as on 35 mm film.
        focal_plane_width: of the sensor in millimetres, from the focal plane resolution.
        focal_pixels: calibrated, at `declared_columns` wide.
        declared_columns, declared_rows: size the camera wrote, of which the file may be a reduction.
        horizontal_accuracy: metres, standard deviation, where the drone knows it (RTK).
    """

    path: Path
    columns: int
    rows: int
    latitude: float | None = None
    longitude: float | None = None
    altitude: float | None = None
    relative_altitude: float | None = None
    attitude: Attitude | None = None
    flight_yaw: float | None = None
    time: float | None = None
    make: str = ""
    model: str = ""
    orientation: int = 1
    focal_millimetres: float | None = None
    focal_35mm: float | None = None
    focal_plane_width: float | None = None
    focal_pixels: float | None = None
    declared_columns: int | None = None
    declared_rows: int | None = None
    horizontal_accuracy: float | None = None


def read_metadata(path: str | Path) -> PhotoMetadata:
    """Read the metadata of an image; its pixels are not decoded.

    Args:
        path: the file.

    Raises:
        DataError: the file is no image that can be read; the message names it.
    """
    path = Path(path)
    try:
        with Image.open(path) as image:
            exif, xmp = image.getexif(), read_xmp(image)
            columns, rows = image.size
            if image.mode not in EIGHT_BIT:
                raise DataError(f"its pixels are of kind {image.mode!r}; 8-bit grey or colour is needed")
            camera, gps = dict(exif.get_ifd(ExifTags.IFD.Exif)), dict(exif.get_ifd(ExifTags.IFD.GPSInfo))
            base = dict(exif)
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        raise DataError(f"{path.name} cannot be read as a picture: {error}") from None
    fields = {key.split(":", 1)[-1]: value for key, value in xmp.items()}
    note = _maker_note(camera.get(MAKER_NOTE))
    latitude, longitude = _position(gps, fields)
    tag = ExifTags.Base
    flight_yaw = next((v for name in FLIGHT_YAW_FIELDS if (v := _number(fields.get(name))) is not None), None)
    declared = _whole(camera.get(tag.ExifImageWidth)), _whole(camera.get(tag.ExifImageHeight))
    return PhotoMetadata(
        path=path,
        columns=columns,
        rows=rows,
        latitude=latitude,
        longitude=longitude,
        altitude=_altitude(gps, fields),
        relative_altitude=_number(fields.get("RelativeAltitude")),
        attitude=_attitude(xmp, fields, note, str(base.get(tag.Make, ""))),
        flight_yaw=flight_yaw if flight_yaw is not None else note.get("flight_yaw", _image_direction(gps)),
        time=_time(camera, base),
        make=_text(base.get(tag.Make)),
        model=_text(base.get(tag.Model)),
        orientation=_whole(base.get(tag.Orientation)) or 1,
        focal_millimetres=_positive(camera.get(tag.FocalLength)) or _positive(fields.get("PerspectiveFocalLength")),
        focal_35mm=_positive(camera.get(tag.FocalLengthIn35mmFilm)),
        focal_plane_width=_focal_plane_width(camera, declared[0] or columns),
        focal_pixels=_positive(fields.get("CalibratedFocalLength")),
        declared_columns=declared[0],
        declared_rows=declared[1],
        horizontal_accuracy=_accuracy(fields),
    )


def _attitude(xmp: dict[str, str], fields: dict[str, str], note: dict[str, float], make: str) -> Attitude | None:
    for names in GIMBAL_FIELDS:
        yaw, pitch, roll = (_number(fields.get(name)) for name in names)
        if yaw is not None and pitch is not None:
            return Attitude(yaw, pitch, roll or 0.0)
    yaw, pitch, roll = (_number(xmp.get(f"camera:{name}")) for name in ("Yaw", "Pitch", "Roll"))
    if yaw is not None:
        # senseFly counts roll the other way round
        sign = -1.0 if make.strip().lower() == "sensefly" else 1.0
        return Attitude(yaw, pitch or 0.0, sign * (roll or 0.0), "body")
    if {"yaw", "pitch"} <= note.keys():
        return Attitude(note["yaw"], note["pitch"], note.get("roll", 0.0))
    return None


def _position(gps: dict[int, Any], fields: dict[str, str]) -> tuple[float | None, float | None]:
    tag = ExifTags.GPS
    latitude = _degrees(gps.get(tag.GPSLatitude), gps.get(tag.GPSLatitudeRef), "S")
    longitude = _degrees(gps.get(tag.GPSLongitude), gps.get(tag.GPSLongitudeRef), "W")
    if latitude is None or longitude is None:
        latitude = _coordinate(fields, "GpsLatitude", "GPSLatitude", "Latitude")
        # DJI's firmware misspelt the longitude for years
        longitude = _coordinate(fields, "GpsLongitude", "GpsLongtitude", "GPSLongitude", "Longitude")
    if latitude is None or longitude is None or not (abs(latitude) <= 90 and abs(longitude) <= 180):
        return None, None
    if latitude == 0 and longitude == 0:  # what receivers write before they have a fix
        return None, None
    return latitude, longitude


def _coordinate(fields: dict[str, str], *names: str) -> float | None:
    """A decimal number, or XMP's ``46,50.556425N``."""
    for name in names:
        text = fields.get(name, "").strip()
        if text[-1:] in ("N", "S", "E", "W"):
            parts = [_number(part) for part in text[:-1].split(",")]
            if all(part is not None for part in parts):
                value = sum(part / 60**k for k, part in enumerate(parts) if part is not None)
                return float(-value if text[-1] in "SW" else value)
        elif (number := _number(text)) is not None:
            return number
    return None


def _degrees(parts: Any, reference: Any, negative: str) -> float | None:
    try:
        values = [_number(part) for part in parts]
    except TypeError:
        return None
    if not values or any(value is None for value in values):
        return None
    degrees = sum(value / 60**k for k, value in enumerate(values) if value is not None)
    return float(-degrees if _text(reference).upper().startswith(negative) else degrees)


def _altitude(gps: dict[int, Any], fields: dict[str, str]) -> float | None:
    altitude = _number(gps.get(ExifTags.GPS.GPSAltitude))
    if altitude is None:
        return _number(fields.get("AbsoluteAltitude"))
    below = gps.get(ExifTags.GPS.GPSAltitudeRef) in (b"\x01", 1)
    return -altitude if below else altitude


def _image_direction(gps: dict[int, Any]) -> float | None:
    return _number(gps.get(ExifTags.GPS.GPSImgDirection))


def _accuracy(fields: dict[str, str]) -> float | None:
    values = [_positive(fields.get(name)) for name in ("RtkStdLon", "RtkStdLat")]
    if _positive(fields.get("RtkFlag")) is None or any(value is None for value in values):
        return _positive(fields.get("GPSXYAccuracy"))
    return max(value for value in values if value is not None)


def _focal_plane_width(camera: dict[int, Any], columns: int) -> float | None:
    """Sensor width in millimetres; the resolution's unit is EXIF's: 2 inch, 3 centimetre (4, 5: milli-, micrometre)."""
    resolution = _positive(camera.get(ExifTags.Base.FocalPlaneXResolution))
    unit = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}.get(_whole(camera.get(ExifTags.Base.FocalPlaneResolutionUnit)) or 2)
    if resolution is None or unit is None:
        return None
    width = columns / resolution * unit
    return width if 1 < width < 120 else None  # else the field is not what it says


def _time(camera: dict[int, Any], base: dict[int, Any]) -> float | None:
    text = _text(camera.get(ExifTags.Base.DateTimeOriginal) or base.get(ExifTags.Base.DateTime))
    fraction = _text(camera.get(ExifTags.Base.SubsecTimeOriginal))
    try:
        # neutral zone: only differences matter, and a daylight saving change must not reorder a flight
        seconds = (datetime.strptime(text[:19], "%Y:%m:%d %H:%M:%S") - datetime(1970, 1, 1)).total_seconds()
    except ValueError:
        return None
    return seconds + (float(f"0.{fraction}") if fraction.isdigit() else 0.0)


def _maker_note(note: Any) -> dict[str, float]:
    """The angles in DJI's maker note, an image file directory of its own; empty where it is another vendor's."""
    if not isinstance(note, bytes) or len(note) < 14:
        return {}
    for order in "<>":  # its own byte order: software that rewrites the EXIF leaves the note alone
        (count,) = struct.unpack(order + "H", note[:2])
        if not 0 < count <= 64 or len(note) < 2 + 12 * count:
            continue
        angles: dict[str, float] = {}
        maker = False
        for entry in range(count):
            tag, kind, length, value = struct.unpack(order + "HHI4s", note[2 + 12 * entry : 14 + 12 * entry])
            maker = maker or (tag == 1 and value.startswith(b"DJI"))
            if kind == MAKER_NOTE_FLOAT and length == 1 and tag in MAKER_NOTE_ANGLES:
                angle = struct.unpack(order + "f", value)[0]
                if math.isfinite(angle) and abs(angle) <= 360:
                    angles[MAKER_NOTE_ANGLES[tag]] = angle
        if maker:
            return angles
    return {}


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) else None


def _positive(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and number > 0 else None


def _whole(value: Any) -> int | None:
    number = _positive(value)
    return int(number) if number is not None else None


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return str(value or "").strip("\0 ")
