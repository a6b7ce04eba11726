"""Large images are reduced to what the map can hold, with their cameras; small ones stay as they are."""

import logging

import numpy as np
import pytest

from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import camera_pose
from skyweave.core.geometry.ground import GroundPlane
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.fleet.perceivers.image_reduction import ImageReducer, reduction_factor
from skyweave.recordings.recording import Capture, Frame

DOWN = np.pi / 2


def geometry(rows: int, columns: int, height: float, pitch: float = DOWN) -> CameraGeometry:
    pose = camera_pose(np.array([0, 0, height]), 0.0, pitch)
    return CameraGeometry(PinholeCamera.from_field_of_view(np.radians(64), rows, columns), pose)


@pytest.mark.parametrize(
    ("rows", "columns", "height", "pitch", "factor"),
    [
        (192, 320, 25.0, DOWN, 1),
        (384, 640, 15.0, DOWN, 1),
        (1080, 1920, 40.0, DOWN, 3),
        (1080, 1920, 200.0, DOWN, 1),  # pixels of 13 cm are what a map of 50 cm wants
        (2160, 3840, 40.0, DOWN, 6),
        (1080, 1920, 40.0, -0.9, 1),  # looks into the sky
    ],
)
def test_the_factor_goes_by_the_ground_and_the_size(
    rows: int, columns: int, height: float, pitch: float, factor: int
) -> None:
    assert reduction_factor(geometry(rows, columns, height, pitch), GroundPlane(), 0.5) == factor


def test_reduced_images_keep_their_place(caplog: pytest.LogCaptureFixture) -> None:
    camera = geometry(1080, 1920, 40.0)
    pixels = np.zeros((3, 1080, 1920), np.float32)
    pixels[:, 300:303, 600:603] = 90
    observation = Observation.from_pixels(pixels, get_sensor("rgb"), 0.02, geometry=camera)
    frame = Frame(0, {"CAMERA": Capture("CAMERA", "UAV_1", 0, camera, lambda: observation)})
    reducer = ImageReducer(0.5)
    with caplog.at_level(logging.WARNING, "skyweave.fleet"):
        (view,), _ = reducer.views(frame, GroundPlane()), reducer.views(frame, GroundPlane())
    assert len(caplog.records) == 1 and "1080 x 1920 to 360 x 640" in caplog.text
    assert view.observation.shape == (360, 640) and view.observation.ground_sample_distance == pytest.approx(0.06)
    assert np.unravel_index(view.observation.pixels[0].argmax(), (360, 640)) == (100, 200)
    assert view.observation.pixels.max() > 40 and view.observation.geometry is view.geometry
    whole, small = camera.world_rays(np.array([601.5, 301.5])), view.geometry.world_rays(np.array([200.5, 100.5]))
    assert small == pytest.approx(whole)
    (same,) = ImageReducer(0.5, enabled=False).views(frame, GroundPlane())
    assert same.observation is observation
