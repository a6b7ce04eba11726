"""`skyweave embed --catalog` describes its outputs so that anybody's validator and pystac read them."""

import json
from pathlib import Path

import numpy as np
import pystac
import pytest
from affine import Affine
from pystac.extensions.mlm import MLMExtension

from fabricated_rasters import write_raster
from skyweave.cli.main import main
from skyweave.inference.validation import validate_output


def write_scene(path: Path, rows: int, columns: int) -> Path:
    pixels = np.random.default_rng(0).integers(1, 255, (3, rows, columns), dtype=np.uint8)
    place = {"crs": "EPSG:32633", "transform": Affine(0.5, 0, 370_000, 0, -0.5, 5_800_000)}
    write_raster(path, pixels, ("red", "green", "blue"), **place)
    return path


def embed(scene: Path, output: str, *options: str) -> int:
    declared = ["--sensor", "rgb", "--unit", "uint8", "--patch-size", "8"]
    return main(["embed", str(scene), "-o", str(scene.parent / output), *declared, *options])


def test_outputs_of_all_formats_and_their_catalogue(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene, folder = write_scene(tmp_path / "scene.tif", 40, 60), tmp_path / "catalogue"
    taken = ("--catalog", str(folder), "--acquired", "2024-05-01")
    assert embed(scene, "a.tif", *taken, "--licence", "CC-BY-4.0") == 0
    assert "its STAC item" in capsys.readouterr().out
    assert embed(scene, "b.parquet", *taken, "--json") == 0
    assert json.loads(capsys.readouterr().out)["item"] == str(folder / "b" / "b.json")
    assert embed(scene, "c.zarr", "--dtype", "int8", *taken) == 2
    assert "data_type float16, these have int8" in capsys.readouterr().err
    assert not (tmp_path / "c.zarr").exists()
    collection = pystac.Collection.from_file(str(folder / "collection.json"))
    assert sorted(item.id for item in collection.get_items()) == ["a", "b"] and collection.license == "CC-BY-4.0"
    model = pystac.Item.from_file(str(folder / "model.json"))
    extension = MLMExtension.ext(model)
    assert extension.mlm_name == "tiny" and extension.total_parameters and extension.total_parameters > 5e6
    assert extension.output[0].result.shape == [-1, 192, -1, -1]
    assert not validate_output(folder / "collection.json").findings


def test_a_scene_without_time_is_refused_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = write_scene(tmp_path / "scene.tif", 16, 16)
    assert embed(scene, "a.tif", "--catalog", str(tmp_path / "catalogue")) == 2
    assert "add --acquired 2024-05-01" in capsys.readouterr().err
    assert embed(scene, "a.tif", "--catalog", str(tmp_path / "catalogue"), "--acquired", "yesterday") == 2
    assert "is no time" in capsys.readouterr().err and not (tmp_path / "a.tif").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--acquired", "2024-05-01"), "--acquired is written into the item of a collection; give --catalog"),
        (("--licence", "CC-BY-4.0"), "--licence is written into the item of a collection; give --catalog"),
        (("--datetime", "2024-05"), "--datetime is for scenes of a catalogue; give --stac URL, or remove it"),
        (("--keep-clouds",), "--keep-clouds is for scenes of a catalogue"),
    ],
)
def test_options_that_would_change_nothing_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    assert embed(write_scene(tmp_path / "scene.tif", 16, 16), "a.tif", *options) == 2
    assert message in capsys.readouterr().err
