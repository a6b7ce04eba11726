from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.strategies import STRATEGIES
from skyweave.core.errors import UnknownNameError

Make = Callable[[str], CollaborativeModel]


def told(model: CollaborativeModel, peers: int = 3, rows: int = 32, seed: int = 0) -> FusionInput:
    generator = torch.Generator().manual_seed(seed)
    channels, boxes = model.perception.config.lift.channels, model.strategy.box_channels
    shape = (2, peers, rows, rows)
    exact = (torch.rand(shape, generator=generator) > 0.6).float()
    seen = torch.rand(2, rows, rows, generator=generator) > 0.4
    drawn = torch.rand(2, peers, boxes, rows, rows, generator=generator) * exact.unsqueeze(2)
    features = torch.randn(2, peers, channels, rows, rows, generator=generator) * exact.unsqueeze(2)
    own = torch.randn(2, channels, rows, rows, generator=generator) * seen.unsqueeze(1)
    return FusionInput(own, seen, features, exact, exact, drawn, torch.zeros(2, peers))


def silent(one: FusionInput) -> FusionInput:
    return replace(
        one, features=0 * one.features, visible=0 * one.visible, exact=0 * one.exact, boxes=0 * one.boxes
    )  # fmt: skip


@pytest.mark.parametrize("name", STRATEGIES)
@torch.inference_mode()
def test_every_strategy_fuses_any_number_of_peers(make: Make, name: str) -> None:
    model = make(name)
    for peers in (0, 1, 3, 7):
        fused = model.strategy.fuse(told(model, peers))
        assert fused.shape == (2, model.perception.config.lift.channels, 32, 32)
        assert torch.isfinite(fused).all()


@pytest.mark.parametrize("name", STRATEGIES)
@torch.inference_mode()
def test_the_order_of_peers_does_not_matter(make: Make, name: str) -> None:
    model = make(name)
    one = told(model)
    order = [2, 0, 1]
    other = replace(
        one, features=one.features[:, order], visible=one.visible[:, order], exact=one.exact[:, order],
        boxes=one.boxes[:, order], age=one.age[:, order],
    )  # fmt: skip
    assert torch.allclose(model.strategy.fuse(one), model.strategy.fuse(other), atol=1e-4)


@pytest.mark.parametrize(
    "name",
    ["no_fusion", "late_fusion", "full_features", "attention", "where2comm", "disconet", "dhd", "cerf", "dual_branch"],
)
@torch.inference_mode()
def test_peers_who_say_nothing_change_nothing(make: Make, name: str) -> None:
    model = make(name)
    one = told(model)
    nobody = replace(one, features=one.features[:, :0], visible=one.visible[:, :0], exact=one.exact[:, :0],
                     boxes=one.boxes[:, :0], age=one.age[:, :0])  # fmt: skip
    assert torch.allclose(model.strategy.fuse(nobody), model.strategy.fuse(silent(one)), atol=1e-5)


@pytest.mark.parametrize("name", ["mean", "max", "attention", "where2comm", "disconet", "dhd", "v2vnet", "dual_branch"])
@torch.inference_mode()
def test_peers_who_say_something_count(make: Make, name: str) -> None:
    model = make(name)
    one = told(model)
    assert not torch.allclose(model.strategy.fuse(one), model.strategy.fuse(silent(one)), atol=1e-3)


@pytest.mark.parametrize("name", STRATEGIES)
@torch.inference_mode()
def test_saliency_is_a_number_for_each_cell(make: Make, name: str) -> None:
    model = make(name)
    one = told(model)
    useful = model.strategy.saliency_map(one.ego, one.ego_visible, torch.rand(2, 32, 32), torch.rand(2, 32, 32))
    assert useful.shape == (2, 32, 32) and torch.isfinite(useful).all()


def test_each_strategy_names_its_source() -> None:
    import sys

    for name, kind in ((name, STRATEGIES[name]) for name in STRATEGIES):
        text = (sys.modules[kind.__module__].__doc__ or "").lower()
        assert "arxiv" in text or name in ("no_fusion", "full_features", "mean", "cerf", "dual_branch"), name


def test_an_unknown_strategy_is_named(make: Make) -> None:
    model = make("no_fusion")
    with pytest.raises(UnknownNameError, match="no fusion strategy 'telepathy'"):
        CollaborativeModel(model.perception, replace(model.config, strategy="telepathy"))
