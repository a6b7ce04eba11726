"""OPV2V and Griffin in miniature, written after their published layouts; their own formulas say where objects lie."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from scipy.spatial.transform import Rotation

from skyweave.cli.main import main
from skyweave.core.errors import DataError
from skyweave.recordings import RecordedScene, Recording, load_recording
from skyweave.recordings.published.griffin import read_griffin
from skyweave.recordings.published.opv2v import read_opv2v

INTRINSIC = [[50.0, 0.0, 32.0], [0.0, 50.0, 24.0], [0.0, 0.0, 1.0]]
CORDS = [10.0, 20.0, 2.0, 3.0, 40.0, -10.0]  # x, y, z, roll, yaw, pitch
VEHICLE = {
    "angle": [0.0, 60.0, 0.0],
    "center": [0.1, 0.0, 0.7],
    "extent": [2.2, 0.9, 0.7],
    "location": [18.0, 27.0, 0.0],
    "speed": 36.0,
}


def carla_matrix(pose: list[float]) -> np.ndarray:
    """CARLA's own matrix of a transform."""
    x, y, z, roll, yaw, pitch = pose
    (cr, cy, cp), (sr, sy, sp) = np.cos(np.radians([roll, yaw, pitch])), np.sin(np.radians([roll, yaw, pitch]))
    return np.array(
        [
            [cp * cy, cy * sp * sr - sy * cr, -cy * sp * cr - sy * sr, x],
            [cp * sy, sy * sp * sr + cy * cr, -sy * sp * cr + cy * sr, y],
            [sp, -cp * sr, cp * cr, z],
            [0, 0, 0, 1],
        ]
    )


def image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 48), (90, 120, 60)).save(path)


def write_opv2v(folder: Path, **changes: Any) -> Path:
    for agent in ("641", "-1"):
        for step in (68, 70):
            content = {
                "camera0": {"cords": CORDS, "extrinsic": np.eye(4).tolist(), "intrinsic": INTRINSIC},
                "lidar_pose": [10.0, 20.0, 3.0, 0.0, 40.0, 0.0],
                "true_ego_pos": [10.0, 20.0, 0.0, 0.0, 40.0, 0.0],
                "ego_speed": 36.0,
                "vehicles": {302: VEHICLE} if agent == "641" else {302: VEHICLE, 5: {**VEHICLE, "location": [0, 0, 0]}},
            }
            file = folder / "2021_08_16_22_26_54" / agent / f"{step:06d}.yaml"
            image(file.with_name(f"{step:06d}_camera0.png"))
            file.write_text(yaml.safe_dump({**content, **changes}))
    return folder


def imported(source: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[Recording, RecordedScene]:
    assert main(["import", str(source), "-o", str(source.parent / "recording"), "--json", *options]) == 0
    capsys.readouterr()
    recording = load_recording(source.parent / "recording")
    return recording, recording.scenes[0]


def test_opv2v_is_a_recording_with_objects_where_carla_has_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording, scene = imported(write_opv2v(tmp_path / "opv2v"), capsys, "--split", "val")
    assert recording.splits == {"val": ("2021_08_16_22_26_54",)}
    assert np.diff([frame.time for frame in scene.frames]).tolist() == [100_000_000]
    frame = scene.frames[0]
    assert sorted(frame.captures) == ["CAV_-1_CAMERA0", "CAV_641_CAMERA0"]
    objects = frame.annotations
    assert objects is not None and sorted(objects.instances) == ["302", "5"]
    which = objects.instances.index("302")
    assert objects.boxes.sizes[which] == pytest.approx([4.4, 1.8, 1.4])
    assert objects.boxes.yaws[which] == pytest.approx(-np.radians(60))
    assert objects.velocities[which] == pytest.approx([10 * np.cos(-np.pi / 3), 10 * np.sin(-np.pi / 3)])
    # CARLA's way from the world to a pixel: its camera looks along x, with y to the right and z up
    ue = np.linalg.inv(carla_matrix(CORDS)) @ np.array([18.1, 27.0, 0.7, 1.0])
    expected = np.array(INTRINSIC) @ np.array([ue[1], -ue[2], ue[0]])
    pixel, depth = frame.captures["CAV_641_CAMERA0"].geometry.project(objects.boxes.centres[which])
    np.testing.assert_allclose(pixel, expected[:2] / expected[2], atol=1e-6)
    assert depth > 0 and scene.ground.height(np.zeros((1, 2)))[0] == pytest.approx(0.0)
    assert frame.captures["CAV_641_CAMERA0"].load().pixels.shape == (3, 48, 64)


EXTRINSIC = {  # of cameras in their ego's axes: forward, left, up
    "front": [[0.0, 0, 1, 0.5], [-1, 0, 0, 0], [0, -1, 0, 0.2], [0, 0, 0, 1]],
    "bottom": [[0.0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, -1, -0.1], [0, 0, 0, 1]],
}
POSES = {
    "vehicle-side": {"x": 5.0, "y": 6.0, "z": 1.8, "roll": 1.0, "pitch": 2.0, "yaw": 30.0},
    "drone-side": {"x": 7.0, "y": 4.0, "z": 25.0, "roll": -4.0, "pitch": 3.0, "yaw": 120.0},
}


def matrix_of(pose: dict[str, float]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", [pose["roll"], pose["pitch"], pose["yaw"]], degrees=True).as_matrix()
    matrix[:3, 3] = [pose["x"], pose["y"], pose["z"]]
    return matrix


def write_griffin(folder: Path) -> Path:
    """Two scenes of two frames; one car that both see, by the visibility of each, and a pedestrian."""
    car = np.array([12.0, 9.0, 0.8, 1.0])
    for side, pose in POSES.items():
        root = folder / "griffin-release" / side
        ego = np.linalg.inv(matrix_of(pose)) @ car
        visibility = 0.9 if side == "drone-side" else 0.2
        for kind in ("pose", "label", "calib"):
            (root / kind).mkdir(parents=True, exist_ok=True)
        for frame in ("000010", "000011", "000030", "000031"):
            (root / "pose" / f"{frame}.json").write_text(json.dumps(pose))
            rows = f"Car {ego[0]} {ego[1]} {ego[2]} 4.5 1.9 1.6 0 0 {75 - pose['yaw']} 17 {visibility}\n"
            rows += f"Pedestrian 3 1 -1 0.6 0.6 1.7 0 0 0 {len(side)} 1.0\nTrafficSign 1 1 1 1 1 1 0 0 0 99 1\n"
            (root / "label" / f"{frame}.txt").write_text(rows)
            for direction in ("front",) if side == "vehicle-side" else ("front", "bottom"):
                image(root / "camera" / direction / f"{frame}.png")
                calibration = {"extrinsic": EXTRINSIC[direction], "intrinsic": INTRINSIC}
                (root / "calib" / f"{direction}.json").write_text(json.dumps(calibration))
        scenes = [("a", ["000010", "000011"]), ("b", ["000030", "000031"])]
        infos = [{"name": name, "info": {"frames": frames, "weather": "noon"}} for name, frames in scenes]
        (root / "scene_infos.json").write_text(json.dumps(infos))
    return folder


def test_griffin_is_a_recording_with_objects_where_its_loaders_have_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording, scene = imported(write_griffin(tmp_path / "griffin"), capsys)
    assert [one.name for one in recording.scenes] == ["a", "b"] and len(scene.frames) == 2
    frame = scene.frames[0]
    assert sorted(frame.captures) == ["drone_bottom", "drone_front", "vehicle_front"]
    objects = frame.annotations
    assert objects is not None and sorted(objects.categories) == ["car", "pedestrian", "pedestrian"]
    which = objects.instances.index("17")
    np.testing.assert_allclose(objects.boxes.centres[which], [12.0, 9.0, 0.8], atol=1e-6)
    assert np.degrees(objects.boxes.yaws[which]) == pytest.approx(75, abs=0.5)
    assert objects.visibility["any"][which] == pytest.approx(0.9)
    camera = np.linalg.inv(matrix_of(POSES["drone-side"]) @ np.array(EXTRINSIC["bottom"])) @ [12.0, 9.0, 0.8, 1.0]
    expected = np.array(INTRINSIC) @ camera[:3]
    pixel, _ = frame.captures["drone_bottom"].geometry.project(objects.boxes.centres[which])
    np.testing.assert_allclose(pixel, expected[:2] / expected[2], atol=1e-6)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("griffin-release/drone-side/calib/front.json", "{", "is damaged"),
        ("griffin-release/drone-side/calib/front.json", "{}", "lacks 'extrinsic'"),
        ("griffin-release/drone-side/pose/000010.json", '{"x": 1}', "is no pose of Griffin"),
        ("griffin-release/drone-side/pose/000010.json", json.dumps({**POSES["drone-side"], "x": float("nan")}), "NaN"),
        ("griffin-release/drone-side/label/000010.txt", "Car 1 2 3 0 1 1 0 0 0 1 1\n", "line 1"),
        ("griffin-release/vehicle-side/scene_infos.json", "[{}]", "lists no scenes"),
        ("griffin-release/drone-side/camera/front/000010.png", "no image", "cannot be read as an image"),
    ],
)
def test_what_is_damaged_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, content: str, message: str
) -> None:
    source = write_griffin(tmp_path / "griffin")
    (source / file).write_text(content)
    assert main(["import", str(source), "-o", str(tmp_path / "recording")]) == 2
    error = capsys.readouterr().err
    assert message in error and Path(file).name in error and error.count("\n") == 1


def test_damaged_frames_of_opv2v_and_options_that_it_says_itself_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_opv2v(tmp_path / "opv2v", vehicles={302: {**VEHICLE, "extent": [1, float("nan"), 1]}})
    assert main(["import", str(source), "-o", str(tmp_path / "recording")]) == 2
    assert "000068.yaml is no frame of OPV2V: extent of vehicle 302" in capsys.readouterr().err
    assert main(["import", str(source), "-o", str(tmp_path / "recording"), "--pitch", "4"]) == 2
    assert "take --pitch away" in capsys.readouterr().err


def test_a_matrix_of_another_image_size_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    full = [[335.0, 0.0, 400.0], [0.0, 335.0, 300.0], [0.0, 0.0, 1.0]]  # of 800 x 600
    camera = {"cords": CORDS, "extrinsic": np.eye(4).tolist(), "intrinsic": full}
    source = write_opv2v(tmp_path / "opv2v", camera0=camera)
    assert main(["import", str(source), "-o", str(tmp_path / "recording")]) == 2
    assert "outside its image of 64 x 48: its matrix is of another size" in capsys.readouterr().err
    assert not (tmp_path / "recording").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"camera0": {"cords": [float("nan")] * 6, "intrinsic": INTRINSIC}}, "cords are .nan.*remove the camera"),
        ({"camera0": {"cords": np.eye(4).tolist(), "intrinsic": INTRINSIC}}, "is no camera of OPV2V"),
        ({"vehicles": {7: {**VEHICLE, "extent": [-2.2, 0.9, 0.7]}}}, "extent of vehicle 7"),
        ({"vehicles": {7: {**VEHICLE, "location": [float("nan"), 0, 0]}}}, "location of vehicle 7 is .nan"),
    ],
)
def test_numbers_of_opv2v_that_are_none(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """Each error names the file; what it says to remove can be removed."""
    write_opv2v(tmp_path / "opv2v", **changes)
    with pytest.raises(DataError, match=message) as caught:
        list(read_opv2v(tmp_path / "opv2v"))
    assert "0000" in str(caught.value) and ".yaml" in str(caught.value)
    for file in (tmp_path / "opv2v").rglob("*.yaml"):  # the remedy
        content = yaml.safe_load(file.read_text())
        for key in set(changes):
            content.pop(key)
        file.write_text(yaml.safe_dump(content))
    (scene,) = read_opv2v(tmp_path / "opv2v")
    assert len(scene.frames) == (0 if "camera0" in changes else 2)


@pytest.mark.parametrize("lidar_pose", [[float("nan")] * 6, np.eye(4).tolist(), None])
def test_poses_of_a_lidar_are_not_used(tmp_path: Path, lidar_pose: Any) -> None:
    """They are four by four numbers in later recordings of the layout; cameras have poses of their own."""
    (plain,) = read_opv2v(write_opv2v(tmp_path / "a"))
    (scene,) = read_opv2v(write_opv2v(tmp_path / "b", lidar_pose=lidar_pose))
    for before, after in zip(plain.frames, scene.frames, strict=True):
        assert before.captures.keys() == after.captures.keys()
        np.testing.assert_array_equal(before.annotations.boxes.centres, after.annotations.boxes.centres)


def test_poses_of_griffin_in_other_units(tmp_path: Path) -> None:
    """Radians for degrees: each side alone is plausible, and both see one car at two places."""
    write_griffin(tmp_path)
    for path in tmp_path.rglob("pose/*.json"):
        pose = json.loads(path.read_text())
        path.write_text(json.dumps(pose | {name: float(np.radians(pose[name])) for name in ("roll", "pitch", "yaw")}))
    with pytest.raises(DataError, match=r"lie \d+ m apart by their poses .*degrees"):
        list(read_griffin(tmp_path))
    for path in tmp_path.rglob("pose/*.json"):  # the remedy
        pose = json.loads(path.read_text())
        path.write_text(json.dumps(pose | {name: float(np.degrees(pose[name])) for name in ("roll", "pitch", "yaw")}))
    assert [len(scene.frames) for scene in read_griffin(tmp_path)] == [2, 2]


def test_files_beside_the_poses_of_griffin(tmp_path: Path) -> None:
    write_griffin(tmp_path)
    for path in tmp_path.rglob("scene_infos.json"):
        path.unlink()
    (tmp_path / "griffin-release" / "vehicle-side" / "pose" / "readme.json").write_text("{}")
    (scene,) = read_griffin(tmp_path)
    assert len(scene.frames) == 4
