"""TorchGeo's own trainers, unmodified, on our backbone. ``make test-interop`` makes an environment for it."""

import importlib.util
from collections.abc import Iterator

import pytest
import torch

if importlib.util.find_spec("torchgeo") is None:
    pytest.skip("torchgeo is not installed; run make test-interop", allow_module_level=True)

import timm
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader
from torchgeo.datasets import NonGeoDataset
from torchgeo.trainers import ClassificationTask, SemanticSegmentationTask

from skyweave.backbone import Backbone, load_backbone
from skyweave.backbone.batch import SensorBatch
from skyweave.core.sensors import get_sensor
from skyweave.interop.timm_model import register_timm_encoder
from skyweave.interop.torchgeo import to_batch

pytestmark = [
    pytest.mark.interop,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),  # what other libraries warn each other of
]
SENSOR = get_sensor("sentinel2-l2a").select(["B04", "B03", "B02", "B08"])


class Stored(NonGeoDataset):
    """A tiny dataset as torchgeo's are: stored numbers, not reflectance."""

    def __init__(self, key: str, samples: int = 8) -> None:
        self.key, self.samples = key, samples

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(index)
        image = torch.randint(0, 5000, (4, 64, 64), generator=generator).float()
        if self.key == "label":
            return {"image": image, "label": torch.tensor(index % 3)}
        return {"image": image, "mask": torch.randint(0, 3, (64, 64), generator=generator)}


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    register_timm_encoder("skyweave_tiny_rgbn", "tiny", SENSOR, unit="dn")
    return load_backbone("tiny")


def epoch(task: torch.nn.Module, key: str) -> dict[str, float]:
    loader = DataLoader(Stored(key), batch_size=4)
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.fit(task, loader, loader)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def test_features_are_ours(backbone: Backbone) -> None:
    images = torch.stack([Stored("label")[index]["image"] for index in range(2)])
    model = timm.create_model("skyweave_tiny_rgbn", pretrained=True, num_classes=0).eval()
    with torch.inference_mode():
        expected = backbone(to_batch({"image": images}, SENSOR, unit="dn"))
        torch.testing.assert_close(model(images), expected.pooled, rtol=0, atol=1e-5)
        torch.testing.assert_close(model.forward_features(images), expected.tokens, rtol=0, atol=1e-5)
        by_hand = SensorBatch(images * 1e-4, torch.ones_like(images, dtype=torch.bool), SENSOR, torch.full((2,), 10.0))
        torch.testing.assert_close(backbone(by_hand).pooled, expected.pooled, rtol=0, atol=1e-5)


@pytest.mark.parametrize("frozen", [False, True])
def test_classification_trains(backbone: Backbone, frozen: bool) -> None:
    task = ClassificationTask(
        model="skyweave_tiny_rgbn", weights=True, in_channels=4, num_classes=3, lr=1e-4, freeze_backbone=frozen
    )
    before = task.model.features.encoder.encoder.blocks[0].attn.qkv.weight.detach().clone()
    head = task.model.head.weight.detach().clone()
    metrics = epoch(task, "label")
    assert 0 < metrics["train_loss"] < 10
    after = task.model.features.encoder.encoder.blocks[0].attn.qkv.weight
    assert torch.equal(before, after) == frozen and not torch.equal(head, task.model.head.weight)


@pytest.mark.parametrize("model", ["unet", "upernet", "dpt"])
def test_segmentation_trains(backbone: Backbone, model: str) -> None:
    task = SemanticSegmentationTask(
        model=model, backbone="tu-skyweave_tiny_rgbn", weights=True, in_channels=4, num_classes=3, lr=1e-3
    )
    encoder = task.model.encoder
    images = torch.stack([Stored("mask")[index]["image"] for index in range(2)])
    with torch.inference_mode():
        expected = backbone(to_batch({"image": images}, SENSOR, unit="dn")).level_maps()
        maps = encoder.eval()(images)[0] if model == "dpt" else encoder.eval()(images)
        at_own_stride = maps[2] if model == "dpt" else maps[3]
        torch.testing.assert_close(at_own_stride, expected[2 if model == "dpt" else 1], rtol=0, atol=1e-5)
    metrics = epoch(task, "mask")
    assert 0 < metrics["train_loss"] < 10


def test_weights_are_those_asked_for(backbone: Backbone) -> None:
    def first(pretrained: bool) -> torch.Tensor:
        model = timm.create_model("skyweave_tiny_rgbn", pretrained=pretrained)
        return model.features.encoder.encoder.blocks[0].attn.qkv.weight

    assert torch.equal(first(True), backbone.encoder.blocks[0].attn.qkv.weight)
    assert not torch.equal(first(False), first(True))
    with pytest.raises(ValueError, match="3 channels were asked for"):
        timm.create_model("skyweave_tiny_rgbn", in_chans=3)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
