"""The place of a photograph: EXIF GPS and its references, XMP where EXIF says nothing, and what contradicts.

EXIF 3.0 (CIPA DC-008): a latitude has no sign and is north or south by its reference; a height is above or below the
sea, or the ellipsoid, by its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import ExifTags

from skyweave.core.geometry.geodesy import distances_lon_lat
from skyweave.telemetry.image_metadata.field_values import parse_number, parse_positive, parse_text

MAX_QUIET_M = 30.0  # between the places in EXIF and XMP; more is noted
MAX_DISAGREEMENT_M = 1000.0  # between the places in EXIF and XMP
MAX_ALTITUDE_DISAGREEMENT_M = 10.0  # between the altitudes in EXIF and XMP
BELOW = (1, 3)  # GPSAltitudeRef: below the sea, below the ellipsoid
ELLIPSOID = (2, 3)  # GPSAltitudeRef: above and below the ellipsoid
SAME_DATUM = ("WGS", "NAD83", "ETRS", "GDA", "JGD2", "CGCS2000", "SIRGAS", "RGF93", "NZGD2000")  # to about a metre
LATITUDE_FIELDS = ("GpsLatitude", "GPSLatitude", "Latitude")
LONGITUDE_FIELDS = ("GpsLongitude", "GpsLongtitude", "GPSLongitude", "Longitude")  # DJI misspelt it for years


@dataclass(frozen=True)
class Position:
    """Where a photograph says that it was taken; None where it says nothing.

    Attributes:
        latitude, longitude: degrees, WGS84.
        contradiction: what it says that cannot be a place.
        notes: what should be looked at.
    """

    latitude: float | None = None
    longitude: float | None = None
    contradiction: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Altitude:
    """How high a photograph says that it was taken; None where it says nothing.

    Attributes:
        metres: above the sea, or above the ellipsoid.
        ellipsoid: whether it counts from the ellipsoid.
        notes: what should be looked at.
    """

    metres: float | None = None
    ellipsoid: bool = False
    notes: tuple[str, ...] = ()


def read_position(gps: Mapping[int, Any], fields: Mapping[str, str]) -> Position:
    """Read the place from EXIF, or from XMP where EXIF has none.

    Args:
        gps: EXIF's directory of GPS fields.
        fields: values of XMP by name, without prefix.
    """
    tag = ExifTags.GPS
    other = _xmp_place(fields)
    latitude, problem = _degrees(gps.get(tag.GPSLatitude), gps.get(tag.GPSLatitudeRef), "latitude", "NS")
    longitude, other_problem = _degrees(gps.get(tag.GPSLongitude), gps.get(tag.GPSLongitudeRef), "longitude", "EW")
    if fields.get("GpsStatus", "").lower() == "invalid":
        return Position(contradiction="says that its position is invalid (GpsStatus)")
    if latitude is None or longitude is None or latitude == longitude == 0:  # 0, 0 is written before there is a fix
        return Position(*other) if other is not None else Position(contradiction=problem or other_problem)
    contradiction = _contradiction(latitude, longitude, other)
    if contradiction is not None:
        return Position(contradiction=contradiction)
    return Position(latitude, longitude, notes=(*_distance_notes(latitude, longitude, other), *_datum_notes(gps)))


def _distance_notes(latitude: float, longitude: float, other: tuple[float, float] | None) -> tuple[str, ...]:
    """Note a place in XMP that is another one than EXIF's, and not far enough to say that one is wrong."""
    if other is None or distances_lon_lat(np.array([other[::-1]]), (longitude, latitude))[0] <= MAX_QUIET_M:
        return ()
    return (f"places in EXIF and XMP differ by more than {MAX_QUIET_M:g} m: EXIF's are used",)


def _contradiction(latitude: float, longitude: float, other: tuple[float, float] | None) -> str | None:
    """What speaks against a place of EXIF; ``other``: latitude and longitude of XMP."""
    if abs(latitude) > 90 or abs(longitude) > 180:
        return f"states latitude {latitude:g} and longitude {longitude:g}, which are no place"
    if other is None or distances_lon_lat(np.array([other[::-1]]), (longitude, latitude))[0] <= MAX_DISAGREEMENT_M:
        return None
    return (
        f"contradicts itself: EXIF says latitude {latitude:.5f} and longitude {longitude:.5f}, XMP {other[0]:.5f} and "
        f"{other[1]:.5f}"
    )


def read_altitude(gps: Mapping[int, Any], fields: Mapping[str, str]) -> Altitude:
    """Read the altitude from EXIF, or from XMP where EXIF has none or has lost its sign.

    Args:
        gps: EXIF's directory of GPS fields.
        fields: values of XMP by name, without prefix.
    """
    absolute = _xmp_altitude(fields)
    reference = _reference(gps.get(ExifTags.GPS.GPSAltitudeRef))
    # RTK receivers of DJI give heights above the ellipsoid
    ellipsoid = reference in ELLIPSOID or parse_positive(fields.get("RtkFlag")) is not None
    altitude = parse_number(gps.get(ExifTags.GPS.GPSAltitude))
    if altitude is None or (altitude == 0 and absolute is not None):
        return Altitude(absolute, ellipsoid)
    return _compare_altitudes(-abs(altitude) if reference in BELOW else altitude, absolute, ellipsoid)


def _compare_altitudes(altitude: float, absolute: float | None, ellipsoid: bool) -> Altitude:
    """Return the altitude of EXIF, or XMP's where EXIF has lost its sign; and a note where they differ."""
    if absolute is None or abs(absolute - altitude) <= MAX_ALTITUDE_DISAGREEMENT_M:
        return Altitude(altitude, ellipsoid)
    if abs(absolute + altitude) <= 1.0:  # the same but for the sign, which EXIF keeps apart and loses first
        return Altitude(absolute, ellipsoid, ("EXIF and XMP differ in the sign of the altitude: XMP's is used",))
    note = "altitudes in EXIF and XMP differ by more than 10 m: EXIF's are used"
    return Altitude(altitude, ellipsoid, (note,))


def read_accuracy(gps: Mapping[int, Any], fields: Mapping[str, str]) -> float | None:
    """Return how far the place may be off, one standard deviation in metres; None where nothing is said.

    Args:
        gps: EXIF's directory of GPS fields.
        fields: values of XMP by name, without prefix.
    """
    known = _all_or_nothing([parse_positive(fields.get(name)) for name in ("RtkStdLon", "RtkStdLat")])
    if known and parse_positive(fields.get("RtkFlag")) is not None:
        return max(known)
    return parse_positive(fields.get("GPSXYAccuracy")) or parse_positive(gps.get(ExifTags.GPS.GPSHPositioningError))


def _reference(value: Any) -> int:
    """What an altitude counts from: a byte by the standard, a digit by some writers."""
    if isinstance(value, bytes) and value[:1] < b"0":
        return value[0] if value else 0
    return int(parse_number(parse_text(value)) or 0)


def _xmp_altitude(fields: Mapping[str, str]) -> float | None:
    """Metres, with their sign."""
    if "AbsoluteAltitude" in fields:
        return parse_number(fields["AbsoluteAltitude"])
    altitude = parse_number(fields.get("GPSAltitude"))
    below = parse_number(fields.get("GPSAltitudeRef")) in BELOW
    return -abs(altitude) if altitude is not None and below else altitude


def _xmp_place(fields: Mapping[str, str]) -> tuple[float, float] | None:
    """Latitude and longitude, if XMP has both and they are a place."""
    latitude, longitude = _coordinate(fields, LATITUDE_FIELDS), _coordinate(fields, LONGITUDE_FIELDS)
    if latitude is None or longitude is None or latitude == longitude == 0:
        return None
    return (latitude, longitude) if abs(latitude) <= 90 and abs(longitude) <= 180 else None


def _coordinate(fields: Mapping[str, str], names: tuple[str, ...]) -> float | None:
    """A decimal number, or XMP's ``46,50.556425N``, of the first field that holds either."""
    texts = (fields.get(name, "").strip() for name in names)
    return next((value for text in texts if (value := _parse_coordinate(text)) is not None), None)


def _parse_coordinate(text: str) -> float | None:
    """A decimal number, or degrees, minutes and seconds with the letter of a hemisphere; None for what is neither."""
    if text[-1:] not in ("N", "S", "E", "W"):
        return parse_number(text)
    parts = _all_or_nothing([parse_number(part) for part in text[:-1].split(",")])
    value = sum(part / 60**k for k, part in enumerate(parts))
    return float(-value if text[-1] in "SW" else value) if parts else None


def _degrees(parts: Any, reference: Any, name: str, hemispheres: str) -> tuple[float | None, str | None]:
    """Degrees with their sign, None where there are none; and why, if something is stated."""
    known = _three_parts(parts)
    if not known:
        return None, None
    doubt = _parts_doubt(known, name)
    if doubt is not None:
        return None, doubt
    degrees = sum(abs(value) / 60**k for k, value in enumerate(known))
    return _signed(degrees, min(known) < 0, parse_text(reference).upper()[:1], name, hemispheres)


def _parts_doubt(known: list[float], name: str) -> str | None:
    """Why degrees, minutes and seconds are no angle; None where they are one."""
    if any(abs(value) > 60 for value in known[1:]):
        return f"states a {name} with {_listed(known[1:])} minutes and seconds"
    if min(known) < 0 < max(known):
        return f"states a {name} with {_listed(known)}, of mixed signs"
    if len(known) == 1 and known[0] == round(known[0]):
        return f"states a {name} in whole degrees alone, {known[0]:g}"
    return None


def _listed(values: list[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _signed(
    degrees: float, negative: bool, letter: str, name: str, hemispheres: str
) -> tuple[float | None, str | None]:
    """Degrees with the sign of a letter; some writers put it into the number, and the letter as well."""
    positive_letter, negative_letter = tuple(hemispheres)
    if letter == negative_letter or (negative and letter != positive_letter):
        return -degrees, None
    if letter != positive_letter:
        return None, f"states a {name} of {degrees:.5f} and not whether {' or '.join(hemispheres)}"
    if negative:
        return None, f"contradicts itself: its {name} is -{degrees:.5f} and {letter}"
    return degrees, None


def _three_parts(parts: Any) -> list[float]:
    """Degrees, minutes and seconds, or degrees alone; nothing where one is no number."""
    return _all_or_nothing([parse_number(part) for part in (parts if isinstance(parts, list | tuple) else (parts,))])


def _all_or_nothing(values: list[float | None]) -> list[float]:
    """The values; nothing where one is None."""
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else []


def _datum_notes(gps: Mapping[int, Any]) -> tuple[str, ...]:
    datum = parse_text(gps.get(ExifTags.GPS.GPSMapDatum))
    known = datum.upper().replace(" ", "").replace("-", "")
    if not known or known.startswith(SAME_DATUM) or "WGS" in known or "UNKNOWN" in known:
        return ()
    return (f"places refer to the datum {datum!r} and are taken for WGS84: they may be hundreds of metres off",)
