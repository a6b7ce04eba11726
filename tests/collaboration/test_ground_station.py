"""A ground station's frames travel as those of a peer, and are read as base maps."""

import copy

import numpy as np
import pytest
import torch

import fabricated_scene as toy
from skyweave.backbone import build_backbone
from skyweave.backbone.config import BackboneConfig
from skyweave.collaboration.agent import Agent
from skyweave.collaboration.cache import build_feature_cache
from skyweave.collaboration.config import CodecConfig, CollaborationConfig
from skyweave.collaboration.entropy_tables import freeze_tables
from skyweave.collaboration.ground_station import GroundStation
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.train import sample_cells
from skyweave.core.errors import ConfigError
from skyweave.core.geometry.ground import GroundPlane
from skyweave.core.observation import GeoTransform, Observation
from skyweave.perception.config import RasterConfig
from skyweave.perception.model import PerceptionModel
from skyweave.recordings.recording import BaseMap


def pass_of_satellite() -> Observation:
    pixels = np.random.default_rng(0).uniform(0, 255, (3, 60, 60))
    place = GeoTransform(None, (2.0, 0, -60.0, 0, -2.0, 60.0))
    return Observation.from_pixels(pixels, toy.RGB, 2.0, geometry=place)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CollaborativeModel:
    backbone = build_backbone(BackboneConfig(width=32, depth=2, heads=2, patch_size=8), [toy.RGB], seed=0)
    perception = PerceptionModel(toy.config(rasters=RasterConfig(4.0, 4, 8)), backbone).eval()
    model = CollaborativeModel(perception, CollaborationConfig("dual_branch", CodecConfig(low=4, high=6, contexts=3)))
    cache = build_feature_cache(tmp_path_factory.mktemp("cache"), perception, "toy", [toy.scene(2, 2, "one")])
    model.eval().codec.start_from(sample_cells(cache))
    freeze_tables(model, cache)
    return model


def test_a_pass_travels_within_any_budget_and_is_fused(model: CollaborativeModel) -> None:
    station = GroundStation(model, [BaseMap("satellite", pass_of_satellite)])
    ego = station.observe((0.0, 0.0), GroundPlane(), None, 0)
    assert ego is not None and ego.visible.any()
    agent, cells = Agent(model), []
    for budget in (300, 1000, 4000):
        chunks = station.encode(station.compose(ego, budget, platform=7), budget)
        assert sum(map(len, chunks)) <= budget
        received = agent.receive(chunks)
        assert received is not None and received.platform == 7
        assert received.boxes is None or not len(received.boxes)
        cells.append(0 if received.high is None else len(received.high.indices))
    assert cells == sorted(cells) and cells[-1] > cells[0]
    size = model.perception.config.map.cells
    grid = ego.grid.subgrid(16, 16, size, size)
    nothing = torch.zeros(model.perception.config.lift.channels, size, size)
    unseen = torch.zeros(size, size, dtype=torch.bool)
    alone = agent.fuse(nothing, unseen, grid, [], 0, [], GroundPlane())
    together = agent.fuse(nothing, unseen, grid, [received], 0, agent.pose_errors([7]), GroundPlane())
    assert torch.equal(alone.maps, together.maps), "it is no platform"
    assert alone.base_maps is None and together.base_maps is not None
    features, visible = together.base_maps.features[0, 0], together.base_maps.visible[0, 0]
    assert visible.any() and features.std() > 0
    elsewhere = agent.fuse(nothing, unseen, ego.grid.subgrid(20, 12, size, size), [received], 0, [], GroundPlane())
    assert elsewhere.base_maps is not None
    moved = elsewhere.base_maps.features[0, 0]
    assert torch.equal(moved[:, :-4, 4:], features[:, 4:, :-4]), "it lies where it lies, whatever the receiver's map"


def test_whoever_reads_imagery_otherwise_takes_it_for_nothing(model: CollaborativeModel) -> None:
    """Another encoder of rasters, and none: the fingerprint of imagery is another one, that of platforms the same."""
    other = copy.deepcopy(model)
    assert other.perception.rasters is not None
    other.perception.rasters.output.bias.data += 1.0
    cameras_only = copy.deepcopy(model)
    cameras_only.perception.rasters = None
    station = GroundStation(model, [BaseMap("satellite", pass_of_satellite)])
    ego = station.observe((0.0, 0.0), GroundPlane(), None, 0)
    assert ego is not None
    chunks = station.encode(station.compose(ego, 4000, platform=7), 4000)
    for stranger in (other, cameras_only):
        agent = Agent(stranger)
        assert model.tables is not None and agent.tables[0].model == model.tables.model
        received = agent.receive(chunks)
        assert received is None or received.high is None
    with_base_map, without = Agent(model).tables, Agent(cameras_only).tables
    assert len(with_base_map) == 2 and len(without) == 1


def test_what_it_cannot_tell_of_is_refused(model: CollaborativeModel) -> None:
    with pytest.raises(ConfigError, match="at least one"):
        GroundStation(model, [])
    station = GroundStation(model, [BaseMap("satellite", pass_of_satellite)])
    assert station.observe((5000.0, 0.0), GroundPlane(), None, 0) is None
