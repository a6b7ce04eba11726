"""Where photographs lie: any hemisphere, the antimeridian, the poles, what contradicts, and by independent formulas."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL.TiffImagePlugin import IFDRational
from pyproj import Transformer

from fabricated_flight import packet
from fabricated_photo import DOWN, RELATIVE, write_photo, xmp_of
from skyweave.core.errors import DataError
from skyweave.core.geometry.geodesy import central_lon_lat, distances_lon_lat, map_crs, unwrap_longitudes
from skyweave.orthomosaic import Poses, make_orthomosaic, read_flight
from skyweave.orthomosaic.flight import Flight
from skyweave.telemetry.image_metadata import find_images, read_metadata
from skyweave.telemetry.image_metadata.gps import read_position

DJI = xmp_of("drone-dji", {**DOWN, **RELATIVE})


def flight_of(folder: Path, **options: Any) -> Flight:
    return read_flight(find_images([folder]), **options)


@pytest.mark.parametrize("longitudes", [(179.9991, 179.9995, 179.9999, -179.9997, -179.9993), (179.9999, -179.9997)])
def test_a_flight_over_the_antimeridian_is_one(tmp_path: Path, longitudes: tuple[float, ...]) -> None:
    for number, longitude in enumerate(longitudes):
        write_photo(tmp_path / "p" / f"{number}.jpg", -17.0, longitude, DJI)
    report = make_orthomosaic([tmp_path / "p"], tmp_path / "a.tif")
    assert report.crs in ("EPSG:32760", "EPSG:32701") and not any(photo.skipped for photo in report.photos)
    assert [photo.longitude for photo in report.photos] == pytest.approx(longitudes, abs=1e-6)
    assert report.columns * report.resolution < 400


def test_flights_about_the_poles_have_their_own_projection(tmp_path: Path) -> None:
    for number, longitude in enumerate((0.0, 90.0, 180.0, -90.0)):
        write_photo(tmp_path / "p" / f"{number}.jpg", -89.999, longitude, DJI)
    report = make_orthomosaic([tmp_path / "p"], tmp_path / "a.tif")
    assert report.crs == "EPSG:5042" and not any(photo.skipped for photo in report.photos)
    assert [photo.heading for photo in report.photos] == pytest.approx([30.0] * 4, abs=1e-3)
    assert map_crs(85.0, 10.0) == "EPSG:5041" and map_crs(84.0, 10.0) == "EPSG:32632"
    with pytest.raises(DataError, match="no place"):
        map_crs(float("nan"), 0.0)


@given(st.floats(-180, 180), st.floats(-89, 89), st.integers(0, 10_000))
def test_the_middle_of_places_is_near_all_of_them(longitude: float, latitude: float, seed: int) -> None:
    offsets = np.random.default_rng(seed).uniform(-0.01, 0.01, (7, 2))
    places = np.array([longitude, latitude]) + offsets
    wrapped = np.stack([(places[:, 0] + 180) % 360 - 180, places[:, 1]], -1)
    middle = central_lon_lat(wrapped)
    assert distances_lon_lat(wrapped, middle).max() < 3000
    assert np.abs(unwrap_longitudes(wrapped[:, 0], middle[0]) - middle[0]).max() < 1.2


def test_hemispheres_that_are_missing_or_contradict(tmp_path: Path) -> None:
    def position(name: str, **options: Any) -> tuple[float | None, float | None, str]:
        read = read_metadata(write_photo(tmp_path / name, -17.5, -50.25, **options))
        return read.latitude, read.longitude, read.contradictions.get("position", "")

    assert position("a.jpg") == (pytest.approx(-17.5), pytest.approx(-50.25), "")
    assert position("b.jpg", references=None) == (None, None, "states a latitude of 17.50000 and not whether N or S")
    signed = xmp_of("drone-dji", {"GpsLatitude": -17.5, "GpsLongitude": -50.25})
    assert position("c.jpg", references=None, xmp=signed)[:2] == (-17.5, -50.25)
    north = position("d.jpg", references=("N", "W"), xmp=signed)
    assert north[0] is None and north[2].startswith("contradicts itself: EXIF says latitude 17.5")
    for letter, latitude in (("S", -17.5), (None, -17.5), ("N", None)):  # a sign in the number, and a letter as well
        fields = {1: letter, 2: (IFDRational(-35, 2), 0.0, 0.0), 3: "W", 4: (50.0, 15.0, 0.0)}
        assert read_position(fields, {}).latitude == latitude
    assert "no place" in position("f.jpg", gps={2: (95.0, 0.0, 0.0)})[2]
    assert "minutes" in position("g.jpg", gps={2: (17.0, 75.0, 0.0)})[2]
    assert position("k.jpg", gps={2: 17.25})[0] == pytest.approx(-17.25)  # one number instead of three
    assert "whole degrees alone, 17" in position("l.jpg", gps={2: 17.0})[2]
    assert (
        "mixed signs" in read_position({1: "N", 2: (43.0, 51.0, -34.377), 3: "E", 4: (7.0, 0.0, 0.0)}, {}).contradiction
    )
    invalid = xmp_of("drone-dji", {"GpsStatus": "Invalid"})
    assert "invalid" in position("j.jpg", xmp=invalid)[2]
    assert "TOKYO" in read_metadata(write_photo(tmp_path / "h.jpg", gps={18: "TOKYO"})).notes[0]
    assert not read_metadata(write_photo(tmp_path / "i.jpg", gps={18: "WGS-84"})).notes


def test_a_place_that_contradicts_is_left_out_unless_the_user_says_better(tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg", references=None, xmp=DJI)
    with pytest.raises(DataError, match=r"a\.jpg: states a latitude.*--poses"):
        flight_of(tmp_path)
    flight = flight_of(tmp_path, poses=Poses({"a.jpg": {"lat": -46.5, "lon": 7.5}}))
    assert flight.zone.crs == "EPSG:32732"


@pytest.mark.parametrize(
    ("altitude", "xmp", "gps", "metres"),
    [
        (-30.0, {}, {}, -30.0),
        (500.0, {"AbsoluteAltitude": 503.0}, {}, 500.0),
        (None, {"AbsoluteAltitude": "-12.5"}, {}, -12.5),
        (0.0, {"AbsoluteAltitude": 500.0}, {}, 500.0),
        (30.0, {"AbsoluteAltitude": -30.04}, {}, -30.04),  # the reference was lost
        (60.0, {"AbsoluteAltitude": 500.0}, {}, 60.0),
        (40.0, {}, {5: b"\x03"}, -40.0),  # EXIF 3.0: below the ellipsoid
        (41.0, {}, {5: b"3"}, -41.0),  # the digit instead of the byte
    ],
)
def test_altitudes(
    tmp_path: Path, altitude: float | None, xmp: dict[str, object], gps: dict[int, Any], metres: float
) -> None:
    read = read_metadata(write_photo(tmp_path / "a.jpg", altitude=altitude, xmp=xmp_of("drone-dji", xmp), gps=gps))
    assert read.altitude == pytest.approx(metres)
    assert read.ellipsoid == bool(gps)
    assert bool(read.notes) == (altitude in (30.0, 60.0))


def test_a_photo_without_a_height_takes_it_from_its_altitude(tmp_path: Path) -> None:
    write_photo(tmp_path / "1.jpg", xmp=DJI)
    write_photo(tmp_path / "2.jpg", 46.5002, xmp=xmp_of("drone-dji", {**DOWN, "AbsoluteAltitude": 500.0}))
    write_photo(tmp_path / "3.jpg", 46.5004, xmp=xmp_of("drone-dji", DOWN), altitude=None)
    flight = flight_of(tmp_path)
    heights = [photo.position[2] - flight.ground.height(photo.position[None])[0] for photo in flight.photos]
    assert heights == pytest.approx([60.0, 60.0]) and flight.height_source == "take-off"
    assert any("2.jpg" in note and "440.0" in note for note in flight.notes)
    assert "3.jpg" in flight.skipped and "altitude" in flight.skipped["3.jpg"]


def test_headings_from_magnetic_north_are_noted(tmp_path: Path) -> None:
    direction = {17: 30.0, 16: "M"}
    path = write_photo(tmp_path / "a.jpg", gps=direction)
    assert read_metadata(path).flight_yaw == 30.0
    assert any("magnetic north" in note and "a.jpg" in note for note in flight_of(tmp_path, height=60.0).notes)
    assert not read_metadata(write_photo(tmp_path / "b.jpg", xmp=DJI, gps=direction)).notes  # the gimbal knows better


def test_copies_of_a_photo_are_left_out(tmp_path: Path) -> None:
    for number in range(3):
        write_photo(tmp_path / f"{number}.jpg", 46.5 + number / 10000, xmp=DJI)
    (tmp_path / "backup").mkdir()
    copies = ("1 (1).jpg", "backup/1.jpg")
    for copy in copies:
        shutil.copy(tmp_path / "1.jpg", tmp_path / copy)
    flight = flight_of(tmp_path)
    assert len(flight.photos) == 3 and flight.skipped == dict.fromkeys(copies, "is a copy of 1.jpg")
    placed = flight_of(tmp_path, poses=Poses({"backup/1.jpg": {"lat": 46.5, "lon": 7.5}}))
    assert len(placed.photos) == 4 and list(placed.skipped) == ["1 (1).jpg"]


def test_photos_without_times_fly_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in range(8, 12):
        write_photo(tmp_path / f"frame_{number}.jpg", 46.5 + number / 5000, 9.0)
    flight = flight_of(tmp_path, height=60.0)
    assert {photo.yaw_source for photo in flight.photos} == {"track"}
    assert [photo.heading for photo in flight.photos] == pytest.approx([0] * 4, abs=0.1)


def test_the_same_pixels_under_other_metadata_are_noted(tmp_path: Path) -> None:
    stuck = np.random.default_rng(1).integers(0, 255, (40, 60, 3), np.uint8)
    for number, pixels in enumerate((stuck, None, stuck, 0 * stuck, 0 * stuck)):  # a dark picture may repeat
        write_photo(tmp_path / f"{number}.jpg", 46.5 + number / 1e5, xmp=DJI, pixels=pixels)
    report = make_orthomosaic([tmp_path], tmp_path / "a.tif")
    assert "1 pictures show the very pixels of another (2.jpg those of 0.jpg)" in " ".join(report.notes)
    assert {photo.turned for photo in report.photos} == {0.0}  # that two agree upside down says nothing


def test_places_that_differ_a_little_are_noted_and_decimal_commas_are_read(tmp_path: Path) -> None:
    other = {
        "GpsLatitude": "46,5",
        "GpsLongitude": "7.505",
        **{k: str(v).replace(".", ",") for k, v in RELATIVE.items()},
    }
    write_photo(tmp_path / "a.jpg", xmp=xmp_of("drone-dji", {**DOWN, **other}))
    flight = flight_of(tmp_path)
    assert "places in EXIF and XMP differ by more than 30 m: EXIF's are used (a.jpg)" in flight.notes
    assert flight.height == 60.0


def test_heights_above_the_ground_that_photos_state(tmp_path: Path) -> None:
    for number, above in enumerate(("60000/1000", "58.0")):
        xmp = packet(
            'Camera:Yaw="0" Camera:Pitch="0" Camera:Roll="0" ' + f'Camera:AboveGroundAltitude="{above}"',
            'xmlns:Camera="http://pix4d.com/camera/1.0"',
        )
        write_photo(tmp_path / f"{number}.jpg", 46.5 + number / 10000, xmp=xmp, altitude=500.0 - 2 * number)
    flight = flight_of(tmp_path)
    heights = [photo.position[2] - flight.ground.height(photo.position[None])[0] for photo in flight.photos]
    assert heights == pytest.approx([60.0, 58.0]) and flight.height_source == "stated"
    assert any("that the pictures state" in note for note in flight.notes)


def test_an_altitude_of_zero_among_others_is_unknown(tmp_path: Path) -> None:
    for number, altitude in enumerate((500.0, 0.0, 501.0)):
        write_photo(tmp_path / f"{number}.jpg", 46.5 + number / 10000, xmp=xmp_of("drone-dji", DOWN), altitude=altitude)
    flight = flight_of(tmp_path, height=60.0)
    assert [photo.position[2] for photo in flight.photos] == pytest.approx([500, 500.5, 501])
    assert any("1.jpg" in note and "unknown altitude" in note for note in flight.notes)


def test_what_helps_where_the_height_is_unknown(tmp_path: Path) -> None:
    heights = tmp_path / "dem.tif"
    profile = {"driver": "GTiff", "count": 1, "height": 130, "width": 130, "dtype": "int16", "crs": "EPSG:32632"}
    with rasterio.open(heights, "w", **profile, transform=rasterio.Affine(10, 0, 384_300, 0, -10, 5_151_300)) as target:
        target.write(np.full((130, 130), 440, np.int16), 1)
    path, output = write_photo(tmp_path / "a.jpg", xmp=xmp_of("drone-dji", DOWN)), tmp_path / "a.tif"
    with pytest.raises(DataError, match=r"--height METRES, or, where they state their altitude above the sea, --dem"):
        make_orthomosaic([path], output)
    for remedy in ({"height": 60.0}, {"elevation": heights}):
        assert make_orthomosaic([path], output, **remedy).height == pytest.approx(60.0)


def test_flights_from_two_take_off_points_are_noticed(tmp_path: Path) -> None:
    write_photo(tmp_path / "1.jpg", xmp=DJI)
    write_photo(
        tmp_path / "2.jpg", altitude=600.0, xmp=DJI.replace('AbsoluteAltitude="500.0"', 'AbsoluteAltitude="600.0"')
    )
    assert any("take-off points between 440 and 540 m" in note for note in flight_of(tmp_path).notes)


def test_voids_below_the_camera_are_no_ground(tmp_path: Path) -> None:
    heights = np.full((130, 130), 440, np.int16)
    heights[:, :62] = -32768  # undeclared, under the camera and to the west of it
    profile = {"driver": "GTiff", "count": 1, "height": 130, "width": 130, "dtype": "int16", "crs": "EPSG:32632"}
    with rasterio.open(
        tmp_path / "dem.tif", "w", **profile, transform=rasterio.Affine(10, 0, 384_300, 0, -10, 5_151_300)
    ) as target:
        target.write(heights, 1)
    path = write_photo(tmp_path / "a.jpg", xmp=xmp_of("drone-dji", DOWN))
    report = make_orthomosaic([path], tmp_path / "a.tif", elevation=tmp_path / "dem.tif")
    assert report.height == pytest.approx(60.0) and any("-32768" in note for note in report.notes)


# An independent computation of where a pixel looks: east, north and up by plain trigonometry.

Vectors = tuple[np.ndarray, np.ndarray, np.ndarray]


def gimbal_axes(yaw: float, pitch: float, roll: float) -> Vectors:
    """Right and down of the image and the direction it looks in."""
    ahead = np.array([np.cos(pitch) * np.sin(yaw), np.cos(pitch) * np.cos(yaw), np.sin(pitch)])
    right = np.array([np.cos(yaw), -np.sin(yaw), 0.0])
    down = np.cross(ahead, right)
    return np.cos(roll) * right + np.sin(roll) * down, np.cos(roll) * down - np.sin(roll) * right, ahead


def body_axes(yaw: float, pitch: float, roll: float) -> Vectors:
    right, belly, nose = gimbal_axes(yaw, pitch, roll)
    return right, -nose, belly


def skydio(yaw: float, pitch: float, roll: float) -> str:
    inner = "".join(f"<s:{name}>{v}</s:{name}>" for name, v in (("Yaw", yaw), ("Pitch", pitch), ("Roll", roll)))
    outer = f'<s:CameraOrientationNED rdf:parseType="Resource">{inner}</s:CameraOrientationNED>'
    return packet("", 'xmlns:s="http://www.skydio.com/drone-skydio/1.0/"', outer)


def named(prefix: str, pattern: str) -> Any:
    return lambda *angles: xmp_of(
        prefix, {pattern.format(axis): a for axis, a in zip(("Yaw", "Pitch", "Roll"), angles, strict=True)}
    )


MAKERS: dict[str, tuple[Any, Any, float]] = {  # how the maker writes, what it means, and the sign of roll
    "DJI": (named("drone-dji", "Gimbal{}Degree"), gimbal_axes, 1.0),
    "Parrot": (named("drone-parrot", "Camera{}Degree"), gimbal_axes, 1.0),
    "Yuneec": (named("drone-yuneec", "Gimbal{}"), gimbal_axes, 1.0),
    "Skydio": (skydio, gimbal_axes, 1.0),
    "Autel Robotics": (named("Camera", "{}"), gimbal_axes, 1.0),
    "Pix4D": (named("Camera", "{}"), body_axes, 1.0),
    "senseFly": (named("Camera", "{}"), body_axes, -1.0),
}


def viewed(orientation: int, u: float, v: float, columns: int, rows: int) -> tuple[float, float]:
    """Offset of a stored pixel from the middle of the image as viewers turn it."""
    u, v = u - columns / 2, v - rows / 2
    return {1: (u, v), 3: (-u, -v), 6: (-v, u), 8: (v, -u)}[orientation]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    maker=st.sampled_from(sorted(MAKERS)),
    orientation=st.sampled_from([1, 3, 6, 8]),
    place=st.tuples(st.floats(-79, 83), st.floats(-180, 180)),
    yaw=st.floats(-180, 180),
    tilt=st.floats(0, 40),
    roll=st.floats(-10, 10),
)
def test_pixels_lie_where_plain_trigonometry_says(
    tmp_path: Path, maker: str, orientation: int, place: tuple[float, float], yaw: float, tilt: float, roll: float
) -> None:
    assume(max(map(abs, place)) > 0.001)  # 0, 0 is what receivers write before they have a fix
    write, axes, sign = MAKERS[maker]
    pitch = tilt - 90 if axes is gimbal_axes else tilt
    columns, rows, height = 60, 40, 60.0
    path = tmp_path / "a.jpg"
    write_photo(
        path, *place, write(yaw, pitch, roll), make=maker, camera={41989: 35, 37386: None}, base={274: orientation}
    )
    flight = read_flight({"a.jpg": path}, height=height)
    (photo,) = flight.photos
    to_map = Transformer.from_crs("EPSG:4326", flight.zone.crs, always_xy=True)
    east, north = to_map.transform(place[1], place[0])
    ahead = to_map.transform(place[1], place[0] + 1e-5)
    convergence = np.arctan2(ahead[0] - east, ahead[1] - north)  # compass direction of true north on the grid
    right, down, look = axes(np.radians(yaw) + convergence, np.radians(pitch), np.radians(sign * roll))
    focal = 35 / 43.267 * np.hypot(columns, rows)
    for u, v in ((columns / 2, rows / 2), (0.5, 0.5), (columns - 0.5, rows / 4)):
        across, along = viewed(orientation, u, v, columns, rows)
        ray = across / focal * right + along / focal * down + look
        found = photo.ground_points(np.array([u, v]), flight.ground)[:2]
        if -ray[2] < np.linalg.norm(ray) * np.cos(np.radians(64)):
            continue  # too flat to be mapped
        expected = np.array([east, north]) + height / -ray[2] * ray[:2]
        assert found == pytest.approx(expected, abs=0.02), (u, v)


def test_heights_that_nothing_in_the_air_has_are_none(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "p" / "a.jpg", xmp=xmp_of("drone-dji", {**DOWN, "RelativeAltitude": 60_000.0}))
    metadata = read_metadata(photo)
    assert metadata.relative_altitude is None and metadata.altitude == 500
    assert metadata.notes == ("height above the take-off: beyond 40000 m, and so unknown",)
    with pytest.raises(DataError, match=r"height above ground 60000 must be metres from 2 to 40000"):
        flight_of(tmp_path / "p", height=60_000.0)
