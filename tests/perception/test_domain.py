import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import fabricated_scene as toy
from skyweave.backbone import build_backbone
from skyweave.backbone.config import BackboneConfig
from skyweave.core.errors import WeightsError
from skyweave.perception.augmentation import AugmentationConfig
from skyweave.perception.batch import collate
from skyweave.perception.dataset import PerceptionDataset
from skyweave.perception.domain import TrainingDomain
from skyweave.perception.domain_measurement import measure_domain
from skyweave.perception.model import PerceptionModel
from skyweave.perception.photometric import PhotometricConfig
from skyweave.perception.prediction import predict
from skyweave.perception.weights import fingerprint, load_perception, save_perception

SIZES = {"car": np.array([[4.0, 1.8, 1.4], [5.0, 2.0, 1.6]])}


def features(count: int = 400, shift: float = 0.0) -> np.ndarray:
    generator = np.random.default_rng(1)
    latent = generator.standard_normal((count, 3)) @ generator.standard_normal((3, 12))
    return (latent + 0.1 * generator.standard_normal((count, 12)) + shift).astype(np.float32)


def model() -> PerceptionModel:
    backbone = build_backbone(BackboneConfig(width=32, depth=2, heads=2, patch_size=8), [toy.RGB], seed=0)
    return PerceptionModel(toy.config(), backbone).eval()


def test_hardly_any_training_image_is_novel_and_another_world_is() -> None:
    domain = TrainingDomain.fit(features()[::2], features()[1::2], SIZES)
    again = domain.novelty(torch.from_numpy(features()))
    assert (again > 1).float().mean() < 0.03
    assert (domain.novelty(torch.from_numpy(features(20, shift=3.0))) > 5).all()


def test_boxes_of_sizes_that_a_class_cannot_have_are_not_plausible() -> None:
    domain = TrainingDomain.fit(features()[::2], features()[1::2], SIZES)
    sizes = np.array([[4.5, 1.9, 1.5], [54.6, 5.2, 54.6], [54.6, 5.2, 54.6], [1.9, 1.9, 1.5]])
    assert domain.plausible(sizes, ["car", "car", "tram", "car"]).tolist() == [True, False, True, False]
    assert domain.plausible(np.zeros((0, 3)), []).tolist() == []


def test_a_card_keeps_it_and_a_damaged_one_is_named() -> None:
    domain = TrainingDomain.fit(features()[::2], features()[1::2], SIZES)
    content = json.loads(json.dumps(domain.to_card()))
    read, x = TrainingDomain.from_card(content), torch.from_numpy(features(5))
    assert torch.equal(read.novelty(x), domain.novelty(x))
    assert read.sizes["car"] == pytest.approx(SIZES["car"])
    with pytest.raises(WeightsError, match="domain"):
        TrainingDomain.from_card(content | {"axes": content["mean"]})
    with pytest.raises(WeightsError, match="domain"):
        TrainingDomain.from_card({})


def test_a_model_says_how_unlike_its_training_what_it_sees_is(tmp_path: Path) -> None:
    dataset, perception = PerceptionDataset([toy.scene(), toy.scene()], toy.config()), model()
    before = fingerprint(perception)
    assert predict(perception, collate([dataset[2]]))[0].novelty is None
    perception.domain = measure_domain(perception, dataset)
    assert perception.domain is not None and fingerprint(perception) == before, "peers still understand each other"
    save_perception(tmp_path / "w.safetensors", perception, "toy")
    again = load_perception(tmp_path / "w.safetensors")
    familiar, sample = predict(again, collate([dataset[2]]))[0].novelty, dataset[2]
    strange = []
    for view in sample.frames[1]:
        inverted = replace(view.observation, pixels=255 - view.observation.pixels)
        strange.append(replace(view, observation=inverted))
    unlike = predict(again, collate([replace(sample, frames=[sample.frames[0], strange])]))[0].novelty
    assert familiar is not None and unlike is not None and unlike > max(2 * familiar, 1)


def test_the_domain_is_of_images_as_they_were_recorded() -> None:
    scenes, perception = [toy.scene(), toy.scene()], model()
    domains = [
        measure_domain(
            perception, PerceptionDataset(scenes, toy.config(), AugmentationConfig(photometric=effects), 2, 0)
        )
        for effects in (PhotometricConfig(share=1.0), PhotometricConfig(share=0.0))
    ]
    assert domains[0] is not None and domains[1] is not None
    np.testing.assert_allclose(domains[0].mean, domains[1].mean, rtol=1e-5)


def test_too_few_images_say_nothing() -> None:
    dataset = PerceptionDataset([toy.scene(1)], toy.config(history=1))
    assert measure_domain(model(), dataset) is None
