"""Several cameras that stand still see one person in one place."""

import json
from pathlib import Path

import numpy as np
import pytest

from skyweave.cli.main import main
from skyweave.core.geometry.geodesy import LocalFrame

ORIGIN = (48.1, 11.5, 515.0)


@pytest.mark.realdata
def test_four_calibrated_cameras_see_one_person_in_one_place(data_dir: Path, tmp_path: Path) -> None:
    folder, cameras = data_dir / "multiview_pose2sim", ["cam01", "cam02", "cam03", "cam04"]
    arguments = ["locate", *(str(folder / "videos" / f"{name}.mp4") for name in cameras)]
    arguments += ["--telemetry", *(str(folder / "cameras.json") for _ in cameras), "--origin", *map(str, ORIGIN)]
    arguments += ["--detector", str(data_dir.parent / "weights" / "yolox_nano_416.onnx"), "--classes", "person"]
    arguments += ["--rate", "4", "--start", "2026-11-30T10:00:00", "--formats", "geojson", "csv", "--min-score", "0.5"]
    assert main([*arguments, "-o", str(tmp_path)]) == 0
    rows = np.genfromtxt(tmp_path / "tracks.csv", delimiter=",", names=True, dtype=None, encoding="utf-8")
    track = rows[rows["track"] == 1]
    assert set(track["camera"]) == set(cameras)
    positions = np.column_stack([track["latitude"], track["longitude"], track["z"] + ORIGIN[2]])
    places = LocalFrame(*ORIGIN).from_geographic(positions)
    assert places.std(0).max() < 0.25
    content = json.loads((tmp_path / "tracks.geojson").read_text())
    assert len(content["features"]) <= 2
