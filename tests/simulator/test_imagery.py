"""The place from above at another time: looks differ, geometry does not, and the truth of the ground is stored."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fabricated_world import small_world
from skyweave.core.errors import ConfigError
from skyweave.recordings.nuscenes import finish_recording, load_recording, write_scene
from skyweave.recordings.recording import LAND_COVER, RecordedScene
from skyweave.simulator.config import LightConfig, SceneryConfig, TrafficConfig, WorldConfig
from skyweave.simulator.imagery import earlier_world, render_imagery
from skyweave.simulator.imagery_config import ImageryConfig
from skyweave.simulator.surface_classes import CATEGORIES
from skyweave.simulator.world import World, _generators, simulate_scene

STILL = ImageryConfig("ortho", size=120, seasons=0, materials=0, changed=0, shift=0)
NOON = LightConfig(sun_elevation=(89, 90), sky=(0.9, 0.9), visibility=(1e5, 1e5))
EMPTY = TrafficConfig(cars=0, trucks=0, buses=0, bicycles=0, pedestrians=0, parked=0)
CLASS = {name: number for number, name in enumerate(LAND_COVER)}


def quiet(**changes: object) -> WorldConfig:
    """A world where nothing moves."""
    return small_world(**({"frames": 1, "traffic": EMPTY, "light": NOON, "warm_up": 0.0} | changes))


def image(config: WorldConfig, imagery: ImageryConfig) -> np.ndarray:
    world = World(replace(config, imagery=[imagery]), 3)
    draw = _generators(3, 0)
    sensor = world.sensors[imagery.sensor, None]
    return render_imagery(earlier_world(world, imagery, draw), imagery, sensor, draw)


def test_imagery_changes_no_frame_and_no_object() -> None:
    plain, seen = (simulate_scene(small_world(frames=2, imagery=which), 1) for which in ([], [ImageryConfig()]))
    seen.base_maps[0].load()
    for one, other in zip(plain.frames, seen.frames, strict=True):
        assert one.annotations is not None and other.annotations is not None
        assert (one.annotations.boxes.centres == other.annotations.boxes.centres).all()
        assert (one.captures["UAV_1"].load().pixels == other.captures["UAV_1"].load().pixels).all()


def test_a_season_changes_looks_and_not_geometry() -> None:
    """Another season differs in most pixels; edges of roofs and roads stay where they are."""
    config = quiet(scenery=SceneryConfig(buildings=6, trees=0, texture=0.25, lamps=False))
    summer, other = image(config, STILL), image(config, replace(STILL, seasons=1.0, materials=0.3))
    assert np.abs(summer - other).mean() > 5
    cover = simulate_scene(config, 0, 3).land_cover
    assert cover is not None
    roofs = cover.load()[::2, ::2] == CLASS["building"]
    margin = (len(roofs) - 120) // 2
    roofs = roofs[margin : margin + 120, margin : margin + 120]
    inner = roofs & np.roll(roofs, 1, 0) & np.roll(roofs, -1, 0) & np.roll(roofs, 1, 1) & np.roll(roofs, -1, 1)
    around = ~(roofs | np.roll(roofs, 2, 0) | np.roll(roofs, -2, 0) | np.roll(roofs, 2, 1) | np.roll(roofs, -2, 1))
    assert inner.sum() > 100
    for pixels in (summer, other):
        edge = np.abs(np.diff(pixels.mean(0), axis=1))
        on_edge = roofs[:, 1:] != roofs[:, :-1]
        assert edge[on_edge].mean() > 2 * edge[around[:, 1:] & around[:, :-1]].mean()


def test_buildings_come_and_go_and_roads_stay() -> None:
    config = quiet(scenery=SceneryConfig(buildings=8, trees=4))
    world, draw = World(config, 3), _generators(3, 0)
    same, changed = (earlier_world(world, replace(STILL, changed=share), draw) for share in (0.0, 1.0))
    now = [one for one in world.scenery.fixtures if one.kind == "building"]
    assert [one for one in same.scenery.fixtures if one.kind == "building"] == now
    then = [one for one in changed.scenery.fixtures if one.kind == "building"]
    assert then and not {(one.x, one.y) for one in then} & {(one.x, one.y) for one in now}
    assert all(np.hypot(a.x - b.x, a.y - b.y) > 4 for a in then for b in now), "none stands in another"
    assert [f for f in changed.scenery.fixtures if f.kind == "tree"] == [
        f for f in world.scenery.fixtures if f.kind == "tree"
    ]


@pytest.mark.parametrize(("pixel", "size"), [(10.0, 12), (1.0, 120), (0.3, 400)])
def test_pixels_are_as_large_as_said_and_off_by_what_is_said(pixel: float, size: int) -> None:
    imagery = ImageryConfig("any", ground_sample_distance=pixel, size=120, shift=2.0)
    base = simulate_scene(quiet(imagery=[imagery]), 0).base_maps[0]
    seen = base.load()
    assert seen.shape == (size, size) and seen.ground_sample_distance == pixel and base.position_std == 2.0
    assert base.time is not None and base.true_geometry is not None and seen.geotransform is not None
    off = np.array(seen.geotransform.affine)[[2, 5]] - np.array(base.true_geometry.affine)[[2, 5]]
    assert 0 < np.abs(off).max() < 8
    a, _, c, _, e, f = base.true_geometry.affine
    assert (c + a * size / 2, f + e * size / 2) == pytest.approx((0, 0), abs=1e-6)


def test_clouds_hide_no_more_than_their_share() -> None:
    clear, cloudy = (image(quiet(), replace(STILL, clouds=share)) for share in (0.0, 1.0))
    hidden = (np.abs(clear - cloudy) > 30).all(0).mean()
    assert 0.02 < hidden < 1 and cloudy.mean() > clear.mean()


def test_land_cover_is_what_lies_there() -> None:
    world = World(quiet(scenery=SceneryConfig(buildings=6, trees=6, ponds=4)), 3)
    scene = world.scene([])
    assert scene.land_cover is not None
    cover, (a, _, c, _, e, f) = scene.land_cover.load(), scene.land_cover.geometry.affine

    def at(x: float, y: float) -> str:
        return LAND_COVER[cover[int((y - f) / e), int((x - c) / a)]]

    for kind in ("building", "tree"):
        places = [(one.x, one.y) for one in world.scenery.fixtures if one.kind == kind]
        assert places and {at(*place) for place in places} == {kind}
    assert at(*world.network.crossings[0].centre) == "road"
    zebras = [world.network.to_world(np.array([s * world.network.pavement, 0.0])) for s in (1, -1)]
    assert {at(*place) for place in zebras} == {"crossing"}
    ponds = [paint.corners.mean(0) for paint in world.scenery.paints if paint.material == "water"]
    assert ponds and {at(*place) for place in ponds} <= {"water", "tree"}
    assert set(np.unique(cover)) <= set(range(len(LAND_COVER)))


def test_maps_are_stored_beside_the_tables(tmp_path: Path) -> None:
    scene = simulate_scene(small_world(frames=1, scenes=1, imagery=[replace(STILL, shift=1.0)]), 0)
    write_scene(tmp_path, scene, CATEGORIES)
    finish_recording(tmp_path, "small", {"train": [scene.name]})
    read: RecordedScene = load_recording(tmp_path).scenes[0]
    assert {path.name for path in (tmp_path / "maps").iterdir()} == {
        "mask.png", f"{scene.name}__ortho.npz", f"{scene.name}__ortho.png", f"{scene.name}__land_cover.png"
    }  # fmt: skip
    (one,), (other,) = scene.base_maps, read.base_maps
    assert (one.name, one.time, one.position_std, one.true_geometry) == (
        other.name, other.time, other.position_std, other.true_geometry
    )  # fmt: skip
    assert (one.load().pixels == other.load().pixels).all() and one.load().geometry == other.load().geometry
    assert scene.land_cover is not None and read.land_cover is not None
    assert (scene.land_cover.load() == read.land_cover.load()).all()
    assert scene.land_cover.geometry == read.land_cover.geometry and read.land_cover.classes == LAND_COVER


@pytest.mark.parametrize(
    "wrong",
    [{"clouds": 2.0}, {"ground_sample_distance": 0.0}, {"size": 1e6}, {"age": (5.0, 1.0)}, {"shift": -1.0}],
)
def test_imagery_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="imagery 'ortho'"):
        ImageryConfig(**wrong)  # type: ignore[arg-type]
