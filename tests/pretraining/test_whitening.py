"""Learned whitening: features of the same ground come closer, and nothing else is lost."""

import pytest
import torch
import yaml
from tests.fabricated_dataset import write_raster

from skyweave.backbone import build_backbone, load_backbone, save_checkpoint
from skyweave.backbone.batch import stack_observations
from skyweave.core.errors import ConfigError, DataError
from skyweave.data.dataset import ImageDataset, load_dataset
from skyweave.pretraining.masking import coarsen
from skyweave.pretraining.whitening import WhiteningConfig, fit_whitening, whitening_matrix


@pytest.fixture
def dataset(tmp_path) -> ImageDataset:
    """Return smooth random images of two sources of the same places."""
    generator = torch.Generator().manual_seed(0)
    for number in range(12):
        smooth = torch.rand(1, 3, 6, 6, generator=generator)
        pixels = 200 * torch.nn.functional.interpolate(smooth, (48, 48), mode="bicubic").clamp(0.05)[0]
        write_raster(tmp_path / "one" / f"{number}.tif", pixels.numpy().astype("uint8"), 0.1)
        write_raster(tmp_path / "two" / f"{number}.tif", (pixels * 0.8 + 20).numpy().astype("uint8"), 0.1)
    source = {"sensor": "rgb", "bands": "sensor", "unit": "uint8", "place": r"(\d+)\.tif"}
    sources = [{"name": name, "files": f"{name}/*.tif", **source} for name in ("one", "two")]
    (tmp_path / "data.yaml").write_text(yaml.safe_dump({"sources": sources}))
    return load_dataset(tmp_path / "data.yaml", tmp_path, cache=tmp_path / "cache")


def _same_ground(backbone, dataset):
    """Return the median cosines of images and coarser copies, and of different images."""
    batch = stack_observations([dataset.observation(int(i)) for i in dataset.sources[0].indices])
    with torch.inference_mode():
        one, other = (backbone(b, 4).pooled for b in (batch, coarsen(batch, 2)))
    units = torch.nn.functional.normalize(one, dim=-1)
    different = (units @ units.T)[~torch.eye(len(units), dtype=torch.bool)]
    return float(torch.cosine_similarity(one, other).median()), float(different.median())


def test_same_ground_comes_closer_and_other_ground_goes_away(dataset) -> None:
    backbone = build_backbone("tiny", depth=2, seed=0).eval()
    before = _same_ground(backbone, dataset)
    fit_whitening(backbone, dataset)
    after = _same_ground(backbone, dataset)
    assert after[0] - after[1] > before[0] - before[1] + 0.2
    assert abs(after[1]) < 0.6 < after[0]


def test_whitening_stays_with_the_weights_and_changes_their_fingerprint(dataset, tmp_path) -> None:
    backbone = build_backbone("tiny", depth=2, seed=0).eval()
    plain = save_checkpoint(tmp_path / "plain.safetensors", backbone, "plain")
    fit_whitening(backbone, dataset)
    card = save_checkpoint(tmp_path / "white.safetensors", backbone, "white")
    assert card.fingerprint != plain.fingerprint and "whitened" not in plain.architecture
    assert _same_ground(load_backbone(tmp_path / "white.safetensors"), dataset) == _same_ground(backbone, dataset)


def test_fitting_again_replaces_the_whitening(dataset) -> None:
    backbone = build_backbone("tiny", depth=2, seed=0).eval()
    fit_whitening(backbone, dataset)
    first = backbone.whitening.weight.clone()
    fit_whitening(backbone, dataset)
    assert torch.equal(first, backbone.whitening.weight)


def test_matrix_whitens_differences_and_favours_what_tells_places_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    factors = torch.randn(2, 6, 6, generator=generator, dtype=torch.float64)
    same, places = (factor @ factor.T for factor in factors)
    plain = whitening_matrix(same, places, WhiteningConfig(shrinkage=1e-9, contrast=0.0))
    whitened = plain @ same @ plain.T
    assert torch.allclose(whitened / whitened[0, 0], torch.eye(6, dtype=torch.float64), atol=1e-6)
    favoured = whitening_matrix(same, places, WhiteningConfig(shrinkage=1e-9, contrast=0.5))
    noise, signal = ((favoured @ part @ favoured.T).diagonal() for part in (same, places))
    assert torch.allclose(
        signal / noise**2, (signal / noise**2)[:1].expand(6), rtol=1e-3
    )  # weights are the ratio's root
    assert float(signal.mean()) == pytest.approx(1)


@pytest.mark.parametrize(
    "changes", [{"images": 1}, {"side": 1}, {"shrinkage": 0.0}, {"shrinkage": 1.5}, {"contrast": -1.0}]
)
def test_configuration_names_what_is_wrong(changes) -> None:
    with pytest.raises(ConfigError, match="whitening"):
        WhiteningConfig(**changes)


def test_a_whitening_that_cannot_be_fitted_leaves_the_backbone_as_it_is(dataset) -> None:
    backbone = build_backbone("tiny", depth=2, seed=0)
    fit_whitening(backbone, dataset)
    before, dataset.sources = backbone.whitening, []
    with pytest.raises(DataError, match="whitening"):
        fit_whitening(backbone, dataset)
    assert backbone.whitening is before and backbone.training
