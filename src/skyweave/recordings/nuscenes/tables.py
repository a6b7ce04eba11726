"""The nuScenes tables: what a row holds, how a token is made, and what lies beside the tables in our recordings.

The schema is that of the nuScenes devkit (docs/schema_nuscenes.md there): 13 JSON files in a folder named for the
version. Units are metres, quaternions wxyz, microseconds; box sizes are width, length, height. What the schema has no
place for (depth, instances, true poses, bands, reference systems) lies in `Extras`, the file ``skyweave.json`` beside
the tables, which the devkit does not look at.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from skyweave.core.errors import DataError

TABLES = (
    "attribute",
    "calibrated_sensor",
    "category",
    "ego_pose",
    "instance",
    "log",
    "map",
    "sample",
    "sample_annotation",
    "sample_data",
    "scene",
    "sensor",
    "visibility",
)
EXTRAS_FILE = "skyweave.json"
FORMAT = 1  # of what lies beside the tables

Numbers = tuple[float | None, ...]
Row = TypeVar("Row")


def make_token(*parts: object) -> str:
    """Return 32 hexadecimal digits that depend on nothing but the parts: the same recording always has the same tokens.

    Args:
        parts: what the row is about.
    """
    return hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).hexdigest()[:32]


# Rows are many and hold no cycles: without the garbage collector looking at each, reading takes half the time.


class SceneRow(msgspec.Struct, gc=False):
    """A row of the scene table: consecutive samples."""

    token: str
    name: str
    description: str = ""
    log_token: str = ""


class SampleRow(msgspec.Struct, gc=False):
    """A row of the sample table: one frame."""

    token: str
    timestamp: int | float
    scene_token: str


class SampleDataRow(msgspec.Struct, gc=False):
    """A row of the sample_data table: one image, or a sweep of another sensor."""

    token: str
    sample_token: str
    ego_pose_token: str
    calibrated_sensor_token: str
    filename: str
    timestamp: int | float
    is_key_frame: bool = True
    height: int | None = None
    width: int | None = None


class EgoPoseRow(msgspec.Struct, gc=False):
    """A row of the ego_pose table: ``global_from_ego`` of one image."""

    token: str
    translation: Numbers
    rotation: Numbers


class CalibratedSensorRow(msgspec.Struct, gc=False):
    """A row of the calibrated_sensor table: ``ego_from_sensor`` and, of a camera, its matrix."""

    token: str
    sensor_token: str
    translation: Numbers
    rotation: Numbers
    camera_intrinsic: tuple[Numbers, ...] = ()


class SensorRow(msgspec.Struct, gc=False):
    """A row of the sensor table: one channel."""

    token: str
    channel: str
    modality: str = "camera"


class CategoryRow(msgspec.Struct, gc=False):
    """A row of the category table: one class."""

    token: str
    name: str


class InstanceRow(msgspec.Struct, gc=False):
    """A row of the instance table: one object."""

    token: str
    category_token: str


class SampleAnnotationRow(msgspec.Struct, gc=False):
    """A row of the sample_annotation table: a box in the global frame."""

    token: str
    sample_token: str
    instance_token: str
    translation: Numbers
    size: Numbers
    rotation: Numbers
    visibility_token: str | int = ""


class LogRow(msgspec.Struct, gc=False):
    """A row of the log table: where scenes were taken."""

    token: str
    location: str = ""
    vehicle: str = ""


class CaptureExtras(msgspec.Struct):
    """What is known of one row of sample_data beside the tables.

    Attributes:
        platform: that carries the camera.
        time: UTC nanoseconds by the platform's clock.
        sensor: name of an entry of ``Extras.sensors``.
        ground_sample_distance: metres.
        distortion: k1 k2 p1 p2 k3.
        pixels: file of the pixels where the image is only a preview.
        depth, instances, classes: files, where there are any.
        true_translation, true_rotation, true_intrinsics, true_time: without noise and clock offset, where known; the
            rotation is world_from_camera as a quaternion.
        notes: of the observation.
    """

    platform: str
    time: int
    sensor: str
    ground_sample_distance: float
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    pixels: str | None = None
    depth: str | None = None
    instances: str | None = None
    classes: str | None = None
    true_translation: list[float] | None = None
    true_rotation: list[float] | None = None
    true_intrinsics: list[list[float]] | None = None
    true_time: int | None = None
    notes: tuple[str, ...] = ()


class FrameExtras(msgspec.Struct):
    """What is known of one sample beside the tables.

    Attributes:
        time: UTC nanoseconds.
        annotations: tokens in the order that instance rasters count in; None where nobody annotated the frame.
        velocities: east and north of each, null where unknown.
        visibility: by channel, of each.
        names: identifier of each object, constant over the scene.
        categories: of each, by the recording's own name.
    """

    time: int
    annotations: list[str] | None = None
    velocities: list[Numbers] = []
    visibility: dict[str, list[float]] = {}
    names: list[str] = []
    categories: list[str] = []


class BaseMapExtras(msgspec.Struct):
    """What is known of a base map of a scene.

    Attributes:
        name: of it.
        pixels: file of its pixels.
        sensor: name of an entry of ``Extras.sensors``.
        ground_sample_distance: metres.
        crs: of the geotransform; null for the scene's local frame.
        affine: six numbers, as in ``GeoTransform``.
        true_affine: where it really lies, where known.
        time: UTC nanoseconds, where known.
        position_std: metres, where known.
    """

    name: str
    pixels: str
    sensor: str
    ground_sample_distance: float
    crs: str | None
    affine: tuple[float, float, float, float, float, float]
    true_affine: tuple[float, float, float, float, float, float] | None = None
    time: int | None = None
    position_std: float | None = None


class LandCoverExtras(msgspec.Struct):
    """What covers the ground of a scene.

    Attributes:
        file: 8-bit PNG, index into ``classes``; 255: not known.
        classes: names.
        affine: six numbers, as in ``GeoTransform``, in the scene's reference system.
    """

    file: str
    classes: tuple[str, ...]
    affine: tuple[float, float, float, float, float, float]


class SceneExtras(msgspec.Struct):
    """What is known of one scene beside the tables.

    Attributes:
        crs: of the world; null for a local frame.
        ground: height of level ground in metres; null where the ground is a raster.
        heights: its file: ``.npz`` with ``heights`` (rows, columns) in metres.
        west, north, resolution: of that raster, as in ``MapGrid``.
        base_maps: images of the place from other times.
        land_cover: what covers the ground, where known.
    """

    crs: str | None = None
    ground: float | None = None
    heights: str | None = None
    west: int = 0
    north: int = 0
    resolution: float = 1.0
    base_maps: list[BaseMapExtras] = []
    land_cover: LandCoverExtras | None = None


class Extras(msgspec.Struct):
    """The content of ``skyweave.json``.

    Attributes:
        name: of the recording.
        categories: our name and the name in the category table, in order.
        scenes: by name.
        captures: by sample_data token.
        frames: by sample token.
        world: how the world was made, for the record.
    """

    format: int
    name: str
    splits: dict[str, list[str]]
    categories: list[tuple[str, str]]
    surfaces: list[str]
    sensors: dict[str, dict[str, Any]]
    scenes: dict[str, SceneExtras]
    captures: dict[str, CaptureExtras]
    frames: dict[str, FrameExtras]
    world: dict[str, Any] = {}


def read_rows(path: Path, row: type[Row]) -> list[Row]:
    """Read a table.

    Args:
        path: its file.
        row: class of its rows.

    Raises:
        DataError: the file is no such table; the message names the place in it.
    """
    rows: list[Row] = _decode(path, list[row])  # type: ignore[valid-type]  # the class is known at run time only
    return rows


def read_extras(path: Path) -> Extras:
    """Read ``skyweave.json``.

    Args:
        path: the file.

    Raises:
        DataError: the file is damaged, or of a format that this version does not read.
    """
    extras: Extras = _decode(path, Extras)
    if extras.format != FORMAT:
        raise DataError(f"{path} has format {extras.format}; this version of skyweave reads {FORMAT}; update it")
    return extras


def _decode(path: Path, kind: Any) -> Any:
    content = path.read_bytes()
    try:
        try:
            return msgspec.json.decode(content, type=kind)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:  # Python writes NaN and Infinity, which JSON does not have
            return msgspec.convert(json.loads(content), kind)
    except (msgspec.ValidationError, json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{path} is no such table: {error}") from None
