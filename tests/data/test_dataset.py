import os
import pickle
import shutil

import numpy as np
import pytest
import rasterio
import yaml

from skyweave.data.dataset import load_dataset
from skyweave.data.dataset_config import parse_dataset_config


def test_images_come_out_in_their_units(small, small_root):
    assert len(small) == 10
    assert {source.name: len(source) for source in small.sources} == {"plots": 5, "tiles": 2, "coarse": 1, "radar": 2}
    with rasterio.open(small_root / "rgb" / "plot_0.tif") as dataset:
        assert np.array_equal(small.observation(0).pixels, dataset.read())
    plain, offset = small.observation(5), small.observation(6)
    with rasterio.open(small_root / "s2" / "tile_1.tif") as dataset:
        np.testing.assert_allclose(offset.pixels[:, 12:, 12:], dataset.read()[:, 12:, 12:] * 1e-4 - 0.1, atol=1e-6)
    assert not plain.valid[:, :10, :10].any() and plain.valid[:, 10:].all()


def test_bands_that_are_files_of_their_own(small, small_root):
    image = small.observation(8)
    assert [band.name for band in image.sensor.bands] == ["vv", "vh"]
    with rasterio.open(small_root / "s1" / "a_VV.tif") as dataset:
        assert np.array_equal(image.pixels[0], dataset.read(1))
    assert [path.name for path in small.files(8)] == ["a_VH.tif", "a_VV.tif"]


def test_band_subsets_are_sensors_of_their_own(small):
    tiles, coarse = small.sources[1], small.sources[2]
    assert len(tiles.sensor) == 13 and tiles.sensor.name == coarse.sensor.name
    assert [band.name for band in coarse.sensor.bands][-2:] == ["swir16", "swir22"]
    assert small.open(7).sensor is coarse.sensor


def test_pixels_are_mapped_not_loaded(small):
    image = small.open(0)
    assert isinstance(image.pixels, np.memmap) and image.pixels.dtype == np.uint8 and image.valid is None
    assert isinstance(small.open(5).valid, np.memmap)
    index_bytes = sum(value.nbytes for value in small.__dict__.values() if isinstance(value, np.ndarray))
    assert index_bytes < 100 * len(small)
    assert len(pickle.dumps(small)) < 60_000


def test_copies_see_the_same(small):
    for index in (0, 5, 8):
        copied = pickle.loads(pickle.dumps(small)).observation(index)
        assert np.array_equal(copied.pixels, small.observation(index).pixels)


def test_decoded_once_and_again_when_the_file_changes(small_root, small_yaml, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(small_root, root)
    first = load_dataset(small_yaml, root, cache=tmp_path / "cache").observation(0)
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npy")}
    load_dataset(small_yaml, root, cache=tmp_path / "cache").observation(0)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npy")} == written
    with rasterio.open(root / "rgb" / "plot_0.tif", "r+") as dataset:
        dataset.write(250 - dataset.read())
    os.utime(root / "rgb" / "plot_0.tif", ns=(1, 1))
    second = load_dataset(small_yaml, root, cache=tmp_path / "cache").observation(0)
    assert np.array_equal(second.pixels, 250 - first.pixels)


def test_splits(small_root, small_yaml, small_cache):
    assert len(load_dataset(small_yaml, small_root, split="train", cache=small_cache)) == 9
    test = load_dataset(small_yaml, small_root, split="test", cache=small_cache)
    assert [path.name for path in test.files(0)] == ["plot_4.tif"] and len(test) == 1
    with pytest.raises(ValueError, match="no image has split 'validation'; splits are: test, train"):
        load_dataset(small_yaml, small_root, split="validation", cache=small_cache)


GOOD = {"name": "a", "sensor": "rgb", "files": "rgb/*.tif", "bands": "sensor", "unit": "uint8"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"untis": "dn"}, "source 'a': unknown key 'untis', did you mean 'unit'"),
        ({"unit": None}, "'unit' is missing"),
        ({"unit": "dn"}, "source 'a'.*no unit 'dn'.*uint8, unit_interval"),
        ({"sensor": "rbg"}, "source 'a'.*did you mean 'rgb'"),
        ({"bands": ["red", "grean"]}, "source 'a'.*did you mean 'green'"),
        ({"files": "rgb/*.png"}, r"no file matches 'rgb/\*.png' in "),
        ({"shards": "x.tar"}, "either 'files'.*or 'shards'"),
        ({"files": "rgb/{band}.tif"}, "'bands' must list what it stands for"),
        ({"weight": "much"}, "Expected `float`"),
        ({"ground_sample_distance": -1}, "must be positive metres"),
        ({"overrides": [{"files": "*", "unut": "dn"}]}, "overrides: unknown key 'unut', did you mean 'unit'"),
        ({"overrides": [{"files": "*", "unit": "dn"}]}, "source 'a'.*no unit 'dn'"),
    ],
)
def test_a_wrong_declaration_says_what_and_where(small_root, tmp_path, change, message):
    path = tmp_path / "d.yaml"
    path.write_text(yaml.safe_dump({"sources": [{**GOOD, **change}]}))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_dataset(path, small_root, cache=tmp_path)


def test_a_missing_band_file_is_named(small_root, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(small_root / "s1", root / "s1")
    (root / "s1" / "b_VH.tif").unlink()
    path = tmp_path / "d.yaml"
    source = {"name": "r", "sensor": "sentinel1-grd", "files": "s1/*_{band}.tif", "bands": ["VV", "VH"], "unit": "db"}
    path.write_text(yaml.safe_dump({"sources": [source]}))
    with pytest.raises(FileNotFoundError, match=r"b_VV\.tif has no companion for band VH"):
        load_dataset(path, root, cache=tmp_path)


def test_other_wrong_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such dataset file"):
        load_dataset(tmp_path / "none.yaml", tmp_path)
    (tmp_path / "a.yaml").write_text("sources: [")
    with pytest.raises(ValueError, match="is not YAML"):
        load_dataset(tmp_path / "a.yaml", tmp_path)
    with pytest.raises(ValueError, match="2 sources have this name"):
        parse_dataset_config({"sources": [GOOD, GOOD]}, "here")
    with pytest.raises(ValueError, match="at least one source"):
        parse_dataset_config({"sources": []}, "here")
    (tmp_path / "b.yaml").write_text(yaml.safe_dump({"sources": [GOOD]}))
    with pytest.raises(FileNotFoundError, match=r"data folder .*absent does not exist"):
        load_dataset(tmp_path / "b.yaml", tmp_path / "absent")


@pytest.mark.realdata
def test_the_shared_samples(data_dir, repository, tmp_path):
    dataset = load_dataset(repository / "configs" / "data" / "shared_samples.yaml", data_dir, cache=tmp_path)
    sizes = {source.name: len(source) for source in dataset.sources}
    assert (
        sizes["terramesh-s2-l1c"] == sizes["terramesh-s2-l2a"] == sizes["terramesh-s1"] == sizes["bigearthnet-s1"] == 3
    )
    assert sizes["oscd"] == 2 and sizes["enmap"] == 12 and sizes["neon"] == 114 and sizes["drone"] == 12
    sources = {source.name: source for source in dataset.sources}
    # the processing offset is gone: the cirrus band of the top of the atmosphere is dark in every place
    for index in sources["terramesh-s2-l1c"].indices:
        image = dataset.observation(int(index))
        assert -0.005 < np.percentile(image.pixels[image.sensor.index("cirrus")], 1) < 0.01
    for index in sources["terramesh-s2-l2a"].indices:
        image = dataset.observation(int(index))
        assert -0.01 < np.percentile(image.pixels[image.sensor.index("blue")], 1) < 0.08
    assert dataset.open(int(sources["drone"].indices[0])).ground_sample_distance == 0.031
    assert dataset.open(int(sources["oscd"].indices[0])).notes == ()
    assert dataset.open(int(sources["neon"].indices[0])).valid is None
    assert dataset.open(int(sources["s2-20m"].indices[0])).ground_sample_distance == 20
