"""Ours against the published classes themselves. Needs torchgeo: ``make test-interop`` makes an environment for it."""

import importlib.util
import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

if importlib.util.find_spec("torchgeo") is None:
    pytest.skip("torchgeo is not installed; run make test-interop", allow_module_level=True)

from skyweave.backbone.pretrained.dofa_weights import load_dofa
from skyweave.backbone.pretrained.position_tables import resize_positions

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]
RECIPE = Path(__file__).parents[1] / "backbone" / "golden" / "dofa_recipe.py"
TAPS = {"v1-base": (3, 5, 7, 11), "v1-large": (7, 11, 15, 23), "v2-base": (4, 6, 10, 11), "v2-large": (5, 11, 17, 23)}


@pytest.fixture(scope="module")
def recipe() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(RECIPE)))


def published(recipe: SimpleNamespace, variant: str) -> torch.nn.Module:
    """Random weights as the published class draws them, with what it zeroes filled in: zeros would hide mistakes."""
    torch.manual_seed(0)
    version, size = variant.split("-")
    if version == "v1":
        model = recipe.published_v1(size)
    else:
        model = recipe.PublishedV2(*((768, 12, 12) if size == "base" else (1024, 24, 16))).eval()
    for name, parameter in model.named_parameters():
        if name.endswith(("cls_token", "pos_embed")):
            torch.nn.init.normal_(parameter, std=0.5)
        elif name.endswith("gamma"):
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
        elif "norm" in name:
            torch.nn.init.normal_(parameter, float(name.endswith("weight")), 0.1)
    return model


@pytest.fixture(scope="module", params=TAPS)
def pair(
    request: pytest.FixtureRequest, recipe: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[torch.nn.Module, torch.nn.Module, list[torch.Tensor], str]]:
    """The published model, ours loaded from its saved state dict, and the published intermediate outputs."""
    theirs = published(recipe, request.param)
    path = tmp_path_factory.mktemp("dofa") / "weights.pth"
    torch.save(theirs.state_dict(), path)
    ours = load_dofa(path)
    path.unlink()
    blocks = theirs.blocks if request.param.startswith("v1") else theirs.model.blocks
    yield theirs, ours, recipe.levels_of(theirs, blocks, TAPS[request.param]), request.param


@pytest.mark.parametrize("bands", ["9 bands", "4 bands", "202 bands"])
def test_same_features(
    pair: tuple[torch.nn.Module, torch.nn.Module, list[torch.Tensor], str],
    recipe: SimpleNamespace,
    bands: str,
) -> None:
    theirs, ours, levels, variant = pair
    wavelengths = recipe.WAVELENGTHS[bands]
    images = recipe.images(len(wavelengths))
    levels.clear()
    with torch.inference_mode():
        expected = theirs.forward_features(images, wavelengths)
        features = ours.forward_features(images, wavelengths)
    assert expected.std() > 0.1  # a constant would prove nothing
    difference = (features.embedding - expected).abs().max().item()
    print(f"{variant}, {bands}: embedding differs by at most {difference:.1e}")
    torch.testing.assert_close(features.embedding, expected, rtol=0, atol=1e-4)
    assert len(levels) == len(features.levels) == 4
    for level, reference in zip(features.levels, levels, strict=True):
        torch.testing.assert_close(level, reference, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("version", ["1", "2"])
def test_golden_numbers_are_the_published_ones(recipe: SimpleNamespace, version: str) -> None:
    """The numbers in tests/backbone/golden, on which the everyday test relies, are what these classes give."""
    golden = json.loads(recipe.GOLDEN.read_text())[version]
    model = recipe.published_v1() if version == "1" else recipe.PublishedV2().eval()
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert shapes == {key: tuple(shape) for key, shape in golden["shapes"].items()}
    model.load_state_dict(recipe.weights(shapes))
    with torch.inference_mode():
        embedding = model.forward_features(recipe.images(9), recipe.WAVELENGTHS["9 bands"])
    np.testing.assert_allclose(embedding[0, recipe.CHANNELS], golden["9 bands"]["embedding"], atol=1e-4)


def test_positions_resize_as_timm_does() -> None:
    from timm.layers import resample_abs_pos_embed

    table = torch.randn(1, 197, 32)
    for grid in ((7, 9), (20, 31)):
        expected = resample_abs_pos_embed(table, list(grid), (14, 14), num_prefix_tokens=1)
        torch.testing.assert_close(resize_positions(table, 14, grid), expected, rtol=0, atol=1e-5)
