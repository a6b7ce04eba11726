"""Cameras and poses of a folder that cannot be meant are refused before anything flies."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from skyweave.core.errors import DataError, FleetError
from skyweave.fleet.sources.folder import FolderSource, FolderSourceConfig

POSE = "10,20,50,0,90,0"
CAMERA = {"rows": 48, "columns": 64, "field_of_view": 60.0}


def source(folder: Path, pose: str = POSE, crs: str | None = None, **camera: Any) -> FolderSource:
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(folder / "a.png")
    content = {key: value for key, value in (CAMERA | camera).items() if value is not None}
    (folder / "camera.yaml").write_text(yaml.safe_dump(content))
    (folder / "poses.csv").write_text(f"file,x,y,z,yaw,pitch,roll\na.png,{pose}\n")
    return FolderSourceConfig(str(folder), crs, "UAV").build(SimpleNamespace(platform="UAV"))  # type: ignore[arg-type, return-value]


def test_a_folder_as_it_should_be(tmp_path: Path) -> None:
    assert source(tmp_path).captures[0].geometry.position.tolist() == [10, 20, 50]
    source(tmp_path, "500000,5000000,50,0,0,0", "EPSG:32633")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"intrinsics": [2000, 0, 1920, 0, 2000, 1080, 0, 0, 1]}, r"1920 and 1080, lies outside its image of 64 x 48"),
        ({"intrinsics": [0.8, 0, 0.5, 0, 1.1, 0.5, 0, 0, 1]}, r"0\.8 pixels, is none of an image of 64 x 48"),
        ({"field_of_view": 1.047}, r"focal length of camera\.yaml, .* give it in pixels, and angles in degrees"),
        ({"field_of_view": 120.0, "distortion": [-2.0, 0, 0, 0, 0]}, "folds most of the image over"),
        ({"pose": "10,20,50,0,-90,0"}, r"no camera sees the ground; .* pitch downwards"),
        ({"pose": "10,20,-50,0,90,0"}, r"the first is at z -50 over ground at 0: z must count upwards"),
        ({"pose": "13.4,52.5,50,0,90,0", "crs": "EPSG:4326"}, "EPSG:4326 is in degree; a map grid needs metres"),
        ({"crs": "EPSG:2263"}, "is in US survey foot"),
        ({"crs": "EPSG:99999"}, "unknown coordinate reference system"),
    ],
)
def test_numbers_that_cannot_be_meant(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    if "intrinsics" in changes:
        changes = changes | {"field_of_view": None}
    with pytest.raises((DataError, FleetError), match=message):
        source(tmp_path, **changes)
