"""Published layouts load or are refused by name, and encoders keep the promises of the interface.

That they compute what their authors' code computes is tests/interop/test_published.py.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from skyweave.backbone import fingerprint, load_encoder
from skyweave.backbone.batch import SensorBatch, stack_observations
from skyweave.backbone.pretrained.clay import Clay
from skyweave.backbone.pretrained.dofa import DOFA, VARIANTS
from skyweave.backbone.pretrained.published import encoder_from_state_dict, load_published
from skyweave.backbone.pretrained.vision_transformer import PublishedConfig, PublishedEncoder
from skyweave.backbone.pretrained.vit import MAE, Prithvi, SatMAE
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.core.sensors.sensor import Sensor

SENTINEL2 = get_sensor("sentinel2-l2a")
CONFIG = PublishedConfig("test", width=192, depth=4, heads=3, patch_size=8, side=12)


def filled(model: torch.nn.Module) -> Any:
    torch.manual_seed(0)
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.1)
    return model.eval()


def mae_state() -> dict[str, torch.Tensor]:
    state = filled(MAE(CONFIG, get_sensor("rgb"))).state_dict()
    return state | {"mask_token": torch.zeros(1, 1, 64), "decoder_blocks.0.norm1.weight": torch.ones(64)}


def satmae_state() -> dict[str, torch.Tensor]:
    sensor = get_sensor("sentinel2-l1c").select(["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"])
    state = filled(SatMAE(CONFIG, sensor, channel_width=64)).state_dict()
    del state["channel_cls_embed"]  # its pretraining has none
    return state | {"decoder_channel_embed": torch.zeros(1, 4, 32)}


def prithvi_state(frames: int = 4) -> dict[str, torch.Tensor]:
    config = PublishedConfig("test", width=192, depth=4, heads=3, patch_size=16, side=14)
    state = filled(Prithvi(config, SENTINEL2.select(["B02", "B03", "B04", "B8A", "B11", "B12"]))).state_dict()
    state["patch_embed.proj.weight"] = state["patch_embed.proj.weight"].unsqueeze(2)
    state["pos_embed"] = torch.zeros(1, 1 + frames * 196, 192)
    return {f"encoder.{key}": value for key, value in state.items()} | {"decoder.mask_token": torch.zeros(1)}


def clay_state() -> dict[str, torch.Tensor]:
    names = {"norm1": "0.norm", "attn.qkv": "0.to_qkv", "attn.proj": "0.to_out", "norm2": "1.net.0"}
    names |= {"mlp.fc1": "1.net.1", "mlp.fc2": "1.net.3"}
    state = {}
    for key, value in filled(Clay(CONFIG)).state_dict().items():
        if key.startswith("blocks."):
            _, number, part = key.split(".", 2)
            layer, kind = part.rsplit(".", 1)
            if "attn" in layer and kind == "bias":
                continue
            key = f"transformer.layers.{number}.{names[layer]}.{kind}"
        elif key.startswith("norm."):
            key = f"transformer.{key}"
        state[f"model.encoder.{key}"] = value
    return state | {"model.decoder.cls_token": torch.zeros(1), "model.teacher.head": torch.zeros(1)}


FAMILIES = {
    "mae": (mae_state, get_sensor("rgb"), 8),
    "satmae": (satmae_state, get_sensor("sentinel2-l1c"), 8),
    "prithvi": (prithvi_state, SENTINEL2, 16),
    "clay": (clay_state, SENTINEL2, 8),
}


def write(state: dict[str, torch.Tensor], path: Path, **extra: Any) -> Path:
    torch.save({"model" if path.suffix == ".pth" else "state_dict": state, **extra}, path)
    return path


def seen(sensor: Sensor, rows: int, columns: int, seed: int = 0) -> Observation:
    noise = np.random.default_rng(seed).standard_normal((len(sensor), rows, columns)).astype(np.float32)
    return Observation.from_pixels(noise * sensor.stds[:, None, None] + sensor.means[:, None, None], sensor)


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[PublishedEncoder, Sensor, int]:
    state, sensor, patch = FAMILIES[request.param]
    # as training scripts leave them: their options beside the tensors
    path = write(state(), tmp_path / "weights.pth", args=argparse.Namespace(lr=1e-3), epoch=199)
    encoder = load_published(path)
    assert isinstance(encoder, PublishedEncoder)
    return encoder, sensor, patch


def test_shapes_and_readouts(family: tuple[PublishedEncoder, Sensor, int]) -> None:
    encoder, sensor, patch = family
    features = encoder.embed(seen(sensor, 3 * patch, 2 * patch + 3))  # the border is padded
    assert features.grid == (3, 3) and features.tokens.shape == (1, 9, 192)
    assert len(features.level_maps()) == 4 and features.dense().shape == (1, 192, 3, 3)
    assert features.pooled.shape == features.class_token.shape == (1, 192)
    assert bool(features.valid.all()) and features.tokens.std() > 0.01
    assert encoder.loaded is not None and encoder.loaded.dropped


def test_the_files_order_of_bands_does_not_matter(family: tuple[PublishedEncoder, Sensor, int]) -> None:
    encoder, sensor, patch = family
    observation = seen(sensor, 2 * patch, 2 * patch)
    names = [band.name for band in sensor.bands][::-1]
    expected, got = encoder.embed(observation), encoder.embed(observation.select(names))
    torch.testing.assert_close(got.tokens, expected.tokens, rtol=0, atol=2e-5)


def test_nobody_sees_invalid_patches(family: tuple[PublishedEncoder, Sensor, int]) -> None:
    encoder, sensor, patch = family
    observation = seen(sensor, 2 * patch, 3 * patch)
    holes, other = observation.valid.copy(), observation.pixels.copy()
    holes[:, :patch, :patch] = False
    other[:, :patch, :patch] = 1000.0
    first = Observation.from_pixels(observation.pixels, sensor, valid=holes)
    second = Observation.from_pixels(other, sensor, valid=holes)
    one, two = encoder.embed(first), encoder.embed(second)
    assert not one.valid[0, 0] and not one.tokens[0, 0].any()
    torch.testing.assert_close(one.tokens, two.tokens, rtol=0, atol=0)
    assert not torch.allclose(one.pooled, encoder.embed(observation).pooled)


def test_batches_are_their_images(family: tuple[PublishedEncoder, Sensor, int]) -> None:
    encoder, sensor, patch = family
    images = [seen(sensor, 2 * patch, 2 * patch, seed) for seed in range(3)]
    with torch.inference_mode():
        together = encoder(stack_observations(images))
    for number, image in enumerate(images):
        torch.testing.assert_close(together.tokens[number], encoder.embed(image).tokens[0], rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("suffix", [".pth", ".ckpt", ".safetensors"])
def test_any_file_gives_the_same(name: str, suffix: str, tmp_path: Path) -> None:
    state, sensor, patch = FAMILIES[name]
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file({key: value.contiguous() for key, value in state().items()}, path)
    else:
        write(state(), path)
    features = load_published(path).embed(seen(sensor, patch, patch))
    expected = load_published(write(state(), tmp_path / "other.pth")).embed(seen(sensor, patch, patch))
    torch.testing.assert_close(features.tokens, expected.tokens)


@pytest.mark.parametrize("name", FAMILIES)
def test_what_does_not_fit_is_named(name: str) -> None:
    state = FAMILIES[name][0]()
    block = next(key for key in state if key.endswith(("blocks.2.norm1.weight", "layers.2.0.norm.weight")))
    short = {key: value for key, value in state.items() if key != block}
    with pytest.raises(ValueError, match=r"missing keys: blocks\.2\.norm1\.weight"):
        encoder_from_state_dict(short)
    prefix = block[: block.index("blocks" if "blocks" in block else "transformer")]
    with pytest.raises(ValueError, match="unexpected keys: surprise"):
        encoder_from_state_dict(state | {f"{prefix}surprise": torch.zeros(1)})
    wrong = state | {block: torch.zeros(7)}
    with pytest.raises(ValueError, match=r"blocks.2.norm1.weight has shape \(7,\), the model needs \(192,\)"):
        encoder_from_state_dict(wrong)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none of Clay, DOFA, .*, Prithvi and SatMAE; its 1 keys"):
        encoder_from_state_dict({"conv1.weight": torch.zeros(3, 3)})
    with pytest.raises(FileNotFoundError, match=r"hub:OWNER/REPOSITORY/FILE or one of: clay-v1"):
        load_published(tmp_path / "absent.pth")
    with pytest.raises(ValueError, match="write hub:OWNER/REPOSITORY/FILE"):
        load_published("hub:justone")
    path = tmp_path / "evil.pth"
    torch.save({"model": {"cls_token": Path("/")}}, path)
    with pytest.raises(ValueError, match="not a weights file that can be read safely"):
        load_published(path)
    with pytest.raises(ValueError, match="width 200 is no published size"):
        state = filled(MAE(PublishedConfig("x", 200, 1, 5, 8, 2), get_sensor("rgb"))).state_dict()
        encoder_from_state_dict(state)
    with pytest.raises(ValueError, match=r"13 channels and do not say which; none was given"):
        encoder_from_state_dict(filled(MAE(CONFIG, get_sensor("sentinel2-l1c"))).state_dict())
    with pytest.raises(ValueError, match="not for frames of 224"):
        encoder_from_state_dict(prithvi_state() | {"encoder.pos_embed": torch.zeros(1, 100, 192)})


def test_bands_and_units_are_checked() -> None:
    encoder = encoder_from_state_dict(prithvi_state())
    with pytest.raises(ValueError, match="Prithvi needs nir08; sentinel2-l2a has red, green, blue"):
        encoder.embed(seen(SENTINEL2.select(["B04", "B03", "B02"]), 16, 16))
    with pytest.raises(ValueError, match="normalises red in uint8, sentinel2-l2a has it in reflectance"):
        encoder_from_state_dict(mae_state()).embed(seen(SENTINEL2, 16, 16))
    with pytest.raises(ValueError, match="patches of 16 pixels only, got patch_size=8"):
        encoder.embed(seen(SENTINEL2, 16, 16), patch_size=8)


def test_normalisation_is_the_published_one() -> None:
    """Prithvi 1 and 2 and SatMAE, by hand from the numbers of the product."""
    for frames, mean, std in ((3, 775.0, 1282.0), (4, 1087.0, 2248.0)):
        sensor = encoder_from_state_dict(prithvi_state(frames)).sensor
        assert sensor.means[0] == pytest.approx(mean / 1e4) and sensor.stds[0] == pytest.approx(std / 1e4)
    encoder = encoder_from_state_dict(satmae_state())
    pixels = torch.tensor([0.0, 1184.38, 1184.38 + 2 * 650.28, 9000.0]).view(1, 1, 1, 4).expand(1, 10, 1, 4) / 1e4
    values = encoder.normalise(pixels, torch.ones_like(pixels, dtype=torch.bool), encoder.sensor)
    expected = torch.tensor([0.0447, 0.5, 1.0, 1.0])
    torch.testing.assert_close(values[0, 0, 0], expected, rtol=0, atol=1e-3)


def test_clay_places_by_metres() -> None:
    encoder = encoder_from_state_dict(clay_state())
    observation = seen(SENTINEL2, 16, 16)
    batch = stack_observations([observation])
    other = SensorBatch(batch.pixels, batch.valid, batch.sensor, batch.ground_sample_distance * 3)
    with torch.inference_mode():
        assert not torch.allclose(encoder(batch).tokens, encoder(other).tokens)
    with pytest.raises(ValueError, match="elevation: Clay knows optical bands, VV and VH"):
        encoder.embed(seen(elevation(), 16, 16))


def elevation() -> Sensor:
    from skyweave.core.sensors import Band

    return Sensor("dem", "dem", (Band("height", kind="elevation", unit="metre"),), 10.0)


def test_load_reads_them_too(tmp_path: Path) -> None:
    """One name for all weights: what the commands pass on."""
    path = write(prithvi_state(), tmp_path / "prithvi.pt")
    encoder = load_encoder(path)
    assert encoder.embed(seen(SENTINEL2, 32, 32)).tokens.shape == (1, 4, 192)
    assert len(fingerprint(encoder)) == 16


def test_dofa_comes_the_same_way() -> None:
    state = DOFA(VARIANTS["dofa-v1-base"]).state_dict()
    assert isinstance(encoder_from_state_dict({k: v for k, v in state.items() if not k.startswith("norm.")}), DOFA)
