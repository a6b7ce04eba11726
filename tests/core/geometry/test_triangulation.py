import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import look_at
from skyweave.core.geometry.triangulation import triangulate

LENS = PinholeCamera(np.array([[900.0, 0, 400], [0, 900, 300], [0, 0, 1]]), 600, 800, (-0.05, 0.1, 0.001, 0.0005, 0))
CAMERAS = [
    CameraGeometry(LENS, look_at(np.array([6 * np.cos(a), 6 * np.sin(a), 3.0]), np.zeros(3)))
    for a in (0.1, 1.4, 3.0, 4.4)
]
coordinate = st.floats(-1, 1)


@given(st.lists(st.tuples(coordinate, coordinate, coordinate), min_size=1, max_size=6))
def test_exact_pixels_give_exact_points(places: list[tuple[float, float, float]]) -> None:
    points = np.array(places)
    pixels = np.stack([camera.project(points)[0] for camera in CAMERAS])
    pixels[0, 0] = np.nan  # one camera misses the first point
    found, errors = triangulate(pixels, CAMERAS)
    assert found == pytest.approx(points, abs=1e-7)
    assert np.nanmax(np.abs(errors)) < 1e-5
    assert np.isnan(errors[0, 0]).all()


def test_noise_of_a_pixel_is_millimetres_and_more_cameras_are_better() -> None:
    random = np.random.default_rng(0)
    points = random.uniform(-1, 1, (200, 3))
    pixels = np.stack([camera.project(points)[0] for camera in CAMERAS]) + random.normal(0, 1, (4, 200, 2))
    four, errors = triangulate(pixels, CAMERAS)
    two, _ = triangulate(pixels[:2], CAMERAS[:2])
    off = [np.sqrt(((found - points) ** 2).sum(1).mean()) for found in (four, two)]
    assert off[0] < off[1] and off[0] < 0.012
    # 8 equations less 3 unknowns a point: the errors of the fit are smaller than the noise by their ratio
    assert np.sqrt((errors**2).mean()) == pytest.approx(np.sqrt(5 / 8), rel=0.1)


def test_what_one_camera_sees_has_no_place() -> None:
    pixels = np.full((4, 1, 2), np.nan)
    pixels[2, 0] = (400, 300)
    found, errors = triangulate(pixels, CAMERAS)
    assert np.isnan(found).all() and np.isnan(errors).all()
    with pytest.raises(ValueError, match="4 cameras"):
        triangulate(pixels[:3], CAMERAS)
