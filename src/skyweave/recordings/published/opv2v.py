"""OPV2V (arXiv 2109.07644): a folder a scenario, a folder an agent in it, a YAML and four images a frame.

Poses are CARLA's, ``[x, y, z, roll, yaw, pitch]`` in degrees, left-handed; they are converted as everything of CARLA
is. Extents of boxes are halves. Numbers of frames count steps of a twentieth of a second.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from skyweave.core.errors import DataError
from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.conventions import pose_from_carla, yaw_from_carla
from skyweave.core.geometry.ground import GroundPlane
from skyweave.recordings.published.images import camera_from_matrix, load_image
from skyweave.recordings.recording import Annotations, Capture, Frame, RecordedScene

NAME = "opv2v"
CATEGORIES = ("car",)  # all vehicles are one class there
NS_PER_STEP = 50_000_000
CAMERAS = tuple(f"camera{k}" for k in range(4))
METRES_PER_SECOND = 1 / 3.6  # of km/h, in which speeds are
YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def is_opv2v(folder: Path) -> bool:
    """Return whether a folder is a scenario of OPV2V, or holds some.

    Args:
        folder: any.
    """
    return next(_scenarios(folder), None) is not None


def read_opv2v(folder: Path) -> Iterator[RecordedScene]:
    """Yield the scenarios of OPV2V, in the order of their names.

    Args:
        folder: a scenario, or a folder of them.

    Raises:
        DataError: a file that is damaged or lacks something; the message names it.
    """
    for scenario in _scenarios(folder):
        yield _scene(scenario)


def _scenarios(folder: Path) -> Iterator[Path]:
    for candidate in (folder, *sorted(child for child in folder.iterdir() if child.is_dir())):
        if any(_agent_files(agent) for agent in _agents(candidate)):
            yield candidate


def _agents(scenario: Path) -> list[Path]:
    """Folders of agents, whose names are numbers; those of roadside units are negative."""
    return sorted(child for child in scenario.iterdir() if child.is_dir() and child.name.lstrip("-").isdecimal())


def _agent_files(agent: Path) -> list[Path]:
    return [file for file in sorted(agent.glob("*.yaml")) if file.stem.isdecimal()]


def _scene(scenario: Path) -> RecordedScene:
    frames: dict[int, dict[str, dict[str, Any]]] = {}
    for agent in _agents(scenario):
        for file in _agent_files(agent):
            frames.setdefault(int(file.stem), {})[agent.name] = _read(file)
    bottoms = [
        float(vehicle["location"][2]) + float(vehicle["center"][2]) - float(vehicle["extent"][2])
        for contents in frames.values()
        for content in contents.values()
        for vehicle in content["vehicles"].values()
    ]
    ground = float(np.median(bottoms)) if bottoms else 0.0
    built = [_frame(scenario, step, contents, ground) for step, contents in sorted(frames.items())]
    return RecordedScene(scenario.name, [frame for frame in built if frame.captures], None, ground=GroundPlane(ground))


def _read(file: Path) -> dict[str, Any]:
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), YAML_LOADER)  # both loaders are safe ones
        vehicles = {str(key): dict(value) for key, value in (content.get("vehicles") or {}).items()}
        for key, vehicle in vehicles.items():
            for name in ("location", "center", "extent", "angle"):
                numbers = np.array(vehicle[name], np.float64)
                if numbers.shape != (3,) or not np.isfinite(numbers).all():
                    raise ValueError(f"{name} of vehicle {key} is {vehicle[name]}; remove it from the file")
            if min(vehicle["extent"]) < 0:  # of what CARLA knows no width it is 0
                raise ValueError(f"extent of vehicle {key} is {vehicle['extent']}; remove it from the file")
        return {**content, "vehicles": vehicles}
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{file} is no frame of OPV2V: {' '.join(str(error).split())}") from None


def _frame(scenario: Path, step: int, contents: Mapping[str, dict[str, Any]], ground: float) -> Frame:
    time = step * NS_PER_STEP
    captures: dict[str, Capture] = {}
    vehicles: dict[str, dict[str, Any]] = {}
    for agent, content in contents.items():
        vehicles |= content["vehicles"]
        for camera in CAMERAS:
            path = scenario / agent / f"{step:06d}_{camera}.png"
            if camera in content and path.exists():
                channel = f"CAV_{agent}_{camera.upper()}"
                geometry = _geometry(content[camera], path, channel)
                load = partial(load_image, path, geometry, ground)
                captures[channel] = Capture(channel, f"CAV_{agent}", time, geometry, load)
    return Frame(time, captures, _annotations(vehicles))


def _geometry(stated: Mapping[str, Any], path: Path, channel: str) -> CameraGeometry:
    where = f"{path.with_name(path.stem[:6])}.yaml, {channel}"
    try:
        x, y, z, roll, yaw, pitch = (float(number) for number in stated["cords"])
        matrix = stated["intrinsic"]
        if not np.isfinite([x, y, z, roll, yaw, pitch]).all():
            raise ValueError(f"cords are {stated['cords']}; remove the camera from the file")
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where} is no camera of OPV2V: {error}") from None
    pose = pose_from_carla(np.array([x, y, z]), pitch, yaw, roll)
    return CameraGeometry(camera_from_matrix(matrix, path, where), pose, None, channel)


def _annotations(vehicles: Mapping[str, dict[str, Any]]) -> Annotations:
    """The vehicles that any agent knows of."""
    rows = list(vehicles.values())
    centres = np.array([np.add(row["location"], row["center"]) for row in rows], np.float64).reshape(-1, 3)
    sizes = 2 * np.array([row["extent"] for row in rows], np.float64).reshape(-1, 3)
    yaws = np.array([yaw_from_carla(float(row["angle"][1])) for row in rows])
    speeds = np.array([float(row.get("speed", np.nan)) for row in rows]) * METRES_PER_SECOND
    velocities = np.stack([speeds * np.cos(yaws), speeds * np.sin(yaws)], -1).reshape(-1, 2)
    boxes = Boxes(centres * np.array([1.0, -1.0, 1.0]), np.maximum(sizes, 0.1), yaws)
    return Annotations(boxes, velocities, ("car",) * len(rows), tuple(vehicles))
