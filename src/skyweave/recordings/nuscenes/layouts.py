"""What the recordings that share the nuScenes tables do not share: axes, frames, splits, sizes of boxes.

Conventions were learned from the public loaders and documents of each (see docs/recordings.md); no code is theirs.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.frames import make_transform, rotation_about_z, rotation_from_quaternion, yaw_from_rotation
from skyweave.recordings.nuscenes.categories import benchmark_class
from skyweave.recordings.nuscenes.link import LinkedImage, LinkedSample
from skyweave.recordings.nuscenes.splits import ScenesBySplit, air_co_pred_splits, nuscenes_splits, uav3d_splits
from skyweave.recordings.nuscenes.tables import SampleAnnotationRow

UAV3D_CHANNEL = re.compile(r"CAMERA_(FRONT|BACK|LEFT|RIGHT|BOTTOM)_id_(\d+)")
UAV_CHANNEL = re.compile(r"UAV_(\d+)")
LIDAR = "LIDAR_TOP"
UAV3D_EGO = "CAMERA_BOTTOM_id_0"
AIR_CO_PRED_EGO_HEIGHT_M = 50.0  # metres of its ego frame above the ground

# Left-handed CARLA axes (x forward, y right, z up): of the world to ours, and of a camera from OpenCV's.
ENU_FROM_CARLA = np.diag([1.0, -1.0, 1.0])
MIRRORED_Z = np.diag([1.0, 1.0, -1.0])
CARLA_FROM_OPENCV = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


@dataclass(frozen=True)
class Layout:
    """One family of recordings.

    Attributes:
        name: short.
        world_from_camera: (4, 4) of a picture.
        boxes: of annotations, at least one.
        world_from_ego: (4, 4) level frame of the family's own benchmark, or None.
        platform: that carries a channel, given the vehicle in the log.
        category: the name we give to a category of the tables.
        splits: given the version and the scenes' names.
        ground: height of the ground below the cameras, metres in the world, given the ego frame.
        poses_needed: whether pictures need a row of ego_pose.
        notes: what a user should know.
    """

    name: str
    world_from_camera: Callable[[LinkedImage], np.ndarray]
    boxes: Callable[[list[SampleAnnotationRow]], Boxes]
    world_from_ego: Callable[[LinkedSample], np.ndarray | None]
    platform: Callable[[str, str], str]
    category: Callable[[str], str]
    splits: Callable[[str, Iterable[str]], ScenesBySplit]
    ground: Callable[[np.ndarray | None], float | None]
    poses_needed: bool = True
    notes: tuple[str, ...] = ()


def recognise_layout(channels: Mapping[str, str]) -> Layout:
    """Return the layout that channels belong to; plain nuScenes where nothing else fits.

    Args:
        channels: name to modality.
    """
    cameras = [channel for channel, modality in channels.items() if modality == "camera"]
    if cameras and _are_uav3d_channels(cameras):
        return UAV3D
    if cameras and _are_uav_channels(cameras):
        return AIR_CO_PRED
    return NUSCENES


def _are_uav3d_channels(cameras: list[str]) -> bool:
    """Return whether all channels are named as UAV3D names them."""
    return all(UAV3D_CHANNEL.fullmatch(channel) for channel in cameras)


def _are_uav_channels(cameras: list[str]) -> bool:
    """Return whether all channels are named as Air-Co-Pred names them."""
    return all(UAV_CHANNEL.fullmatch(channel) for channel in cameras)


def nuscenes_camera_pose(image: LinkedImage) -> np.ndarray:
    """Return ``world_from_camera`` of nuScenes: the camera in the ego frame, the ego frame in the world.

    Args:
        image: with its calibration and pose.

    Returns:
        (4, 4) matrix.
    """
    assert image.pose is not None  # the join leaves out pictures without
    return np.asarray(transform_from_row(image.pose) @ transform_from_row(image.calibration))


def nuscenes_boxes(rows: list[SampleAnnotationRow]) -> Boxes:
    """Return boxes of nuScenes: the centre; width, length, height; a rotation of which the heading is kept.

    Args:
        rows: annotations, at least one.
    """
    width, length, height = np.array([row.size for row in rows], np.float64).T
    rotations = rotation_from_quaternion(np.array([row.rotation for row in rows], np.float64))
    centres = np.array([row.translation for row in rows], np.float64)
    return Boxes(centres, np.stack([length, width, height], -1), yaw_from_rotation(rotations))


def lidar_ego_frame(sample: LinkedSample) -> np.ndarray | None:
    """Return the ego pose of the lidar without pitch and roll, where there is a lidar (nuScenes, Air-Co-Pred).

    Args:
        sample: with the poses of all channels.
    """
    if LIDAR not in sample.poses:
        return None
    pose = transform_from_row(sample.poses[LIDAR])
    return make_transform(rotation_about_z(float(yaw_from_rotation(pose[:3, :3]))), pose[:3, 3])


def uav3d_camera_pose(image: LinkedImage) -> np.ndarray:
    """Return ``world_from_camera`` of UAV3D, whose calibrated_sensor is the camera in the world, in CARLA's left-
    handed axes.

    The quaternion codes CARLA's roll, pitch and yaw as if they were right-handed angles about fixed x, y, z; CARLA
    turns
    roll and pitch the other way, which is the same rotation with the z axis mirrored before and after. Its ego_pose
    says
    nothing.

    Args:
        image: with its calibration.

    Returns:
        (4, 4) matrix.
    """
    coded = rotation_from_quaternion(np.array(image.calibration.rotation, np.float64))
    left_handed = MIRRORED_Z @ coded @ MIRRORED_Z
    place = ENU_FROM_CARLA @ np.array(image.calibration.translation, np.float64)
    return make_transform(ENU_FROM_CARLA @ left_handed @ CARLA_FROM_OPENCV, place)


def uav3d_boxes(rows: list[SampleAnnotationRow]) -> Boxes:
    """Return boxes of UAV3D: the middle of the underside in CARLA's axes; length, width, height; the heading clockwise.

    Its visualiser draws the first size along the heading and lifts the box by half its height. Cars are longer than
    wide,
    so the longer of both sides is the length whatever the order.

    Args:
        rows: annotations, at least one.
    """
    sizes = np.array([row.size for row in rows], np.float64)
    sizes[:, :2] = -np.sort(-sizes[:, :2], axis=1)
    centres = np.array([row.translation for row in rows], np.float64) @ ENU_FROM_CARLA
    centres[:, 2] += sizes[:, 2] / 2
    rotations = rotation_from_quaternion(np.array([row.rotation for row in rows], np.float64))
    return Boxes(centres, sizes, -yaw_from_rotation(rotations))


def uav3d_ego_frame(sample: LinkedSample) -> np.ndarray | None:
    """Return the frame of UAV3D's benchmark: below the first UAV's downward camera, at height 0, along the world's
    axes.

    Args:
        sample: with its images.
    """
    for image in sample.images:
        if image.channel == UAV3D_EGO:
            x, y, _ = uav3d_camera_pose(image)[:3, 3]
            return make_transform(np.eye(3), np.array([x, y, 0.0]))
    return None


def transform_from_row(row: object) -> np.ndarray:
    """Return the (4, 4) transform of a row with translation and rotation.

    Args:
        row: of ego_pose or calibrated_sensor.
    """
    translation, rotation = row.translation, row.rotation  # type: ignore[attr-defined]
    return make_transform(rotation_from_quaternion(np.array(rotation, np.float64)), np.array(translation, np.float64))


# Functions with names, not lambdas: recordings travel to the processes of a data loader.


def _vehicle(channel: str, vehicle: str) -> str:
    return vehicle or "ego"


def _channel(channel: str, vehicle: str) -> str:
    return channel


def _uav3d_platform(channel: str, vehicle: str) -> str:
    match = UAV3D_CHANNEL.fullmatch(channel)
    return f"UAV_{match[2]}" if match else channel


def _uav3d_category(category: str) -> str:
    return "car" if category.split(".")[0] in ("vehicle", "car") else category


def _ground_unknown(world_from_ego: np.ndarray | None) -> float | None:
    return None


def _ground_below_ego(world_from_ego: np.ndarray | None) -> float | None:
    return None if world_from_ego is None else float(world_from_ego[2, 3]) - AIR_CO_PRED_EGO_HEIGHT_M


def _ground_at_zero(world_from_ego: np.ndarray | None) -> float | None:
    return 0.0


NUSCENES = Layout(
    name="nuscenes",
    world_from_camera=nuscenes_camera_pose,
    boxes=nuscenes_boxes,
    world_from_ego=lidar_ego_frame,
    platform=_vehicle,
    category=benchmark_class,
    splits=nuscenes_splits,
    ground=_ground_unknown,
)
AIR_CO_PRED = Layout(
    name="air-co-pred",
    world_from_camera=nuscenes_camera_pose,
    boxes=nuscenes_boxes,
    world_from_ego=lidar_ego_frame,
    platform=_channel,
    category=benchmark_class,
    splits=air_co_pred_splits,
    ground=_ground_below_ego,
    notes=(
        "Air-Co-Pred: validation and test are the same 30 scenes, so neither is unseen once the other was used",
        "Air-Co-Pred: its benchmark maps around the level pose of LIDAR_TOP, which flies 50 m above the ground "
        "(Frame.world_from_ego), counts only categories whose name in the tables has 'vehicle' in it, and leaves "
        "out visibility 1 (below 0.4)",
    ),
)
UAV3D = Layout(
    name="uav3d",
    world_from_camera=uav3d_camera_pose,
    boxes=uav3d_boxes,
    world_from_ego=uav3d_ego_frame,
    platform=_uav3d_platform,
    category=_uav3d_category,
    splits=uav3d_splits,
    ground=_ground_at_zero,
    poses_needed=False,
    notes=(
        "UAV3D: left-handed CARLA axes were mirrored (north = -y); boxes were lifted by half their height, the longer "
        "side is the length; all vehicles are called car, as in its benchmark",
        "UAV3D: its benchmark maps 102.4 m around the point below CAMERA_BOTTOM_id_0 (Frame.world_from_ego)",
    ),
)
LAYOUTS = {layout.name: layout for layout in (NUSCENES, AIR_CO_PRED, UAV3D)}
