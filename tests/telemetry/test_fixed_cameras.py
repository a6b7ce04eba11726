"""Cameras that stand still: their calibration is a log, and a point on the ground is where all of them see it."""

import json
from pathlib import Path

import numpy as np
import pytest

from skyweave.core.errors import ConfigError, DataError
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import camera_pose
from skyweave.core.geometry.geodesy import LocalFrame
from skyweave.telemetry import interpolate_poses, pose_rates, read_telemetry
from skyweave.telemetry.map_poses import project_poses
from skyweave.telemetry.reading import ReadOptions

ORIGIN = (48.1, 11.5, 515.0)


def calibration(folder: Path) -> tuple[Path, dict[str, CameraGeometry]]:
    """Two cameras 6 m above the ground that look at the origin from west and south, as OpenCV writes them."""
    camera = PinholeCamera.from_field_of_view(np.radians(60), 480, 640)
    cameras = {
        "west": CameraGeometry(camera, camera_pose(np.array([-10.0, 0.0, 6.0]), 0.0, np.radians(31)), name="west"),
        "south": CameraGeometry(
            camera, camera_pose(np.array([1.0, -12.0, 6.0]), np.pi / 2, np.radians(27)), name="south"
        ),
    }
    content = {}
    for name, one in cameras.items():
        rotation = one.world_from_camera[:3, :3].T
        k = one.camera.intrinsics.copy()
        k[:2, 2] -= 0.5
        content[name] = {
            "K": k.tolist(),
            "R_world_to_cam": rotation.tolist(),
            "t_world_to_cam_m": (-rotation @ one.world_from_camera[:3, 3]).tolist(),
            "size_wh": [640, 480],
        }
    path = folder / "cameras.json"
    path.write_text(json.dumps(content))
    return path, cameras


def test_a_camera_stands_where_its_calibration_says(tmp_path: Path) -> None:
    path, cameras = calibration(tmp_path)
    frame = LocalFrame(*ORIGIN)
    for name, expected in cameras.items():
        poses = read_telemetry(path, options=ReadOptions(origin=ORIGIN, images=name))
        place = frame.to_geographic(expected.world_from_camera[None, :3, 3])[0]
        assert poses.places[0] == pytest.approx(place[:2], abs=1e-9)
        assert poses.heights["ground"].values[-1] == 6.0
        assert poses.heights["ellipsoid"].values[0] == pytest.approx(place[2])
        placed = project_poses(poses, frame.crs, "ground")
        assert placed.world_from_camera[0] == pytest.approx(
            expected.world_from_camera, abs=2e-3
        )  # a map's metre is one at height 0
        assert not poses.knows("utc") and poses.clock == "video"


def test_what_a_calibration_does_not_say_is_asked_for(tmp_path: Path) -> None:
    path, _ = calibration(tmp_path)
    with pytest.raises(ConfigError, match="--origin LATITUDE LONGITUDE HEIGHT"):
        read_telemetry(path, options=ReadOptions(images="west"))
    with pytest.raises(DataError, match="no camera 'north', it has south, west"):
        read_telemetry(path, options=ReadOptions(origin=ORIGIN, images="north"))


def test_what_stands_is_as_sure_between_two_poses_as_at_them(tmp_path: Path) -> None:
    path, _ = calibration(tmp_path)
    poses = read_telemetry(path, options=ReadOptions(origin=ORIGIN, images="west"))
    later = interpolate_poses(poses, np.array([0, 1_400_000_000, 3_600_000_000_000]))
    assert later.covariance == pytest.approx(np.broadcast_to(poses.covariance[0], (3, 6, 6)), rel=1e-9)
    assert pose_rates(poses, later.times) == (pytest.approx(0), pytest.approx(0))
