import json
from pathlib import Path

import numpy as np
import pytest

from skyweave.core.geometry.triangulation import triangulate
from skyweave.recordings.calibration import load_calibration

# Four white dots beside the belt of the treadmill, found in the median of every tenth frame: centroid (u, v) of the
# bright spot, with the first pixel's centre at (0.5, 0.5). The dot "d" is behind the walker's leg in cam03; "b" is
# hidden in cam02.
NAMES = ("cam01", "cam02", "cam03", "cam04")
DOTS = {
    "a": [(518.80, 1064.65), (789.08, 1084.35), (485.68, 1432.24), (385.75, 1396.71)],
    "b": [(767.19, 1290.98), None, (164.99, 1240.94), (519.97, 1117.66)],
    "c": [(109.29, 1060.73), (439.56, 1041.00), (874.41, 1234.59), (837.21, 1411.23)],
    "d": [(317.73, 1335.43), (325.92, 1207.95), None, (890.05, 1070.20)],
}


@pytest.mark.realdata
def test_both_files_of_the_treadmill_say_the_same(data_dir: Path) -> None:
    folder = data_dir / "multiview_pose2sim"
    ours, theirs = load_calibration(folder / "cameras.json"), load_calibration(folder / "Calib.qca.txt")
    assert tuple(ours) == tuple(theirs) == NAMES
    for name, camera in ours.items():
        assert camera.camera.rows == 1920 and camera.camera.columns == 1088
        assert theirs[name].world_from_camera == pytest.approx(camera.world_from_camera, abs=1e-6)
        assert theirs[name].camera.intrinsics == pytest.approx(camera.camera.intrinsics, abs=1e-6)
        assert theirs[name].camera.distortion == pytest.approx(camera.camera.distortion)
        assert 1.6 < camera.position[2] < 2.2  # they stand on tripods
        down = np.degrees(np.arcsin(-camera.world_from_camera[2, 2]))
        assert 15 < down < 28


@pytest.mark.realdata
def test_dots_on_the_treadmill_triangulate_onto_its_plane(data_dir: Path) -> None:
    """Centimetres are what this calibration allows: the errors of a camera lean the same way for every dot."""
    cameras = load_calibration(data_dir / "multiview_pose2sim" / "cameras.json")
    pixels = np.array([[dot[i] or (np.nan, np.nan) for dot in DOTS.values()] for i in range(len(NAMES))])
    points, errors = triangulate(pixels, list(cameras.values()))
    assert np.abs(points[:, 2]).max() < 0.03
    rms = np.sqrt(np.nanmean((errors**2).sum(-1)))
    distance = np.mean([np.linalg.norm(points - camera.position, axis=1).mean() for camera in cameras.values()])
    assert rms < 11 and rms / 1677 * distance < 0.03
    # the dots stand in pairs on the two sides of the belt, at the same place along it
    assert points[0, 1] - points[2, 1] == pytest.approx(points[1, 1] - points[3, 1], abs=0.02)


def camera(**changes: object) -> dict[str, object]:
    fields: dict[str, object] = {
        "K": [[1000, 0, 320], [0, 1000, 240], [0, 0, 1]],
        "R_world_to_cam": np.eye(3).tolist(),
        "t_world_to_cam_m": [0, 0, 0],
        "size_wh": [640, 480],
    }
    return {**fields, **changes}


def test_pixels_are_counted_our_way(tmp_path: Path) -> None:
    path = tmp_path / "cameras.json"
    path.write_text(json.dumps({"one": camera()}))
    one = load_calibration(path)["one"]
    assert one.project(np.array([0.0, 0, 5]))[0].tolist() == [320.5, 240.5]
    assert (one.camera.rows, one.camera.columns) == (480, 640)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("hello", "neither a Qualisys calibration nor JSON"),
        (json.dumps({"one": {"K": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}}), "a camera lacks"),
        (json.dumps({"one": camera(R_world_to_cam=(2 * np.eye(3)).tolist())}), "not orthonormal"),
        (json.dumps([camera()]), "cameras by name are needed.*holds list"),
        (json.dumps({"one": [1, 2]}), "cameras by name are needed"),
        (json.dumps({"one": camera(distortion=[0, 0, 0, 0, 0, 0.1, 0, 0])}), "8 distortion coefficients"),
        (json.dumps({"one": camera(distortion_model="fisheye", distortion=[0, 0, 0, 0])}), "lens model 'fisheye'"),
        (json.dumps({"one": camera(size_wh=[320, 240])}), r"camera one lies outside its 320 x 240 pixels"),
        ("<calibration><cameras/></calibration>", "no cameras"),
        ("<calibration><cameras><camera serial='x'/></cameras></calibration>", "camera x has no transform"),
    ],
)
def test_broken_calibrations_are_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "cameras.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        load_calibration(path)
    with pytest.raises(FileNotFoundError, match="no such calibration"):
        load_calibration(tmp_path / "none.json")
