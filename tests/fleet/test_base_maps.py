"""Base maps on board: they change what a platform perceives, and not a byte of what it sends."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import fabricated_scene as toy
from skyweave.backbone import build_backbone
from skyweave.backbone.config import BackboneConfig
from skyweave.collaboration.agent import Agent
from skyweave.collaboration.config import CodecConfig, CollaborationConfig
from skyweave.collaboration.model import CollaborativeModel
from skyweave.core.errors import ConfigError
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.fleet.perceivers.base_map_files import BaseMapConfig, open_base_maps
from skyweave.fleet.perceivers.config import LateFusionConfig
from skyweave.fleet.perceivers.late_fusion import LateFusionPerceiver
from skyweave.perception.config import RasterConfig
from skyweave.perception.model import PerceptionModel
from skyweave.perception.results import ScenePrediction
from skyweave.perception.weights import save_perception
from skyweave.recordings.recording import Frame

UTM = "EPSG:32633"
PLACE = WorldFrame(UTM)
TAKEN = "2026-03-01T12:00:00+00:00"


@pytest.fixture(scope="module")
def perception() -> PerceptionModel:
    small = BackboneConfig(width=32, depth=1, heads=2, patch_size=8)
    rasters = RasterConfig(context=4, channels=8)
    model = PerceptionModel(
        toy.config(rasters=rasters, history=1, heads={"detection": {}, "land_cover": {}}),
        build_backbone(small, [toy.RGB], seed=0),
    ).eval()
    assert model.base_map_fusion is not None
    torch.nn.init.eye_(model.base_map_fusion.output.weight.data[..., 0, 0])  # as if trained: it starts as zero
    return model


@pytest.fixture(scope="module")
def ortho(tmp_path_factory: pytest.TempPathFactory) -> BaseMapConfig:
    """A GeoTIFF of noise about the toy scene."""
    import rasterio

    path = tmp_path_factory.mktemp("maps") / "ortho.tif"
    pixels = np.random.default_rng(0).integers(0, 255, (3, 120, 120), np.uint8)
    profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "width": 120, "height": 120, "crs": UTM}
    with rasterio.open(path, "w", **profile, transform=rasterio.Affine(1, 0, -60, 0, -1, 60)) as file:
        file.write(pixels)
    return BaseMapConfig(str(path), time=TAKEN, position_std=1.0)


def frame(platform: str = "UAV_1") -> Frame:
    whole = toy.frame(0)
    capture = whole.captures[platform]
    return Frame(whole.time, {platform: replace(capture, geometry=replace(capture.geometry, crs=UTM))})


def test_a_file_becomes_a_base_map(ortho: BaseMapConfig) -> None:
    (base,) = open_base_maps([ortho])
    observation = base.load()
    assert base.time == 1_772_366_400 * 10**9 and base.position_std == 1.0
    assert observation.shape == (120, 120) and observation.geotransform is not None
    assert observation.geotransform.affine == (1.0, 0.0, -60.0, 0.0, -1.0, 60.0)


def test_a_node_that_sends_boxes_perceives_with_its_base_map(perception: PerceptionModel, ortho: BaseMapConfig) -> None:
    without, carrying = (
        LateFusionPerceiver(perception),
        LateFusionPerceiver(perception, base_maps=open_base_maps([ortho])),
    )
    one, other = (perceiver.observe(frame(), PLACE) for perceiver in (without, carrying))
    assert one.grid == other.grid
    assert not np.array_equal(confidence(one.scene), confidence(other.scene))


def confidence(scene: ScenePrediction) -> np.ndarray:
    assert scene.land_cover is not None
    return scene.land_cover.confidence


def test_features_that_are_sent_are_those_of_cameras(perception: PerceptionModel, ortho: BaseMapConfig) -> None:
    model = CollaborativeModel(perception, CollaborationConfig("max", CodecConfig(low=4, high=6, contexts=3)))
    capture, ground = frame().captures["UAV_1"], toy.scene().ground
    results = []
    for base_maps in ([], open_base_maps([ortho])):
        agent = Agent(model, base_maps)
        ego = agent.observe([capture.load()], [capture.geometry], capture.time, ground, UTM)
        scene = agent.step(ego, [], ground)
        results.append((ego, scene))
    (plain, alone), (carrying, helped) = results
    assert torch.equal(plain.features, carrying.features) and torch.equal(plain.visible, carrying.visible)
    assert carrying.base_maps is not None and carrying.base_maps.visible[0, 0].all()
    assert not np.array_equal(confidence(alone), confidence(helped))


def test_a_hovering_platform_encodes_its_base_map_once(perception: PerceptionModel, ortho: BaseMapConfig) -> None:
    perceiver, encoded = LateFusionPerceiver(perception, base_maps=open_base_maps([ortho])), []
    assert perception.rasters is not None
    hook = perception.rasters.register_forward_hook(lambda *_: encoded.append(1))
    for _ in range(3):
        perceiver.observe(frame(), PLACE)
    hook.remove()
    assert len(encoded) == 1


def test_what_cannot_be_is_refused(ortho: BaseMapConfig, tmp_path: Path) -> None:
    small = BackboneConfig(width=32, depth=1, heads=2, patch_size=8)
    save_perception(tmp_path / "cameras.safetensors", PerceptionModel(toy.config(), build_backbone(small)), "cameras")
    with pytest.raises(ConfigError, match="reads cameras only"):
        LateFusionConfig(str(tmp_path / "cameras.safetensors"), base_maps=[ortho]).build(0.5)
    for wrong in ({"time": "yesterday"}, {"time": "2026-03-01T12:00:00"}, {"position_std": -1.0}):
        with pytest.raises(ConfigError, match="base_maps"):
            BaseMapConfig("ortho.tif", **wrong)  # type: ignore[arg-type]
