"""Rasters beside cameras: placed where they lie, silent where nothing is known of them, left out without a trace."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import fabricated_scene as toy
from skyweave.backbone import build_backbone
from skyweave.backbone.config import BackboneConfig
from skyweave.core.errors import ConfigError, DataError, WeightsError
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.observation import GeoTransform, Observation
from skyweave.perception.augmentation import AugmentationConfig
from skyweave.perception.batch import collate
from skyweave.perception.config import PerceptionConfig, RasterConfig
from skyweave.perception.dataset import PerceptionDataset
from skyweave.perception.domain_measurement import measure_domain
from skyweave.perception.model import PerceptionModel
from skyweave.perception.module import PerceptionLossConfig, PerceptionModule, PerceptionOptimiserConfig
from skyweave.perception.photometric import PhotometricConfig
from skyweave.perception.raster_encoder import encode_properties
from skyweave.perception.targets import ObjectTargets
from skyweave.perception.train import PerceptionTrainConfig, build_model
from skyweave.perception.views import RasterView, Views, view_raster
from skyweave.perception.weights import load_perception, save_perception
from skyweave.recordings.recording import BaseMap, LandCoverRaster, RecordedScene

SMALL = BackboneConfig(width=32, depth=2, heads=2, patch_size=8)
RASTERS = RasterConfig(token=4.0, context=4, channels=8)
PLACE = GeoTransform(None, (2.0, 0, -60.0, 0, -2.0, 60.0))


def height_of_colour(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What a test image shows at a place of the world: red rises east, green north, blue is even."""
    return np.stack([100 + x, 100 + y, np.full_like(x, 50.0)])


def image(place: GeoTransform = PLACE, size: int = 60) -> Observation:
    a, _, c, _, e, f = place.affine
    x, y = np.meshgrid(a * (np.arange(size) + 0.5) + c, e * (np.arange(size) + 0.5) + f)
    return Observation.from_pixels(height_of_colour(x, y), toy.RGB, abs(a), geometry=place)


def scene(frames: int = 4, platforms: int = 2, **changes: object) -> RecordedScene:
    base = BaseMap("ortho", image, -86_400 * 10**9, 2.0)
    cover = LandCoverRaster(("west", "east"), PLACE, lambda: np.tile((np.arange(60) >= 30).astype(np.uint8), (60, 1)))
    return replace(toy.scene(frames, platforms), base_maps=(base,), land_cover=cover, **changes)  # type: ignore[arg-type]


def config(rasters: RasterConfig | None = RASTERS) -> PerceptionConfig:
    return toy.config(rasters=rasters)


def model(rasters: RasterConfig | None = RASTERS) -> PerceptionModel:
    return PerceptionModel(config(rasters), build_backbone(SMALL, [toy.RGB], seed=0))


def raster_views(*views: RasterView, grid: MapGrid | None = None) -> Views:
    return Views.from_views(views, [grid or MapGrid.around(3, -2, 32, 1.0)], 1)


def test_a_raster_comes_to_lie_where_rasterio_puts_it() -> None:
    """What the network makes of the pixels is resampled as GDAL's warp does it."""
    from affine import Affine
    from rasterio.warp import Resampling, reproject

    perception, grid = model().eval(), MapGrid.around(3, -2, 32, 1.0)
    view = view_raster(image(), grid, 4)
    assert view is not None and perception.rasters is not None
    assert view.observation.shape < (60, 60), "only what the map needs is read"
    views = raster_views(view)
    with torch.inference_mode():
        maps = perception.observe(views)
        detail_head = perception.rasters.detail
        pixels = perception.backbone(views.rasters[0].images, 2, detail=1, detail_head=detail_head)
        features = perception.rasters.encode(pixels, [view])[0].double().numpy()
    expected = np.full((len(features), *grid.shape), np.nan)
    reproject(
        features, expected, src_transform=Affine(*view.geometry.affine), src_crs="EPSG:32633", dst_crs="EPSG:32633",
        dst_transform=Affine(*grid.affine), dst_nodata=np.nan, init_dest_nodata=True,
        resampling=Resampling.bilinear, tolerance=0.0,
    )  # fmt: skip
    assert maps.visible.all()
    np.testing.assert_allclose(maps.features[0, 0].numpy(), expected, atol=1e-5)
    assert maps.features.std() > 0


def test_patches_are_of_metres_and_not_of_pixels() -> None:
    assert [RasterConfig().patch_size(size) for size in (10.0, 1.0, 0.3)] == [2, 4, 16]


def test_what_is_not_known_of_a_raster_adds_nothing() -> None:
    perception, view = model().eval(), view_raster(image(), MapGrid.around(3, -2, 32, 1.0), 4)
    assert view is not None and perception.rasters is not None
    assert encode_properties(view).tolist() == [0.25, 0, 0, 0, 0]
    known = replace(view, age=86_400.0, position_std=2.0)
    with torch.inference_mode():
        silent = perception.observe(raster_views(view)).features
        assert not torch.allclose(perception.observe(raster_views(known)).features, silent)
        perception.rasters.properties.weight[:, 1:] = 0
        assert torch.equal(perception.observe(raster_views(view)).features, silent)
        assert torch.equal(perception.observe(raster_views(known)).features, silent)


@pytest.mark.parametrize("number", range(4))
def test_base_maps_and_land_cover_move_with_the_augmented_world(number: int) -> None:
    """The world is turned and mirrored: a car's place shows the same pixel and the same cover as before."""
    augmentation = AugmentationConfig(photometric=PhotometricConfig(share=0))
    sample = PerceptionDataset([scene()], config(), augmentation, seed=3)[number]
    plain = PerceptionDataset([scene()], config())
    (view,), cover = sample.base_maps, sample.objects.land_cover
    assert cover is not None and view.age == pytest.approx(86_400 + 0.5 * number)
    a, b, c, d, e, f = view.geometry.affine
    before = {i: place for i, place in zip(*_places(plain.objects(number)), strict=True)}
    found = 0
    for identity, (x, y) in zip(*_places(sample.objects), strict=True):
        column, row = np.linalg.solve([[a, b], [d, e]], [x - c, y - f])
        seen = view.observation.pixels[:, int(row), int(column)]
        assert np.abs(seen - height_of_colour(*before[identity])).max() <= 1.0, "within half a pixel of 2 m"
        cell = np.floor(sample.grid.cells_from_world(np.array([x, y]))).astype(int)
        if ((cell >= 0) & (cell < sample.grid.shape)).all() and abs(before[identity][0]) > 1.5:
            assert cover.cells[tuple(cell)] == (before[identity][0] > 0)
            found += 1
    assert found >= 3


def _places(objects: ObjectTargets) -> tuple[list[int], np.ndarray]:
    return objects.identities.tolist(), objects.boxes.centres[:, :2]


def test_a_model_that_reads_rasters_is_the_old_one_where_there_are_none() -> None:
    plain, reading = model(None).eval(), model().eval()
    assert reading.state_dict().keys() - plain.state_dict().keys() == {
        key for key in reading.state_dict() if key.startswith(("rasters.", "base_map_fusion."))
    }
    reading.load_state_dict(plain.state_dict(), strict=False)
    batch = collate([PerceptionDataset([toy.scene(4, 2)], config())[2]])
    assert batch.base_maps is None
    with torch.inference_mode():
        one, other = plain(batch.frames), reading(batch.frames)
    assert all(torch.equal(one[head][name], other[head][name]) for head in one for name in one[head])


def test_a_model_that_reads_cameras_only_refuses_rasters() -> None:
    view = view_raster(image(), MapGrid.around(3, -2, 32, 1.0), 4)
    assert view is not None
    with pytest.raises(DataError, match="reads cameras only"):
        model(None).observe(raster_views(view))
    assert not PerceptionDataset([scene()], config(None))[0].base_maps
    assert not PerceptionDataset([scene()], config(), base_maps=["another"])[0].base_maps


def test_base_maps_beyond_the_map_are_not_read() -> None:
    far = GeoTransform(None, (2.0, 0, 5000.0, 0, -2.0, 60.0))
    assert view_raster(image(far), MapGrid.around(0, 0, 32, 1.0), 4) is None
    with pytest.raises(DataError, match="no geotransform"):
        view_raster(Observation.from_pixels(np.zeros((3, 8, 8)), toy.RGB, 1.0), MapGrid.around(0, 0, 32, 1.0), 4)


def test_rasters_alone_are_a_map_as_well() -> None:
    """No camera at all: the ego sees nothing, and the heads still read what the satellite shows."""
    sample = PerceptionDataset([scene()], config())[2]
    batch = collate([replace(sample, frames=[[], []])])
    perception = with_trained_base_maps(model()).eval()
    assert batch.base_maps is not None
    with torch.inference_mode():
        base = perception.observe(batch.base_maps)
        observed = [perception.observe(views) for views in batch.frames]
        fused = [perception.fuse(maps) for maps in observed]
        with_base = perception.perceive(fused, base_maps=base)["detection"]["heatmap"]
        without = perception(batch.frames)["detection"]["heatmap"]
    assert base.visible.any() and not observed[0].visible.any()
    assert not torch.allclose(with_base, without)


def test_base_maps_change_nothing_before_they_are_trained_and_nothing_where_they_are_not() -> None:
    perception = model().eval()
    batch = collate([PerceptionDataset([scene()], config())[2]])
    assert batch.base_maps is not None
    with torch.inference_mode():
        base = perception.observe(batch.base_maps)
        fused = [perception.fuse(perception.observe(views)) for views in batch.frames]
        without = perception.perceive(fused)["detection"]["heatmap"]
        untrained = perception.perceive(fused, base_maps=base)["detection"]["heatmap"]
        with_trained_base_maps(perception)
        trained = perception.perceive(fused, base_maps=base)["detection"]["heatmap"]
        absent = perception.perceive(fused, base_maps=base.drop_platforms(torch.ones(1, 1, dtype=torch.bool)))
    assert torch.equal(untrained, without) and torch.equal(absent["detection"]["heatmap"], without)
    assert not torch.allclose(trained, without)


def with_trained_base_maps(perception: PerceptionModel) -> PerceptionModel:
    """The last layer of their fusion is zero at first; here it is not."""
    assert perception.base_map_fusion is not None
    torch.nn.init.eye_(perception.base_map_fusion.output.weight.data[..., 0, 0])
    return perception


def test_training_leaves_base_maps_out_by_themselves() -> None:
    dataset = PerceptionDataset([scene()], config())
    perception = with_trained_base_maps(model())
    module = PerceptionModule(perception, PerceptionOptimiserConfig(), PerceptionLossConfig(), dataset)
    batch = collate([dataset[k] for k in range(4)] * 8)
    kept, base_maps = module._kept_platforms(batch)
    assert kept[:, 0].all() and 0 < kept[:, 1].sum() < 32
    assert base_maps.shape == (32, 1) and {tuple(pair) for pair in zip(kept[:, 1], base_maps[:, 0], strict=True)} == {
        (a, b) for a in (False, True) for b in (False, True)
    }
    total, _ = module.loss(collate([dataset[2], dataset[3]]))
    total.backward()
    assert perception.rasters is not None
    gradients = {name: p.grad for name, p in perception.rasters.named_parameters()}
    assert all(g is not None and g.abs().sum() > 0 for g in gradients.values()), "all of it learns"


def test_training_goes_on_from_a_model_that_reads_cameras_only(tmp_path: Path) -> None:
    save_perception(tmp_path / "cameras.safetensors", model(None), "cameras")
    started = str(tmp_path / "cameras.safetensors")
    heads: dict[str, object] = {name: {} for name in (*config().tasks, "land_cover")}
    wanted = toy.config(rasters=RASTERS, heads=heads)
    grown = build_model(PerceptionTrainConfig("grown", [], start=started, model=wanted))
    assert grown.rasters is not None and "land_cover" in grown.heads
    for key, value in model(None).state_dict().items():
        assert torch.equal(grown.state_dict()[key], value), key
    with pytest.raises(WeightsError, match="unexpected keys"):
        fewer = toy.config(rasters=RASTERS, heads={"land_cover": {}})
        build_model(PerceptionTrainConfig("fewer", [], start=started, model=fewer))


def test_weights_of_a_model_that_reads_rasters_are_stored(tmp_path: Path) -> None:
    perception = model()
    save_perception(tmp_path / "weights.safetensors", perception, "reads-rasters")
    again = load_perception(tmp_path / "weights.safetensors")
    assert again.config == perception.config
    assert all(torch.equal(again.state_dict()[key], value) for key, value in perception.state_dict().items())


def test_samples_of_base_maps_alone_read_no_camera_and_see_no_object() -> None:
    augmentation = AugmentationConfig(base_maps_only=0.5)
    dataset = PerceptionDataset([scene(8)], config(), augmentation)
    blind = [not any(sample.frames) for sample in (dataset[number] for number in range(24))]
    assert 4 <= sum(blind) <= 20
    for number, alone in enumerate(blind):
        objects = dataset[number].objects
        assert len(objects.observed) and (not alone) == bool(objects.seen_by.any()) == bool(objects.observed.any())
    without = PerceptionDataset([toy.scene(8, 2)], config(), augmentation)
    assert all(any(without[number].frames) for number in range(8)), "nothing else to see there"
    with pytest.raises(ConfigError, match=r"base_maps_only is 1\.5"):
        AugmentationConfig(base_maps_only=1.5)


def test_what_is_known_is_measured_on_all_images() -> None:
    """A training ended in an error when none of a scene's samples had read its images."""
    scenes = [replace(scene(8), name=name) for name in ("one", "two", "three")]
    dataset = PerceptionDataset(scenes, config(), AugmentationConfig(base_maps_only=1.0))
    assert not any(any(dataset[number].frames) for number in range(len(dataset)))
    domain = measure_domain(model(), dataset)
    assert domain is not None and dataset.augmentation is not None and dataset.augmentation.base_maps_only == 1.0
