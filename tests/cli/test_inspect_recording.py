"""``skyweave inspect`` of a folder."""

import json
from pathlib import Path

import pytest

from fabricated_layouts import nuscenes, uav3d
from fabricated_recordings import CATEGORIES, scene
from skyweave.cli.main import main
from skyweave.recordings.nuscenes import finish_recording, write_scene


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recording")
    write_scene(path, scene(), CATEGORIES)
    write_scene(path, scene("other", frames=1, rows=30, columns=50), CATEGORIES)
    finish_recording(path, "fabricated", {"train": ["crossing-0"], "val": ["other"]})
    return path


def test_summary_in_numbers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["layout"], found["frames"], found["rate"], found["all_scenes"]) == ("skyweave", 4, 2.0, 2)
    assert found["categories"] == {"car": [16, 8], "truck": [4, 2], "pedestrian": [4, 2]}
    assert found["splits"] == {"train": 1, "val": 1} and found["crs"] == ["EPSG:32632"]
    camera = found["channels"]["UAV_1"]
    assert camera["sizes"] == [[60, 100], [30, 50]] and camera["images"] == 4 and camera["missing"] == 0
    assert camera["altitude"] == pytest.approx([40, 40]) and camera["field_of_view"][0] == pytest.approx(58.1, abs=0.1)
    assert 40 < camera["pitch"][0] < camera["pitch"][1] < 45
    assert camera["truth"] == ["depth", "instances", "classes", "pose"]
    assert sum(found["visibility"].values()) == 24


def test_summary_for_people(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(folder)]) == 0
    text = capsys.readouterr().out
    for expected in ("skyweave layout", "UAV_2", "crossing-0", "pedestrian", "splits: train 1, val 1"):
        assert expected in text


def test_public_layouts_with_holes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uav3d(tmp_path)
    next((tmp_path / "sweeps" / "CAMERA_LEFT_id_2").iterdir()).unlink()
    assert main(["inspect", str(tmp_path), "--json", "--quick"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["layout"] == "uav3d" and found["visibility"] == {} and len(found["channels"]) == 25
    assert found["channels"]["CAMERA_LEFT_id_2"]["missing"] == 1
    assert main(["inspect", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "15 more cameras (--all shows them)" in text and "left-handed" in text


def test_versions_and_folders_without_a_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path)]) == 2
    assert "is a folder, but holds no recording" in capsys.readouterr().err
    uav3d(tmp_path)
    nuscenes(tmp_path)
    assert main(["inspect", str(tmp_path)]) == 2
    assert "v1.0-mini, v1.0-trainval; choose" in capsys.readouterr().err
    assert main(["inspect", str(tmp_path), "--version", "v1.0-mini"]) == 0
    assert "nuscenes layout" in capsys.readouterr().out
