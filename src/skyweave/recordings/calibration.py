"""Calibrated cameras from files: OpenCV's numbers in JSON, and Qualisys Track Manager's XML."""

import json
import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import invert_transform, make_transform
from skyweave.core.json_text import parse_json

PIXEL_CENTRE = 0.5  # both count pixels from the centre of the first one; ours is at (0.5, 0.5)
SUBPIXELS_PER_PIXEL = 64.0  # in which Qualisys writes intrinsics
BROWN_MODELS = ("plumb_bob", "opencv", "pinhole", "radtan", "perspective")
METRES_PER_MILLIMETRE = 1e-3


def load_calibration(path: str | Path) -> dict[str, CameraGeometry]:
    """Read calibrated cameras by name, in the file's own world (z up, metres).

    ``.json``: for each camera ``K`` (3 x 3, pixels), ``R_world_to_cam`` (3 x 3), ``t_world_to_cam_m`` (3),
    ``size_wh``, and ``distortion`` (k1 k2 p1 p2 [k3]) if it has one (``distortion_as_written_in_qca`` is read, too).
    ``.qca.txt`` or ``.xml``: a Qualisys calibration.

    Args:
        path: the file.

    Raises:
        FileNotFoundError: no such file.
        DataError: neither of the two, or a camera that lacks something; the message names file, camera and key.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no such calibration: {path}")
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        if text.lstrip().startswith("<"):
            return _qualisys(text)
        return {name: _opencv(name, camera) for name, camera in _cameras(parse_json(text)).items()}
    except (ElementTree.ParseError, json.JSONDecodeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path} is neither a Qualisys calibration nor JSON of cameras: {error}") from None
    except KeyError as error:
        raise DataError(f"{path}: a camera lacks {error}") from None
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: {error}") from None


def _cameras(content: Any) -> dict[str, dict[str, Any]]:
    """The cameras of a JSON file by name."""
    if isinstance(content, dict) and content and all(isinstance(camera, dict) for camera in content.values()):
        return content
    raise DataError(
        'cameras by name are needed, like {"left": {"K": [[..], [..], [..]], "R_world_to_cam": .., "t_world_to_cam_m": '
        f'[..], "size_wh": [..]}}}}; it holds {type(content).__name__} {str(content)[:60]!r}'
    )


def _opencv(name: str, camera: dict[str, Any]) -> CameraGeometry:
    intrinsics = np.array(camera["K"], np.float64)
    intrinsics[:2, 2] += PIXEL_CENTRE
    written = camera.get("distortion", camera.get("distortion_as_written_in_qca", ()))
    columns, rows = camera["size_wh"]
    if not (0 < intrinsics[0, 2] < columns and 0 < intrinsics[1, 2] < rows):
        raise DataError(
            f"the principal point of camera {name} lies outside its {columns} x {rows} pixels: K is of another size"
        )
    model = camera.get("distortion_model", camera.get("model", "plumb_bob"))
    if model not in BROWN_MODELS:
        raise DataError(f"camera {name} has the lens model {model!r}, which is not read; rectify its images first")
    pinhole = PinholeCamera(intrinsics, rows, columns, _five(written, name))
    camera_from_world = make_transform(np.array(camera["R_world_to_cam"]), np.array(camera["t_world_to_cam_m"]))
    return CameraGeometry(pinhole, invert_transform(camera_from_world), name=name)


def _qualisys(text: str) -> dict[str, CameraGeometry]:
    cameras: dict[str, CameraGeometry] = {}
    for node in ElementTree.fromstring(text).iter("camera"):
        _read_qualisys_camera(node, cameras)
    if not cameras:
        raise DataError("it holds no cameras")
    return cameras


def _read_qualisys_camera(node: ElementTree.Element, cameras: dict[str, CameraGeometry]) -> None:
    """Read one camera element into its geometry."""
    name = node.get("serial", f"camera {len(cameras) + 1}")
    pose, lens, view = node.find("transform"), node.find("intrinsic"), node.find("fov_video")
    missing = [n for n, part in (("transform", pose), ("intrinsic", lens), ("fov_video", view)) if part is None]
    if pose is None or lens is None or view is None:
        raise DataError(f"camera {name} has no {' and no '.join(missing)}")
    rotation = np.array([[float(pose.attrib[f"r{i}{j}"]) for j in (1, 2, 3)] for i in (1, 2, 3)])
    rotation *= np.array([[1.0], [-1], [-1]])  # its camera looks along -z with y up
    centre = np.array([float(pose.attrib[axis]) for axis in "xyz"]) * METRES_PER_MILLIMETRE
    number = {key: float(value) for key, value in lens.attrib.items() if _is_number(value)}
    intrinsics = _intrinsics(number)
    distortion = _distortion_of(number)
    rows, columns = (int(view.attrib[b]) - int(view.attrib[a]) + 1 for a, b in (("top", "bottom"), ("left", "right")))
    pinhole = PinholeCamera(intrinsics, rows, columns, _five(distortion, name))
    cameras[name] = CameraGeometry(pinhole, make_transform(rotation.T, centre), name=name)


def _intrinsics(number: dict[str, float]) -> np.ndarray:
    """Return the matrix of a lens, whose numbers are in 64ths of a pixel."""
    return np.array(
        [
            [
                number["focalLengthU"] / SUBPIXELS_PER_PIXEL,
                0,
                number["centerPointU"] / SUBPIXELS_PER_PIXEL + PIXEL_CENTRE,
            ],
            [
                0,
                number["focalLengthV"] / SUBPIXELS_PER_PIXEL,
                number["centerPointV"] / SUBPIXELS_PER_PIXEL + PIXEL_CENTRE,
            ],
            [0, 0, 1],
        ]
    )


def _distortion_of(number: dict[str, float]) -> list[float]:
    """Return the coefficients of Brown-Conrady of a lens."""
    return [
        number["radialDistortion1"],
        number["radialDistortion2"],
        number["tangentalDistortion1"],
        number["tangentalDistortion2"],
        number.get("radialDistortion3", 0.0),
    ]


def _five(values: Any, name: str) -> tuple[float, float, float, float, float]:
    """The coefficients of Brown-Conrady; those beyond, of other models, must be 0."""
    numbers = [float(value) for value in values]
    if any(numbers[5:]):
        raise DataError(
            f"camera {name} has {len(numbers)} distortion coefficients; k1 k2 p1 p2 k3 are read: rectify its images "
            "first"
        )
    k1, k2, p1, p2, k3 = (*numbers[:5], *(0.0,) * (5 - len(numbers)))
    return k1, k2, p1, p2, k3


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
