from pathlib import Path

import numpy as np
import pytest

from fabricated_world import small_world, uav
from skyweave.core.errors import ConfigError
from skyweave.simulator.config import LightConfig, SceneryConfig
from skyweave.simulator.ground import Orthophoto
from skyweave.simulator.light import Illumination
from skyweave.simulator.materials import MATERIAL_INDEX, reflectance_table
from skyweave.simulator.orthophotos import choose_orthophoto, read_orthophotos
from skyweave.simulator.variety import SceneAppearance, VarietyConfig
from skyweave.simulator.world import World

VARIED = VarietyConfig(materials=0.4, colours=0.2, paints=1.0, seasons=1.0, roughness=0.5, marks=40)


def test_without_variety_materials_are_what_they_are() -> None:
    looks = SceneAppearance.draw(VarietyConfig(), np.random.default_rng(0))
    assert np.array_equal(looks.reflectance, reflectance_table()) and looks.marks == 0


def test_scenes_differ_and_a_scene_is_a_function_of_its_seed() -> None:
    first, again, other = (SceneAppearance.draw(VARIED, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first.reflectance, again.reflectance)
    assert not np.allclose(first.reflectance, other.reflectance)
    assert first.reflectance.min() >= 0.01 and first.reflectance.max() <= 0.95


def test_snow_is_bright_in_every_band_and_less_of_it_lies_on_roads() -> None:
    draws = [SceneAppearance.draw(VarietyConfig(seasons=1.0), np.random.default_rng(seed)) for seed in range(12)]
    plain = reflectance_table()
    gain = [d.reflectance - plain for d in draws]
    snowy = [g for g in gain if g[MATERIAL_INDEX["soil"], 2] > 0.05]  # nothing but snow lies on soil
    assert 0 < len(snowy) < 12
    for material in ("grass", "asphalt"):
        assert all((g[MATERIAL_INDEX[material], :6] > 0).all() for g in snowy)
    assert np.mean([g[MATERIAL_INDEX["asphalt"], 2] < g[MATERIAL_INDEX["grass"], 2] for g in snowy]) > 0.5


def test_varied_images_show_the_same_objects() -> None:
    platforms = [uav(altitude=(40, 40))]
    plain, varied = (World(small_world(platforms=platforms, variety=v), 3) for v in (VarietyConfig(), VARIED))
    before, after = plain.frame(), varied.frame()
    one, two = before.captures["UAV"], after.captures["UAV"]
    assert before.annotations is not None and after.annotations is not None
    assert np.array_equal(before.annotations.boxes.centres, after.annotations.boxes.centres)
    assert one.load_instances and two.load_instances
    assert np.array_equal(one.load_instances(), two.load_instances())
    assert np.abs(one.load().pixels - two.load().pixels).mean() > 5


def test_warm_sun_and_cold_sky_colour_light_and_shadow() -> None:
    config = LightConfig(warmth=(0.2, 0.2), sky_warmth=(-0.2, -0.2))
    light = Illumination.draw(config, np.random.default_rng(0))
    neutral = Illumination.draw(LightConfig(), np.random.default_rng(0))
    assert np.array_equal(light.sun, neutral.sun) and light.sky == neutral.sky
    (shadow, sun) = light.on_ground(np.array([0.0, 1.0]), np.array([450.0, 550.0, 650.0]))
    assert shadow[0] > shadow[1] > shadow[2], "shadows are blue"
    assert sun[2] - shadow[2] > sun[1] - shadow[1] > sun[0] - shadow[0], "what the sun adds is red"


def test_each_scene_has_a_photograph_of_the_folder(tmp_path: Path) -> None:
    photographs = [Orthophoto(np.full((1, 2, 2), v, np.float32), np.array([550.0]), 1.0) for v in (0.1, 0.2, 0.3)]
    chosen = [choose_orthophoto(photographs, 0, index) for index in range(20)]
    assert {float(p.reflectance[0, 0, 0]) for p in chosen if p} == {np.float32(v) for v in (0.1, 0.2, 0.3)}
    assert chosen[4] is choose_orthophoto(photographs, 0, 4)
    assert choose_orthophoto([], 0, 0) is None and choose_orthophoto(photographs[:1], 5, 7) is photographs[0]
    with pytest.raises(ConfigError, match="holds no GeoTIFF"):
        read_orthophotos(SceneryConfig(orthophoto=str(tmp_path)), Path())


def test_shares_and_spreads_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="shares"):
        VarietyConfig(seasons=2)
    with pytest.raises(ConfigError, match="negative"):
        VarietyConfig(marks=-1)
