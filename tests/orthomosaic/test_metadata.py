"""What vendors write, each in its own words."""

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from fabricated_flight import DJI, EAST, FOCAL, NORTH, Shot, gps_fields, packet, write_shot
from skyweave.telemetry.image_metadata.attitude import Attitude
from skyweave.telemetry.image_metadata.intrinsics import Calibration, camera_from_metadata, read_calibration
from skyweave.telemetry.image_metadata.lens import Lens
from skyweave.telemetry.image_metadata.metadata import PhotoMetadata, read_metadata

BLANK = np.zeros((240, 320, 3), np.uint8)
SHOT = Shot("A.JPG", (EAST, NORTH, 130.0), 90.0)
TAG = ExifTags.Base


def written(tmp_path: Path, xmp: str) -> PhotoMetadata:
    path = tmp_path / "A.JPG"
    write_shot(path, SHOT, BLANK, 0, lambda shot, height: xmp)
    return read_metadata(path)


def image(path: Path, base: dict[int, Any] | None = None, camera: dict[int, Any] | None = None, **options: Any) -> Path:
    exif = Image.Exif()
    for key, value in (base or {}).items():
        exif[key] = value
    exif.get_ifd(ExifTags.IFD.Exif).update(camera or {})
    Image.fromarray(BLANK).save(path, exif=exif, **options)
    return path


def values(prefix: str, name: str, *angles: float) -> str:
    return " ".join(f'{prefix}:{name.format(axis)}="{a:+}"' for axis, a in zip(AXES, angles, strict=True))


def elements(prefix: str, name: str, *angles: float) -> str:
    tags = [f"{prefix}:{name.format(axis)}" for axis in AXES]
    return "".join(f"<{tag}>{angle:+}</{tag}>" for tag, angle in zip(tags, angles, strict=True))


AXES = ("Yaw", "Pitch", "Roll")
DRONE = "drone-dji"
PIX4D = 'xmlns:Camera="http://pix4d.com/camera/1.0"'
PARROT = 'xmlns:drone-parrot="http://www.parrot.com/drone-parrot/1.0/"'
SKYDIO = 'xmlns:drone-skydio="http://www.skydio.com/drone-skydio/1.0/"'
LAYOUTS = {
    "dji attributes": (packet(values(DRONE, "Gimbal{}Degree", -135.5, -89.9, 0.0), DJI), Attitude(-135.5, -89.9, 0.0)),
    "dji elements": (packet("", DJI, elements(DRONE, "Gimbal{}Degree", 12.3, -45, 1)), Attitude(12.3, -45.0, 1.0)),
    "parrot": (packet(values("drone-parrot", "Camera{}Degree", 77, -80, 1), PARROT), Attitude(77.0, -80.0, 1.0)),
    "pix4d": (packet(values("Camera", "{}", 200, 4, -3), PIX4D), Attitude(200.0, 4.0, -3.0, "body")),
    "skydio": (
        packet(
            "",
            SKYDIO,
            '<drone-skydio:CameraOrientationNED rdf:parseType="Resource">'
            + elements("drone-skydio", "{}", 33, -88, 0.5)
            + "</drone-skydio:CameraOrientationNED>",
        ),
        Attitude(33.0, -88.0, 0.5),
    ),
    "none": ("", None),
    "broken": ("<x:xmpmeta", None),
    "no xml": (
        packet(values(DRONE, "Gimbal{}Degree", 12.3, -45, 1), DJI).replace("<rdf:RDF", "<rdf:RDF \x01 a=b"),
        Attitude(12.3, -45.0, 1.0),
    ),
    "no xml, elements": (
        packet("", DJI, elements(DRONE, "Gimbal{}Degree", 12.3, -45, 1)).replace("</x:xmpmeta>", ""),
        Attitude(12.3, -45.0, 1.0),
    ),
    "entities": (f"<!DOCTYPE a [<!ENTITY b 'c'>]>{packet(values(DRONE, 'Gimbal{}Degree', 1, 2, 3), DJI)}", None),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_attitude_of_every_vendor(tmp_path: Path, layout: str) -> None:
    xmp, expected = LAYOUTS[layout]
    read = written(tmp_path, xmp)
    assert read.attitude == expected
    assert bool(read.notes) == (layout in ("broken", "entities", "no xml", "no xml, elements"))


def test_sensefly_counts_roll_the_other_way(tmp_path: Path) -> None:
    xmp = packet('Camera:Yaw="200" Camera:Pitch="4" Camera:Roll="-3"', PIX4D)
    path = image(tmp_path / "A.JPG", {TAG.Make: "senseFly"}, xmp=xmp.encode())
    assert read_metadata(path).attitude == Attitude(200.0, 4.0, 3.0, "body")


def test_other_fields_of_xmp(tmp_path: Path) -> None:
    xmp = packet(
        'drone-dji:RelativeAltitude="+39.80" drone-dji:FlightYawDegree="-120" drone-dji:CalibratedFocalLength="3666.7" '
        'drone-dji:RtkFlag="50" drone-dji:RtkStdLon="0.012" drone-dji:RtkStdLat="0.015"',
        DJI,
    )
    read = written(tmp_path, xmp)
    assert (read.relative_altitude, read.flight_yaw, read.horizontal_accuracy) == (39.8, -120, 0.015)
    assert read.lens.focal_pixels == (3666.7, 3666.7)


@pytest.mark.parametrize("order", "<>")
def test_the_maker_note_of_early_dji(tmp_path: Path, order: str) -> None:
    angles = {6: 1.8, 7: 46.0, 8: 3.0, 9: -89.9, 10: 45.0, 11: 0.0}
    entries = struct.pack(order + "HHI4s", 1, 2, 4, b"DJI\0")
    entries += b"".join(struct.pack(order + "HHIf", tag, 11, 1, angle) for tag, angle in angles.items())
    note = struct.pack(order + "H", 7) + entries + bytes(4)
    path = image(tmp_path / "A.JPG", camera={37500: note})
    read = read_metadata(path)
    assert read.attitude is not None
    assert (read.attitude.yaw, read.attitude.pitch) == (45.0, pytest.approx(-89.9)) and read.flight_yaw == 46.0
    other = image(tmp_path / "B.JPG", camera={37500: b"Nikon\0" + bytes(range(200))})
    assert read_metadata(other).attitude is None


@pytest.mark.parametrize(("latitude", "longitude"), [(46.84, -91.99), (-33.9, 18.4), (-0.001, -0.002), (51.5, 0.0)])
def test_positions_in_every_quarter_of_the_earth(tmp_path: Path, latitude: float, longitude: float) -> None:
    path = image(tmp_path / "A.JPG", {TAG.GPSInfo: gps_fields(latitude, longitude, -3.5)})
    read = read_metadata(path)
    assert read.latitude == pytest.approx(latitude, abs=1e-8) and read.longitude == pytest.approx(longitude, abs=1e-8)
    assert read.altitude == pytest.approx(-3.5)


def test_positions_that_are_none(tmp_path: Path) -> None:
    nowhere = image(tmp_path / "A.JPG", {TAG.GPSInfo: gps_fields(0.0, 0.0, 0.0)})
    assert read_metadata(nowhere).latitude is None
    broken = image(tmp_path / "B.JPG", {TAG.GPSInfo: {**gps_fields(1.0, 2.0, 0.0), 2: (IFDRational(0, 0), 0.0, 0.0)}})
    assert read_metadata(broken).latitude is None
    xmp = packet('drone-dji:GpsLatitude="46.8" drone-dji:GpsLongtitude="-92.0"', DJI)
    assert read_metadata(image(tmp_path / "C.JPG", xmp=xmp.encode())).longitude == -92.0
    text = packet(
        'exif:GPSLatitude="46,30.0N" exif:GPSLongitude="92,15.0W"', 'xmlns:exif="http://ns.adobe.com/exif/1.0/"'
    )
    read = read_metadata(image(tmp_path / "D.JPG", xmp=text.encode()))
    assert (read.latitude, read.longitude) == (46.5, -92.25)


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "A.JPG").write_bytes(b"text")
    with pytest.raises(ValueError, match=r"A\.JPG cannot be read"):
        read_metadata(tmp_path / "A.JPG")
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "B.tif")
    with pytest.raises(ValueError, match=r"B\.tif cannot be read.*8-bit"):
        read_metadata(tmp_path / "B.tif")


PHOTO = PhotoMetadata(Path("A.JPG"), 4000, 3000)


@pytest.mark.parametrize(
    ("fields", "focal"),
    [
        ({"lens": Lens(focal_35mm=24.0)}, 24 / 43.267 * 5000),
        ({"lens": Lens(focal_35mm=20.0), "columns": 2000, "rows": 1125}, 20 / 43.267 * 2500),  # 16:9, cut from 4:3
        ({"lens": Lens(focal_millimetres=3.61), "model": "FC300S"}, 3.61 / 6.17 * 4000),
        ({"lens": Lens(focal_millimetres=8.8, sensor_width=13.2, focal_35mm=99.0)}, 8.8 / 13.2 * 4000),
        ({"lens": Lens(focal_pixels=(3666.7, 3666.7), focal_35mm=99.0), "declared_columns": 8000}, 3666.7 / 2),
    ],
)
def test_focal_length_from_the_best_source(fields: dict[str, Any], focal: float) -> None:
    camera, _ = camera_from_metadata(replace(PHOTO, **fields))
    assert camera.intrinsics[0, 0] == pytest.approx(focal)
    assert camera.intrinsics[0, 2] == fields.get("columns", 4000) / 2


def test_focal_length_from_the_file(tmp_path: Path) -> None:
    read = written(tmp_path, "")
    camera, source = camera_from_metadata(read)
    assert camera.intrinsics[0, 0] == pytest.approx(FOCAL, rel=1e-4) and "focal plane" in source
    with pytest.raises(ValueError, match=r"A\.JPG does not state its focal length; give --focal"):
        camera_from_metadata(PHOTO)


def test_a_camera_file(tmp_path: Path) -> None:
    path = tmp_path / "camera.json"
    path.write_text('{"focal": 3600, "columns": 8000, "centre": [4010, 2990], "distortion": [0.1, 0, 0, 0, 0]}')
    camera, source = camera_from_metadata(PHOTO, read_calibration(path))
    assert (camera.intrinsics[0, 0], *camera.intrinsics[:2, 2]) == (1800, 2005, 1495) and source == "given"
    assert camera.distortion[0] == 0.1
    path.write_text('{"focus": 3600}')
    with pytest.raises(ValueError, match=r"camera\.json.*focus.*focal"):
        read_calibration(path)
    with pytest.raises(FileNotFoundError, match="no such camera file"):
        read_calibration(tmp_path / "none.json")
    with pytest.raises(ValueError, match="pixels > 0"):
        Calibration(-1.0)
