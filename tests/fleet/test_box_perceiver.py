"""Anybody's detector as a member of a fleet: boxes in images become boxes on the map."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from skyweave.core.errors import WeightsError
from skyweave.core.geometry import Boxes, CameraGeometry, PinholeCamera, camera_pose
from skyweave.core.observation import Observation
from skyweave.detection import ImageDetections
from skyweave.fleet.node.fused_scene import FusedScene
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.fleet.perceivers.boxes import BoxPerceiver
from skyweave.fleet.perceivers.config import BoxConfig
from skyweave.fleet.sinks.messages import ros_detections
from skyweave.fleet.sinks.scene_content import covariance_content
from skyweave.locating import ImageLocator, PoseErrorConfig
from skyweave.perception.export import geojson
from skyweave.perception.results import ScenePrediction
from skyweave.perception.results.scene import DETECTION
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
    assert detections.covariances is not None and np.linalg.eigvalsh(detections.covariances[0])[0] > 0.1
    message = perceiver.compose(ego, 1000)
    assert message.boxes is not None and len(message.boxes) == 1
    fused = perceiver.fuse(ego, [perceiver.compensate(message, ego.time)])
    assert fused.detections is not None and len(fused.detections) == 1
    assert fused.detections.covariances is not None  # of two that err independently, as they are taken to do
    assert np.allclose(fused.detections.covariances, detections.covariances / 2)


def test_results_say_how_uncertain_places_are() -> None:
    perceiver = BoxPerceiver(ImageLocator(ScriptedDetector(), PoseErrorConfig(), ("car",), {"automobile": "car"}))
    for number in range(1, 4):
        ego = perceiver.observe(frame(number), WorldFrame("EPSG:32633"))
    seen = replace(perceiver.ego_detections(ego), instances=("1",))
    assert seen.covariances is not None
    ((xx, xy), (_, yy)) = seen.covariances[0]
    scene = FusedScene("UAV_1", 0, ego.time, ego.time, ScenePrediction({DETECTION: seen}), (), frame(3), seen)
    covariance = ros_detections(seen, scene, ("UAV_1-a.1",))["detections"][0]["results"][0]["pose"]["covariance"]
    assert [covariance[k] for k in (0, 1, 6, 7)] == pytest.approx([xx, xy, xy, yy], abs=1e-4)
    assert covariance_content(seen, 0) == pytest.approx([xx, xy, yy], abs=1e-4)
    properties = geojson(seen)["features"][0]["properties"]
    assert properties["variance_east"] == pytest.approx(xx) and properties["covariance_east_north"] == pytest.approx(xy)


def test_its_configuration_opens_the_model(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="no ONNX model"):
        BoxConfig(str(tmp_path / "model.onnx")).build(0.5)
