"""TerraTorch, unmodified, on our backbone. ``make test-terratorch`` makes an environment for it."""

import importlib.util
from typing import Any

import pytest
import torch

if importlib.util.find_spec("terratorch") is None:
    pytest.skip("terratorch is not installed; run make test-terratorch", allow_module_level=True)

from lightning.pytorch import Trainer
from terratorch.registry import BACKBONE_REGISTRY
from terratorch.tasks import ClassificationTask, SemanticSegmentationTask
from torch.utils.data import DataLoader, Dataset

from skyweave.backbone import Backbone, load_backbone
from skyweave.backbone.batch import SensorBatch
from skyweave.core.sensors import get_sensor
from skyweave.interop.terratorch import register_terratorch_backbone

pytestmark = [
    pytest.mark.interop,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),  # what other libraries warn each other of
]
BANDS = ["BLUE", "GREEN", "RED", "NIR_NARROW"]
SENSOR = get_sensor("sentinel2-l2a").select(["B02", "B03", "B04", "B8A"])
BACKBONE = {
    "backbone": "skyweave_tiny",
    "backbone_pretrained": True,
    "backbone_sensor": "sentinel2-l2a",
    "backbone_bands": BANDS,
    "backbone_unit": "dn",
}
RESHAPE = {"name": "ReshapeTokensToImage", "remove_cls_token": False}


class Stored(Dataset[dict[str, Any]]):
    def __init__(self, key: str) -> None:
        self.key = key

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(index)
        image = torch.randint(0, 5000, (4, 64, 64), generator=generator).float()
        if self.key == "label":
            return {"image": image, "label": torch.tensor(index % 3), "filename": str(index)}
        return {"image": image, "mask": torch.randint(0, 3, (64, 64), generator=generator), "filename": str(index)}


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    register_terratorch_backbone()
    return load_backbone("tiny")


def epoch(task: Any, key: str) -> dict[str, float]:
    loader = DataLoader(Stored(key), batch_size=4)
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.fit(task, loader, loader)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def test_features_are_ours(backbone: Backbone) -> None:
    images = torch.stack([Stored("mask")[index]["image"] for index in range(2)])
    options = {key.removeprefix("backbone_"): value for key, value in BACKBONE.items() if key != "backbone"}
    model = BACKBONE_REGISTRY.build("skyweave_tiny", **options).eval()
    everything = torch.ones_like(images, dtype=torch.bool)
    with torch.inference_mode():
        expected = backbone(SensorBatch(images * 1e-4, everything, SENSOR, torch.full((2,), 10.0))).level_maps()
        maps = model(images)
    assert model.out_channels == [192] * 4
    for level, own in zip(maps, expected, strict=True):
        torch.testing.assert_close(level, own, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("decoder", "necks", "options"),
    [
        ("FCNDecoder", [RESHAPE], {"decoder_channels": 32}),
        (
            "UNetDecoder",
            [{"name": "SelectIndices", "indices": [0, 1, 2, 3]}, RESHAPE, {"name": "LearnedInterpolateToPyramidal"}],
            {"decoder_channels": [64, 32, 16, 8]},
        ),
        ("UperNetDecoder", [{"name": "InterpolateToPyramidal"}], {"decoder_channels": 32}),
    ],
)
def test_segmentation_trains(backbone: Backbone, decoder: str, necks: list[Any], options: dict[str, Any]) -> None:
    arguments = {**BACKBONE, "decoder": decoder, "necks": necks, "num_classes": 3, **options}
    task = SemanticSegmentationTask(
        model_args=arguments,
        model_factory="EncoderDecoderFactory",
        lr=1e-3,
        plot_on_val=False,
        ignore_index=255,  # its default, None, is refused by torch's own loss
    )
    before = [value.detach().clone() for value in task.model.encoder.parameters()]
    assert torch.equal(before[0], next(backbone.parameters()))
    metrics = epoch(task, "mask")
    assert 0 < metrics["train/loss"] < 10
    changed = [not torch.equal(old, new) for old, new in zip(before, task.model.encoder.parameters(), strict=True)]
    assert sum(changed) > len(changed) / 2


def test_classification_trains_frozen(backbone: Backbone) -> None:
    arguments = {**BACKBONE, "decoder": "IdentityDecoder", "necks": [{"name": "AggregateTokens"}], "num_classes": 3}
    task = ClassificationTask(
        model_args=arguments, model_factory="EncoderDecoderFactory", lr=1e-3, freeze_backbone=True
    )
    before = [value.detach().clone() for value in task.model.encoder.parameters()]
    assert 0 < epoch(task, "label")["train/loss"] < 10
    assert all(torch.equal(old, new) for old, new in zip(before, task.model.encoder.parameters(), strict=True))


def test_mistakes_are_named(backbone: Backbone) -> None:
    with pytest.raises(ValueError, match="backbone_weights"):
        BACKBONE_REGISTRY.build("skyweave", sensor="sentinel2-l2a")
    model = BACKBONE_REGISTRY.build("skyweave", sensor="sentinel2-l2a", weights="tiny", bands=["RED"])
    with pytest.raises(ValueError, match="backbone_use_temporal"):
        model(torch.zeros(1, 1, 3, 32, 32))
