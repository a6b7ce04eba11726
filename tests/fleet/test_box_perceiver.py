"""Anybody's detector as a member of a fleet: boxes in images become boxes on the map."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from skyweave.core.errors import WeightsError
from skyweave.core.geometry import Boxes, CameraGeometry, PinholeCamera, camera_pose
from skyweave.core.observation import Observation
from skyweave.detection import ImageDetections
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.fleet.perceivers.boxes import BoxPerceiver
from skyweave.fleet.perceivers.config import BoxConfig
from skyweave.locating import ImageLocator, PoseErrorConfig
from skyweave.recordings.recording import Capture, Frame

CAMERA = PinholeCamera.from_field_of_view(np.radians(60), 720, 1280)
GEOMETRY = CameraGeometry(CAMERA, camera_pose(np.array([0.0, 0, 40]), np.pi / 2, np.radians(45)), "EPSG:32633")
SIZE, INTERVAL = np.array([[4.5, 1.8, 1.55]]), 0.5


@dataclass
class ScriptedDetector:
    """Gives the box of a car that drives east at 4 m/s, and one of a class that nobody wants."""

    needs_images: bool = False

    def detect(self, image: np.ndarray | None, frame: int, name: str = "") -> ImageDetections:
        pixels, _ = GEOMETRY.project(Boxes(place(frame) + np.array([0, 0, 0.775]), SIZE, np.zeros(1)).corners())
        box = np.concatenate([pixels.min(1), pixels.max(1)], 1)
        return ImageDetections(np.concatenate([box, box]), np.array([0.9, 0.8]), ("automobile", "kite"))


def place(number: int) -> np.ndarray:
    return np.array([[-5 + 4 * INTERVAL * number, 40.0, 0.0]])


def no_image() -> Observation:
    raise AssertionError("a detector that needs no images was given one")


def frame(number: int) -> Frame:
    time = 1_700_000_000 * 10**9 + number * 500_000_000
    return Frame(time, {"UAV_1": Capture("UAV_1", "UAV_1", time, GEOMETRY, no_image)})


def test_a_car_is_placed_tracked_sent_and_fused() -> None:
    perceiver = BoxPerceiver(
        ImageLocator(ScriptedDetector(), PoseErrorConfig(), ("car",), {"automobile": "car"}), INTERVAL
    )
    for number in range(1, 9):
        ego = perceiver.observe(frame(number), WorldFrame("EPSG:32633"))
    detections = perceiver.ego_detections(ego)
    assert detections.categories == ("car",)
    assert np.linalg.norm(detections.boxes.centres[0, :2] - place(7)[0, :2]) < 1.0
    assert np.allclose(detections.velocities[0], [4, 0], atol=0.8)
    assert abs(np.angle(np.exp(1j * detections.boxes.yaws[0]))) < 0.2
    message = perceiver.compose(ego, 1000)
    assert message.boxes is not None and len(message.boxes) == 1
    fused = perceiver.fuse(ego, [perceiver.compensate(message, ego.time)])
    assert fused.detections is not None and len(fused.detections) == 1


def test_its_configuration_opens_the_model(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="no ONNX model"):
        BoxConfig(str(tmp_path / "model.onnx")).build(0.5)
