from dataclasses import replace

import numpy as np
import pytest

import fabricated_scene as toy
from skyweave.core.errors import ConfigError
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.perception.augmentation import AugmentationConfig
from skyweave.perception.dataset import PerceptionDataset
from skyweave.perception.photometric import ENCODED_EFFECTS, CameraEffects, EffectConfig, PhotometricConfig

NOTHING = PhotometricConfig(share=0)


def image(value: float | tuple[float, ...] = (120, 100, 80), sensor: str = "rgb") -> Observation:
    bands = get_sensor(sensor).bands
    flat = np.broadcast_to(np.float32(value), len(bands))[:, None, None] * np.ones((1, 24, 40), np.float32)
    return Observation.from_pixels(flat, get_sensor(sensor), 0.1)


def change(observation: Observation, seed: int = 0, **effects: float) -> np.ndarray:
    return CameraEffects(**effects).apply(observation, np.random.default_rng(seed)).pixels


def test_white_balance_warms_and_cools_and_leaves_green_nearly_alone() -> None:
    warm, cool = change(image(), white_balance=0.1), change(image(), white_balance=-0.1)
    assert warm[0].mean() == pytest.approx(120 * np.exp(0.1 * 70 / 85), abs=0.6)
    assert warm[2].mean() == pytest.approx(80 * np.exp(-0.1), abs=0.6)
    assert cool[0].mean() < 120 < warm[0].mean() and abs(warm[1].mean() - 100) < 2


def test_exposure_is_in_stops_and_saturates() -> None:
    assert change(image(100.0), exposure=1.0) == pytest.approx(200)
    assert change(image(200.0), exposure=1.0) == pytest.approx(255)


def test_grey_and_inversion_leave_no_colour() -> None:
    assert np.ptp(change(image(), grey=1.0), axis=0).max() == 0
    assert change(image(), inversion=1.0) == pytest.approx(155, abs=1)
    kelvin = change(image(300.0, "thermal"), inversion=1.0, exposure=1.0)
    assert kelvin == pytest.approx(300), "a calibrated temperature has no exposure, and turns about its mean"


def test_blur_and_motion_keep_the_mean_and_spread_an_edge() -> None:
    edge = image(0.0)
    edge.pixels[:, :, 20:] = 200
    for effects in ({"blur": 1.0}, {"motion": 4.0}):
        changed = change(edge, **effects)
        assert changed.mean() == pytest.approx(100, abs=3) and 10 < changed[0, 12, 19] < 190


def test_night_is_dark_but_for_its_lamps_and_noise_differs_from_image_to_image() -> None:
    night = change(image(200.0), night=0.1)
    assert np.median(night) < 100 and night.max() > night.min()
    assert change(image(), noise=5.0, seed=1).std() != change(image(), noise=5.0, seed=2).std()


@pytest.mark.parametrize("name", [*ENCODED_EFFECTS])
def test_every_effect_gives_whole_steps_and_keeps_invalid_pixels(name: str) -> None:
    grain = np.random.default_rng(0).uniform(0, 255, (3, 24, 40)).astype(np.float32)
    valid = np.ones(grain.shape, bool)
    valid[:, :5] = False
    observation = replace(image(), pixels=np.rint(grain) * valid, valid=valid)
    changed = change(observation, **{name: {"jpeg": 50.0, "motion": 3.0}.get(name, 0.8)})
    assert changed.shape == grain.shape and changed.dtype == np.float32
    assert (changed[~valid] == 0).all() and (changed == np.rint(changed)).all() and changed.max() <= 255
    assert not np.array_equal(changed, observation.pixels)


def test_a_platform_looks_the_same_in_all_its_frames_and_unlike_the_others() -> None:
    only = replace(NOTHING, share=1, **{e: EffectConfig(0) for e in ENCODED_EFFECTS})
    only = replace(only, exposure=EffectConfig(1, -1.5, -0.2))
    augmentation = AugmentationConfig(rotate=False, mirror=False, zoom=1, photometric=only)
    sample = PerceptionDataset([toy.scene()], toy.config(), augmentation, seed=1)[2]
    plain = PerceptionDataset([toy.scene()], toy.config(), replace(augmentation, photometric=NOTHING), seed=1)[2]
    factors: dict[int, list[float]] = {}
    for changed, before in zip(sample.frames, plain.frames, strict=True):
        for view, old in zip(changed, before, strict=True):
            factor = view.observation.pixels.sum() / old.observation.pixels.sum()
            factors.setdefault(view.platform, []).append(float(factor))
    assert all(np.ptp(values) < 0.01 for values in factors.values())
    assert np.ptp([values[0] for values in factors.values()]) > 0.05


def test_shares_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="share"):
        EffectConfig(1.2)
    with pytest.raises(ConfigError, match="share"):
        PhotometricConfig(share=-1)
