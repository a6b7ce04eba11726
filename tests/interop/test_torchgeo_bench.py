"""torchgeo-bench, unmodified, runs our model: its interface, its segmentation probe, its linear probe.

``make test-torchgeo-bench`` makes an environment for it, from its repository: it is on no package index.
"""

import importlib.util

import numpy as np
import pytest
import torch

if importlib.util.find_spec("torchgeo_bench") is None:
    pytest.skip("torchgeo-bench is not installed; see docs/interop.md", allow_module_level=True)

from torch.utils.data import DataLoader, Dataset
from torchgeo_bench.datasets.base import BandSpec
from torchgeo_bench.datasets.m_eurosat import MEurosat
from torchgeo_bench.main import evaluate_knn
from torchgeo_bench.segmentation_probe import SegmentationProbe
from torchgeo_bench.segmentation_task import SegmentationSolver

from skyweave.backbone import load_backbone
from skyweave.backbone.batch import SensorBatch
from skyweave.core.sensors import get_sensor
from skyweave.interop.torchgeo_bench import SkyweaveBench

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]
RADAR = [
    BandSpec("s1", "vv", "VV", mean=-12.0, std=5.0, min=-60, max=20),
    BandSpec("s1", "vh", "VH", mean=-19.0, std=5.0, min=-60, max=20),
]


class Stored(Dataset[dict[str, torch.Tensor]]):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(index)
        image = torch.randint(0, 5000, (13, 64, 64), generator=generator).float()
        return {"image": image, "mask": torch.randint(0, 3, (64, 64), generator=generator)}


@torch.inference_mode()
def test_features_are_ours_with_a_unit() -> None:
    names = ["blue", "green", "red", "nir"]
    bands = [band for band in MEurosat.bands if band.name in names]
    model = SkyweaveBench(bands, weights="tiny", unit="dn").eval()
    images = torch.randint(0, 5000, (2, 4, 64, 64)).float()
    sensor = get_sensor("sentinel2-l2a").select(["B02", "B03", "B04", "B08"])
    batch = SensorBatch(images * 1e-4, torch.ones_like(images, dtype=torch.bool), sensor, torch.full((2,), 10.0))
    torch.testing.assert_close(model(images), load_backbone("tiny")(batch).pooled, rtol=0, atol=1e-5)


@torch.inference_mode()
def test_features_are_ours_standardised() -> None:
    model = SkyweaveBench(MEurosat.bands, weights="tiny").eval()
    images = torch.stack([Stored()[index]["image"] for index in range(2)])
    mean = torch.tensor([band.mean for band in MEurosat.bands]).view(-1, 1, 1)
    std = torch.tensor([band.std for band in MEurosat.bands]).view(-1, 1, 1)
    names = [band.source_name.split(" - ")[0].lstrip("0") for band in MEurosat.bands]
    sensor = get_sensor("sentinel2-l1c").select([f"B{name.rjust(2, '0') if name != '8A' else name}" for name in names])
    own = sensor.with_statistics(mean.flatten().tolist(), std.flatten().tolist())
    backbone = load_backbone("tiny")
    backbone.sensors.pop("sentinel2-l1c", None)  # the dataset's statistics, not the model's
    batch = SensorBatch(images, torch.ones_like(images, dtype=torch.bool), own, torch.full((2,), 10.0))
    torch.testing.assert_close(model(images), backbone(batch).pooled, rtol=0, atol=1e-5)


@torch.inference_mode()
def test_two_sensors_give_one_embedding() -> None:
    model = SkyweaveBench([*MEurosat.bands, *RADAR], weights="tiny").eval()
    assert [len(channels) for channels in model.channels] == [13, 2]
    assert model(torch.rand(2, 15, 32, 32) * 1000).shape == (2, 192)


def test_its_own_trainer_trains_an_epoch() -> None:
    model = SkyweaveBench(MEurosat.bands, weights="tiny")
    probe = SegmentationProbe(model, ["level_4", "level_2"], num_classes=3, head_type="fpn", hidden_dim=16)
    assert probe.channels_list == [192, 192] and probe.feature_hw_list == [(28, 28)] * 2
    before = {name: value.detach().clone() for name, value in probe.named_parameters()}
    loader = DataLoader(Stored(), batch_size=4)
    score = SegmentationSolver(probe, 3, device="cpu").fit(loader, loader, epochs=1, verbose=False)
    assert score is not None and 0 <= score <= 1
    changed = {name for name, value in probe.named_parameters() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith("head.") for name in changed)


@torch.inference_mode()
def test_its_nearest_neighbours_score_our_features() -> None:
    model = SkyweaveBench(MEurosat.bands, weights="tiny").eval()
    labels = np.arange(24) % 3
    noise = torch.rand(24, 13, 32, 32, generator=torch.Generator().manual_seed(0)) * 300
    images = noise + torch.from_numpy(labels).view(-1, 1, 1, 1) * 1500.0  # classes of different brightness
    features = model(images).numpy()
    accuracy, low, high, _, _ = evaluate_knn(features[:15], labels[:15], features[15:], labels[15:], 0, 10)
    assert accuracy == 1.0 and low <= accuracy <= high


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="does not go with unit"):
        SkyweaveBench(RADAR, normalization="identity")
    with pytest.raises(ValueError, match="leave it out"):
        SkyweaveBench([BandSpec("s1", "vv_vh", "vv/vh", mean=0, std=1, min=0, max=1)])
