"""Griffin (arXiv 2503.06983): a drone and a vehicle, each a folder with poses, calibrations, labels and images.

Its own loaders say what its files mean: poses of the egos are in east, north, up with heights above the ground; labels
are in the ego's axes (x forward, y left, z up); angles are degrees about fixed axes, roll, then pitch, then yaw;
``extrinsic`` turns a camera's axes (OpenCV's) to the ego's. Ten frames a second.
"""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.conventions import ned_from_body
from skyweave.core.geometry.frames import check_transform, make_transform, yaw_from_rotation
from skyweave.recordings.published.images import camera_from_matrix, load_image
from skyweave.recordings.recording import ALL_CHANNELS, Annotations, Capture, Frame, RecordedScene

NAME = "griffin"
SIDES = {"vehicle-side": "vehicle", "drone-side": "drone"}
RELEASE = "griffin-release"
NS_PER_FRAME = 100_000_000
CATEGORIES = ("pedestrian", "car", "truck", "bus", "motorcycle", "bicycle")
LABEL_COLUMNS = 11  # type, place, size, angles, identity; visibility after them where it is known
MAX_DISAGREEMENT_M = 5.0  # about the length of a car, between where drone and vehicle see one object
GROUND = 0.0  # heights of egos count from it


def is_griffin(folder: Path) -> bool:
    """Return whether a folder holds a release of Griffin.

    Args:
        folder: any.
    """
    return any((_root(folder) / side / "pose").is_dir() for side in SIDES)


def read_griffin(folder: Path) -> Iterator[RecordedScene]:
    """Yield the scenes of Griffin.

    Args:
        folder: that holds ``vehicle-side`` and ``drone-side``, or ``griffin-release`` with them.

    Raises:
        DataError: a file that is damaged or lacks something; the message names it.
    """
    root = _root(folder)
    sides = [root / side for side in SIDES if (root / side / "pose").is_dir()]
    cameras = {side: _cameras(side) for side in sides}
    for name, frames in _scenes(sides[0]):
        built = [_frame(sides, cameras, frame) for frame in frames]
        _check_agreement(root, frames, sides)
        yield RecordedScene(name, [frame for frame in built if frame.captures])


def _check_agreement(root: Path, frames: list[str], sides: list[Path]) -> None:
    """Refuse a scene whose objects lie elsewhere for the drone than for the vehicle: by other angles, or other axes."""
    distances = []
    for frame in frames if len(sides) > 1 else ():
        first, second = (
            _labels(side / "label" / f"{frame}.txt", _pose(side / "pose" / f"{frame}.json")) for side in sides
        )
        distances += [float(np.linalg.norm(first[name][1] - second[name][1])) for name in first.keys() & second.keys()]
    if distances and np.median(distances) > MAX_DISAGREEMENT_M:
        raise DataError(
            f"{root}: objects that drone and vehicle both see lie {np.median(distances):.0f} m apart by their poses "
            "(the median); angles are degrees there, and axes forward, left and up: convert poses and labels"
        )


def _root(folder: Path) -> Path:
    return folder / RELEASE if (folder / RELEASE).is_dir() else folder


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} is missing; Griffin has one there") from None
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}") from None


def _scenes(side: Path) -> list[tuple[str, list[str]]]:
    """Names of scenes and their frames; all frames are one scene where nothing divides them."""
    path = side / "scene_infos.json"
    if not path.exists():
        names = sorted(file.stem for file in (side / "pose").glob("*.json"))
        return [("griffin", [name for name in names if name.isdecimal()])]
    try:
        return [(str(scene["name"]), [str(frame) for frame in scene["info"]["frames"]]) for scene in _json(path)]
    except (KeyError, TypeError) as error:
        raise DataError(f"{path} lists no scenes of Griffin: {error}") from None


def _cameras(side: Path) -> dict[str, tuple[PinholeCamera, np.ndarray]]:
    """Cameras of an agent and their (4, 4) poses in its axes, by direction."""
    cameras = {}
    for folder in sorted(child for child in (side / "camera").glob("*") if child.is_dir()):
        image = next(iter(sorted(folder.glob("*.png"))), None)
        path = side / "calib" / f"{folder.name}.json"
        if image is None:
            continue
        content = _json(path)
        try:
            ego_from_camera = check_transform(np.array(content["extrinsic"], np.float64), f"extrinsic of {path}")
            matrix = content["intrinsic"]
        except (KeyError, TypeError) as error:
            raise DataError(f"{path} lacks {error}") from None
        cameras[folder.name] = camera_from_matrix(matrix, image, str(path)), ego_from_camera
    return cameras


def _frame(sides: list[Path], cameras: dict[Path, dict[str, tuple[PinholeCamera, np.ndarray]]], frame: str) -> Frame:
    time = int(frame) * NS_PER_FRAME
    captures: dict[str, Capture] = {}
    rows: dict[str, tuple[str, np.ndarray, np.ndarray, float, float]] = {}
    for side in sides:
        platform = SIDES[side.name]
        world_from_ego = _pose(side / "pose" / f"{frame}.json")
        for direction, (camera, ego_from_camera) in cameras[side].items():
            path = side / "camera" / direction / f"{frame}.png"
            if path.exists():
                channel = f"{platform}_{direction}"
                geometry = CameraGeometry(camera, world_from_ego @ ego_from_camera, None, channel)
                load = partial(load_image, path, geometry, GROUND)
                captures[channel] = Capture(channel, platform, time, geometry, load)
        for identity, row in _labels(side / "label" / f"{frame}.txt", world_from_ego).items():
            seen = rows.get(identity)
            rows[identity] = row if seen is None or row[4] > seen[4] else seen  # who sees more of it knows it better
    return Frame(time, captures, _annotations(rows))


def _pose(path: Path) -> np.ndarray:
    content = _json(path)
    try:
        position = np.array([float(content[axis]) for axis in "xyz"])
        angles = np.radians([float(content[name]) for name in ("roll", "pitch", "yaw")])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is no pose of Griffin: {error}") from None
    return check_transform(make_transform(ned_from_body(*angles), position), f"the pose in {path}")


def _labels(path: Path, world_from_ego: np.ndarray) -> dict[str, tuple[str, np.ndarray, np.ndarray, float, float]]:
    """Category, centre, size, yaw and visibility of objects in the world, by identity."""
    rows: dict[str, tuple[str, np.ndarray, np.ndarray, float, float]] = {}
    if not path.exists():
        return rows
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        cells = line.split()
        if not cells or cells[0].lower() not in CATEGORIES:
            continue
        try:
            values = np.array([float(cell) for cell in cells[1:]])
            if len(cells) < LABEL_COLUMNS or not np.isfinite(values).all() or not (values[3:6] > 0).all():
                raise ValueError(f"{len(cells)} values that are no box")
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}") from None
        pose = world_from_ego @ make_transform(ned_from_body(*np.radians(values[6:9])), values[:3])
        visibility = float(values[10]) if len(values) > LABEL_COLUMNS - 1 else np.nan
        yaw = float(yaw_from_rotation(pose[:3, :3]))
        rows[str(int(values[9]))] = cells[0].lower(), pose[:3, 3], values[3:6], yaw, visibility
    return rows


def _annotations(rows: dict[str, tuple[str, np.ndarray, np.ndarray, float, float]]) -> Annotations:
    categories, centres, sizes, yaws, visibility = zip(*rows.values(), strict=True) if rows else ((),) * 5
    boxes = Boxes(np.array(centres), np.array(sizes), np.array(yaws))
    seen = {ALL_CHANNELS: np.array(visibility, np.float64)}
    return Annotations(boxes, np.full((len(rows), 2), np.nan), tuple(categories), tuple(rows), seen)
