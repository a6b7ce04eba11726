"""CameraInfo to cameras: what a driver says of lens, region, binning and rectification is heeded or refused."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from skyweave.core.errors import DataError, FleetError
from skyweave.core.geometry.camera import PinholeCamera
from skyweave.fleet.sources.ros_messages import check_compressed_format
from skyweave.recordings.ros_camera_info import camera_from_info


def info(**changes: Any) -> SimpleNamespace:
    region = dict(zip(("x_offset", "y_offset", "height", "width"), changes.pop("roi", (0, 0, 0, 0)), strict=True))
    fields: dict[str, Any] = {
        "height": 48,
        "width": 64,
        "distortion_model": "plumb_bob",
        "d": np.zeros(5),
        "k": np.array([50, 0, 31.5, 0, 50, 23.5, 0, 0, 1.0]),
        "r": np.eye(3).ravel(),
        "p": np.zeros(12),
        "binning_x": 0,
        "binning_y": 0,
        "roi": SimpleNamespace(**region),
    }
    return SimpleNamespace(**{**fields, **changes})


def numbers(camera: PinholeCamera) -> tuple[float, ...]:
    (focal, _, u), (_, _, v), _ = camera.intrinsics.tolist()
    return focal, u, v, camera.rows, camera.columns


def test_regions_and_binning() -> None:
    assert numbers(camera_from_info(info())) == (50, 32, 24, 48, 64)
    assert numbers(camera_from_info(info(roi=(10, 8, 40, 50)))) == (50, 22, 16, 40, 50)
    assert numbers(camera_from_info(info(binning_x=2, binning_y=2))) == (25, 16, 12, 24, 32)
    assert numbers(camera_from_info(info(binning_x=2, binning_y=2, roi=(10, 8, 41, 51)))) == (25, 11, 8, 20, 25)
    full = camera_from_info(info())
    binned = camera_from_info(info(binning_x=2, binning_y=2, roi=(10, 8, 40, 50)))
    pixel = np.array([30.0, 20.0])  # of the sensor
    assert binned.rays((pixel - (10, 8)) / 2) == pytest.approx(full.rays(pixel))
    with pytest.raises(DataError, match="binned already"):
        camera_from_info(info(binning_x=4, binning_y=4, k=np.array([12, 0, 7.5, 0, 12, 5.5, 0, 0, 1.0])))


@pytest.mark.parametrize(
    ("model", "coefficients", "read"),
    [
        ("plumb_bob", (0.1, 0.2, 0.3, 0.4, 0.5), (0.1, 0.2, 0.3, 0.4, 0.5)),
        ("plumb_bob", (0.1, 0, 0, 0), (0.1, 0, 0, 0, 0)),
        ("plumb_bob", (0.1, 0, 0, 0, 0, 0, 0, 0), (0.1, 0, 0, 0, 0)),
        ("plumb_bob", (0.1, 0, 0, 0, 0, 0.1, 0, 0), None),
        ("rational_polynomial", (0.1, 0, 0, 0, 0, 0, 0, 0), (0.1, 0, 0, 0, 0)),
        ("rational_polynomial", (0.1, 0, 0, 0, 0, 0.2, 0, 0), None),
        ("equidistant", (0, 0, 0, 0), None),  # r = f * theta, which is no pinhole either
        ("fisheye", (0, 0, 0, 0), None),
        ("", (), (0, 0, 0, 0, 0)),
        ("none", (0, 0), (0, 0, 0, 0, 0)),
        ("double_sphere", (0, 0), None),
    ],
)
def test_distortion(model: str, coefficients: tuple[float, ...], read: tuple[float, ...] | None) -> None:
    message = info(distortion_model=model, d=np.array(coefficients))
    if read is None:
        with pytest.raises(DataError, match="rectify the images first"):
            camera_from_info(message)
    else:
        assert camera_from_info(message).distortion == read


def test_rectified_images_have_the_other_matrix() -> None:
    projection = np.array([40, 0, 30, -4, 0, 40, 22, 0, 0, 0, 1, 0.0])
    message = info(d=np.array([0.1, 0, 0, 0, 0]), p=projection)
    rectified = camera_from_info(message, rectified=True)
    assert numbers(rectified) == (40, 30.5, 22.5, 48, 64) and not any(rectified.distortion)
    assert numbers(camera_from_info(info(k=np.zeros(9), p=projection))) == (40, 30.5, 22.5, 48, 64)
    turn = np.array([[0.999, 0.04, 0], [-0.04, 0.999, 0], [0, 0, 1]])
    with pytest.raises(DataError, match="rotation"):
        camera_from_info(info(p=projection, r=turn.ravel()), rectified=True)
    with pytest.raises(DataError, match="P of their CameraInfo is 0"):
        camera_from_info(info(), rectified=True)


@pytest.mark.parametrize("changes", [{"k": np.zeros(9)}, {"width": 0}, {"height": 0}])
def test_cameras_without_a_calibration_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="not calibrated"):
        camera_from_info(info(**changes))


def test_numbers_of_another_image_are_refused() -> None:
    with pytest.raises(DataError, match="outside its image of 64 x 48"):
        camera_from_info(info(k=np.array([200, 0, 126, 0, 200, 94, 0, 0, 1.0])))
    with pytest.raises(DataError, match="k1 k2 p1 p2 k3"):
        camera_from_info(info(d=np.array([-900.0, 300, 0, 0, 10])))


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("jpeg", True),
        ("png", True),
        ("rgb8; jpeg compressed bgr8", True),
        ("bayer_rggb8; jpeg compressed bgr8", True),
        ("bayer_rggb8; jpeg compressed ", False),
        ("16UC1; jpeg compressed ", False),
        ("mono16; png compressed mono16", False),
    ],
)
def test_what_a_compressed_image_says_it_holds(said: str, read: bool) -> None:
    if read:
        check_compressed_format(SimpleNamespace(format=said))
    else:
        with pytest.raises(FleetError, match="is not read; there are rgb8"):
            check_compressed_format(SimpleNamespace(format=said))
