"""Tables read and their rows joined: what points nowhere, or holds no number, is left out and named in a note."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from skyweave.core.inner_path import is_below
from skyweave.recordings.nuscenes.rasters import image_size
from skyweave.recordings.nuscenes.tables import (
    CalibratedSensorRow,
    CategoryRow,
    EgoPoseRow,
    InstanceRow,
    LogRow,
    Numbers,
    Row,
    SampleAnnotationRow,
    SampleDataRow,
    SampleRow,
    SceneRow,
    SensorRow,
    read_rows,
)

R = TypeVar("R", SampleRow, SampleDataRow, SampleAnnotationRow)
REQUIRED_TABLES = ("scene", "sample", "sample_data", "calibrated_sensor", "sensor")
MIN_NANOSECOND_TIMESTAMP = 10**17  # a time stamp above is in nanoseconds, as some recordings write against the schema


@dataclass(frozen=True)
class LinkedImage:
    """One image with its joined rows.

    Attributes:
        channel: of the camera.
        data: row of sample_data.
        calibration: row of calibrated_sensor.
        pose: row of ego_pose; None where the recording has no such table.
        rows, columns: size in pixels.
    """

    channel: str
    data: SampleDataRow
    calibration: CalibratedSensorRow
    pose: EgoPoseRow | None
    rows: int
    columns: int


@dataclass
class LinkedSample:
    """One sample with its joined rows.

    Attributes:
        token: of the sample.
        time: UTC nanoseconds.
        images: in order of their channels.
        annotations: with the name of their category.
        poses: ego_pose of every channel, also of those that are no camera.
    """

    token: str
    time: int
    images: list[LinkedImage] = field(default_factory=list)
    annotations: list[tuple[SampleAnnotationRow, str]] = field(default_factory=list)
    poses: dict[str, EgoPoseRow] = field(default_factory=dict)


@dataclass(frozen=True)
class LinkedScene:
    """One scene with its samples in order of time.

    Attributes:
        row: of the scene table.
        location: from the log.
        vehicle: from the log.
        samples: in order of time.
    """

    row: SceneRow
    location: str
    vehicle: str
    samples: list[LinkedSample]


@dataclass(frozen=True)
class LinkedTables:
    """All rows that fit together.

    Attributes:
        scenes: with their samples.
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


def link_tables(root: Path, version: str, poses_needed: bool = True) -> LinkedTables:
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
    _check_tables(poses_needed, folder)
    omissions, notes = _Omissions(), []
    for table in ("sample_annotation", "instance", "category", "ego_pose", "log"):
        if not (folder / f"{table}.json").exists():
            notes.append(f"there is no {table}.json")

    logs = _index(_optional(folder, "log", LogRow))
    samples: dict[str, LinkedSample] = {}
    scenes: dict[str, LinkedScene] = {}
    _read_scenes(folder, logs, scenes)
    _read_samples(folder, scenes, omissions, samples)

    channels = _add_images(root, version, samples, omissions)
    categories, annotated = _add_annotations(folder, samples, omissions)
    kept = _sort_scenes(scenes, omissions)
    return LinkedTables(kept, categories, channels, annotated, notes + omissions.notes())


def _check_tables(poses_needed: bool, folder: Path) -> None:
    """Check that the tables are there that nothing can be read without."""
    needed = (*REQUIRED_TABLES, "ego_pose") if poses_needed else REQUIRED_TABLES
    if missing := [table for table in needed if not (folder / f"{table}.json").exists()]:
        raise FileNotFoundError(f"{folder} has no {' and no '.join(f'{table}.json' for table in missing)}")


def _read_scenes(folder: Path, logs: dict[str, Any], scenes: dict[str, LinkedScene]) -> None:
    """Read the scenes, which hold no samples yet."""
    for scene_row in read_rows(folder / "scene.json", SceneRow):
        log = logs.get(scene_row.log_token) or LogRow("")
        scenes[scene_row.token] = LinkedScene(scene_row, log.location, log.vehicle, [])


def _read_samples(
    folder: Path, scenes: dict[str, LinkedScene], omissions: _Omissions, samples: dict[str, LinkedSample]
) -> None:
    """Read the samples into their scenes."""
    for row in _once(read_rows(folder / "sample.json", SampleRow), "sample", omissions):
        if row.scene_token not in scenes:
            omissions.add("sample of a scene that is not in its table", row.token)
            continue
        samples[row.token] = LinkedSample(row.token, nanoseconds_from_timestamp(row.timestamp))
        scenes[row.scene_token].samples.append(samples[row.token])


def _once(rows: Iterable[R], table: str, omissions: _Omissions) -> Iterator[R]:
    """Yield the rows of a table, of each token the first."""
    tokens: set[str] = set()
    for row in rows:
        if row.token in tokens:
            omissions.add(f"{table} whose token an earlier row has", row.token)
        else:
            tokens.add(row.token)
            yield row


def _sort_scenes(scenes: dict[str, LinkedScene], omissions: _Omissions) -> list[LinkedScene]:
    """Sort samples by time and images by channel, and leave out scenes without images."""
    kept = []
    for scene in scenes.values():
        scene.samples.sort(key=lambda sample: sample.time)
        for sample in scene.samples:
            sample.images.sort(key=lambda image: image.channel)
        if any(sample.images for sample in scene.samples):
            kept.append(scene)
        else:
            omissions.add("scene without a picture", scene.row.name)
    return kept


def nanoseconds_from_timestamp(timestamp: int | float) -> int:
    """Return a time stamp of the tables as UTC nanoseconds.

    Args:
        timestamp: microseconds by the schema; numbers from 1e17 on are nanoseconds, as some recordings write.
    """
    if isinstance(timestamp, float) and not timestamp.is_integer():
        return round(timestamp * 1000)
    return int(timestamp) if abs(timestamp) >= MIN_NANOSECOND_TIMESTAMP else int(timestamp) * 1000


def _add_images(root: Path, version: str, samples: dict[str, LinkedSample], omissions: _Omissions) -> dict[str, str]:
    """Join sample_data to its sample, calibration and pose; returns channels and their modality."""
    folder = root / version
    sensors = _index(read_rows(folder / "sensor.json", SensorRow))
    calibrations = _index(read_rows(folder / "calibrated_sensor.json", CalibratedSensorRow))
    poses = _index(_optional(folder, "ego_pose", EgoPoseRow))
    has_poses = (folder / "ego_pose.json").exists()
    good: dict[str, bool] = {}  # calibrations are shared by many pictures
    channels: dict[str, str] = {}
    for data in _once(read_rows(folder / "sample_data.json", SampleDataRow), "sample_data", omissions):
        sample, calibration = samples.get(data.sample_token), calibrations.get(data.calibrated_sensor_token)
        pose = poses.get(data.ego_pose_token)
        if sample is None:
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
                sample.poses[sensor.channel] = pose
            if sensor.modality != "camera":
                continue
            if not good.setdefault(calibration.token, _is_camera(calibration)):
                omissions.add("picture whose calibration holds NaN or no camera matrix", data.token)
            elif (size := _usable_size(root, data, calibration, omissions)) is not None:
                sample.images.append(LinkedImage(sensor.channel, data, calibration, pose, *size))
    return channels


def _usable_size(
    root: Path, data: SampleDataRow, calibration: CalibratedSensorRow, omissions: _Omissions
) -> tuple[int, int] | None:
    """Return the size of a picture; None, and why it is left out, where it cannot be used."""
    if not is_below(data.filename):
        omissions.add("picture whose file lies outside the recording", data.filename)
    elif (size := _size(root, data)) is None:
        omissions.add("picture whose size neither table nor file tells", data.filename)
    elif not (data.height and data.width) and not _is_centred(calibration, *size):
        omissions.add("picture smaller than its camera matrix, and no size in its table", data.filename)
    else:
        return size
    return None


def _add_annotations(
    folder: Path, samples: dict[str, LinkedSample], omissions: _Omissions
) -> tuple[tuple[str, ...], bool]:
    """Join annotations to sample and category; returns the categories, and whether there are annotations."""
    categories = _index(_optional(folder, "category", CategoryRow))
    instances = _index(_optional(folder, "instance", InstanceRow))
    rows = _optional(folder, "sample_annotation", SampleAnnotationRow)
    for row in _once(rows, "sample_annotation", omissions):
        _add_annotation(samples, row, instances, omissions, categories)
    return tuple(dict.fromkeys(category.name for category in categories.values())), bool(rows)


def _add_annotation(
    samples: dict[str, LinkedSample],
    row: SampleAnnotationRow,
    instances: dict[str, Any],
    omissions: _Omissions,
    categories: dict[str, Any],
) -> None:
    """Add one annotation to its sample, or count why it is left out."""
    sample, instance = samples.get(row.sample_token), instances.get(row.instance_token)
    if sample is None:
        omissions.add("sample_annotation of a sample that is not there", row.token)
    elif instance is None:
        omissions.add("sample_annotation whose instance is not in its table", row.token)
    elif (category := categories.get(instance.category_token)) is None:
        omissions.add("sample_annotation whose category is not in its table", row.token)
    elif not is_pose(row.translation, row.rotation) or not _are_positive(row.size):
        omissions.add("sample_annotation whose box holds NaN or no size", row.token)
    else:
        sample.annotations.append((row, category.name))


def is_pose(translation: Numbers, rotation: Numbers) -> bool:
    """Return whether numbers are a place and a quaternion with a length.

    Args:
        translation: three finite numbers, in metres.
        rotation: four finite numbers, wxyz.
    """
    return (
        _are_finite(translation, 3) and _are_finite(rotation, 4) and math.hypot(*rotation) > 1e-3  # type: ignore[arg-type]
    )


def _is_camera(calibration: CalibratedSensorRow) -> bool:
    matrix = calibration.camera_intrinsic
    return (
        is_pose(calibration.translation, calibration.rotation)
        and len(matrix) == 3
        and all(_are_finite(row, 3) for row in matrix)
        and (matrix[0][0] or 0) > 0
        and (matrix[1][1] or 0) > 0
        and matrix[2] == (0, 0, 1)
    )


def _is_centred(calibration: CalibratedSensorRow, rows: int, columns: int) -> bool:
    """Whether the principal point lies in an image: it does not where the image was reduced and its matrix was not."""
    (_, _, u), (_, _, v), _ = calibration.camera_intrinsic
    return 0 < (u or 0) < columns and 0 < (v or 0) < rows


def _are_finite(values: Numbers, count: int) -> bool:
    return len(values) == count and None not in values and math.isfinite(sum(values))  # type: ignore[arg-type]


def _are_positive(size: Numbers) -> bool:
    return _are_finite(size, 3) and min(size) > 0  # type: ignore[type-var, operator]


def _size(root: Path, data: SampleDataRow) -> tuple[int, int] | None:
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
