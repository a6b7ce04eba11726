"""Several scenes of one ground become one map: over dates, or over sensors, on the grid of the first."""

from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from affine import Affine

from fabricated_products import write_sentinel2
from skyweave.backbone import Backbone, build_backbone, save_checkpoint
from skyweave.cli.main import main
from skyweave.core.errors import ConfigError
from skyweave.core.sensors import get_sensor
from skyweave.embedding import EmbeddingConfig, embed_scene
from skyweave.embedding.catalog import find_acquisition
from skyweave.embedding.combining import COMBINATIONS
from skyweave.embedding.config import CatalogConfig
from skyweave.inference import InferenceConfig

RGB = get_sensor("rgb")


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return build_backbone("tiny", seed=0, width=24, depth=1, heads=3, patch_size=4).eval()


def write(path, seed, clouds=False, place=(1, 0, 5e5, 0, -1, 5e6), shape=(60, 76), crs="EPSG:32632", time=None):
    pixels = np.random.default_rng(seed).integers(1, 255, (3, *shape)).astype("uint8")
    if clouds:
        pixels[:, 20:40, 32:64] = 0
    profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "nodata": 0, "crs": crs, "transform": Affine(*place)}
    with rasterio.open(path, "w", height=shape[0], width=shape[1], **profile) as dataset:
        dataset.write(pixels)
        if time:
            dataset.update_tags(datetime=time)
    return path


def embed(scenes, output, backbone, sensor=RGB, unit="uint8", **config):
    inference = InferenceConfig(24, 4, precision="float32", **config.pop("inference", {}))
    config = EmbeddingConfig(inference=inference, storage="float32", **config)
    reading = {"bands": "sensor"} if sensor is RGB else {}
    result = embed_scene(scenes, output, backbone, sensor, unit=unit, config=config, **reading)
    with rasterio.open(output) as dataset:
        return result, dataset.read(), dataset.descriptions, dataset.tags()


@pytest.mark.parametrize("combine", list(COMBINATIONS))
def test_a_series_is_what_its_dates_are(tmp_path, backbone, combine) -> None:
    series = [write(tmp_path / f"{n}.tif", n, clouds=n > 0, time=f"2024-05-0{n + 1}T10:00:00") for n in range(3)]
    singles = np.stack([embed(scene, tmp_path / "one.tif", backbone)[1] for scene in series])
    result, values, names, tags = embed(series, tmp_path / "out.tif", backbone, combine=combine)
    valid = ~np.isnan(singles[:, 0])
    assert valid[0].all() and not valid[1].all()
    if combine == "concatenate":
        assert result.channels == 72 and names[24] == "2024-05-02 feature 000"
        np.testing.assert_allclose(values, np.where(valid.all(0), np.concatenate(singles), np.nan), atol=1e-5)
        return
    assert f"{combine} of 3 scenes" in tags["READOUT"]
    assert result.valid_fraction == 1
    reduce = np.nanmean if combine == "mean" else np.nanmedian
    where = valid.all(0) | (valid.sum(0) == 1)
    inner = np.s_[:, 1:4, 1:4]  # of the first window alone: medians of blended windows are blended medians
    expected = reduce(singles, axis=0)
    if combine == "mean":
        np.testing.assert_allclose(values[:, where], expected[:, where], atol=1e-5)
    np.testing.assert_allclose(values[inner], expected[inner], atol=1e-5)


def test_a_scene_of_another_grid_is_brought_to_the_first(tmp_path, backbone) -> None:
    first = write(tmp_path / "first.tif", 0)
    shifted = write(tmp_path / "shifted.tif", 1, place=(1, 0, 5e5 - 8, 0, -1, 5e6 + 12), shape=(90, 100))
    same = tmp_path / "same.tif"
    with rasterio.open(shifted) as source:
        part = source.read(window=((12, 72), (8, 84)))
    with rasterio.open(first) as source, rasterio.open(same, "w", **source.profile) as target:
        target.write(part)
    result, values, _, _ = embed([first, shifted], tmp_path / "a.tif", backbone)
    _, expected, _, _ = embed([first, same], tmp_path / "b.tif", backbone)
    np.testing.assert_allclose(values, expected, atol=1e-5)
    assert any("shifted.tif is resampled (bilinear) onto the grid of" in note for note in result.notes)


def test_optical_radar_and_elevation_are_one_map(tmp_path, backbone, capsys) -> None:
    optical = write_sentinel2(tmp_path)
    rng = np.random.default_rng(0)
    radar, heights = tmp_path / "radar.tif", tmp_path / "dem.tif"
    profile = {"driver": "GTiff", "dtype": "float32"}
    with rasterio.open(radar, "w", **profile, count=2, height=90, width=90, crs="EPSG:4326",
                       transform=Affine(2e-4, 0, 10.266, 0, -2e-4, 45.153)) as dataset:  # fmt: skip
        dataset.write(rng.normal([[[-12]], [[-18]]], 2, (2, 90, 90)).astype("float32"))
        dataset.descriptions = ("VV", "VH")
    with rasterio.open(heights, "w", **profile, count=1, height=45, width=45, crs="EPSG:32632",
                       transform=Affine(30, 0, 6e5 - 50, 0, -30, 5e6 + 50)) as dataset:  # fmt: skip
        dataset.write(rng.normal(400, 30, (1, 45, 45)).astype("float32"))
    (tmp_path / "dem.yaml").write_text(
        "name: dem\ntitle: heights\nground_sample_distance: 30\nunit: metre\nkind: elevation\nencodings: {metre: {}}\n"
        "bands:\n  - {name: elevation, mean: 400, std: 300}\n"
    )
    weights, output = tmp_path / "small.safetensors", tmp_path / "out.tif"
    save_checkpoint(weights, backbone, "small")
    words = ["embed", str(optical), str(radar), str(heights), "-o", str(output), "--weights", str(weights)]
    sensors = f"sentinel2-l2a,sentinel1-grd,{tmp_path / 'dem.yaml'}"
    declared = ["--sensor", sensors, "--unit", "file,db,metre", "--nodata", "clouds//-9999"]
    assert main([*words, *declared, "--bands", "//sensor"]) == 0
    assert "radar.tif is resampled (bilinear)" in capsys.readouterr().err
    with rasterio.open(output) as dataset:
        assert dataset.shape == (30, 30) and dataset.tags()["UNIT"] == "dn_offset1000,db,metre"
        assert not np.isnan(dataset.read(1)).any()
    for wrong, message in (
        (("rgb,rgb", "uint8"), "3 scenes and 2 sensors"),
        (("rgb", "dn,db"), "--unit says 2 things"),
    ):
        assert main([*words, "--sensor", wrong[0], "--unit", wrong[1]]) == 2
        assert message in capsys.readouterr().err


def test_an_item_of_several_scenes_is_from_the_first_date_to_the_last(tmp_path) -> None:
    images = [SimpleNamespace(time=day * 86_400 * 10**9) for day in (20_000, 19_990, 20_003)]
    source = SimpleNamespace(images=[*images, SimpleNamespace(time=None)], names=["a", "b", "c", "dem"])
    fields = find_acquisition(CatalogConfig(tmp_path), source).to_stac()
    assert fields["start_datetime"] == "2024-09-24T00:00:00Z" and fields["end_datetime"] == "2024-10-07T00:00:00Z"
    with pytest.raises(ConfigError, match="--acquired"):
        find_acquisition(CatalogConfig(tmp_path), SimpleNamespace(images=[SimpleNamespace(time=None)], names=["dem"]))


def test_another_way_to_combine_is_refused() -> None:
    with pytest.raises(ConfigError, match="choose one of mean, median, concatenate"):
        EmbeddingConfig(combine="sum")


def test_one_scene_that_is_given_twice_is_refused(tmp_path, backbone) -> None:
    scene = write(tmp_path / "a.tif", 0)
    (tmp_path / "b.tif").hardlink_to(scene)
    (tmp_path / "c.tif").symlink_to(scene)
    for other in (scene, tmp_path / "b.tif", tmp_path / "c.tif", f"{tmp_path}/./a.tif"):
        with pytest.raises(ConfigError, match=r"is scene 1 and scene 2: one file that would count twice"):
            embed([scene, other], tmp_path / "out.tif", backbone)
    assert not (tmp_path / "out.tif").exists()
