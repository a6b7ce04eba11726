import json
import pickle
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from skyweave.backbone.batch import SensorBatch
from skyweave.backbone.pretrained.dofa import (
    DOFA,
    VARIANTS,
    DOFAConfig,
    dofa_wavelengths,
)
from skyweave.backbone.pretrained.dofa_layers import encode_wavelengths
from skyweave.backbone.pretrained.dofa_weights import dofa_from_state_dict, load_dofa
from skyweave.backbone.pretrained.position_tables import resize_positions
from skyweave.core.sensors.band import Band
from skyweave.core.sensors.sensor import Sensor

SMALL = {
    1: DOFAConfig(1, patch_size=16, width=48, depth=4, heads=4, levels=(0, 1, 2, 3), image_size=64),
    2: DOFAConfig(2, patch_size=14, width=48, depth=4, heads=4, levels=(0, 1, 2, 3), image_size=56),
}


@pytest.fixture(scope="module")
def recipe() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("golden") / "dofa_recipe.py")))


@pytest.fixture(scope="module")
def golden(recipe: SimpleNamespace) -> dict[str, Any]:
    return json.loads(recipe.GOLDEN.read_text())


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def small(request: pytest.FixtureRequest) -> DOFA:
    torch.manual_seed(0)
    model = DOFA(SMALL[request.param], radar_wavelength=None).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("gamma"):
            torch.nn.init.constant_(parameter, 1.0)  # else version 2 is nearly the identity and tests nothing
    return model


def optical(*nanometres: float) -> Sensor:
    bands = tuple(Band(f"b{i}", wavelength=value, mean=0.1 * i, std=0.5 + i) for i, value in enumerate(nanometres))
    return Sensor("test", "test", bands, ground_sample_distance=10)


def batch_of(sensor: Sensor, rows: int, columns: int, count: int = 2) -> SensorBatch:
    pixels = torch.from_numpy(np.random.default_rng(3).random((count, len(sensor), rows, columns), np.float32))
    return SensorBatch(pixels, torch.ones_like(pixels, dtype=torch.bool), sensor, torch.full((count,), 10.0))


@pytest.mark.parametrize("version", ["1", "2"])
def test_published_function(recipe: SimpleNamespace, golden: dict[str, Any], version: str) -> None:
    """Weights made by a recipe give the numbers that torchgeo's and timm's classes gave for the same weights."""
    expected = golden[version]
    model = dofa_from_state_dict(recipe.weights({key: tuple(shape) for key, shape in expected["shapes"].items()}))
    for name in ("9 bands", "4 bands"):
        wavelengths = recipe.WAVELENGTHS[name]
        with torch.inference_mode():
            features = model.forward_features(recipe.images(len(wavelengths)), wavelengths)
        ours = recipe.samples(features.embedding, list(features.levels))
        assert ours.keys() == expected[name].keys()
        for part, values in ours.items():
            np.testing.assert_allclose(values, expected[name][part], rtol=1e-5, atol=1e-4, err_msg=f"{name} {part}")


def test_order_of_channels_does_not_matter(small: DOFA) -> None:
    wavelengths = [0.665, 0.56, 0.49, 1.61, 2.19]
    images = torch.randn(2, 5, 56, 56)
    order = [3, 0, 4, 2, 1]
    with torch.inference_mode():
        straight = small.forward_features(images, wavelengths)
        permuted = small.forward_features(images[:, order], [wavelengths[i] for i in order])
        mismatched = small.forward_features(images[:, order], wavelengths)
    torch.testing.assert_close(permuted.tokens, straight.tokens, rtol=0, atol=1e-5)
    torch.testing.assert_close(permuted.embedding, straight.embedding, rtol=0, atol=1e-5)
    assert (mismatched.tokens - straight.tokens).abs().max() > 1e-3


def test_wavelength_code_by_hand() -> None:
    code = encode_wavelengths(torch.tensor([665.0]), 128)[0].double().numpy()
    frequency = 10000.0 ** (-np.arange(64) / 64)
    np.testing.assert_allclose(code, np.r_[np.sin(665 * frequency), np.cos(665 * frequency)], atol=2e-4)


def test_batch_of_any_size(small: DOFA) -> None:
    sensor = optical(665, 560, 490)
    batch = batch_of(sensor, 70, 45)
    features = small(batch)
    size = small.config.patch_size
    rows, columns = -(-70 // size), -(-45 // size)
    assert features.grid == (rows, columns)
    assert features.tokens.shape == (2, rows * columns, 48)
    assert features.dense().shape == (2, 48, rows, columns)
    assert [level.shape for level in features.levels] == [(2, rows * columns, 48)] * 4
    assert features.valid.all()


def test_batch_is_normalised_and_wavelengths_converted(small: DOFA) -> None:
    sensor = optical(665, 560, 490)
    side = SMALL[small.config.version].image_size
    batch = batch_of(sensor, side, side)
    normalised = (batch.pixels - torch.from_numpy(sensor.means)[:, None, None]) / torch.from_numpy(sensor.stds)[
        :, None, None
    ]
    expected = small.forward_features(normalised, [0.665, 0.56, 0.49])
    torch.testing.assert_close(small(batch).embedding, expected.embedding)
    torch.testing.assert_close(small(batch).pooled, expected.embedding)


def test_invalid_pixels_change_nothing(small: DOFA) -> None:
    batch = batch_of(optical(665, 560, 490), 56, 56)
    size = small.config.patch_size
    batch.valid[:, :, size:, :] = False
    before = small(batch)
    batch.pixels[:, :, size:, :] = 1e6
    after = small(batch)
    seen = before.valid.unflatten(1, before.grid)
    assert seen[:, 0].all() and not seen[:, 1:].any()
    torch.testing.assert_close(after.tokens, before.tokens)
    torch.testing.assert_close(after.embedding, before.embedding)
    batch.valid[:] = False
    assert small(batch).embedding.isfinite().all()


def test_radar_has_the_number_of_its_version() -> None:
    radar = Sensor("sar", "sar", (Band("vv", "radar", frequency=5.405, polarisation="VV", unit="db"),), 10)
    assert {version: DOFA(SMALL[version]).radar_wavelength for version in (1, 2)} == {1: 3.75, 2: 5.405}
    assert dofa_wavelengths(radar, 3.75) == [3.75]
    seen = [DOFA(SMALL[1], number).eval() for number in (None, 3.75)]
    seen[1].load_state_dict(seen[0].state_dict())
    with torch.inference_mode():
        one, other = (model(batch_of(radar, 32, 32)).tokens for model in seen)
    assert torch.equal(one, other)
    model = DOFA(SMALL[1], radar_wavelength=5.405)
    assert model(batch_of(radar, 32, 32)).tokens.isfinite().all()


def test_elevation_is_refused() -> None:
    terrain = Sensor("dem", "dem", (Band("height", "elevation", unit="metre"),), 30)
    with pytest.raises(ValueError, match="'height' is elevation"):
        dofa_wavelengths(terrain, 5.405)


def test_wrong_calls(small: DOFA) -> None:
    images = torch.zeros(1, 2, 56, 56)
    with pytest.raises(ValueError, match="2 channels but 1 wavelengths"):
        small.forward_features(images, [0.665])
    with pytest.raises(ValueError, match=r"\[665\.0\] are not micrometres"):
        small.forward_features(images, [665.0, 0.56])
    with pytest.raises(ValueError, match="patch_size=8"):
        small(batch_of(optical(665), 56, 56), patch_size=8)


def test_position_table_resizes_and_keeps_the_class_token() -> None:
    side = 4
    rows = torch.arange(4.0).repeat_interleave(4)
    table = torch.cat([torch.tensor([-7.0]), rows])[None, :, None]
    assert resize_positions(table, side, (4, 4)) is table
    larger = resize_positions(table, side, (8, 6))
    assert larger.shape == (1, 49, 1) and larger[0, 0, 0] == -7
    grid = larger[0, 1:, 0].view(8, 6)
    assert (grid.diff(dim=0) > 0).all() and grid.diff(dim=1).abs().max() < 1e-5


@pytest.fixture
def published(small: DOFA, monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """A small state dict with published names, with the loader told about its size."""
    version = small.config.version
    monkeypatch.setitem(VARIANTS, "small", SMALL[version])
    state = {}
    for key, value in small.state_dict().items():
        if version == 2 and not key.startswith("patch_embed."):
            key = f"model.{key}"
        if version == 1 and key.startswith("norm."):
            key = f"fc_{key}"
        state[key] = value
    return state


@pytest.mark.parametrize("wrapper", [None, "model", "state_dict"])
def test_file_round_trip(small: DOFA, published: dict[str, torch.Tensor], wrapper: str | None, tmp_path: Path) -> None:
    path = tmp_path / "dofa.pth"
    extra = {"mask_token": torch.zeros(1), "projector.weight": torch.zeros(1), "norm.weight": torch.zeros(48)}
    torch.save({**published, **extra} if wrapper is None else {wrapper: {**published, **extra}}, path)
    model = load_dofa(path)
    assert model.config == small.config and not model.training
    assert model.loaded is not None
    assert model.loaded.dropped == tuple(extra) and model.loaded.defaulted == ()
    images = torch.randn(1, 3, 56, 56)
    ours, theirs = (m.forward_features(images, [0.665, 0.56, 0.49]) for m in (model, small))
    torch.testing.assert_close(ours.embedding, theirs.embedding, rtol=0, atol=0)
    assert model.pos_embed.requires_grad is (small.config.version == 2)


def test_version_one_without_its_norm(published: dict[str, torch.Tensor], small: DOFA) -> None:
    state = {key: value for key, value in published.items() if not key.startswith(("fc_norm", "model.norm"))}
    if small.config.version == 2:
        with pytest.raises(ValueError, match=r"missing norm\.weight; missing norm\.bias"):
            dofa_from_state_dict(state)
    else:
        model = dofa_from_state_dict(state)
        assert model.loaded is not None and model.loaded.defaulted == ("norm.weight", "norm.bias")
        assert (model.norm.weight == 1).all() and (model.norm.bias == 0).all()


def test_every_misfit_is_named(published: dict[str, torch.Tensor]) -> None:
    missing = next(key for key in published if key.endswith("blocks.1.attn.qkv.bias"))
    del published[missing]
    published["surprise"] = torch.zeros(1)
    key = next(key for key in published if key.endswith("cls_token"))
    published[key] = torch.zeros(1, 1, 7)
    with pytest.raises(ValueError) as caught:
        dofa_from_state_dict(published, source="file.pth")
    for part in ("file.pth", "missing blocks.1.attn.qkv.bias", "unexpected surprise", "cls_token has shape (1, 1, 7)"):
        assert part in str(caught.value)


def test_foreign_and_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    with pytest.raises(FileNotFoundError, match="no DOFA weights at"):
        load_dofa(path)
    torch.save({"conv.weight": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match=r"not DOFA weights.*conv\.weight"):
        load_dofa(path)
    torch.save({"epoch": 3, "lr": 0.1}, path)
    with pytest.raises(ValueError, match="these entries are none: epoch, lr"):
        load_dofa(path)
    path.write_bytes(pickle.dumps(SystemExit, protocol=2))
    with pytest.raises(ValueError, match="not a weights file"):
        load_dofa(path)
    torch.save({"a": torch.zeros(10000)}, path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ValueError, match="not a weights file"):
        load_dofa(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="not a weights file"):
        load_dofa(path)


def test_unpublished_size_is_refused(published: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(VARIANTS, "small")
    with pytest.raises(ValueError, match=r"width 48 and patch size 1[46] is not one of dofa-v1-base"):
        dofa_from_state_dict(published)
