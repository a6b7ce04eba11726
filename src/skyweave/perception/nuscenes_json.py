"""Read and write detections as nuScenes result files, which the nuScenes devkit and all tools made for it read.

One list of boxes a sample; sizes are width, length, height there, rotations quaternions ``wxyz``.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import DataError
from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.frames import (
    quaternion_from_rotation,
    rotation_about_z,
    rotation_from_quaternion,
    yaw_from_rotation,
)
from skyweave.perception.results import Detections

MAX_BOXES_PER_SAMPLE = 500  # that the benchmark allows
DETECTION_NAMES = {  # class of the benchmark by the class here
    **{
        name: name
        for name in (
            "car",
            "truck",
            "bus",
            "trailer",
            "construction_vehicle",
            "pedestrian",
            "motorcycle",
            "bicycle",
            "traffic_cone",
            "barrier",
        )
    },
    "van": "car",
    "cyclist": "bicycle",
}
MODALITIES = ("camera", "lidar", "radar", "map", "external")


def write_nuscenes(
    path: str | Path,
    results: Mapping[str, Detections],
    modalities: tuple[str, ...] = ("camera",),
    names: Mapping[str, str] | None = None,
    unknown_velocity: float | None = None,
) -> None:
    """Write detections as a nuScenes result file.

    Args:
        path: of the file.
        results: detections by sample token; the benchmark wants every sample, also those without any.
        modalities: inputs of the method, of `MODALITIES`.
        names: the benchmark's class by the class here; default: `DETECTION_NAMES`.
        unknown_velocity: metres per second to say where a velocity is unknown, as JSON knows no NaN.

    Raises:
        DataError: more boxes than the benchmark allows, a class it does not know, or an unknown velocity.
    """
    names = DETECTION_NAMES if names is None else names
    wrong = set(modalities) - set(MODALITIES)
    if wrong:
        raise DataError(f"unknown modality {sorted(wrong)[0]!r}; choose of {', '.join(MODALITIES)}")
    content = {
        "meta": {f"use_{name}": name in modalities for name in MODALITIES},
        "results": {token: _rows(token, detections, names, unknown_velocity) for token, detections in results.items()},
    }
    with write_aside(path) as aside:
        aside.write_text(json.dumps(content, allow_nan=False), "utf-8")


def read_nuscenes(path: str | Path) -> dict[str, Detections]:
    """Return detections by sample token, from a result file of detection or tracking.

    Args:
        path: of the file.

    Raises:
        FileNotFoundError: no such file.
        DataError: no such file format, or boxes that are none; the message names the file and the sample.
    """
    path = Path(path)
    try:
        results = json.loads(path.read_text("utf-8"))["results"]
        rows = {token: list(boxes) for token, boxes in results.items()}
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path} is no nuScenes result file: it needs results, a list of boxes a sample") from error
    detections = {}
    for token, boxes in rows.items():
        try:
            detections[token] = _detections(boxes)
        except (KeyError, TypeError, ValueError) as error:
            problem = f"a box without {error}" if isinstance(error, KeyError) else str(error)
            raise DataError(f"{path}, sample {token}: {problem}") from error
    return detections


def _rows(
    token: str, detections: Detections, names: Mapping[str, str], unknown_velocity: float | None
) -> list[dict[str, Any]]:
    _check_boxes(detections, token, names)
    velocities = _known_velocities(detections, unknown_velocity, token)
    rotations = quaternion_from_rotation(rotation_about_z(detections.boxes.yaws))
    return [
        {
            "sample_token": token,
            "translation": detections.boxes.centres[i].tolist(),
            "size": detections.boxes.sizes[i][[1, 0, 2]].tolist(),
            "rotation": rotations[i].tolist(),
            "velocity": velocities[i].tolist(),
            "detection_name": names[detections.categories[i]],
            "detection_score": float(detections.scores[i]),
            "attribute_name": detections.attributes[i] if detections.attributes else "",
            **({"tracking_id": detections.instances[i]} if detections.instances else {}),
        }
        for i in range(len(detections))
    ]


def _check_boxes(detections: Detections, token: str, names: Mapping[str, str]) -> None:
    """Check that the benchmark takes so many boxes of these classes."""
    if len(detections) > MAX_BOXES_PER_SAMPLE:
        raise DataError(
            f"sample {token} has {len(detections)} boxes, the benchmark allows {MAX_BOXES_PER_SAMPLE}; keep the best"
        )
    unknown = sorted(set(detections.categories) - set(names))
    if unknown:
        raise DataError(f"sample {token}: the benchmark has no class {unknown[0]!r}; give its name there with names=")


def _known_velocities(detections: Detections, unknown_velocity: float | None, token: str) -> np.ndarray:
    """Return the velocities, with a number for those unknown."""
    velocities = detections.velocities
    if np.isnan(velocities).any():
        if unknown_velocity is None:
            raise DataError(f"sample {token} has unknown velocities; say what to write with unknown_velocity=")
        velocities = np.nan_to_num(velocities, nan=unknown_velocity)
    return velocities


def _detections(rows: list[dict[str, Any]]) -> Detections:
    def column(name: str, width: int) -> np.ndarray:
        return np.array([row[name] for row in rows], np.float64).reshape(-1, width)

    kind = "tracking" if rows and "tracking_name" in rows[0] else "detection"
    rotations = rotation_from_quaternion(column("rotation", 4))
    return Detections(
        boxes=Boxes(column("translation", 3), column("size", 3)[:, [1, 0, 2]], yaw_from_rotation(rotations)),
        velocities=column("velocity", 2),
        categories=tuple(str(row[f"{kind}_name"]) for row in rows),
        scores=np.array([row[f"{kind}_score"] for row in rows], np.float64),
        instances=tuple(str(row["tracking_id"]) for row in rows) if rows and "tracking_id" in rows[0] else None,
        attributes=tuple(str(row.get("attribute_name", "")) for row in rows),
    )
