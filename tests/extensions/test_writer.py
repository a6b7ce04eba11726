"""An output format from a package of its own: an array and what made it, chosen by the suffix of the output."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from recipes import entry_points, recipe
from skyweave.cli.main import main
from skyweave.core.images.png import encode_png

PACKAGE = recipe("numpy_writer.py")


@pytest.fixture
def scene(tmp_path: Path, install_package: Callable[[str, str, str], None]) -> Path:
    install_package("numpy_writer", PACKAGE, entry_points("numpy_writer"))
    pixels = np.random.default_rng(0).integers(1, 255, (3, 40, 56), dtype=np.uint8)
    pixels[:, :16, :16] = 0
    profile = {"count": 3, "height": 40, "width": 56, "dtype": "uint8", "nodata": 0, "crs": "EPSG:32633"}
    with rasterio.open(
        tmp_path / "scene.tif", "w", "GTiff", transform=Affine(0.5, 0, 3e5, 0, -0.5, 5e6), **profile
    ) as file:
        file.write(pixels)
        file.descriptions = ("red", "green", "blue")
    return tmp_path / "scene.tif"


def embed(scene: Path, output: str, *options: str) -> int:
    declared = ["--sensor", "rgb", "--unit", "uint8"]
    return main(["embed", str(scene), "-o", str(scene.parent / output), *declared, *options])


def test_a_format_of_another_package_holds_what_the_geotiff_holds(scene: Path) -> None:
    folder = scene.parent
    assert embed(scene, "out.tif", "--dtype", "float32") == 0
    assert embed(scene, "out.npz", "--dtype", "float32", "--preview", str(folder / "out.png")) == 0
    with rasterio.open(folder / "out.tif") as geotiff, np.load(folder / "out.npz") as stored:
        np.testing.assert_array_equal(stored["values"], geotiff.read())
        record = json.loads((folder / "out.json").read_text())
        assert record["transform"] == list(geotiff.transform)[:6]
        assert {name: record[name] for name in ("MODEL", "FINGERPRINT", "BANDS")}.items() <= geotiff.tags().items()
        assert np.isnan(stored["values"][:, :2, :2]).all() and np.isfinite(stored["smallest"]).all()
    assert (folder / "out.png").read_bytes()[:4] == encode_png(np.zeros((1, 1, 4), np.uint8))[:4]
    assert sorted(path.name for path in folder.glob("*out*")) == ["out.json", "out.npz", "out.png", "out.tif"]
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_what_a_format_cannot_do_is_said(scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert embed(scene, "out.npz", "--dtype", "int8") == 2
    assert "numpy cannot store int8; choose one of: float16, float32" in capsys.readouterr().err
    assert embed(scene, "out.xyz") == 2
    assert "there are geotiff (.tif, .tiff); zarr (.zarr)" in capsys.readouterr().err
    assert embed(scene, "out.xyz", "--format", "geotif") == 2
    assert "no output format 'geotif', did you mean 'geotiff'" in capsys.readouterr().err
    assert embed(scene, "out.img", "--format", "geotiff") == 0
