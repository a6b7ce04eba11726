"""``skyweave orthomosaic`` end to end, on drawn flights and on a real one."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.warp import transform

from fabricated_flight import draw_ground, lawnmower, noisy, write_flight
from skyweave.cli.main import main

TURNED = {f"images/DJI_00{number}.JPG" for number in range(24, 30)}


def run_json(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["orthomosaic", *arguments, "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_from_a_folder_to_a_mosaic(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shots = noisy(lawnmower(1, 3), 1.0, 2.0)
    folder = write_flight(tmp_path / "flight", shots, draw_ground(70.0))
    write_flight(folder, [replace(shots[0], name="Z.JPG", leave_out=frozenset({"gps"}))], draw_ground(70.0))
    output, preview = tmp_path / "deep" / "mosaic.tif", tmp_path / "mosaic.png"
    arguments = ["orthomosaic", str(folder), "-o", str(output), "--refine", "--preview", str(preview)]
    assert main([*arguments, "--resolution", "0.25"]) == 0
    says = capsys.readouterr()
    assert "3 of 4 pictures" in says.out and "poses refined: median 0.0" in says.out
    assert "warning: Z.JPG was left out: has no GPS position" in says.err
    with rasterio.open(output) as source, Image.open(preview) as image:
        assert source.transform.a == 0.25 and image.mode == "RGBA" and image.size == source.shape[::-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "out.png"], "name it .tif"),
        (["-o", "out.tif", "--resolution", "-1"], "metres > 0"),
        (["-o", "out.tif", "--height", "nan"], "must be metres"),
        (["-o", "out.tif", "--focal", "0"], "pixels > 0"),
        (["-o", "out.tif", "--dem", "none.tif"], "no such elevation model"),
        (["-o", "out.tif", "--resolution", "1e-5"], "coarser --resolution"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_flight(tmp_path / "flight", lawnmower(1, 1), draw_ground(70.0))
    assert main(["orthomosaic", "flight", *options]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and message in error
    assert sorted(p.name for p in tmp_path.iterdir()) == ["flight"]


@pytest.mark.realdata
@pytest.mark.parametrize("poses", [False, True], ids=["from the pictures alone", "with poses"])
def test_brighton_beach(data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], poses: bool) -> None:
    """Six pictures are upside down, positions are off by metres, and the height is stated nowhere in the pictures."""
    folder = data_dir / "uav_brighton_beach"
    output = tmp_path / "mosaic.tif"
    arguments = [str(folder), "-o", str(output), "--refine", "--resolution", "0.15"]
    report = run_json([*arguments, *(["--poses", str(folder / "poses.json")] if poses else [])], capsys)
    assert all(photo["skipped"] is None for photo in report["photos"]) and len(report["photos"]) == 12
    turned = {photo["name"] for photo in report["photos"] if photo["turned"] == 180}
    assert turned == (set() if poses else TURNED)
    assert report["before"]["ties"] == report["after"]["ties"] > 100
    assert report["after"]["median"] < report["before"]["median"] / 5 and report["after"]["median"] < 0.2
    assert report["after"]["percentile90"] < report["before"]["percentile90"] / 2
    assert 33 < report["height"] < 40
    truth = {image["file"]: image for image in json.loads((folder / "poses.json").read_text())["images"]}
    for photo in report["photos"]:
        known = truth[Path(photo["name"]).name]
        assert abs((photo["heading"] - known["image_up_yaw_deg"] + 180) % 360 - 180) < 8
        metres = np.hypot((photo["latitude"] - known["lat"]) * 111_200, (photo["longitude"] - known["lon"]) * 76_100)
        assert metres < 5
    with rasterio.open(output) as source:
        assert source.crs == "EPSG:32615" and source.overviews(1)
        (west, east), (south, north) = transform(
            source.crs, "EPSG:4326", *zip(*[source.bounds[:2], source.bounds[2:]], strict=True)
        )
        assert -91.9955 < west < -91.9942 < -91.9935 < east < -91.9925
        assert 46.8418 < south < 46.8424 < 46.8430 < north < 46.8436
        assert 0.4 < (source.read(4) > 0).mean() < 0.6


@pytest.mark.realdata
def test_without_any_gimbal_data_too(data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Six of the pictures, their maker notes taken out: headings and height come from the overlaps alone."""
    folder = tmp_path / "bare"
    folder.mkdir()
    for number in (21, 22, 23, 24, 25, 26):
        with Image.open(data_dir / "uav_brighton_beach" / "images" / f"DJI_00{number}.JPG") as image:
            exif = image.getexif()
            exif.get_ifd(0x8769).pop(37500)
            small = image.resize((1000, 562))
            small.save(folder / f"{number}.jpg", quality=90, exif=exif)
    shutil.copy(data_dir / "uav_brighton_beach" / "README.md", folder)  # not a picture
    report = run_json([str(folder), "-o", str(tmp_path / "m.tif"), "--refine", "--resolution", "0.3"], capsys)
    assert {photo["heading_source"] for photo in report["photos"]} == {"overlaps"}
    assert all(30 < photo["heading"] < 60 for photo in report["photos"])
    assert 30 < report["height"] < 42
    assert report["after"]["median"] < report["before"]["median"] / 2
