"""One scene as rows of the nuScenes tables."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np

from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.frames import invert_transform, make_transform, quaternion_from_rotation, rotation_about_z
from skyweave.recordings.nuscenes.categories import table_name
from skyweave.recordings.nuscenes.tables import TABLES, make_token
from skyweave.recordings.recording import Annotations, Capture, RecordedScene

Rows = dict[str, dict[str, dict[str, Any]]]  # table, token, row

MIN_MOVING_SPEED_M_S = 0.2  # metres a second; below, an object stands
VISIBILITY_RANGES = (  # of the schema: up to this share, description
    (0.4, "v0-40"),
    (0.6, "v40-60"),
    (0.8, "v60-80"),
    (1.0, "v80-100"),
)
ATTRIBUTES = ("vehicle.moving", "vehicle.stopped", "cycle.with_rider", "pedestrian.moving", "pedestrian.standing")


class SceneRows:
    """Collects the rows of one scene; `tables` gives them with their chains closed."""

    def __init__(self, scene: RecordedScene) -> None:
        self.scene = scene
        self.rows: Rows = {table: {} for table in TABLES}
        self._log = make_token("log", scene.name)
        self._scene = make_token("scene", scene.name)

    def add_frame(self, number: int) -> str:
        """Add the row of a sample and return its token.

        Args:
            number: of the frame, from 0.
        """
        sample = make_token("sample", self.scene.name, number)
        time = microseconds_from_nanoseconds(self.scene.frames[number].time)
        self._add("sample", sample, timestamp=time, scene_token=self._scene, prev="", next="")
        return sample

    def add_capture(self, number: int, capture: Capture, image: str) -> str:
        """Add the rows of an image (sensor, calibration, pose and data) and return the token of the data.

        Args:
            number: of the frame, from 0.
            capture: with its camera.
            image: file of the image, from the root of the recording.
        """
        name, channel, geometry = self.scene.name, capture.channel, capture.geometry
        world_from_body = level_body(geometry)
        # rounded: a fixed mounting is one row, not one for every last bit of the pose
        body_from_camera = np.round(invert_transform(world_from_body) @ geometry.world_from_camera, 12)
        mounting = quaternion_from_rotation(body_from_camera[:3, :3]).tolist()
        intrinsics = geometry.camera.intrinsics.tolist()
        sensor = make_token("sensor", channel)
        calibration = make_token("calibrated_sensor", name, channel, mounting, intrinsics)
        data = make_token("sample_data", name, number, channel)
        self._add("sensor", sensor, channel=channel, modality="camera")
        self._add(
            "calibrated_sensor",
            calibration,
            sensor_token=sensor,
            translation=[0.0, 0.0, 0.0],
            rotation=mounting,
            camera_intrinsic=intrinsics,
        )
        self._add(
            "ego_pose",
            data,  # as in nuScenes, where both rows have one token
            timestamp=microseconds_from_nanoseconds(capture.time),
            translation=geometry.position.tolist(),
            rotation=quaternion_from_rotation(world_from_body[:3, :3]).tolist(),
        )
        self._add(
            "sample_data",
            data,
            sample_token=make_token("sample", name, number),
            ego_pose_token=data,
            calibrated_sensor_token=calibration,
            filename=image,
            fileformat=image.rpartition(".")[2],
            height=geometry.camera.rows,
            width=geometry.camera.columns,
            timestamp=microseconds_from_nanoseconds(capture.time),
            is_key_frame=True,
            prev="",
            next="",
        )
        return data

    def add_annotations(self, number: int, annotations: Annotations, pixels: np.ndarray | None) -> list[str]:
        """The rows of a frame's objects; returns their tokens in order.

        Args:
            number: of the frame.
            annotations: of the frame.
            pixels: (n,) that show each object in all pictures together; None where no picture says.
        """
        seen = np.max([*annotations.visibility.values()], axis=0, initial=0.0) if annotations.visibility else None
        rotations = quaternion_from_rotation(rotation_about_z(annotations.boxes.yaws))
        speeds = np.linalg.norm(annotations.velocities, axis=1)
        tokens = []
        for index, (name, category) in enumerate(zip(annotations.instances, annotations.categories, strict=True)):
            instance = make_token("instance", self.scene.name, name)
            annotation = make_token("sample_annotation", self.scene.name, number, name)
            length, width, height = annotations.boxes.sizes[index].tolist()
            attribute = _attribute(table_name(category), float(speeds[index]))
            shown = int(pixels[index]) if pixels is not None else int(seen is not None and seen[index] > 0)
            self._add("instance", instance, category_token=make_token("category", table_name(category)))
            self._add(
                "sample_annotation",
                annotation,
                sample_token=make_token("sample", self.scene.name, number),
                instance_token=instance,
                attribute_tokens=[make_token("attribute", attribute)] if attribute else [],
                visibility_token="" if seen is None else _visibility(float(seen[index])),
                translation=annotations.boxes.centres[index].tolist(),
                size=[width, length, height],
                rotation=rotations[index].tolist(),
                num_lidar_pts=shown,  # there is no lidar; benchmarks leave out objects without points
                num_radar_pts=0,
                prev="",
                next="",
            )
            tokens.append(annotation)
        return tokens

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """All rows, with chains, counts, and the rows of the scene and its log."""
        scene, samples = self.scene, list(self.rows["sample"].values())
        _chain(samples, lambda row: 0)
        channels = {row["token"]: row["sensor_token"] for row in self.rows["calibrated_sensor"].values()}
        _chain(list(self.rows["sample_data"].values()), lambda row: channels[row["calibrated_sensor_token"]])
        annotations = list(self.rows["sample_annotation"].values())
        self._link_instances(annotations)
        self._add(
            "scene",
            self._scene,
            log_token=self._log,
            nbr_samples=len(samples),
            first_sample_token=samples[0]["token"],
            last_sample_token=samples[-1]["token"],
            name=scene.name,
            description=scene.description,
        )
        platforms = _platforms(scene)
        day = datetime.fromtimestamp(scene.frames[0].time // 10**9, UTC).strftime("%Y-%m-%d")
        vehicle = "+".join(platforms)
        self._add(
            "log", self._log, logfile=scene.name, vehicle=vehicle, date_captured=day, location=scene.location or "world"
        )
        return {table: list(rows.values()) for table, rows in self.rows.items()}

    def _link_instances(self, annotations: list[dict[str, Any]]) -> None:
        """Link each instance with its first and last annotations."""
        for instance, chained in _chain(annotations, lambda row: row["instance_token"]).items():
            self.rows["instance"][instance] |= {
                "nbr_annotations": len(chained),
                "first_annotation_token": chained[0]["token"],
                "last_annotation_token": chained[-1]["token"],
            }

    def _add(self, table: str, key: str, **row: Any) -> None:
        self.rows[table].setdefault(key, {"token": key, **row})


def _platforms(scene: RecordedScene) -> list[str]:
    """Return the names of the platforms of a scene."""
    return sorted({capture.platform for frame in scene.frames for capture in frame.captures.values()})


def fixed_rows(categories: list[str], logs: list[str], mask: str) -> dict[str, list[dict[str, Any]]]:
    """The rows that do not depend on a scene: categories, attributes, visibility and the map.

    Args:
        categories: our class names.
        logs: tokens of all logs.
        mask: file of the map mask.
    """
    names = list(dict.fromkeys(table_name(category) for category in categories))
    return {
        "category": [
            {"token": make_token("category", name), "name": name, "description": name, "index": index}
            for index, name in enumerate(names, 1)
        ],
        "attribute": [
            {"token": make_token("attribute", name), "name": name, "description": name} for name in ATTRIBUTES
        ],
        "visibility": [
            {"token": str(number), "level": level, "description": f"share of the object that some camera sees: {level}"}
            for number, (_, level) in enumerate(VISIBILITY_RANGES, 1)
        ],
        "map": [{"token": make_token("map", mask), "log_tokens": logs, "category": "semantic_prior", "filename": mask}],
    }


def level_body(geometry: CameraGeometry) -> np.ndarray:
    """Return ``world_from_body`` of a level body (x forward, y left, z up) at a camera, heading where the image does.

    The heading is that of the optical axis, or of the top of the image when the camera looks straight down; between
    the two
    nothing jumps.

    Args:
        geometry: of the camera.

    Returns:
        (4, 4) matrix.
    """
    rotation = geometry.world_from_camera[:3, :3]
    east, north, _ = rotation[:, 2] - rotation[:, 1]
    return make_transform(rotation_about_z(float(np.arctan2(north, east))), geometry.position)


def microseconds_from_nanoseconds(time: int) -> int:
    """Return a time as the tables count it.

    Args:
        time: UTC nanoseconds.
    """
    return (time + 500) // 1000


def _chain(rows: list[dict[str, Any]], group: Any) -> dict[Any, list[dict[str, Any]]]:
    """Fill ``prev`` and ``next`` of rows that belong together, in their order; returns the groups."""
    groups: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(group(row), []).append(row)
    for members in groups.values():
        for before, after in pairwise(members):
            before["next"], after["prev"] = after["token"], before["token"]
    return groups


def _attribute(name: str, speed: float) -> str | None:
    if not np.isfinite(speed):
        return None
    if name in ("vehicle.bicycle", "vehicle.motorcycle"):
        return "cycle.with_rider"
    if name.startswith("vehicle."):
        return "vehicle.moving" if speed >= MIN_MOVING_SPEED_M_S else "vehicle.stopped"
    if name.startswith("human.pedestrian"):
        return "pedestrian.moving" if speed >= MIN_MOVING_SPEED_M_S else "pedestrian.standing"
    return None


def _visibility(share: float) -> str:
    return str(1 + sum(share > upper for upper, _ in VISIBILITY_RANGES[:-1]))
