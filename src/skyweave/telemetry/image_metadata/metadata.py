"""What one image's EXIF, XMP and DJI maker note say about where it was taken and how, and what contradicts.

EXIF 3.0 (CIPA DC-008), XMP (ISO 16684-1). `gps`, `attitude`, `lens` and `capture_time` read the parts.
"""

import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from PIL import ExifTags

from skyweave.core.errors import DataError
from skyweave.core.geometry.geodesy import MAX_HEIGHT_M
from skyweave.core.images.decoding import colour_profile, open_image, stated_orientation
from skyweave.telemetry.image_metadata.attitude import (
    FLIGHT_YAW_FIELDS,
    Attitude,
    attitude_of_turned_pixels,
    read_attitude,
    read_maker_note,
)
from skyweave.telemetry.image_metadata.capture_time import CaptureTime, read_time
from skyweave.telemetry.image_metadata.field_values import parse_number, parse_positive, parse_text, parse_whole
from skyweave.telemetry.image_metadata.gps import read_accuracy, read_altitude, read_position
from skyweave.telemetry.image_metadata.lens import Lens, read_lens
from skyweave.telemetry.image_metadata.xmp import read_xmp

Directory = dict[int, Any]  # of EXIF, by tag
Packet = tuple[dict[str, str], list[str]]  # values of XMP by name, and notes on the file
Topic = Literal["position", "attitude", "lens"]
MAKER_NOTE = 37500
DAMAGED = "the EXIF is damaged and was read as far as it goes"
RADIOMETRIC = "the colours of thermal previews are mapped, not temperatures; each image may have a scale of its own"
MAGNETIC = "the heading counts from magnetic north (GPSImgDirectionRef M) and is used as if from true north"
RAW_SEGMENT_BYTES = 30_000  # of a JPEG's APP3 and APP4, in which DJI's cameras keep raw thermal values
MIRRORED = (2, 4, 5, 7)  # EXIF orientations
MAX_ASPECT_CHANGE = 0.02  # share by which a reduced copy's ratio of sides may differ: rounding of its sides
RELATIVE_ALTITUDE_FIELDS = ("RelativeAltitude", "AboveHomeAltitude")  # DJI; Yuneec


@dataclass(frozen=True)
class PhotoMetadata:
    """What an image says of itself; None where it says nothing.

    Attributes:
        path: the file.
        columns, rows: size of the pixels, before any turn that `orientation` asks viewers to make.
        latitude, longitude: degrees, WGS84.
        altitude: metres above sea level as EXIF or XMP give it; drones are often tens of metres off.
        ellipsoid: whether `altitude` counts from the ellipsoid.
        relative_altitude: metres above the take-off point.
        above_ground: metres above the ground, as far as the drone knows: some count from the take-off.
        attitude: of the camera.
        flight_yaw: compass heading of the aircraft, degrees.
        time: by the camera's clock.
        make, model: of the camera.
        image_source: which of a drone's cameras or of a rig's bands took it, in the words of the maker.
        orientation: EXIF orientation, 1 to 8.
        lens: of the camera.
        declared_columns, declared_rows: size the camera wrote, of which the file may be a reduction.
        horizontal_accuracy: metres, standard deviation, where the drone knows it (RTK).
        contradictions: what it says that cannot be used, by what it concerns: an image with any is left out unless the
            user says better.
        notes: what should be looked at.
    """

    path: Path
    columns: int
    rows: int
    latitude: float | None = None
    longitude: float | None = None
    altitude: float | None = None
    ellipsoid: bool = False
    relative_altitude: float | None = None
    above_ground: float | None = None
    attitude: Attitude | None = None
    flight_yaw: float | None = None
    time: CaptureTime | None = None
    make: str = ""
    model: str = ""
    image_source: str = ""
    orientation: int = 1
    lens: Lens = field(default_factory=Lens)
    declared_columns: int | None = None
    declared_rows: int | None = None
    horizontal_accuracy: float | None = None
    contradictions: Mapping[Topic, str] = field(default_factory=lambda: MappingProxyType({}))
    notes: tuple[str, ...] = ()

    @property
    def camera(self) -> str:
        """Return the make and model of the camera, and which of the drone's it is."""
        return " ".join(word for word in (self.make, self.model, self.image_source) if word)


def read_metadata(path: str | Path) -> PhotoMetadata:
    """Read the metadata of an image; its pixels are not decoded.

    Args:
        path: the file.

    Raises:
        DataError: the file is no image that can be read; the message names it.
    """
    path = Path(path)
    with warnings.catch_warnings(record=True) as damages:
        warnings.simplefilter("always")
        size, orientation, (xmp, notes), base, camera, gps = _read_fields(path)
    stored = parse_whole(base.get(ExifTags.Base.Orientation))
    if stored in MIRRORED:
        raise DataError(
            f"{path.name} says that its pixels are mirrored (EXIF orientation {stored}), which no camera does; take "
            "the original"
        )
    metadata = _metadata(path, size, orientation, xmp, base, camera, gps)
    if metadata.attitude is not None and stored is not None and orientation == 1:
        metadata = replace(metadata, attitude=attitude_of_turned_pixels(metadata.attitude, stored))
    return replace(metadata, notes=(*metadata.notes, *notes, *([DAMAGED] if damages else [])))


def _read_fields(path: Path) -> tuple[tuple[int, int], int, Packet, Directory, Directory, Directory]:
    """Size and orientation of the pixels, XMP, and EXIF's first directory and those of the camera and the GPS."""
    try:
        with open_image(path, path.name) as image:
            exif, (xmp, note) = image.getexif(), read_xmp(image)
            notes = [*([note] if note else []), *_value_notes(image)]
            camera, gps = dict(exif.get_ifd(ExifTags.IFD.Exif)), dict(exif.get_ifd(ExifTags.IFD.GPSInfo))
            return image.size, stated_orientation(image), (xmp, notes), dict(exif), camera, gps
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path.name} cannot be read as a picture: {error}") from None


def _is_radiometric(image: Any) -> bool:
    """Whether a JPEG holds raw thermal values of DJI or FLIR beside its colours."""
    return any(
        (name in ("APP3", "APP4") and len(content) > RAW_SEGMENT_BYTES) or content.startswith(b"FLIR\0")
        for name, content in getattr(image, "applist", [])
    )


def _value_notes(image: Any) -> list[str]:
    """Notes on an image whose values are no colours of sRGB."""
    profile = colour_profile(image)
    notes = [RADIOMETRIC] if _is_radiometric(image) else []
    return notes + ([f"colours of the profile {profile!r} are taken as if sRGB"] if profile else [])


def _metadata(
    path: Path,
    size: tuple[int, int],
    orientation: int,
    xmp: dict[str, str],
    base: Directory,
    camera: Directory,
    gps: Directory,
) -> PhotoMetadata:
    tag = ExifTags.Base
    fields = {key.split(":", 1)[-1]: value for key, value in xmp.items()}
    make = parse_text(base.get(tag.Make)) or fields.get("Make", "")
    declared = parse_whole(camera.get(tag.ExifImageWidth)), parse_whole(camera.get(tag.ExifImageHeight))
    position, altitude = read_position(gps, fields), read_altitude(gps, fields)
    note = read_maker_note(camera.get(MAKER_NOTE))
    attitude, attitude_problem = read_attitude(xmp, note, make)
    flight_yaw, yaw_notes = _flight_yaw(fields, note, gps)
    heights, height_notes = _possible_heights({
        "altitude": altitude.metres,
        "height above the take-off": _first(fields, RELATIVE_ALTITUDE_FIELDS),
        "height above the ground": parse_positive(xmp.get("camera:AboveGroundAltitude")),
    })  # fmt: skip
    turned, lens_problem = _size_problems(size, declared, xmp)
    problems: dict[Topic, str | None] = {
        "position": position.contradiction,
        "attitude": attitude_problem or turned,
        "lens": lens_problem,
    }
    return PhotoMetadata(
        path=path,
        columns=size[0],
        rows=size[1],
        latitude=position.latitude,
        longitude=position.longitude,
        altitude=heights["altitude"],
        ellipsoid=altitude.ellipsoid,
        relative_altitude=heights["height above the take-off"],
        above_ground=heights["height above the ground"],
        attitude=attitude,
        flight_yaw=flight_yaw,
        time=read_time(camera, base),
        make=make,
        model=parse_text(base.get(tag.Model)) or fields.get("Model", ""),
        image_source=fields.get("ImageSource") or xmp.get("camera:BandName", ""),
        orientation=orientation,
        lens=read_lens(xmp, camera, declared[0] or size[0], declared[1] or size[1]),
        declared_columns=declared[0],
        declared_rows=declared[1],
        horizontal_accuracy=read_accuracy(gps, fields),
        contradictions=MappingProxyType({topic: text for topic, text in problems.items() if text is not None}),
        notes=(*position.notes, *altitude.notes, *height_notes, *(yaw_notes if attitude is None else ())),
    )


def _possible_heights(stated: dict[str, float | None]) -> tuple[dict[str, float | None], list[str]]:
    """Heights by what they count from, None for those that nothing in the air has, and notes on these."""
    beyond = [name for name, value in stated.items() if abs(value or 0.0) > MAX_HEIGHT_M]
    notes = [f"{name}: beyond {MAX_HEIGHT_M:g} m, and so unknown" for name in beyond]
    return stated | dict.fromkeys(beyond), notes


def _first(fields: dict[str, str], names: tuple[str, ...]) -> float | None:
    return next((value for name in names if (value := parse_number(fields.get(name))) is not None), None)


def _flight_yaw(
    fields: dict[str, str], note: dict[str, float], gps: dict[int, Any]
) -> tuple[float | None, tuple[str, ...]]:
    """Heading of the aircraft, and notes on it."""
    yaw = _first(fields, FLIGHT_YAW_FIELDS)
    if yaw is not None or "flight_yaw" in note:
        return yaw if yaw is not None else note["flight_yaw"], ()
    yaw = parse_number(gps.get(ExifTags.GPS.GPSImgDirection))
    magnetic = yaw is not None and parse_text(gps.get(ExifTags.GPS.GPSImgDirectionRef)).upper() == "M"
    return yaw, (MAGNETIC,) if magnetic else ()


def _is_same_aspect(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes have one shape."""
    return abs((size[0] * other[1]) / (size[1] * other[0]) - 1) <= MAX_ASPECT_CHANGE


def _size_problems(
    size: tuple[int, int], declared: tuple[int | None, int | None], xmp: dict[str, str]
) -> tuple[str | None, str | None]:
    """What the size of the pixels and the size that the camera wrote say against pose and lens."""
    projection = xmp.get("panorama:ProjectionType")
    if projection is not None:
        return None, f"is a panorama ({projection}), which no one camera saw"
    columns, rows = declared
    if columns is None or rows is None:
        return None, None
    if _is_same_aspect(size, (columns, rows)):
        return None, None
    text = f"has {size[0]} x {size[1]} pixels and says that its camera wrote {columns} x {rows}"
    if _is_same_aspect(size, (rows, columns)):
        return f"{text}: it was turned later, and its pose was not", None
    return None, f"{text}: it was cut out of that, and where is not known"
