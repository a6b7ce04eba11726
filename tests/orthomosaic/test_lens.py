"""What photographs say of their lenses, their sizes and their cameras, and what of that cannot be."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from fabricated_flight import packet
from fabricated_photo import DOWN, RELATIVE, write_photo, xmp_of
from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import PinholeCamera
from skyweave.orthomosaic import make_orthomosaic, read_flight, read_poses
from skyweave.telemetry.image_metadata import Calibration, find_images, read_metadata
from skyweave.telemetry.image_metadata.attitude import Attitude, settle_conventions
from skyweave.telemetry.image_metadata.capture_time import CaptureTime, order_times
from skyweave.telemetry.image_metadata.intrinsics import camera_from_metadata, doubt_focal_length

DJI = xmp_of("drone-dji", {**DOWN, **RELATIVE})
DEWARP = "2024-01-01;3713.29,3712.1,7.02,-8.72,-0.1126,0.0149,-0.0001,0.0002,-0.0271"
WIDTH, HEIGHT = 40962, 40963


def camera_of(path: Path, **options: Any) -> PinholeCamera:
    return camera_from_metadata(read_metadata(write_photo(path, **options)))[0]


@pytest.mark.parametrize(("flag", "distorted"), [("0", True), ("1", False)])
def test_dewarp_data_are_the_lens(tmp_path: Path, flag: str, distorted: bool) -> None:
    xmp = xmp_of("drone-dji", {"DewarpData": DEWARP, "DewarpFlag": flag, "CalibratedFocalLength": 3000})
    camera = camera_of(tmp_path / "a.jpg", xmp=xmp, camera={WIDTH: 6000, HEIGHT: 4000})  # a copy, a hundredth as wide
    assert camera.intrinsics == pytest.approx(np.array([[37.1329, 0, 30.0702], [0, 37.121, 19.9128], [0, 0, 1]]))
    assert camera.distortion == ((-0.1126, 0.0149, -0.0001, 0.0002, -0.0271) if distorted else (0.0,) * 5)


def pix4d(**values: object) -> str:
    attributes = {
        "ModelType": "perspective",
        "PrincipalPoint": "3.1,1.9",
        "PerspectiveFocalLength": "527/100",
        **values,
    }
    sequence = "".join(f"<rdf:li>{k}</rdf:li>" for k in (0.1, 0.2, 0.3, 0.01, 0.02))
    return packet(
        " ".join(f'Camera:{name}="{value}"' for name, value in attributes.items()),
        'xmlns:Camera="http://pix4d.com/camera/1.0"',
        f"<Camera:PerspectiveDistortion><rdf:Seq>{sequence}</rdf:Seq></Camera:PerspectiveDistortion>",
    )


@pytest.mark.parametrize("units", ["mm", "pixel"])
def test_the_camera_namespace_of_pix4d(tmp_path: Path, units: str) -> None:
    focal = "527/100" if units == "mm" else 52.7
    xmp = pix4d(PerspectiveFocalLength=focal, PerspectiveFocalLengthUnits=units)
    plane = {41486: 10.0, 41488: 4}  # pixels a millimetre
    camera = camera_of(tmp_path / "a.jpg", xmp=xmp, camera=plane)
    assert camera.intrinsics == pytest.approx(np.array([[52.7, 0, 31], [0, 52.7, 19], [0, 0, 1]]))
    assert camera.distortion == (0.1, 0.2, 0.01, 0.02, 0.3)


def test_a_principal_point_outside_of_the_picture_is_refused(tmp_path: Path) -> None:
    xmp = xmp_of("drone-dji", {"DewarpData": "2024-01-01;37,37,300,200,0,0,0,0,0"})  # from the corner, not the middle
    with pytest.raises(DataError, match=r"a.jpg states a principal point of \(330, 220\).*--camera FILE"):
        camera_of(tmp_path / "a.jpg", xmp=xmp)
    path = write_photo(tmp_path / "b.jpg", xmp=pix4d(PrincipalPoint="2.4,310"), camera={41486: 10.0, 41488: 4})
    with pytest.raises(DataError, match="principal point"):
        camera_from_metadata(read_metadata(path))
    assert camera_from_metadata(read_metadata(path), Calibration(50.0))[1] == "given"


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        (Calibration(5.4), "the focal length of --focal or --camera, 5.4 pixels, is none of an image of 60 x 40"),
        (Calibration(50.0, centre=(0.5, 0.5)), "the principal point of --focal or --camera, 0.5 and 0.5, lies far"),
    ],
)
def test_a_camera_in_millimetres_or_shares_is_refused(tmp_path: Path, calibration: Calibration, message: str) -> None:
    with pytest.raises(DataError, match=message):
        camera_from_metadata(read_metadata(write_photo(tmp_path / "a.jpg")), calibration)


def test_lenses_that_are_no_pinhole_are_refused(tmp_path: Path) -> None:
    path = write_photo(tmp_path / "p" / "a.jpg", xmp=pix4d(ModelType="fisheye"))
    with pytest.raises(DataError, match=r"a\.jpg.*'fisheye'.*--camera"):
        read_flight({"a.jpg": path}, height=60.0)
    assert read_flight({"a.jpg": path}, height=60.0, calibration=Calibration(50.0)).photos  # the remedy
    panorama = write_photo(tmp_path / "b.jpg", xmp=xmp_of("GPano", {"ProjectionType": "equirectangular"}))
    with pytest.raises(DataError, match="panorama"):
        read_flight({"b.jpg": panorama}, height=60.0)


def test_the_optical_centre_beside_a_calibrated_focal_length(tmp_path: Path) -> None:
    values = {"CalibratedFocalLength": 50.0, "CalibratedOpticalCenterX": 33.0, "CalibratedOpticalCenterY": 18.5}
    path = write_photo(tmp_path / "a.jpg", xmp=xmp_of("drone-dji", values), size=(60, 40))
    camera, source = camera_from_metadata(read_metadata(path))
    np.testing.assert_allclose(camera.intrinsics, [[50, 0, 33], [0, 50, 18.5], [0, 0, 1]])
    assert source == "XMP calibrated focal length"


@pytest.mark.parametrize("name", ["GoPro Fisheye", "Olympus 8mm FISH-EYE"])
def test_a_lens_that_is_called_fisheye_is_no_pinhole(tmp_path: Path, name: str) -> None:
    path = write_photo(tmp_path / "a.jpg", camera={0xA434: name})
    with pytest.raises(DataError, match="model 'fisheye', which is not read; rectify"):
        camera_from_metadata(read_metadata(path))


def test_sizes_that_contradict_are_named(tmp_path: Path) -> None:
    def skipped(**options: Any) -> str:
        write_photo(tmp_path / "a.jpg", **({"xmp": DJI} | options))
        write_photo(tmp_path / "b.jpg", xmp=DJI)
        return read_flight(find_images([tmp_path])).skipped.get("a.jpg", "")

    assert "was turned later" in skipped(camera={WIDTH: 4000, HEIGHT: 6000})
    assert "was cut out" in skipped(camera={WIDTH: 6000, HEIGHT: 6000})
    assert "mirrored" in skipped(base={274: 4})
    assert "no heading" in skipped(xmp=xmp_of("drone-dji", {"GimbalPitchDegree": -45.0, **RELATIVE}))
    assert "no angle" in skipped(xmp=xmp_of("drone-dji", {**DOWN, **RELATIVE, "GimbalYawDegree": 1e6}))
    assert skipped(camera={WIDTH: 6000, HEIGHT: 4001}) == ""


def test_a_digital_zoom_is_counted_in(tmp_path: Path) -> None:
    zoom, film = {41988: 2.0}, {37386: None, 41989: 24}
    plain, zoomed = (camera_of(tmp_path / "a.jpg", camera=camera) for camera in ({}, zoom))
    assert zoomed.intrinsics[0, 0] == pytest.approx(2 * plain.intrinsics[0, 0])
    assert "zoom of 2" in str(doubt_focal_length(read_metadata(tmp_path / "a.jpg")))
    with pytest.raises(DataError, match=r"zoom of 2.*--focal"):
        camera_of(tmp_path / "a.jpg", camera=zoom | film)
    assert camera_of(tmp_path / "a.jpg", camera={41988: 0.0, **film}).intrinsics[0, 0] > 0  # 0: none was used


def test_focal_lengths_of_zero_and_of_another_size_do_not_count(tmp_path: Path) -> None:
    film = camera_of(tmp_path / "a.jpg", camera={37386: 0.0, 41989: 24})  # as early firmware wrote
    assert film.intrinsics[0, 0] == pytest.approx(24 / 43.267 * np.hypot(60, 40))
    known = camera_of(tmp_path / "a.jpg").intrinsics[0, 0]
    resolution = {41486: 2 * 60 / 13.2, 41488: 4}  # of the image before an editor halved it and said so
    assert camera_of(tmp_path / "a.jpg", camera=resolution).intrinsics[0, 0] == known
    with pytest.raises(DataError, match="which no camera of 60 columns has"):
        camera_of(tmp_path / "a.jpg", xmp=xmp_of("drone-dji", {"CalibratedFocalLength": 1e9}))


def test_a_damaged_exif_is_noted(tmp_path: Path) -> None:
    path = write_photo(tmp_path / "a.jpg", xmp=DJI)
    content = bytearray(path.read_bytes())
    content[content.find(b"Exif") + 14] = 99  # more entries than there are
    path.write_bytes(content)
    assert any("damaged" in note for note in read_metadata(path).notes)


def test_focal_lengths_that_disagree_are_noted(tmp_path: Path) -> None:
    xmp = xmp_of("drone-dji", {**DOWN, **RELATIVE, "CalibratedFocalLength": 40})
    write_photo(tmp_path / "a.jpg", xmp=xmp, camera={41989: 70})
    notes = " ".join(read_flight(find_images([tmp_path])).notes)
    assert "40 pixels (XMP calibrated focal length), against 117" in notes and "a.jpg" in notes


def test_pictures_of_two_cameras_are_noted(tmp_path: Path) -> None:
    for name, size, film, source in (("V", (60, 40), 24, "WideCamera"), ("T", (32, 26), 40, "InfraredCamera")):
        xmp = xmp_of("drone-dji", {**DOWN, **RELATIVE, "ImageSource": source})
        write_photo(
            tmp_path / "p" / f"1_{name}.jpg", xmp=xmp, model="M3T", size=size, camera={41989: film, 37386: None}
        )
    notes = make_orthomosaic([tmp_path / "p"], tmp_path / "a.tif").notes
    assert any("2 cameras" in note and "InfraredCamera, 32 x 26, 40 mm: 1" in note for note in notes)


def test_pictures_of_two_bands_are_noted(tmp_path: Path) -> None:
    for band in ("Red,Green,Blue", "NIR"):
        items = "".join(f"<rdf:li>{word}</rdf:li>" for word in band.split(","))
        xmp = packet(
            'Camera:Yaw="0" Camera:Pitch="0" Camera:Roll="0" Camera:AboveGroundAltitude="60"',
            'xmlns:Camera="http://pix4d.com/camera/1.0"',
            f"<Camera:BandName><rdf:Seq>{items}</rdf:Seq></Camera:BandName>",
        )
        write_photo(tmp_path / f"{band[:3]}.jpg", xmp=xmp, model="D4K")
    notes = " ".join(read_flight(find_images([tmp_path]), calibration=Calibration(50.0)).notes)
    assert "2 cameras" in notes and "D4K Red,Green,Blue" in notes and "D4K NIR" in notes


def test_gimbals_that_write_like_bodies(tmp_path: Path) -> None:
    for name, pitch in (("a", -90.0), ("b", -10.0)):
        write_photo(
            tmp_path / f"{name}.jpg",
            xmp=xmp_of("Camera", {"Yaw": 30.0, "Pitch": pitch, "Roll": 0.0}),
            make="Camera",
            model="XL715",
            camera={41989: 24, 37386: None},
        )
    flight = read_flight(find_images([tmp_path]), height=60.0)
    down, flat = flight.photos  # the flat one is read like its neighbour, not as nearly straight down
    assert np.degrees([down.off_nadir, flat.off_nadir]) == pytest.approx([0, 80], abs=1e-6)
    assert down.heading == pytest.approx(30.0, abs=1.5)
    assert any("gimbal" in note for note in flight.notes)
    body = {"a": Attitude(0, -30, 0, "body"), "b": Attitude(0, 5, 0, "body")}
    assert not settle_conventions(body, {"a": "senseFly S.O.D.A.", "b": "senseFly S.O.D.A."})
    assert settle_conventions(body, {"a": "X", "b": "Y"}).keys() == {"a"}


def test_a_gimbal_that_is_unknown_is_not_level(tmp_path: Path) -> None:
    zero = dict.fromkeys(DOWN, 0.0)
    flight = read_flight({"a.jpg": write_photo(tmp_path / "a.jpg", xmp=xmp_of("drone-dji", {**zero, **RELATIVE}))})
    assert flight.photos[0].off_nadir == pytest.approx(0) and any("straight down" in note for note in flight.notes)


def test_a_picture_upside_down_by_its_roll_is_turned(tmp_path: Path) -> None:
    """As some DJI gimbals write when they pass straight down: a roll of 180 about the optical axis."""
    xmp = xmp_of("drone-dji", {**DOWN, **RELATIVE, "GimbalRollDegree": 180.0})
    (photo,) = read_flight({"a.jpg": write_photo(tmp_path / "a.jpg", xmp=xmp)}).photos
    assert photo.off_nadir == pytest.approx(0, abs=1e-6) and photo.heading == pytest.approx(210.0, abs=1.5)


def test_times_in_several_zones_are_ordered_in_utc(tmp_path: Path) -> None:
    def time(**camera: str) -> CaptureTime | None:
        tags = {"original": 36867, "fraction": 37521, "zone": 36881}
        return read_metadata(
            write_photo(tmp_path / "a.jpg", camera={tags[name]: text for name, text in camera.items()})
        ).time

    first = time(original="2026:05:01 12:00:00", fraction="25", zone="+02:00")
    second = time(original="2026:05:01 11:00:01", fraction="5", zone="+01:00")
    unknown = time(original="2026:05:01 11:30:00")
    assert order_times([first, second]) == pytest.approx([1777629600.25, 1777629601.5])
    assert order_times([first, second, unknown])[0] == pytest.approx(1777636800.25)  # as the clocks showed
    assert time(original="0000:00:00 00:00:00") is None


def test_saved_poses_keep_the_lens_and_tell_folders_apart(tmp_path: Path) -> None:
    xmp = xmp_of("drone-dji", {**DOWN, **RELATIVE, "DewarpData": DEWARP})
    for folder, latitude in (("100", 46.5), ("101", 46.5004)):
        write_photo(tmp_path / "p" / folder / "A.jpg", latitude, xmp=xmp, camera={WIDTH: 6000, HEIGHT: 4000})
    saved = tmp_path / "poses.json"
    make_orthomosaic([tmp_path / "p"], tmp_path / "a.tif", save_poses=saved)
    images = find_images([tmp_path / "p"])
    plain, posed = (read_flight(images, poses=poses).photos for poses in (None, read_poses(saved)))
    for one, other in zip(plain, posed, strict=True):
        assert other.geometry.camera.intrinsics == pytest.approx(one.geometry.camera.intrinsics)
        assert other.geometry.camera.distortion == one.geometry.camera.distortion
        assert other.position[:2] == pytest.approx(one.position[:2], abs=1e-3)
    saved.write_text('{"images": [{"file": "A.jpg", "lat": 46.5, "lon": 7.5}]}')
    with pytest.raises(DataError, match=r"2 pictures are called so \(100/A\.jpg, 101/A\.jpg\)"):
        read_flight(images, poses=read_poses(saved))


def test_a_reduced_copy_of_several_pages_is_its_first(tmp_path: Path) -> None:
    """Many cameras append a preview: Pillow calls such a JPEG MPO."""
    large, small = (Image.new("RGB", size, "red") for size in ((60, 40), (30, 20)))
    large.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[small])
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.format == "MPO"
    read = read_metadata(tmp_path / "a.jpg")
    assert (read.columns, read.rows) == (60, 40)


def test_colour_profiles_other_than_srgb_are_noted(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    name = "sRGB built-in".encode("utf-16-be")
    assert name in srgb
    other = srgb.replace(name, "Display P3   ".encode("utf-16-be"))
    profiles = {"none": None, "srgb": srgb, "other": other, "broken": b"junk"}
    notes = {
        word: " ".join(read_metadata(write_photo(tmp_path / f"{word}.jpg", icc_profile=profile)).notes)
        for word, profile in profiles.items()
    }
    assert not notes["none"] and not notes["srgb"]
    assert "profile 'Display P3'" in notes["other"] and "profile 'unknown'" in notes["broken"]


def test_transparent_pixels_are_not_mapped(tmp_path: Path) -> None:
    rgba = np.random.default_rng(1).integers(0, 255, (40, 60, 4), np.uint8)
    rgba[..., 3] = 255
    for name in ("opaque", "cut"):
        write_photo(tmp_path / f"{name}.png", xmp=DJI, pixels=rgba)
        rgba[:, 30:, 3] = 0
    whole, cut = (
        make_orthomosaic([tmp_path / f"{name}.png"], tmp_path / "a.tif", height=60.0) for name in ("opaque", "cut")
    )
    assert cut.coverage == pytest.approx(whole.coverage / 2, rel=0.1)


def test_kinds_of_files_that_are_not_read_are_named(tmp_path: Path) -> None:
    for name in ("a.dng", "b.HEIC"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"no pictures.*2 files of kinds that are not read \(a\.dng, \.\.\)"):
        find_images([tmp_path])
    write_photo(tmp_path / "a.jpg", xmp=DJI)  # what is beside a read copy is no loss
    assert "1 files of kinds that are not read (b.HEIC)" in make_orthomosaic([tmp_path], tmp_path / "m.tif").notes[0]


def test_previews_of_thermal_images_are_noted(tmp_path: Path) -> None:
    path = write_photo(tmp_path / "a.jpg", xmp=DJI)
    plain = path.read_bytes()
    for marker, content in ((b"\xff\xe3", bytes(40_000)), (b"\xff\xe1", b"FLIR\0" + bytes(5))):
        path.write_bytes(plain[:2] + marker + (len(content) + 2).to_bytes(2) + content + plain[2:])
        assert any("thermal" in note for note in read_metadata(path).notes)
    path.write_bytes(plain)
    assert not read_metadata(path).notes


@pytest.mark.realdata
def test_thermal_images_of_real_cameras_are_noted(data_dir: Path) -> None:
    for path in (data_dir / "dji_thermal_rjpeg").glob("*.JPG"):
        assert any("thermal" in note for note in read_metadata(path).notes), path
