"""Features over the network: the collaborative model as a node runs it."""

from pathlib import Path

import numpy as np
import pytest
import torch

import fabricated_fleet as fleet
import fabricated_scene as toy
from skyweave.backbone import build_backbone
from skyweave.backbone.config import BackboneConfig
from skyweave.collaboration.cache import FeatureCache, build_feature_cache
from skyweave.collaboration.config import CodecConfig, CollaborationConfig
from skyweave.collaboration.entropy_tables import freeze_tables
from skyweave.collaboration.model import CollaborativeModel
from skyweave.fleet.link.emulated import EmulatedNetwork
from skyweave.fleet.link.emulated_link import EmulatedLinkConfig
from skyweave.fleet.link.loopback import LoopbackNetwork
from skyweave.fleet.node.fused_scene import peer_names
from skyweave.fleet.node.options import NodeOptions
from skyweave.fleet.node.rate_control import RateControlConfig
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.fleet.perceivers.intermediate_fusion import IntermediateFusionPerceiver
from skyweave.fleet.perceivers.offline import perceive_together
from skyweave.perception.model import PerceptionModel

NAMES = ("UAV_1", "UAV_2", "UAV_3")
BUDGET = 900


@pytest.fixture(scope="module")
def perception() -> PerceptionModel:
    small = BackboneConfig(width=32, depth=2, heads=2, patch_size=8)
    model = PerceptionModel(toy.config(), build_backbone(small, [toy.RGB], seed=0)).eval()
    with torch.no_grad():  # untrained it finds the same everywhere, whatever it is told
        heatmap = model.heads["detection"].heatmap
        heatmap.weight *= 300  # type: ignore[operator]
        heatmap.bias += 3.5  # type: ignore[operator]
    return model


@pytest.fixture(scope="module")
def cache(perception: PerceptionModel, tmp_path_factory: pytest.TempPathFactory) -> FeatureCache:
    return build_feature_cache(tmp_path_factory.mktemp("cache"), perception, "toy", [toy.scene(3, 3)])


@pytest.fixture(scope="module")
def model(perception: PerceptionModel, cache: FeatureCache) -> CollaborativeModel:
    made = CollaborativeModel(
        perception, CollaborationConfig("dual_branch", CodecConfig(low=4, high=6, contexts=3))
    ).eval()
    maps = torch.from_numpy(np.stack([cache[key].features for key in cache.entries]))
    made.codec.start_from(maps.permute(0, 2, 3, 1).flatten(0, 2)[::7])
    freeze_tables(made, cache)
    return made


def test_networked_and_batch_results_of_features_are_equal(model: CollaborativeModel) -> None:
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    options = NodeOptions(budget=RateControlConfig(min_bytes=BUDGET, max_bytes=BUDGET))
    nodes = {
        name: fleet.node(name, hub.join(), clock, options, perceiver=IntermediateFusionPerceiver(model))
        for name in NAMES
    }
    offline = {name: IntermediateFusionPerceiver(model) for name in NAMES}
    chunk_budget = BUDGET - -(-BUDGET // options.mtu) * 12
    for number in range(3):
        frames = {name: fleet.frame(number, name) for name in NAMES}
        clock.now = frames["UAV_1"].time + 10_000_000
        for node in nodes.values():
            node.send_heartbeat()
        sent = {name: nodes[name].observe_and_send(frames[name]) for name in NAMES}
        headers = {name: (nodes[name].platform_id, sent[name].sequence) for name in NAMES}
        wanted = perceive_together(offline, frames, WorldFrame(), chunk_budget, 1188, headers)
        for name in NAMES:
            assert 0.6 * BUDGET < sent[name].bytes <= BUDGET
            fused = nodes[name].fuse(sent[name])
            assert peer_names(fused.peer_frames) == [other for other in NAMES if other != name]
            assert all(one.complete and one.content.high is not None for one in fused.peer_frames)
            a, b = fused.prediction.detections, wanted[name].detections
            assert a is not None and b is not None and len(a) == len(b)
            assert np.array_equal(a.boxes.centres, b.boxes.centres) and np.array_equal(a.scores, b.scores)
            assert fused.prediction.instances is not None and wanted[name].instances is not None
            for one, other in zip(fused.prediction.instances, wanted[name].instances, strict=True):
                assert np.array_equal(one.identities, other.identities)
    assert not any(sum(counts.values()) for node in nodes.values() for counts in node.peers.rejection_counts().values())


def test_peers_without_the_model_still_give_their_boxes(model: CollaborativeModel) -> None:
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    here = fleet.node("UAV_1", hub.join(), clock, perceiver=IntermediateFusionPerceiver(model))
    there = fleet.node("UAV_4", hub.join(), clock, perceiver=fleet.truth_perceiver(4, resolution=1.0))
    there.send_heartbeat()
    there.observe_and_send(fleet.frame(0, "UAV_4"))
    here.send_heartbeat()
    fused = here.fuse(here.observe_and_send(fleet.frame(0, "UAV_1")))
    (source,) = fused.peer_frames
    assert source.content.high is None and source.content.boxes is not None
    there.peers.drain()
    back = there.fuse(there.observe_and_send(fleet.frame(0, "UAV_4")))
    assert peer_names(back.peer_frames) == ["UAV_1"] and there.peers.rejection_counts()["UAV_1"]["fingerprint"] > 0


def test_lost_chunks_lose_cells_and_not_the_picture(model: CollaborativeModel) -> None:
    network, clock = EmulatedNetwork(EmulatedLinkConfig(loss=0.4), seed=2), fleet.HandClock()
    options = NodeOptions(mtu=300, budget=RateControlConfig(min_bytes=BUDGET, max_bytes=BUDGET))
    nodes = {
        n: fleet.node(n, network.join(n), clock, options, perceiver=IntermediateFusionPerceiver(model))
        for n in NAMES[:2]
    }
    incomplete = 0
    for number in range(4):
        clock.now = fleet.START + number * 500_000_000
        sent = {}
        for name, node in nodes.items():
            node.send_heartbeat()
            sent[name] = node.observe_and_send(fleet.frame(number, name))
        network.advance(clock.now + 1)
        for name, node in nodes.items():
            fused = node.fuse(sent[name])
            assert fused.prediction.detections is not None
            incomplete += sum(not one.complete for one in fused.peer_frames)
    assert incomplete > 0


def test_what_cannot_travel_is_refused(perception: PerceptionModel, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="do not travel"):
        IntermediateFusionPerceiver(CollaborativeModel(perception, CollaborationConfig("full_features")))
    with pytest.raises(ValueError, match="not frozen"):
        IntermediateFusionPerceiver(CollaborativeModel(perception, CollaborationConfig("dual_branch")))
