"""A node whose perceiver has a model undoes errors of its peers' poses."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import fabricated_fleet as fleet
import fabricated_scene as toy
from skyweave.backbone import build_backbone
from skyweave.backbone.config import BackboneConfig
from skyweave.collaboration.boxes import detections_from_box_list
from skyweave.collaboration.pose_alignment import PoseError
from skyweave.core.geometry.grid import MapGrid
from skyweave.fleet.link.loopback import LoopbackNetwork
from skyweave.fleet.perceivers.box_scene import EgoScene
from skyweave.fleet.perceivers.late_fusion import LateFusionPerceiver
from skyweave.fleet.sinks.node_status import node_status
from skyweave.fleet.sinks.prometheus import NodeCollector
from skyweave.fleet.sinks.scene_content import link_content
from skyweave.perception.model import PerceptionModel
from skyweave.perception.prediction import ScenePrediction
from skyweave.wire import BoxList, FrameContent, Pose, WireGrid

GRID = MapGrid(-64, 64, 0.5, 128, 128)
CAMERA = np.array([0.0, -30.0, 25.0])
ERROR = np.array([1.0, -1.5, 0.0, *np.deg2rad([3.0, 0.0, -3.0])])
LEVEL = np.array([1.0, 0.0, 0.0, 0.0])


def boxes(places: np.ndarray) -> BoxList:
    count = len(places)
    centres = np.concatenate([places, np.zeros((count, 1))], 1)
    sizes = np.tile([4.0, 1.8, 1.6], (count, 1))
    return BoxList(centres, sizes, np.zeros(count), np.zeros(count, int), np.full(count, 0.7), np.zeros((count, 2)))


def test_how_wrong_a_peers_pose_is_can_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    hub, clock = LoopbackNetwork(), fleet.HandClock()
    here, there = (fleet.node(name, hub.join(), clock) for name in ("UAV_1", "UAV_4"))
    there.send_heartbeat()
    here.send_heartbeat()
    there.observe_and_send(fleet.frame(0, "UAV_4"))
    here.fuse(here.observe_and_send(fleet.frame(0, "UAV_1")))
    assert link_content(here)["UAV_4"]["pose"] is None  # the stand-in estimates nothing
    errors = {there.platform_id: PoseError(np.array([3.0, 4, 0, 0, 0, np.pi / 60]), trusted=False)}
    monkeypatch.setattr(type(here.perceiver), "pose_errors", errors)
    wrong = {"metres": 5.0, "degrees": 3.0, "trusted": False}
    assert link_content(here)["UAV_4"]["pose"] == node_status(here)["peers"]["UAV_4"]["pose"] == wrong
    found = {family.name: family.samples for family in NodeCollector(here).collect()}
    assert found["skyweave_pose_error_metres"][0].labels == {"peer": "UAV_4"}
    assert [found[f"skyweave_pose_{name}"][0].value for name in ("error_degrees", "trusted")] == [pytest.approx(3), 0]


def test_peers_with_wrong_poses_still_help() -> None:
    model = PerceptionModel(toy.config(), build_backbone(BackboneConfig(32, 2, 2, patch_size=8), [toy.RGB], seed=0))
    generator = np.random.default_rng(0)
    places = np.stack([generator.uniform(-20, 20, 24), np.linspace(-15, 25, 24)], 1)  # 16 are ours to see, 18 theirs
    ours, theirs, new = np.arange(16), np.arange(6, 24), np.arange(16, 24)
    rays = Rotation.from_rotvec(ERROR[3:]).inv().apply(boxes(places).centres - (CAMERA + ERROR[:3]))
    told = CAMERA + rays * (-CAMERA[2] / rays[:, 2])[:, None]
    perceiver, offs = LateFusionPerceiver(model, GRID), []
    for moment in range(4):
        noise = generator.normal(0, 0.2, (2, 24, 2))
        detections = detections_from_box_list(boxes((places + noise[0])[ours]), perceiver.categories, None, moment)
        scene = ScenePrediction({"detection": detections})
        sent = boxes((told[:, :2] + noise[1])[theirs])
        content = FrameContent(1, moment, moment, WireGrid.from_map(GRID), pose=Pose(CAMERA, LEVEL), boxes=sent)
        found = perceiver.fuse(EgoScene(moment, GRID, scene), [content]).detections
        assert found is not None
        away = np.linalg.norm(found.boxes.centres[:, None, :2] - places[new][None], axis=-1).min(0)
        offs.append(float(np.median(away)))
    assert np.median(np.linalg.norm((told[:, :2] - places)[new], axis=1)) > 3
    assert offs[-1] < 0.8
    unposed = perceiver.fuse(EgoScene(4, GRID, scene), [replace(content, platform=2, pose=None)]).detections
    assert unposed is not None and len(unposed) > len(found)  # no pose, nothing to correct: believed as it comes
