"""``skyweave simulate`` from end to end."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml

from skyweave.cli.main import main
from skyweave.recordings.nuscenes import load_recording

SMALL = {
    "name": "tiny",
    "scenes": 2,
    "frames": 2,
    "warm_up": 2.0,
    "roads": {"size": 100},
    "traffic": {"cars": 8, "trucks": 1, "buses": 0, "bicycles": 2, "pedestrians": 4, "parked": 4},
    "scenery": {"buildings": 3, "trees": 5, "texture": 1.0},
    "platforms": [
        {"name": "UAV", "count": 2, "cameras": [{"rows": 48, "columns": 80, "field_of_view": [65, 65]}]},
        {"name": "HOT", "cameras": [{"sensor": "thermal", "rows": 40, "columns": 48, "field_of_view": [60, 60]}]},
    ],
    "errors": {"position": 0.2, "clock": 5},
}


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    return str(path)


def test_the_same_files_for_the_same_seed_however_many_workers(config: str, tmp_path: Path) -> None:
    one, two, other = (tmp_path / name for name in ("one", "two", "other"))
    assert main(["simulate", config, "-o", str(one)]) == 0
    before = dict(os.environ)
    assert main(["simulate", config, "-o", str(two), "--workers", "2"]) == 0
    assert dict(os.environ) == before  # the workers' settings are theirs
    assert main(["simulate", config, "-o", str(other), "--seed", "4", "--scenes", "1"]) == 0
    assert digests(one) == digests(two)
    assert len(digests(one)) > 40
    assert digests(other).get("samples/UAV_1/tiny-0000__UAV_1__00000.png") not in (None, *digests(one).values())


def test_an_interrupted_run_goes_on(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "recording"
    main(["simulate", config, "-o", str(folder), "--scenes", "1"])
    capsys.readouterr()
    assert main(["simulate", config, "-o", str(folder), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["scenes"] == 2 and summary["written"] == 1
    main(["simulate", config, "-o", str(folder), "--json"])
    assert json.loads(capsys.readouterr().out)["written"] == 0
    main(["simulate", config, "-o", str(folder), "--json", "--set", "traffic.cars=5"])
    assert json.loads(capsys.readouterr().out)["written"] == 2, "another world needs other pictures"


def test_what_is_written_reads_back(config: str, tmp_path: Path) -> None:
    folder = tmp_path / "recording"
    main(["simulate", config, "-o", str(folder), "--set", "validation=0.5"])
    recording = load_recording(folder)
    assert {split: len(names) for split, names in recording.splits.items()} == {"train": 1, "val": 1}
    assert "bicycle" in recording.categories and "road" in recording.surfaces
    frame = recording.scenes[0].frames[0]
    assert set(frame.captures) == {"UAV_1", "UAV_2", "HOT"}
    thermal = frame.captures["HOT"].load()
    assert thermal.sensor.name == "thermal" and 250 < thermal.pixels.min() < thermal.pixels.max() < 350
    capture = frame.captures["UAV_1"]
    assert capture.load_depth and capture.load_instances and capture.true_geometry
    assert np.isfinite(capture.load_depth()).all()
    assert frame.annotations is not None and capture.load_instances().max() < len(frame.annotations.boxes)
    assert not np.array_equal(capture.geometry.position, capture.true_geometry.position)


def test_a_geotiff_can_be_the_ground(config: str, tmp_path: Path) -> None:
    import rasterio
    from rasterio import Affine

    photo = tmp_path / "photo.tif"
    shape = {"width": 60, "height": 60, "count": 3, "dtype": "uint8"}
    pixels = np.random.default_rng(0).integers(0, 255, (3, 60, 60), np.uint8)
    with rasterio.open(photo, "w", crs="EPSG:32632", transform=Affine(0.5, 0, 0, 0, -0.5, 0), **shape) as file:
        file.write(pixels)
        file.descriptions = ("red", "green", "blue")
    plain, real = tmp_path / "plain", tmp_path / "real"
    arguments = ["simulate", config, "--scenes", "1", "--frames", "1"]
    main([*arguments, "-o", str(plain)])
    assert main([*arguments, "-o", str(real), "--set", "scenery.orthophoto=photo.tif"]) == 0
    picture = "samples/UAV_1/tiny-0000__UAV_1__00000.png"
    assert digests(plain)[picture] != digests(real)[picture]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "traffic.cars=-3"], "traffic.cars is -3"),
        (["--set", "roads.size=1"], "roads.size is 1"),
        (["--set", "nonsense=1"], "unknown key 'nonsense'"),
        (["--workers", "0"], "--workers 0"),
        (["--scenes", "0"], "scenes is 0"),
        (["--set", "scenery.orthophoto=nowhere.tif"], "nowhere.tif"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], message: str, config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", config, "-o", str(tmp_path / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error:") and message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
