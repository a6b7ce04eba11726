"""``skyweave view`` end to end."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fabricated_layouts import air_co_pred
from fabricated_recordings import CATEGORIES, scene
from skyweave.cli.main import main
from skyweave.recordings.nuscenes import finish_recording, write_scene
from skyweave.viewing.raster import render_raster


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recording")
    for name in ("first", "second"):
        write_scene(path, scene(name), CATEGORIES)
    finish_recording(path, "fabricated", {"train": ["first", "second"]})
    return path


def rerun(*arguments: str) -> str:
    """Rerun's own command line."""
    program = Path(sys.executable).with_name("rerun")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_rerun_reads_what_is_written(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rerun", reason="needs the view extra")
    output = tmp_path / "out.rrd"
    assert main(["view", str(folder), "-o", str(output), "--scene", "second"]) == 0
    assert f"{output}: scene second, 3 frames" in capsys.readouterr().out
    assert [p.name for p in tmp_path.iterdir()] == ["out.rrd"]
    rerun("rrd", "verify", str(output))
    printed = rerun("rrd", "print", "-vv", str(output))
    for entity in ("/world/uav-1/UAV_1/image", "/world/objects", "/world/map", "/world/views/UAV_2", "/geo/UAV_2"):
        assert entity in printed
    for thing in ("Pinhole:image_from_camera", "Boxes3D:half_sizes", "EncodedImage:blob", "Mesh3D:albedo_texture"):
        assert thing in printed


def test_rerun_in_the_folder_one_stands_in(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rerun", reason="needs the view extra")
    monkeypatch.chdir(tmp_path)
    assert main(["view", str(folder), "--frames", "1:2"]) == 0
    assert "first.rrd: scene first, 1 frames" in capsys.readouterr().out and Path("first.rrd").stat().st_size > 1000


def test_contact_sheet_needs_no_rerun(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    monkeypatch.delitem(sys.modules, "skyweave.viewing.rerun_file", raising=False)
    sheet = tmp_path / "sheet.png"
    assert main(["view", str(folder), "--png", str(sheet)]) == 0
    assert "frames 0, 1, 2" in capsys.readouterr().out
    with Image.open(sheet) as opened:
        image = np.asarray(opened)
    assert image.shape[0] > 3 * 420 and image.shape[1] > 900
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 50
    assert main(["view", str(folder), "-o", str(tmp_path / "x.rrd")]) == 2
    assert not (tmp_path / "x.rrd").exists()


def test_pictures_that_are_missing_are_said_and_left_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    air_co_pred(tmp_path)
    next((tmp_path / "samples" / "UAV_3").iterdir()).unlink()
    assert main(["view", str(tmp_path), "--png", str(tmp_path / "s.png"), "--frames", "0:3"]) == 0
    captured = capsys.readouterr()
    assert captured.err.count("warning: ") == 1 and "is missing" in captured.err
    with Image.open(tmp_path / "s.png") as opened:
        assert opened.size[0] > 900
    pytest.importorskip("rerun", reason="needs the view extra")
    assert main(["view", str(tmp_path), "-o", str(tmp_path / "s.rrd")]) == 0
    assert "is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scene", "third"], "there is no scene 'third'; there is first, second"),
        (["--frames", "x"], "'x' is no range"),
        (["--frames", "7:9"], "holds none of the 3 frames"),
    ],
)
def test_wrong_arguments(
    folder: Path, tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["view", str(folder), "--png", str(tmp_path / "s.png"), *arguments]) == 2
    assert message in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_raster_as_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rasterio = pytest.importorskip("rasterio")
    path = tmp_path / "scene.tif"
    values = np.zeros((4, 40, 3000), np.uint16)
    values[2] = np.arange(3000)
    values[:, :, :100] = 9
    profile = {"driver": "GTiff", "count": 4, "height": 40, "width": 3000, "dtype": "uint16", "nodata": 9}
    profile |= {"crs": "EPSG:32632", "transform": rasterio.Affine(10, 0, 691000, 0, -10, 5334000)}
    with rasterio.open(path, "w", **profile) as file:
        file.write(values)
    image = render_raster(path)
    assert image.shape == (27, 2048, 3) and (image[:, :60] == 222).all()
    assert image[5, -1, 2] == 255 and image[5, 200, 2] < 30
    assert main(["view", str(path), "--png", str(tmp_path / "p.png")]) == 0
    assert "p.png: 2048 x 27 pixels" in capsys.readouterr().out
    assert main(["view", str(tmp_path / "none.tif")]) == 2
    assert "no such file" in capsys.readouterr().err
