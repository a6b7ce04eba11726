"""Samples, tensors and encoders between our types and those of other libraries; none of them is needed here."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skyweave.backbone import BackboneConfig, build_backbone
from skyweave.backbone.batch import stack_observations
from skyweave.backbone.pretrained.dofa import DOFA, VARIANTS
from skyweave.core.observation import GeoTransform, Observation
from skyweave.core.sensors import catalogue, get_sensor
from skyweave.downstream.labels import IGNORE_INDEX
from skyweave.interop.sensor_module import SensorModule, decode_stored, resample_pyramid
from skyweave.interop.timm_model import Classifier, FeaturePyramid, initialised_encoder
from skyweave.interop.torchgeo import from_sample, label_of, to_batch, to_sample

SENTINEL2 = get_sensor("sentinel2-l2a").select(["B04", "B03", "B02"])


def seen(rows: int = 24, columns: int = 16, geometry: GeoTransform | None = None) -> Observation:
    pixels = np.random.default_rng(0).random((3, rows, columns), np.float32)
    pixels[0, :3, :2] = np.nan
    return Observation.from_pixels(pixels, SENTINEL2, 12.5, geometry=geometry, time=1_700_000_000_000_000_000)


def module(**options: float) -> SensorModule:
    config = BackboneConfig(width=24, depth=4, heads=2, patch_size=8)
    return SensorModule(build_backbone(config, seed=0).eval(), SENTINEL2, **options)  # type: ignore[arg-type]


def test_a_sample_and_back() -> None:
    place = GeoTransform("EPSG:32633", (12.5, 0.0, 400_000.0, 0.0, -12.5, 5_000_000.0))
    observation = seen(geometry=place)
    back = from_sample(to_sample(observation), SENTINEL2, unit=None)
    np.testing.assert_array_equal(back.pixels, observation.pixels)
    np.testing.assert_array_equal(back.valid, observation.valid)
    assert back.ground_sample_distance == pytest.approx(12.5) and back.time == observation.time
    assert back.geotransform is not None and back.geotransform.affine == pytest.approx(place.affine)


def test_degrees_are_no_metres() -> None:
    place = GeoTransform("EPSG:4326", (0.001, 0.0, 10.0, 0.0, -0.001, 50.0))
    back = from_sample(to_sample(seen(geometry=place)), SENTINEL2, unit=None)
    assert back.ground_sample_distance == SENTINEL2.ground_sample_distance


def test_a_turned_image_has_no_bounds() -> None:
    place = GeoTransform("EPSG:32633", (10.0, 1.0, 400_000.0, 1.0, -10.0, 5_000_000.0))
    assert "bounds" not in to_sample(seen(geometry=place))


def test_stored_values_are_decoded_as_declared() -> None:
    stored = torch.randint(0, 10_000, (3, 8, 8)).float()
    observation = from_sample({"image": stored}, SENTINEL2, unit="dn")
    np.testing.assert_allclose(observation.pixels, stored.numpy() * 1e-4, rtol=1e-6)
    batch = to_batch({"image": stored.unsqueeze(0)}, SENTINEL2, unit="dn")
    np.testing.assert_array_equal(batch.pixels[0].numpy(), observation.pixels)
    with pytest.raises(ValueError, match="no unit 'counts'"):
        from_sample({"image": stored}, SENTINEL2, unit="counts")
    with pytest.raises(ValueError, match="3 bands"):
        from_sample({"image": stored[:2]}, SENTINEL2, unit="dn")


@pytest.mark.parametrize("name", catalogue())
def test_tensors_are_decoded_as_arrays_are(name: str) -> None:
    sensor = get_sensor(name)
    stored = np.random.default_rng(1).uniform(-5, 20_000, (len(sensor), 4, 5)).astype(np.float32)
    for encoding in sensor.encodings:
        resolved = sensor.encoding(encoding.name)
        got = decode_stored(torch.from_numpy(stored).unsqueeze(0), resolved)[0].numpy()
        np.testing.assert_allclose(got, resolved.decode(stored), rtol=1e-5, atol=1e-5)


def test_labels_and_back() -> None:
    observation = seen()
    mask = np.random.default_rng(2).integers(-1, 4, observation.shape)
    sample = to_sample(observation, mask, ignore_index=255)
    assert sample["mask"].dtype == torch.int64 and int((sample["mask"] == 255).sum()) == int(
        (mask == IGNORE_INDEX).sum()
    )
    np.testing.assert_array_equal(label_of(sample, ignore_index=255), mask)
    assert label_of(to_sample(observation, 3)) == 3
    several = np.array([True, False, True])
    np.testing.assert_array_equal(label_of(to_sample(observation, several)), several)
    height = np.random.default_rng(3).random(observation.shape, np.float32)
    np.testing.assert_array_equal(label_of(to_sample(observation, height)), height)
    boxes = np.array([[1, 2, 5, 6, 0], [3, 3, 9, 8, 2]], np.float32)
    sample = to_sample(observation, boxes)
    assert sample["bbox_xyxy"].shape == (2, 4) and sample["label"].tolist() == [0, 2]
    np.testing.assert_array_equal(label_of(sample), boxes)
    assert label_of(to_sample(observation)) is None


def test_a_module_is_the_backbone() -> None:
    observation = seen()
    own = module(ground_sample_distance=12.5)
    expected = own.encoder(stack_observations([observation]))
    got = own(to_sample(observation)["image"].unsqueeze(0))
    torch.testing.assert_close(got.tokens, expected.tokens, rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match=r"3 bands of sentinel2-l2a \(red, green, blue\)"):
        own(torch.zeros(1, 4, 16, 16))


def test_a_classifier_has_what_trainers_call() -> None:
    own = module()
    model = Classifier(own, num_classes=5)
    images = torch.rand(2, 3, 16, 24)
    assert model(images).shape == (2, 5) and model.get_classifier() is model.head
    tokens, maps = model.forward_intermediates(images, indices=[1, 3])
    features = own(images)
    torch.testing.assert_close(tokens, features.tokens)
    torch.testing.assert_close(maps[1], features.level_maps()[3])
    torch.testing.assert_close(model.forward_head(tokens, pre_logits=True), features.pooled)
    model.reset_classifier(0)
    torch.testing.assert_close(model(images), features.pooled)
    with pytest.raises(ValueError, match="4 channels were asked for"):
        Classifier(own, in_chans=4)


def test_encoders_by_others_go_the_same_ways() -> None:
    """DOFA here; the others are published encoders with the same interface."""
    encoder = DOFA(VARIANTS["dofa-v1-base"]).eval()
    model = Classifier(SensorModule(encoder, SENTINEL2), num_classes=0)
    observation = Observation.from_pixels(np.random.default_rng(0).random((3, 32, 32), np.float32), SENTINEL2)
    with torch.inference_mode():
        got = model(torch.from_numpy(observation.pixels).unsqueeze(0))
    torch.testing.assert_close(got, encoder.embed(observation).pooled, rtol=0, atol=1e-5)
    assert model.patch_size == 16 and model.num_features == 768
    with pytest.raises(ValueError, match="DOFA comes with its weights only"):
        initialised_encoder(encoder, pretrained=False)


def test_a_pyramid_halves() -> None:
    own = module()
    model = FeaturePyramid(own, out_indices=(0, 1, 3))
    maps = model(torch.rand(1, 3, 64, 96))
    assert [tuple(level.shape[2:]) for level in maps] == [(16, 24), (8, 12), (2, 3)]
    assert model.feature_info.channels() == [24] * 3 and model.feature_info.reduction() == [4, 8, 32]


@given(
    rows=st.integers(32, 80), columns=st.integers(32, 80), patch=st.sampled_from([4, 8, 14, 16]), value=st.floats(-3, 3)
)
@settings(max_examples=20, deadline=None)
def test_a_pyramid_of_a_constant_is_that_constant(rows: int, columns: int, patch: int, value: float) -> None:
    level = torch.full((1, 2, -(-rows // patch), -(-columns // patch)), value)
    for stride, resized in zip(
        (4, 8, 16, 32), resample_pyramid([level] * 4, (rows, columns), (4, 8, 16, 32)), strict=True
    ):
        assert resized.shape == (1, 2, rows // stride, columns // stride)
        torch.testing.assert_close(resized, torch.full_like(resized, value))
