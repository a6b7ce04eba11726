"""Where a camera looks, in the words of its maker.

DJI, Hasselblad, Yuneec, Parrot and Skydio write the angles of a gimbal: pitch above the horizon, -90 is straight down.
senseFly and whoever follows Pix4D's ``Camera`` namespace write the attitude of a body whose camera looks out of its
belly: pitch 0 is straight down, 90 ahead. Some makers write the angles of their gimbal into that namespace (Autel's
XL715); a body that looks so far back is told from a gimbal that looks down by `settle_conventions`. Early DJI firmware
has its angles in the maker note alone.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from skyweave.core.geometry.conventions import ENU_FROM_NED, FRD_FROM_CAMERA, FRD_FROM_NADIR_CAMERA, ned_from_body
from skyweave.core.geometry.frames import rotation_about_z
from skyweave.telemetry.image_metadata.field_values import parse_number

Convention = Literal["gimbal", "body"]
GIMBAL_FIELDS = (
    ("GimbalYawDegree", "GimbalPitchDegree", "GimbalRollDegree"),  # DJI, Hasselblad, Autel
    ("CameraYawDegree", "CameraPitchDegree", "CameraRollDegree"),  # Parrot
    ("CameraOrientationNED/Yaw", "CameraOrientationNED/Pitch", "CameraOrientationNED/Roll"),  # Skydio
    ("GimbalYaw", "GimbalPitch", "GimbalRoll"),  # Yuneec
)
FLIGHT_YAW_FIELDS = ("FlightYawDegree", "DroneYawDegree", "DroneYaw", "BodyYaw")
MAKER_NOTE_FLOAT = 11
MAKER_NOTE_ANGLES = {0x07: "flight_yaw", 0x09: "pitch", 0x0A: "yaw", 0x0B: "roll"}  # as ExifTool documents them
FRD_FROM_MOUNT = {"gimbal": FRD_FROM_CAMERA, "body": FRD_FROM_NADIR_CAMERA}
ORIENTATION_TURNS = {3: 180.0, 4: 180.0, 5: 90.0, 6: 90.0, 7: -90.0, 8: -90.0}  # degrees, by EXIF orientation
UNKNOWN = (0.0, 0.0, 0.0)  # what payloads write whose gimbal is not known to them, exactly
MAX_ANGLE = 360.0  # degrees; beyond it a number is no angle
MAX_BACKWARD_PITCH = 25.0  # degrees that a body looks back; the angles of a gimbal go on from there to 90
MAX_ROLL_DIFFERENCE = 45.0  # degrees of a roll from the turn that the EXIF orientation asks for
NADIR_TOLERANCE = 20.0  # degrees from straight down within which a heading may be taken from elsewhere


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


def read_attitude(xmp: Mapping[str, str], note: Mapping[str, float], make: str) -> tuple[Attitude | None, str | None]:
    """Read the attitude of the camera.

    Args:
        xmp: values of the XMP packet by name, from `read_xmp`.
        note: angles of the maker note, from `read_maker_note`.
        make: of the camera.

    Returns:
        The attitude, None where nothing is said of it; and what is said but cannot be used, None if nothing.
    """
    stated = _gimbal(xmp) or _body(xmp, make)
    if stated is None and {"yaw", "pitch"} <= note.keys():
        return Attitude(note["yaw"], note["pitch"], note.get("roll", 0.0)), None
    return stated or (None, None)


def _gimbal(xmp: Mapping[str, str]) -> tuple[Attitude | None, str | None] | None:
    """The attitude of the gimbal in the fields of any vendor; None where there is none."""
    fields = {key.split(":", 1)[-1]: value for key, value in xmp.items()}
    for names in GIMBAL_FIELDS:
        yaw, pitch, roll = (parse_number(fields.get(name)) for name in names)
        if pitch is not None and (yaw, pitch, roll) != UNKNOWN:
            return _checked(yaw, pitch, roll, "gimbal", names)
    return None


def _body(xmp: Mapping[str, str], make: str) -> tuple[Attitude | None, str | None] | None:
    """The attitude in Pix4D's namespace; None where there is none."""
    names = ("Yaw", "Pitch", "Roll")
    yaw, pitch, roll = (parse_number(xmp.get(f"camera:{name}")) for name in names)
    if yaw is None:
        return None
    sign = -1.0 if make.strip().lower() == "sensefly" else 1.0  # it counts roll the other way round
    return _checked(yaw, pitch or 0.0, sign * (roll or 0.0), "body", names)


def rotation_from_attitude(attitude: Attitude, orientation: int = 1) -> np.ndarray:
    """Return the (3, 3) rotation from the camera of the pixels as stored to east, north and up.

    Args:
        attitude: its yaw counts from the north that the result is to have.
        orientation: EXIF orientation. A camera held on its side writes its pixels as they are and asks viewers to turn
            them; where the roll does not tell of that turn, the image as viewed is the upright one.
    """
    yaw, pitch, roll = np.radians((attitude.yaw, attitude.pitch, attitude.roll))
    rotation: np.ndarray = ENU_FROM_NED @ ned_from_body(roll, pitch, yaw) @ FRD_FROM_MOUNT[attitude.convention]
    if orientation in ORIENTATION_TURNS and not _roll_tells(attitude, orientation):
        rotation = rotation @ rotation_about_z(np.radians(ORIENTATION_TURNS[orientation]))
    return rotation


def attitude_of_turned_pixels(attitude: Attitude, orientation: int) -> Attitude:
    """Return the attitude of the camera of pixels that their reader has turned already, as Pillow does those of TIFF.

    Args:
        attitude: as stated.
        orientation: EXIF orientation by which they were turned.
    """
    if orientation not in ORIENTATION_TURNS or not _roll_tells(attitude, orientation):
        return attitude
    return replace(attitude, roll=attitude.roll - ORIENTATION_TURNS[orientation])


def _roll_tells(attitude: Attitude, orientation: int) -> bool:
    """Whether a gimbal's roll is the turn that an orientation asks viewers to make."""
    difference = (attitude.roll - ORIENTATION_TURNS[orientation] + 180) % 360 - 180
    return attitude.convention == "gimbal" and abs(difference) < MAX_ROLL_DIFFERENCE


def settle_conventions(attitudes: Mapping[str, Attitude], cameras: Mapping[str, str]) -> dict[str, Attitude]:
    """Return the attitudes that say ``body`` and are a gimbal's, read as such.

    A camera whose pitch is -90 in one photo and -30 in the next hangs on a gimbal: no body looks back that far. Of
    such a camera every photo is read so, the flatter ones too.

    Args:
        attitudes: of photos by name.
        cameras: make and model of each photo's camera by name; senseFly's are bodies for certain.
    """
    bodies = {name: attitude for name, attitude in attitudes.items() if attitude.convention == "body"}
    gimbals = {cameras[name] for name, attitude in bodies.items() if attitude.pitch < -MAX_BACKWARD_PITCH}
    return {
        name: replace(attitude, convention="gimbal")
        for name, attitude in bodies.items()
        if cameras[name] in gimbals and "sensefly" not in cameras[name].lower()
    }


def read_maker_note(note: Any) -> dict[str, float]:
    """Return the angles in DJI's maker note, an image file directory of its own; empty where it is another vendor's.

    Args:
        note: the field's bytes; None where there is none.
    """
    if not isinstance(note, bytes) or len(note) < 14:
        return {}
    for order in "<>":  # its own byte order: software that rewrites the EXIF leaves the note alone
        entries = _note_entries(note, order)
        if _is_dji(entries):
            return _note_angles(entries, order)
    return {}


def _is_dji(entries: list[tuple[int, int, int, bytes]]) -> bool:
    """Whether a directory names DJI as its maker."""
    return any(tag == 1 and value.startswith(b"DJI") for tag, _, _, value in entries)


def _note_entries(note: bytes, order: str) -> list[tuple[int, int, int, bytes]]:
    """The entries of a directory in a byte order: tag, kind, length and value each; none where it is no directory."""
    (count,) = struct.unpack(order + "H", note[:2])
    if not 0 < count <= 64 or len(note) < 2 + 12 * count:
        return []
    return [struct.unpack(order + "HHI4s", note[2 + 12 * k : 14 + 12 * k]) for k in range(count)]


def _note_angles(entries: list[tuple[int, int, int, bytes]], order: str) -> dict[str, float]:
    """The angles among the entries of a directory: tag, kind, length and value each."""
    angles = {
        MAKER_NOTE_ANGLES[tag]: struct.unpack(order + "f", value)[0]
        for tag, kind, length, value in entries
        if kind == MAKER_NOTE_FLOAT and length == 1 and tag in MAKER_NOTE_ANGLES
    }
    return {name: angle for name, angle in angles.items() if math.isfinite(angle) and abs(angle) <= MAX_ANGLE}


def _checked(
    yaw: float | None, pitch: float, roll: float | None, convention: Convention, names: tuple[str, str, str]
) -> tuple[Attitude | None, str | None]:
    if yaw is None:
        return None, _heading_doubt(pitch, names)
    for name, angle in zip(names, (yaw, pitch, roll or 0.0), strict=True):
        if abs(angle) > MAX_ANGLE:
            return None, f"states {angle:g} degrees for {name}, which is no angle"
    return Attitude(yaw, pitch, roll or 0.0, convention), None


def _heading_doubt(pitch: float, names: tuple[str, str, str]) -> str | None:
    """Return that a pitch is no use without a heading; None straight down, where that may be found otherwise."""
    if abs(pitch + 90) <= NADIR_TOLERANCE:
        return None
    return f"states a pitch of {pitch:g} degrees ({names[1]}) and no heading ({names[0]})"
