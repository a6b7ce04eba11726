"""Tables read and their rows joined: what points nowhere, or holds no number, is left out and named in a note."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skyweave.recordings.nuscenes.rasters import image_size
from skyweave.recordings.nuscenes.tables import (
    CalibratedSensor,
    Category,
    EgoPose,
    Instance,
    Log,
    Numbers,
    Row,
    Sample,
    SampleAnnotation,
    SampleData,
    Scene,
    SensorRow,
    read_rows,
)

NEEDED = ("scene", "sample", "sample_data", "calibrated_sensor", "sensor")
NANOSECONDS = 10**17  # a time stamp above is in nanoseconds, as some recordings write against the schema


@dataclass(frozen=True)
class Picture:
    """One picture with its joined rows; ``pose`` is None where the recording has no table of poses."""

    channel: str
    data: SampleData
    calibration: CalibratedSensor
    pose: EgoPose | None
    rows: int
    columns: int


@dataclass
class Moment:
    """One sample.

    Attributes:
        time: UTC nanoseconds.
        pictures: in order of their channels.
        annotations: with the name of their category.
        poses: ego_pose of every channel, also of those that are no camera.
    """

    token: str
    time: int
    pictures: list[Picture] = field(default_factory=list)
    annotations: list[tuple[SampleAnnotation, str]] = field(default_factory=list)
    poses: dict[str, EgoPose] = field(default_factory=dict)


@dataclass(frozen=True)
class LinkedScene:
    """One scene with its samples in order of time."""

    row: Scene
    location: str
    vehicle: str
    moments: list[Moment]


@dataclass(frozen=True)
class Linked:
    """All rows that fit together.

    Attributes:
        categories: names, in order.
        channels: names and modality, also of those that are no camera.
        annotated: whether there are annotations at all.
        notes: what was left out, and why.
    """

    scenes: list[LinkedScene]
    categories: tuple[str, ...]
    channels: dict[str, str]
    annotated: bool
    notes: list[str]


class _Omissions:
    """Counts rows that are left out, by reason."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, reason: str, which: str) -> None:
        self._counts[reason] += 1
        self._first.setdefault(reason, which)

    def notes(self) -> list[str]:
        return [f"left out {n} x {reason} (first: {self._first[reason]})" for reason, n in self._counts.items()]


def link(root: Path, version: str, poses_needed: bool = True) -> Linked:
    """Read the tables in ``root/version`` and join them.

    Args:
        root: folder that file names in the tables start from.
        version: folder of the tables.
        poses_needed: whether a picture without its ego_pose is of no use.

    Raises:
        FileNotFoundError: a table that nothing goes without is missing.
        ValueError: a table is no JSON, or lacks a column.
    """
    folder = root / version
    needed = (*NEEDED, "ego_pose") if poses_needed else NEEDED
    if absent := [table for table in needed if not (folder / f"{table}.json").exists()]:
        raise FileNotFoundError(f"{folder} has no {' and no '.join(f'{table}.json' for table in absent)}")
    omissions, notes = _Omissions(), []
    for table in ("sample_annotation", "instance", "category", "ego_pose", "log"):
        if not (folder / f"{table}.json").exists():
            notes.append(f"there is no {table}.json")

    logs = _index(_optional(folder, "log", Log))
    moments: dict[str, Moment] = {}
    scenes: dict[str, LinkedScene] = {}
    for row in read_rows(folder / "scene.json", Scene):
        log = logs.get(row.log_token) or Log("")
        scenes[row.token] = LinkedScene(row, log.location, log.vehicle, [])
    for sample in read_rows(folder / "sample.json", Sample):
        if sample.scene_token not in scenes:
            omissions.add("sample of a scene that is not in its table", sample.token)
            continue
        moments[sample.token] = Moment(sample.token, nanoseconds(sample.timestamp))
        scenes[sample.scene_token].moments.append(moments[sample.token])

    channels = _add_pictures(root, version, moments, omissions)
    categories, annotated = _add_annotations(folder, moments, omissions)
    kept = []
    for scene in scenes.values():
        scene.moments.sort(key=lambda moment: moment.time)
        for moment in scene.moments:
            moment.pictures.sort(key=lambda picture: picture.channel)
        if any(moment.pictures for moment in scene.moments):
            kept.append(scene)
        else:
            omissions.add("scene without a picture", scene.row.name)
    return Linked(kept, categories, channels, annotated, notes + omissions.notes())


def nanoseconds(timestamp: int | float) -> int:
    """A time stamp of the tables, in microseconds by the schema, as UTC nanoseconds."""
    if isinstance(timestamp, float) and not timestamp.is_integer():
        return round(timestamp * 1000)
    return int(timestamp) if abs(timestamp) >= NANOSECONDS else int(timestamp) * 1000


def _add_pictures(root: Path, version: str, moments: dict[str, Moment], omissions: _Omissions) -> dict[str, str]:
    """Join sample_data to its sample, calibration and pose; returns channels and their modality."""
    folder = root / version
    sensors = _index(read_rows(folder / "sensor.json", SensorRow))
    calibrations = _index(read_rows(folder / "calibrated_sensor.json", CalibratedSensor))
    poses = _index(_optional(folder, "ego_pose", EgoPose))
    has_poses = (folder / "ego_pose.json").exists()
    good: dict[str, bool] = {}  # calibrations are shared by many pictures
    channels: dict[str, str] = {}
    for data in read_rows(folder / "sample_data.json", SampleData):
        moment, calibration = moments.get(data.sample_token), calibrations.get(data.calibrated_sensor_token)
        pose = poses.get(data.ego_pose_token)
        if moment is None:
            omissions.add("sample_data of a sample that is not there", data.token)
        elif calibration is None:
            omissions.add("sample_data whose calibrated_sensor is not in its table", data.token)
        elif (sensor := sensors.get(calibration.sensor_token)) is None:
            omissions.add("sample_data whose sensor is not in its table", data.token)
        elif not data.is_key_frame:
            channels.setdefault(sensor.channel, sensor.modality)
            omissions.add("sample_data between key frames", data.token)
        elif has_poses and pose is None:
            omissions.add("sample_data whose ego_pose is not in its table", data.token)
        elif pose is not None and not is_pose(pose.translation, pose.rotation):
            omissions.add("sample_data whose ego_pose holds NaN or no rotation", f"{data.token} of {sensor.channel}")
        else:
            channels.setdefault(sensor.channel, sensor.modality)
            if pose is not None:
                moment.poses[sensor.channel] = pose
            if sensor.modality != "camera":
                continue
            if not good.setdefault(calibration.token, _is_camera(calibration)):
                omissions.add("picture whose calibration holds NaN or no camera matrix", data.token)
            elif (size := _size(root, data)) is None:
                omissions.add("picture whose size neither table nor file tells", data.filename)
            else:
                moment.pictures.append(Picture(sensor.channel, data, calibration, pose, *size))
    return channels


def _add_annotations(folder: Path, moments: dict[str, Moment], omissions: _Omissions) -> tuple[tuple[str, ...], bool]:
    """Join annotations to sample and category; returns the categories, and whether there are annotations."""
    categories = _index(_optional(folder, "category", Category))
    instances = _index(_optional(folder, "instance", Instance))
    rows = _optional(folder, "sample_annotation", SampleAnnotation)
    for row in rows:
        moment, instance = moments.get(row.sample_token), instances.get(row.instance_token)
        if moment is None:
            omissions.add("sample_annotation of a sample that is not there", row.token)
        elif instance is None:
            omissions.add("sample_annotation whose instance is not in its table", row.token)
        elif (category := categories.get(instance.category_token)) is None:
            omissions.add("sample_annotation whose category is not in its table", row.token)
        elif not is_pose(row.translation, row.rotation) or not _are_positive(row.size):
            omissions.add("sample_annotation whose box holds NaN or no size", row.token)
        else:
            moment.annotations.append((row, category.name))
    return tuple(dict.fromkeys(category.name for category in categories.values())), bool(rows)


def is_pose(translation: Numbers, rotation: Numbers) -> bool:
    """Whether three and four finite numbers are a place and a quaternion with a length."""
    return (
        _are_finite(translation, 3) and _are_finite(rotation, 4) and math.hypot(*rotation) > 1e-3  # type: ignore[arg-type]
    )


def _is_camera(calibration: CalibratedSensor) -> bool:
    matrix = calibration.camera_intrinsic
    return (
        is_pose(calibration.translation, calibration.rotation)
        and len(matrix) == 3
        and all(_are_finite(row, 3) for row in matrix)
        and (matrix[0][0] or 0) > 0
        and (matrix[1][1] or 0) > 0
        and matrix[2] == (0, 0, 1)
    )


def _are_finite(values: Numbers, count: int) -> bool:
    return len(values) == count and None not in values and math.isfinite(sum(values))  # type: ignore[arg-type]


def _are_positive(size: Numbers) -> bool:
    return _are_finite(size, 3) and min(size) > 0  # type: ignore[type-var, operator]


def _size(root: Path, data: SampleData) -> tuple[int, int] | None:
    """(rows, columns) as the table says, else as the file does."""
    if data.height and data.width:
        return data.height, data.width
    try:
        return image_size(root / data.filename)
    except ValueError:
        return None


def _optional(folder: Path, table: str, row: type[Row]) -> list[Row]:
    path = folder / f"{table}.json"
    return read_rows(path, row) if path.exists() else []


def _index(rows: Sequence[Any]) -> dict[str, Any]:
    return {row.token: row for row in rows}
