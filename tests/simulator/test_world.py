"""The world as a whole: the same seed gives the same bytes; units, errors and platforms are as configured."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fabricated_world import HILLS, small_world, uav
from skyweave.core.config import config_from_dict, load_config_file
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.ground import ElevationModel
from skyweave.recordings.recording import Frame
from skyweave.simulator.config import CameraConfig, ErrorsConfig, LightConfig, PlaceConfig, PlatformConfig, WorldConfig
from skyweave.simulator.ground import Orthophoto
from skyweave.simulator.world import World, simulate_scene

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "configs" / "world").glob("*.yaml"))


def test_the_same_seed_gives_the_same_bytes() -> None:
    one, two = (simulate_scene(small_world(), 1, seed=5) for _ in range(2))
    other = simulate_scene(small_world(), 1, seed=6)
    for a, b in zip(one.frames, two.frames, strict=True):
        assert contents(a) == contents(b)
    assert contents(one.frames[0]) != contents(other.frames[0])


def test_pictures_do_not_depend_on_the_order_in_which_they_are_loaded() -> None:
    scene = simulate_scene(small_world(), 0)
    forwards = [contents(frame) for frame in scene.frames]
    backwards = [contents(frame) for frame in reversed(simulate_scene(small_world(), 0).frames)]
    assert forwards == backwards[::-1]


def test_scenes_differ() -> None:
    one, two = (simulate_scene(small_world(frames=1), index) for index in range(2))
    assert one.name != two.name and one.frames[0].time < two.frames[0].time
    assert contents(one.frames[0]) != contents(two.frames[0])


def test_objects_keep_their_names_and_sizes() -> None:
    world = World(small_world(), 2)
    sizes: dict[str, np.ndarray] = {}
    for _ in range(6):
        annotations = world.frame().annotations
        assert annotations is not None
        assert len(set(annotations.instances)) == len(annotations.instances)
        for name, size in zip(annotations.instances, annotations.boxes.sizes, strict=True):
            assert (sizes.setdefault(name, size) == size).all()
        world.step()


def test_thermal_and_multispectral_pictures_are_in_their_units() -> None:
    cameras = [
        CameraConfig(name="T", sensor="thermal", rows=96, columns=128, field_of_view=(50, 50)),
        CameraConfig(name="M", sensor="sentinel2-l2a", rows=48, columns=64, field_of_view=(60, 60), supersampling=2),
        CameraConfig(name="N", sensor="naip", rows=96, columns=128, field_of_view=(60, 60)),
        CameraConfig(
            name="G", sensor="sentinel2-l2a", bands=["nir", "red"], rows=48, columns=64, field_of_view=(60, 60)
        ),
    ]
    world = World(small_world(platforms=[uav(cameras=cameras)]), 1)
    frame = world.frame()
    thermal, spectral, aerial, some = (frame.captures[f"UAV_{name}"].load() for name in "TMNG")
    air = world.light.air
    assert thermal.sensor.bands[0].unit == "kelvin"
    assert air - 25 < thermal.pixels.min() < air < thermal.pixels.max() < air + 45
    assert spectral.pixels.min() >= 0 and spectral.pixels.max() < 1.6 and len(spectral.pixels) == len(spectral.sensor)
    nir, red = spectral.pixels[spectral.sensor.index("nir")], spectral.pixels[spectral.sensor.index("red")]
    assert np.corrcoef(nir.ravel(), red.ravel())[0, 1] < 0.9, "vegetation is bright in the near infrared alone"
    assert set(np.unique(aerial.pixels)) <= set(range(256)) and aerial.pixels.std() > 10
    assert [band.name for band in some.sensor.bands] == ["nir", "red"] and some.sensor.name == "sentinel2-l2a-nir-red"
    for observation in (thermal, spectral, aerial, some):
        assert observation.valid.all() and isinstance(observation.geometry, CameraGeometry)
        assert 0.05 < observation.ground_sample_distance < 3


def test_the_sun_warms_and_shadows_are_dark() -> None:
    """Depth of the same world does not depend on the light; pictures do."""
    sunny = LightConfig(sun_elevation=(60, 60), sky=(0.3, 0.3), air=(290, 290))
    low = replace(sunny, sun_elevation=(8, 8))
    frames = [World(small_world(light=light, platforms=[uav()]), 4).frame() for light in (sunny, low)]
    pictures = [frame.captures["UAV"].load().pixels for frame in frames]
    assert pictures[0].mean() > 1.05 * pictures[1].mean()
    loaders = [frame.captures["UAV"].load_depth for frame in frames]
    depths = [load() for load in loaders if load]
    assert np.array_equal(depths[0], depths[1])


def test_night_is_dark_and_noisy_and_colder() -> None:
    """The same world by day and by night: boxes and the precision of kelvin stay; colour is lost in grain."""
    cameras = [CameraConfig(name=n, sensor=s, rows=96, columns=128, field_of_view=(60, 60))
               for n, s in (("C", "rgb"), ("T", "thermal"))]  # fmt: skip
    lights = LightConfig(), LightConfig(night=1.0, darkness=(0.002, 0.002))
    frames = [World(small_world(light=light, platforms=[uav(cameras=cameras)]), 3).frame() for light in lights]
    day, night = ([frame.captures[f"UAV_{name}"].load().pixels for name in "CT"] for frame in frames)
    assert night[0].mean() < 0.6 * day[0].mean()

    def grain(picture: np.ndarray) -> float:
        """Of differences of neighbours, the share that is none of the scene, by their median."""
        return float(np.median(np.abs(np.diff(picture[0], axis=1))) / picture[0].std())

    assert grain(night[0]) > 2 * grain(day[0])
    still = [float(np.median(np.abs(np.diff(picture[0], axis=1)))) for picture in (day[1], night[1])]
    assert still[1] < 1.2 * still[0] and night[1].std() > 1, "kelvin are as precise as by day"
    assert (night[1] <= day[1] + 2).mean() > 0.99 and night[1].mean() < day[1].mean() - 1
    one, other = (frame.annotations for frame in frames)
    assert one is not None and other is not None and np.array_equal(one.boxes.centres, other.boxes.centres)


def test_a_share_of_nights_is_drawn_and_leaves_days_as_they_were() -> None:
    mixed = [World(small_world(light=LightConfig(night=0.5)), index).light for index in range(12)]
    days = [World(small_world(), index).light for index in range(12)]
    assert 2 < sum(light.shines for light in mixed) < 10
    for light, day in zip(mixed, days, strict=True):
        assert light.air == day.air and (not light.shines or light.sky == day.sky)
    with pytest.raises(ValueError, match=r"light\.night is 2"):
        LightConfig(night=2)


def test_haze_takes_contrast_from_far_pictures() -> None:
    def contrast(visibility: float) -> float:
        light = LightConfig(visibility=(visibility, visibility))
        high = uav(altitude=(1000, 1000), cameras=[CameraConfig(rows=64, columns=64, ground_sample_distance=1.0)])
        return float(World(small_world(light=light, platforms=[high]), 4).frame().captures["UAV"].load().pixels.std())

    assert contrast(3000) < 0.7 * contrast(40000)


def test_errors_of_poses_clocks_and_lost_pictures() -> None:
    errors = ErrorsConfig(position=0.5, attitude=1.0, clock=30, dropped=0.3)
    world = World(small_world(errors=errors, platforms=[uav(count=6, motion="orbit")]), 2)
    moved, turned, late, count = [], [], set(), 0
    for _ in range(8):
        frame = world.frame()
        count += len(frame.captures)
        for capture in frame.captures.values():
            true = capture.true_geometry
            assert true is not None and capture.true_time == frame.time
            moved.append(capture.geometry.position - true.position)
            rotation = capture.geometry.world_from_camera[:3, :3] @ true.world_from_camera[:3, :3].T
            turned.append(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))
            late.add(capture.time - capture.true_time)
        world.step()
    assert 20 < count < 46, "of 48 pictures about a third is lost"
    assert 0.2 < np.std(moved) < 1.0
    assert 0.4 < np.mean(turned) < 4.0
    assert len(late) <= 6 and 1e6 < np.std(list(late)) < 1e8


def test_without_errors_reports_are_true() -> None:
    for capture in World(small_world(), 2).frame().captures.values():
        assert capture.true_geometry is not None
        assert np.array_equal(capture.geometry.world_from_camera, capture.true_geometry.world_from_camera)
        assert capture.time == capture.true_time


@pytest.mark.parametrize("motion", ["hover", "orbit", "lawnmower", "follow", "transit"])
def test_platforms_fly_smoothly_and_level(motion: Any) -> None:
    platform = uav(motion=motion, altitude=(50, 50), speed=8, area=60, spacing=20)
    world = World(small_world(platforms=[platform]), 1)
    places = []
    for _ in range(40):
        (own,) = world.platforms
        geometry = own.geometry(own.mounts[0])
        places.append(geometry.position)
        assert abs(geometry.world_from_camera[2, 0]) < 0.05, "the horizon is level"
        world.step(0.5)
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    assert steps.max() < 8 * 0.5 + 1
    assert np.abs(np.array(places)[:, 2] - 50).max() < 2
    travelled = np.linalg.norm(np.ptp(places, axis=0))
    assert travelled < 3 if motion == "hover" else travelled > 10


def test_a_place_on_earth_moves_everything_alike() -> None:
    here = World(small_world(terrain=HILLS), 3)
    place = PlaceConfig(crs="EPSG:32632", east=691_001, north=5_334_002, height=500)
    there = World(small_world(terrain=HILLS, place=place), 3)
    a, b = here.frame(), there.frame()
    assert a.annotations is not None and b.annotations is not None
    shift = b.annotations.boxes.centres - a.annotations.boxes.centres
    assert np.allclose(shift, [691_000, 5_334_004, 500]), "to the nearest cell of the elevation model"
    for channel in a.captures:
        one, two = a.captures[channel], b.captures[channel]
        assert two.geometry.crs == "EPSG:32632"
        assert np.allclose(two.geometry.position - one.geometry.position, shift[0])
    ground = there.world_ground()
    assert isinstance(ground, ElevationModel) and ground.grid.crs == "EPSG:32632"
    bottoms = b.annotations.boxes.centres - b.annotations.boxes.sizes * (0, 0, 0.5)
    assert np.allclose(ground.height(bottoms), bottoms[:, 2], atol=1e-6), "objects stand on the ground"


def test_a_real_photograph_lies_beside_the_roads() -> None:
    magenta = np.zeros((3, 40, 40), np.float32)
    magenta[[0, 2]] = 0.5
    photograph = Orthophoto(magenta, np.array([460.0, 550.0, 650.0]), 0.5)
    world = World(small_world(platforms=[uav(altitude=(100, 100))]), 3, photograph=photograph)
    frame = world.frame()
    capture = frame.captures["UAV"]
    pixels = capture.load().pixels
    assert ((pixels[0] > 1.4 * pixels[1]) & (pixels[2] > 1.4 * pixels[1])).mean() > 0.2
    assert capture.load_classes is not None
    roads = pixels[:, capture.load_classes() == 0]
    assert np.abs(roads[0] - roads[2]).mean() < 25, "roads are still grey"


def test_only_the_named_platforms_look() -> None:
    world = World(small_world(), 1)
    assert set(world.frame(["UAV_2"]).captures) == {"UAV_2"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configurations_are_whole(path: Path) -> None:
    config = load_config_file(path, WorldConfig)
    World.check(config)
    assert config.name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"traffic": {"cars": -1}}, "traffic.cars is -1"),
        ({"terrain": {"relief": 90}}, "gentle slopes"),
        ({"light": {"sun_elevation": [-5, 20]}}, r"sun_elevation is \[-5.0, 20.0\]"),
        ({"roads": {"lanes": [2, 1]}}, "roads.lanes"),
        ({"roads": {"size": 5}}, "roads.size is 5"),
        ({"platforms": [{"name": "A", "cameras": [{"field_of_view": [200, 200]}]}]}, "field_of_view"),
        ({"platforms": [{"name": "A", "cameras": [{"name": "x"}]}]}, "needs a field_of_view or a ground"),
        ({"platforms": [{"name": "A"}, {"name": "A"}]}, "different names"),
        ({"platforms": []}, "different names"),
        ({"platforms": [{"altitude": [0, 10]}]}, "altitude"),
        ({"errors": {"dropped": 1}}, "errors.dropped"),
        ({"scenery": {"bildings": 3}}, "did you mean 'buildings'"),
        ({"interval": 0}, "interval is 0"),
    ],
)
def test_impossible_values_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config_from_dict(change, WorldConfig)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: [uav(cameras=[CameraConfig(sensor="sentinel1-rtc", field_of_view=(60, 60))])], "radar band"),
        (lambda: [uav(name="A", count=2), PlatformConfig(name="A_1")], "'A_1'"),
        (lambda: [uav(cameras=[CameraConfig(sensor="rgbb", field_of_view=(60, 60))])], "rgb"),
    ],
)
def test_what_cannot_be_built_is_named(make: Callable[[], list[PlatformConfig]], message: str) -> None:
    with pytest.raises((ValueError, KeyError), match=message):
        World.check(small_world(platforms=make()))


def test_a_start_without_time_zone_is_refused() -> None:
    for start, message in (("2026-06-21T10:00:00", "no time zone"), ("yesterday", "is no time")):
        with pytest.raises(ValueError, match=message):
            World.check(small_world(start=start))


def contents(frame: Frame) -> tuple[Any, ...]:
    """Everything in a frame as values that compare."""
    assert frame.annotations is not None
    boxes = frame.annotations.boxes
    found: list[Any] = [frame.time, frame.annotations.instances, boxes.centres.tobytes(), boxes.yaws.tobytes()]
    for channel, capture in frame.captures.items():
        assert capture.load_depth and capture.load_instances and capture.load_classes
        found += [channel, capture.time, capture.geometry.world_from_camera.tobytes()]
        found += [capture.load().pixels.tobytes(), capture.load_depth().tobytes()]
        found += [capture.load_instances().tobytes(), capture.load_classes().tobytes()]
    return tuple(found)
