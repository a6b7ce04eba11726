"""Public recordings in miniature: plain nuScenes, Air-Co-Pred and UAV3D, written by hand as their files are."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fabricated_recordings import scene
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.frames import quaternion_from_rotation
from skyweave.recordings.recording import RecordedScene

Tables = dict[str, list[dict[str, Any]]]
CAR_CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_FRONT_LEFT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT")


def write_tables(folder: Path, tables: Tables, version: str = "v1.0-trainval") -> Path:
    """The tables as JSON, NaN written as Python does."""
    (folder / version).mkdir(parents=True, exist_ok=True)
    for table, rows in tables.items():
        (folder / version / f"{table}.json").write_text(json.dumps(rows, indent=0))
    return folder


def nuscenes(folder: Path, name: str = "scene-0103", version: str = "v1.0-mini") -> RecordedScene:
    """One car with six cameras and a lidar: the ego moves and turns, cameras sit off its centre."""
    made = scene(name, platforms=6, crs=None)
    tables = common(made, "n008", {f"UAV_{i + 1}": camera for i, camera in enumerate(CAR_CAMERAS)}, folder)
    add_lidar(tables, [0.0, 0.0, 1.8])
    sweep = dict(tables["sample_data"][0], token="sweep-1", is_key_frame=False, filename="sweeps/x.jpg")
    tables["sample_data"].append(sweep)
    write_tables(folder, tables, version)
    return made


def air_co_pred(folder: Path, name: str = "scene-0-9") -> RecordedScene:
    """Four UAVs at about 50 m; LIDAR_TOP is only a name, its pose is the ego frame."""
    made = scene(name, platforms=4, crs=None)
    tables = common(made, "uav", {f"UAV_{i}": f"UAV_{i}" for i in range(1, 5)}, folder)
    add_lidar(tables, [0.0, 0.0, 50.0])
    write_tables(folder, tables)
    return made


def common(made: RecordedScene, vehicle: str, channels: dict[str, str], folder: Path) -> Tables:
    """Everything but what the layouts differ in; the ego frame is tilted, away from the camera."""
    tables: Tables = {
        "log": [
            {"token": "log", "logfile": "l", "vehicle": vehicle, "date_captured": "2023-01-01", "location": "town"}
        ],
        "map": [{"token": "map", "log_tokens": ["log"], "category": "semantic_prior", "filename": "maps/m.png"}],
        "scene": [
            {
                "token": "scene",
                "log_token": "log",
                "nbr_samples": len(made.frames),
                "first_sample_token": "s0",
                "last_sample_token": f"s{len(made.frames) - 1}",
                "name": made.name,
                "description": "made up",
            }
        ],
        "sensor": [{"token": f"sensor-{c}", "channel": c, "modality": "camera"} for c in channels.values()],
        "category": [
            {"token": "c1", "name": "vehicle.car", "description": ""},
            {"token": "c2", "name": "vehicle.truck", "description": ""},
            {"token": "c3", "name": "human.pedestrian.adult", "description": ""},
        ],
        "attribute": [],
        "visibility": [{"token": str(n), "level": "", "description": ""} for n in range(1, 5)],
        "calibrated_sensor": [],
        "ego_pose": [],
        "sample": [],
        "sample_data": [],
        "sample_annotation": [],
        "instance": [],
    }
    kinds = {"car": "c1", "truck": "c2", "pedestrian": "c3"}
    count = len(made.frames)
    for number, frame in enumerate(made.frames):
        time = frame.time // 1000
        tables["sample"].append(
            {
                "token": f"s{number}",
                "timestamp": time,
                "scene_token": "scene",
                "prev": f"s{number - 1}" if number else "",
                "next": f"s{number + 1}" if number + 1 < count else "",
            }
        )
        for channel, capture in frame.captures.items():
            name = channels[channel]
            file = f"samples/{name}/{made.name}__{name}__{time}.jpg"
            pixels = capture.load().pixels.astype(np.uint8).transpose(1, 2, 0)
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / file, quality=95)
            global_from_ego, ego_from_camera = tilted(capture.geometry)
            key = f"{name}-{number}"
            tables["ego_pose"].append({"token": key, "timestamp": time, **row(global_from_ego)})
            tables["calibrated_sensor"].append(
                {
                    "token": key,
                    "sensor_token": f"sensor-{name}",
                    "camera_intrinsic": capture.geometry.camera.intrinsics.tolist(),
                    **row(ego_from_camera),
                }
            )
            tables["sample_data"].append(
                {
                    "token": key,
                    "sample_token": f"s{number}",
                    "ego_pose_token": key,
                    "calibrated_sensor_token": key,
                    "filename": file,
                    "fileformat": "jpg",
                    "height": pixels.shape[0],
                    "width": pixels.shape[1],
                    "timestamp": time,
                    "is_key_frame": True,
                    "prev": "",
                    "next": "",
                }
            )
        objects = frame.annotations
        assert objects is not None
        for index, instance in enumerate(objects.instances):
            length, width, height = objects.boxes.sizes[index].tolist()
            yaw = float(objects.boxes.yaws[index])
            tables["sample_annotation"].append(
                {
                    "token": f"a{number}-{instance}",
                    "sample_token": f"s{number}",
                    "instance_token": instance,
                    "attribute_tokens": [],
                    "visibility_token": str(1 + index % 4),
                    "translation": objects.boxes.centres[index].tolist(),
                    "size": [width, length, height],
                    "rotation": [np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)],
                    "num_lidar_pts": 3,
                    "num_radar_pts": 0,
                    "prev": "",
                    "next": "",
                }
            )
            if not number:
                tables["instance"].append(
                    {
                        "token": instance,
                        "category_token": kinds[objects.categories[index]],
                        "nbr_annotations": count,
                        "first_annotation_token": f"a0-{instance}",
                        "last_annotation_token": f"a{count - 1}-{instance}",
                    }
                )
    return tables


def tilted(geometry: CameraGeometry) -> tuple[np.ndarray, np.ndarray]:
    """An ego frame that is neither level nor at the camera, and the camera in it."""
    angle = 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    tilt = np.array([[1, 0, 0], [0, np.cos(0.1), -np.sin(0.1)], [0, np.sin(0.1), np.cos(0.1)]])
    ego = np.eye(4)
    ego[:3, :3], ego[:3, 3] = turn @ tilt, geometry.position + np.array([0.5, -0.2, -1.5])
    return ego, np.linalg.inv(ego) @ geometry.world_from_camera


def add_lidar(tables: Tables, place: list[float]) -> None:
    """A lidar that no file exists of; its pose is pitched and turned by 0.4."""
    tables["sensor"].append({"token": "sensor-lidar", "channel": "LIDAR_TOP", "modality": "lidar"})
    tables["calibrated_sensor"].append(
        {
            "token": "lidar",
            "sensor_token": "sensor-lidar",
            "translation": [0, 0, 0],
            "rotation": [1, 0, 0, 0],
            "camera_intrinsic": [],
        }
    )
    turn = np.array([np.cos(0.2), 0, 0, np.sin(0.2)])
    for number, sample in enumerate(list(tables["sample"])):
        key = f"lidar-{number}"
        tables["ego_pose"].append(
            {"token": key, "timestamp": 0, "translation": [number + place[0], place[1], place[2]], "rotation": [*turn]}
        )
        tables["sample_data"].append(
            {
                "token": key,
                "sample_token": sample["token"],
                "ego_pose_token": key,
                "calibrated_sensor_token": "lidar",
                "filename": "samples/LIDAR_TOP/none.pcd.bin",
                "fileformat": "pcd",
                "height": 0,
                "width": 0,
                "timestamp": sample["timestamp"],
                "is_key_frame": True,
                "prev": "",
                "next": "",
            }
        )


def row(matrix: np.ndarray) -> dict[str, list[float]]:
    return {
        "translation": matrix[:3, 3].tolist(),
        "rotation": quaternion_from_rotation(matrix[:3, :3]).tolist(),
    }


def carla_matrix(x: float, y: float, z: float, pitch: float, yaw: float, roll: float) -> np.ndarray:
    """CARLA's transform from its documentation: left-handed, x forward, y right, z up; angles in radians."""
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in (yaw, pitch, roll))
    return np.array(
        [
            [cp * cy, cy * sp * sr - sy * cr, -cy * sp * cr - sy * sr, x],
            [cp * sy, sy * sp * sr + cy * cr, -sy * sp * cr + cy * sr, y],
            [sp, -cp * sr, cp * cr, z],
            [0, 0, 0, 1],
        ]
    )


def quaternion_of_angles(pitch: float, yaw: float, roll: float) -> list[float]:
    """``wxyz`` of roll about x, then pitch about y, then yaw about z, right-handed (transforms3d: sxyz)."""

    def about(axis: int, angle: float) -> np.ndarray:
        q = np.zeros(4)
        q[0], q[axis + 1] = np.cos(angle / 2), np.sin(angle / 2)
        return q

    def times(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        scalar = a[0] * b[0] - a[1:] @ b[1:]
        return np.array([scalar, *(a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:]))])

    return times(about(2, yaw), times(about(1, pitch), about(0, roll))).tolist()


UAV3D_CARS = ((12.0, -7.0, 0.1, 0.4), (-20.0, 15.0, 0.0, -2.0), (3.0, 30.0, 0.3, 1.6))  # x, y, z, yaw in CARLA's axes
UAV3D_SIZE = (4.6, 1.9, 1.5)
UAV3D_VIEWS = {"FRONT": (-30, 0), "BACK": (-30, 180), "LEFT": (-30, -90), "RIGHT": (-30, 90), "BOTTOM": (-90, 0)}


def uav3d(folder: Path, name: str = "scene_0021", frames: int = 2) -> dict[str, np.ndarray]:
    """Five UAVs with five cameras each, in CARLA's axes; returns pixels (cars, 8, 2) by channel in the first frame."""
    rows, columns = 45, 80
    intrinsics = np.array([[40.0, 0, 40.0], [0, 40.0, 22.5], [0, 0, 1.0]])
    tables: Tables = {
        "log": [{"token": "log", "logfile": "", "vehicle": "", "date_captured": "", "location": "Town10"}],
        "map": [],
        "visibility": [],
        "attribute": [],
        "scene": [{"token": "scene", "log_token": "log", "name": name, "description": "", "nbr_samples": frames}],
        "sensor": [],
        "category": [{"token": "c", "name": "vehicle.tesla.model3", "description": ""}],
        "instance": [{"token": f"i{n}", "category_token": "c"} for n in range(len(UAV3D_CARS))],
        "calibrated_sensor": [],
        "ego_pose": [{"token": "pose", "timestamp": 0, "translation": [0, 0, 0], "rotation": [1, 0, 0, 0]}],
        "sample": [],
        "sample_data": [],
        "sample_annotation": [],
    }
    seen: dict[str, np.ndarray] = {}
    for number in range(frames):
        time = 1_701_672_639_377_349_888 + number * 500_000_000  # nanoseconds, as its files are called
        tables["sample"].append({"token": f"s{number}", "timestamp": time, "scene_token": "scene"})
        for n, (x, y, z, yaw) in enumerate(UAV3D_CARS):
            tables["sample_annotation"].append(
                {
                    "token": f"a{number}-{n}",
                    "sample_token": f"s{number}",
                    "instance_token": f"i{n}",
                    "attribute_tokens": [],
                    "visibility_token": "",
                    "translation": [x + number, y, z],
                    "size": list(UAV3D_SIZE),
                    "rotation": quaternion_of_angles(0.0, yaw, 0.0),
                    "num_lidar_pts": -1,
                    "num_radar_pts": -1,
                }
            )
        for uav in range(5):
            for view, (pitch, turn) in UAV3D_VIEWS.items():
                channel = f"CAMERA_{view}_id_{uav}"
                key = f"{channel}-{number}"
                angles = np.radians(pitch), np.radians(turn + 20 * uav), np.radians(3.0 * uav)
                place = (10.0 * uav - 20, 5.0 * uav, 60.0)
                if not number:
                    tables["sensor"].append({"token": channel, "channel": channel, "modality": "camera"})
                    seen[channel] = carla_pixels(carla_matrix(*place, *angles), intrinsics)
                tables["calibrated_sensor"].append(
                    {
                        "token": key,
                        "sensor_token": channel,
                        "translation": list(place),
                        "rotation": quaternion_of_angles(*angles),
                        "camera_intrinsic": intrinsics.tolist(),
                    }
                )
                file = f"sweeps/{channel}/{time}.png"
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full((rows, columns, 3), 90 + uav, np.uint8)).save(folder / file)
                tables["sample_data"].append(
                    {
                        "token": key,
                        "sample_token": f"s{number}",
                        "ego_pose_token": "pose",
                        "calibrated_sensor_token": key,
                        "filename": file,
                        "fileformat": "png",
                        "height": rows,
                        "width": columns,
                        "timestamp": time,
                        "is_key_frame": True,
                    }
                )
    write_tables(folder, tables)
    return seen


def carla_pixels(world_from_camera: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Corners of the cars as CARLA's own example draws them: camera axes (y, -z, x); boxes stand on their place."""
    found = []
    for x, y, z, yaw in UAV3D_CARS:
        half = np.array(UAV3D_SIZE) / 2
        signs = np.array([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)])
        corners = np.c_[signs * half + [0, 0, half[2]], np.ones(8)] @ carla_matrix(x, y, z, 0, yaw, 0).T
        local = corners @ np.linalg.inv(world_from_camera).T
        optical = np.stack([local[:, 1], -local[:, 2], local[:, 0]], -1)
        pixels = optical @ intrinsics.T
        found.append(np.where(optical[:, 2:] > 1e-3, pixels[:, :2] / pixels[:, 2:], np.nan))
    return np.array(found)
