"""The command reads what `skyweave inspect` reads, and what inspect advises works."""

import json
import shlex
import warnings

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning

from fabricated_rasters import colour_bands, sixteen_bit_bands, write_raster
from skyweave.backbone import build_backbone, save_checkpoint
from skyweave.cli.main import main

FOUR = ["B02", "B03", "B04", "B08"]
S2 = ["--sensor", "sentinel2-l2a", "--bands", ",".join(FOUR)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_checkpoint(path, build_backbone("tiny", seed=0, width=48, depth=1, heads=2).eval(), "small")
    return str(path)


@pytest.fixture
def embed(weights, tmp_path, capsys):
    """Return a function that embeds a file and returns the exit code, the result, and what was written to stderr."""

    def run(scene, *options):
        output = tmp_path / "out.tif"
        output.unlink(missing_ok=True)
        code = main(["embed", str(scene), "-o", str(output), "--weights", weights, "--json", *options])
        written = capsys.readouterr()
        assert (code == 0) == output.exists()
        return code, json.loads(written.out) if code == 0 else None, written.err

    return run


def inspect(path, capsys, *options):
    assert main(["inspect", str(path), "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


def transform_of(path):
    with rasterio.open(path) as dataset:
        return tuple(dataset.transform[:6]), dataset.crs


def test_scale_tags_and_fill_values_are_refused_before_anything_is_written(embed, tmp_path):
    tagged = write_raster(tmp_path / "a.tif", sixteen_bit_bands(), FOUR, (1e-4, -0.1))
    code, _, err = embed(tagged, *S2, "--unit", "dn")
    assert code == 2 and "declare unit dn_offset1000" in err
    assert embed(tagged, *S2, "--unit", "dn", "--ignore-scale-tags")[0] == 0
    assert embed(tagged, *S2, "--unit", "dn_offset1000")[0] == 0
    filled = sixteen_bit_bands().astype(np.int16)
    filled[:, :, 24:] = -9999
    code, _, err = embed(write_raster(tmp_path / "b.tif", filled, FOUR), *S2, "--unit", "dn")
    assert code == 2 and "960 of 1920 pixels" in err
    remedy = next(word for word in err.split() if word.startswith("--nodata="))
    code, result, _ = embed(tmp_path / "b.tif", *S2, "--unit", "dn", remedy)
    assert code == 0 and result["valid_fraction"] == 0.5


@pytest.mark.parametrize("bands", [[], ["--bands", "red,green,blue"], ["--bands", "red,green,blue,null"]])
def test_an_orthophoto_with_transparency(embed, tmp_path, bands):
    values = np.concatenate([colour_bands(), np.full((1, 64, 80), 255, np.uint8)])
    values[:, :, :16] = 0
    path = write_raster(tmp_path / "a.tif", values, photometric="RGB", alpha="YES")
    code, result, _ = embed(path, "--sensor", "rgb", "--unit", "uint8", *bands)
    assert code == 0 and result["valid_fraction"] == 0.8
    code, _, err = embed(path, "--sensor", "naip", "--unit", "uint8", "--bands", "sensor")
    assert code == 2 and "transparency" in err


def test_control_points_and_local_systems_reach_the_output(embed, tmp_path):
    points = [GroundControlPoint(r, c, 4e5 + c * 0.5, 5e6 - r * 0.5) for r in (0, 64) for c in (0, 40, 80)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            tmp_path / "a.tif", "w", driver="GTiff", height=64, width=80, count=3, dtype="uint8"
        ) as dataset:
            dataset.write(colour_bands())
            dataset.gcps = (points, CRS.from_epsg(32633))
    declared = ["--sensor", "rgb", "--unit", "uint8", "--bands", "red,green,blue"]
    code, result, err = embed(tmp_path / "a.tif", *declared)
    affine, crs = transform_of(tmp_path / "out.tif")
    assert code == 0 and err == "" and result["ground_sample_distance"] == pytest.approx(4)
    assert affine == pytest.approx((4, 0, 4e5, 0, -4, 5e6)) and crs.to_epsg() == 32633
    local = CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1]]')
    path = write_raster(tmp_path / "b.tif", colour_bands(), crs=local, transform=Affine(0.5, 0, 100, 0, -0.5, 200))
    code, result, err = embed(path, *declared)
    affine, crs = transform_of(tmp_path / "out.tif")
    assert code == 0 and err == "" and result["ground_sample_distance"] == pytest.approx(4)
    assert affine == (4, 0, 100, 0, -4, 200) and "site" in crs.to_wkt()


def test_subdatasets_and_patterns(embed, tmp_path, monkeypatch):
    h5py = pytest.importorskip("h5py")
    monkeypatch.chdir(tmp_path)
    with h5py.File("two.h5", "w") as file:
        file["a/cube"], file["a/mask"] = sixteen_bit_bands(), np.zeros((40, 48), np.uint8)
    code, _, err = embed("two.h5", *S2, "--unit", "dn")
    assert code == 2 and "HDF5:two.h5://a/cube" in err
    assert embed("HDF5:two.h5://a/cube", *S2, "--unit", "dn", "--gsd", "10")[0] == 0
    for name, values in zip(FOUR, sixteen_bit_bands(), strict=True):
        write_raster(tmp_path / f"T33_{name}_10m.tif", values[None])
    code, result, _ = embed("T33_{band}_10m.tif", *S2, "--unit", "dn")
    assert code == 0 and (result["rows"], result["columns"]) == (5, 6)
    assert embed("*_{band}_10m.tif", "--sensor", "sentinel2-l2a", "--unit", "dn")[0] == 0
    code, _, err = embed("T34_{band}.tif", *S2, "--unit", "dn")
    assert code == 2 and "nothing matches T34_B02.tif" in err


def test_the_command_that_inspect_advises_works(embed, tmp_path, capsys):
    filled = sixteen_bit_bands().astype(np.int16)
    filled[:, :, 24:] = -9999
    values = np.concatenate([colour_bands(), np.full((1, 64, 80), 255, np.uint8)])
    files = {
        "sentinel2-l2a": write_raster(tmp_path / "a.tif", filled, FOUR),
        "rgb": write_raster(tmp_path / "b.tif", values, photometric="RGB", alpha="YES"),
        "naip": write_raster(tmp_path / "c.tif", np.concatenate([colour_bands(), colour_bands()[:1]]), None, None),
        "sentinel2-l1c": write_raster(tmp_path / "d.tif", sixteen_bit_bands(), FOUR, (1e-4, 0.0)),
    }
    for sensor, path in files.items():
        content = inspect(path, capsys, "--sensor", sensor)
        units = content["sensors"][0]["units"]
        words = shlex.split(content["command"].replace("UNIT", units[0]))
        code, _, err = embed(words[2], *words[5:])
        assert code == 0, (content["command"], err)
