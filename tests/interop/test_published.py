"""Published encoders against their own implementations, on random weights in their published layout.

MAE against timm, Prithvi and Clay against TerraTorch, SatMAE against its repository ($SKYWEAVE_SATMAE: a clone).
"""

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

if importlib.util.find_spec("timm") is None:
    pytest.skip("timm is not installed; run make test-interop or make test-terratorch", allow_module_level=True)

import timm

from skyweave.backbone.batch import SensorBatch
from skyweave.backbone.pretrained.published import load_published
from skyweave.backbone.pretrained.vision_transformer import PublishedEncoder
from skyweave.core.sensors import get_sensor
from skyweave.core.sensors.sensor import Sensor

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]
TOLERANCE = 1e-4
needs_terratorch = pytest.mark.skipif(
    importlib.util.find_spec("terratorch") is None, reason="terratorch is not installed; run make test-terratorch"
)


@pytest.fixture(autouse=True)
def full_precision() -> Iterator[None]:
    """TerraTorch lets torch multiply in bfloat16 (`set_float32_matmul_precision`), which no two codes do alike."""
    if importlib.util.find_spec("terratorch") is not None:
        importlib.import_module("terratorch.models.backbones")
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


def shaken(model: torch.nn.Module) -> Any:
    """Random where the class starts at zeros or ones, which would hide mistakes; fixed tables stay fixed."""
    torch.manual_seed(0)
    for name, value in model.named_parameters():
        if value.ndim == 1 or "token" in name or "channel_cls" in name:
            torch.nn.init.normal_(value, float("norm" in name and name.endswith("weight")), 0.3)
    return model.eval()


def saved(state: dict[str, torch.Tensor], folder: Path, **extra: Any) -> Path:
    path = folder / "weights.pth"
    torch.save({"model": state, **extra}, path)
    return path


def batch_of(sensor: Sensor, rows: int, columns: int) -> SensorBatch:
    torch.manual_seed(1)
    means, stds = (torch.from_numpy(v).view(-1, 1, 1) for v in (sensor.means, sensor.stds))
    pixels = torch.randn(2, len(sensor), rows, columns) * stds + means
    metres = torch.full((2,), sensor.ground_sample_distance)
    return SensorBatch(pixels, torch.ones_like(pixels, dtype=torch.bool), sensor, metres)


def standardised(batch: SensorBatch, sensor: Sensor | None = None) -> torch.Tensor:
    sensor = sensor or batch.sensor
    return (batch.pixels - torch.from_numpy(sensor.means).view(-1, 1, 1)) / torch.from_numpy(sensor.stds).view(-1, 1, 1)


def same(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert theirs.std() > 0.05  # constants would prove nothing
    print(f"largest difference {(ours - theirs).abs().max().item():.1e}")
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=TOLERANCE)


@pytest.mark.parametrize("pool", ["token", "avg"])
@pytest.mark.parametrize("size", [(224, 224), (160, 240)])
@torch.inference_mode()
def test_mae_is_timms_vit(tmp_path: Path, pool: str, size: tuple[int, int]) -> None:
    theirs = timm.create_model(
        "vit_tiny_patch16_224", num_classes=0, global_pool=pool, dynamic_img_size=True, class_token=True
    )
    torch.nn.init.normal_(theirs.pos_embed, std=0.3)
    theirs = shaken(theirs)
    state = theirs.state_dict() | {"mask_token": torch.zeros(1), "decoder_embed.weight": torch.zeros(2, 2)}
    ours = load_published(saved(state, tmp_path))
    batch = batch_of(get_sensor("rgb"), *size)
    assert ours.sensor is not None
    images = standardised(batch, ours.sensor)
    features = ours(batch)
    tokens, intermediates = theirs.forward_intermediates(images, indices=[2, 5, 8, 11])
    for own, reference in zip(features.level_maps(), intermediates, strict=True):
        same(own, reference)
    if pool == "token":
        same(features.tokens, tokens[:, 1:])
        same(features.class_token, theirs(images))
    else:
        same(features.embedding, theirs(images))


@needs_terratorch
@pytest.mark.parametrize("layout", ["version 1", "version 2"])
@pytest.mark.parametrize("size", [(224, 224), (160, 256)])
@torch.inference_mode()
def test_prithvi_is_terratorchs(tmp_path: Path, layout: str, size: tuple[int, int]) -> None:
    from terratorch.models.backbones.prithvi_mae import PrithviViT

    shape = {"in_chans": 6, "embed_dim": 192, "depth": 8, "num_heads": 3}
    theirs = shaken(PrithviViT(num_frames=1, **shape))
    stored = dict(theirs.state_dict())
    frames = 3 if layout == "version 1" else 4
    stored["pos_embed"] = PrithviViT(num_frames=frames, **shape).state_dict()["pos_embed"]
    prefix = "" if layout == "version 1" else "encoder."
    state = {prefix + key: value for key, value in stored.items()}
    state |= {"decoder_embed.weight": torch.zeros(2, 2)} if not prefix else {"decoder.mask_token": torch.zeros(1)}
    ours = load_published(saved(state, tmp_path))
    assert ours.sensor is not None
    batch = batch_of(get_sensor("sentinel2-l2a"), *size)  # all of its bands: the encoder takes its own
    channels = [batch.sensor.index(band.name) for band in ours.sensor.bands]
    images = standardised(
        SensorBatch(batch.pixels[:, channels], batch.valid[:, channels], ours.sensor, batch.ground_sample_distance)
    )
    features, reference = ours(batch), theirs.forward_features(images)
    for own, block in zip(features.levels[:3], (1, 3, 5), strict=True):
        same(own, reference[block][:, 1:])
    same(features.tokens, reference[-1][:, 1:])
    same(features.class_token, reference[-1][:, 0])


@needs_terratorch
@pytest.mark.parametrize("sensor", ["sentinel2-l2a", "sentinel1-rtc", "naip"])
@torch.inference_mode()
def test_clay_1_5_is_terratorchs(tmp_path: Path, sensor: str) -> None:
    from terratorch.models.backbones.clay_v15.model import Encoder

    theirs = shaken(Encoder(0.0, 8, False, 192, 4, 3, 64, 4.0))
    state = {f"model.encoder.{key}": value for key, value in theirs.state_dict().items()}
    state |= {"model.decoder.mask_patch": torch.zeros(3), "model.proj.weight": torch.zeros(2, 2)}
    check_clay(load_published(saved(state, tmp_path)), theirs, sensor, lambda cube: theirs(cube)[0])


@needs_terratorch
@torch.inference_mode()
def test_clay_1_is_terratorchs(tmp_path: Path) -> None:
    from terratorch.models.backbones.clay_v1.modules import EmbeddingEncoder

    theirs = shaken(EmbeddingEncoder(64, 8, 192, 4, 3, 64, 4.0))
    state = {f"model.encoder.{key}": value for key, value in theirs.state_dict().items()}
    ours = load_published(saved(state, tmp_path))

    def run(cube: dict[str, torch.Tensor]) -> torch.Tensor:
        return theirs(cube)[-1]

    check_clay(ours, theirs, "sentinel2-l2a", run)


def check_clay(ours: PublishedEncoder, theirs: torch.nn.Module, name: str, run: Any) -> None:
    from skyweave.backbone.pretrained.clay import clay_wavelengths

    sensor = get_sensor(name)
    if name == "sentinel2-l2a":
        sensor = sensor.select(["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"])
    batch = batch_of(sensor, 64, 64)
    cube = {
        "pixels": standardised(batch, ours.select_bands(batch).sensor),
        "time": torch.zeros(2, 4),
        "latlon": torch.zeros(2, 4),
        "gsd": torch.tensor(sensor.ground_sample_distance),
        "waves": torch.tensor(clay_wavelengths(sensor)),
    }
    features, reference = ours(batch), run(cube)
    same(features.tokens, reference[:, 1:])
    same(features.class_token, reference[:, 0])


@pytest.mark.skipif("SKYWEAVE_SATMAE" not in os.environ, reason="set SKYWEAVE_SATMAE to a clone of SatMAE")
@pytest.mark.parametrize("pool", [False, True])
@torch.inference_mode()
def test_satmae_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: bool) -> None:
    monkeypatch.syspath_prepend(os.environ["SKYWEAVE_SATMAE"])
    sys.modules.pop("util", None)
    from functools import partial

    import numpy as np

    monkeypatch.setattr(np, "float", float, raising=False)  # its code is older than numpy 1.24
    module = __import__("models_vit_group_channels")
    theirs = module.GroupChannelsVisionTransformer(
        global_pool=pool,
        channel_embed=64,
        embed_dim=192,
        depth=4,
        num_heads=3,
        qkv_bias=True,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        img_size=96,
        patch_size=8,
        in_chans=10,
        num_classes=0,
    )
    theirs = shaken(theirs)
    ours = load_published(saved(theirs.state_dict(), tmp_path))
    assert ours.sensor is not None
    batch = batch_of(get_sensor("sentinel2-l1c"), 96, 96)
    own = ours.select_bands(batch)
    images = standardised(own).clamp(-2, 2) / 4 + 0.5
    features = ours(batch)
    same(features.embedding if pool else features.class_token, theirs.forward_features(images))
