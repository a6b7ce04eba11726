"""A node's poses are corrected before its perceiver sees them, and peers learn how sure they are."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from skyweave.core.config import config_from_dict
from skyweave.core.errors import FleetError
from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import look_at
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.fleet.perceivers.config import PerceiverConfig, SelfLocatingConfig
from skyweave.fleet.perceivers.ground_truth import GroundTruthPerceiver
from skyweave.fleet.perceivers.self_locating import SelfLocatingPerceiver
from skyweave.locating import PoseEstimate, PoseFilter, Reference
from skyweave.recordings.recording import Annotations, Capture, Frame

ERROR = np.array([2.0, -3.0, 1.0, 0, 0, 0.05])


class FixedFilter(PoseFilter):
    """Always finds one error."""

    def update(self, image: np.ndarray, geometry: CameraGeometry, ground: Any, time: int) -> PoseEstimate:
        assert image.shape == (4, 4)
        self.estimate = PoseEstimate(ERROR, np.diag([0.04, 0.04, 0.09, 1e-4, 1e-4, 1e-4]))
        return self.estimate


class Watched(GroundTruthPerceiver):
    """Keeps what it is given."""

    def __init__(self, seen: list[Frame]) -> None:
        super().__init__(("car",), size=64.0)
        self.seen = seen

    def observe(self, frame: Frame, place: WorldFrame) -> Any:
        self.seen.append(frame)
        return super().observe(frame, place)


def test_poses_are_corrected_before_anything_else() -> None:
    camera = PinholeCamera.from_field_of_view(1.0, 4, 4)
    geometry = CameraGeometry(camera, look_at(np.array([0, 0, 30.0]), np.array([20.0, 0, 0])))
    image = Observation.from_pixels(np.zeros((3, 4, 4)), get_sensor("rgb"))
    capture = Capture("UAV_1", "UAV_1", 0, geometry, lambda: image)
    empty = Annotations(Boxes(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0)), np.zeros((0, 2)), (), ())
    frame = Frame(0, {"UAV_1": capture}, empty)
    seen: list[Frame] = []
    perceiver = Watched(seen)
    reference = Reference(np.zeros((8, 8)), MapGrid(0, 8, 1.0, 8, 8))
    located = SelfLocatingPerceiver(perceiver, FixedFilter(reference))
    ego = located.observe(frame, WorldFrame())
    corrected = seen[0].captures["UAV_1"].geometry
    np.testing.assert_allclose(corrected.position, geometry.position + ERROR[:3])
    message = located.compose(ego, 2000)
    assert message.pose is not None and message.pose.covariance is not None
    np.testing.assert_allclose(message.pose.position, corrected.position)
    assert message.pose.covariance[0, 0] == pytest.approx(0.04)
    located.fuse(ego, [])
    with pytest.raises(FleetError, match="in a local frame, the fleet works in EPSG:32633; bring both to one"):
        located.observe(frame, replace(WorldFrame(), crs="EPSG:32633"))


def test_it_wraps_any_perceiver_in_a_configuration() -> None:
    content = {"kind": "self_locating", "perceiver": {"kind": "ground_truth", "noise": 0.1}}
    config = PerceiverConfig.from_content(content | {"base_map": {"path": "ortho.tif"}, "errors": {"drift": 0.5}})
    assert isinstance(config, SelfLocatingConfig)
    assert config.errors.drift == 0.5 and config.base_map.path == "ortho.tif"
    assert config_from_dict({"path": "a.tif"}, type(config.base_map)).path == "a.tif"
