"""A fine-tuned detector over a scene of any size, to boxes on the map."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import ConfigError
from skyweave.core.observation import Observation
from skyweave.downstream.finetuning.models.detection_head import NMS_IOU
from skyweave.downstream.finetuning.models.finetuned_model import FinetunedModel
from skyweave.downstream.finetuning.scenes.window_model import compute_outputs
from skyweave.downstream.scoring.average_precision import box_iou
from skyweave.inference import InferenceConfig, ObjectJob, SceneSource, compute_objects, plan_windows

SUFFIXES = (".geojson", ".json")


def predict_boxes(
    source: SceneSource,
    output: Path,
    model: FinetunedModel,
    config: InferenceConfig,
    model_name: str,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[int, tuple[str, ...]]:
    """Write the boxes of a scene as GeoJSON, each a polygon with class, score and corners in pixels.

    Args:
        source: of the pixels.
        output: file to write.
        model: of detection.
        config: windows and precision.
        model_name: recorded in the file.
        progress: called with windows done and in all.

    Returns:
        The number of boxes, and what could not be read.

    Raises:
        ConfigError: the output is no GeoJSON.
        OSError: the disk is full.
    """
    if output.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{output}: boxes are written as GeoJSON; name it {output.with_suffix('.geojson')}")
    device = model.target_mean.device.type
    plan = plan_windows(source.shape, 1, model.tile, config, model.task.num_outputs)
    precision = config.resolved_precision(device)
    content = [source.identity, str(plan), model.fingerprint, precision, device, config.batch, torch.__version__]
    key = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    job = ObjectJob(plan, source, partial(_detect, model, precision), key, device, config)
    with compute_objects(job, output, progress) as (boxes, failures):
        boxes = suppress_duplicates(boxes)
        features = describe_boxes(boxes, source, model.task.classes)
        properties = {"model": model_name, "fingerprint": model.fingerprint, "failures": list(failures)}
        with write_aside(output) as aside:
            aside.write_text(json.dumps({"type": "FeatureCollection", "properties": properties, "features": features}))
    return len(boxes), failures


def _detect(model: FinetunedModel, precision: str, windows: Sequence[tuple[Observation, ...]]) -> list[np.ndarray]:
    """Return the boxes of each window whose centre is a valid pixel."""
    outputs = torch.from_numpy(compute_outputs(model, windows, precision))
    return [
        _on_valid_pixels(prediction.label, observations[0])
        for prediction, observations in zip(model.decode(outputs), windows, strict=True)
    ]


def _on_valid_pixels(boxes: np.ndarray, observation: Observation) -> np.ndarray:
    valid = np.asarray(observation.valid.any(axis=0))
    rows = ((boxes[:, 1] + boxes[:, 3]) / 2).clip(0, valid.shape[0] - 1).astype(int)
    columns = ((boxes[:, 0] + boxes[:, 2]) / 2).clip(0, valid.shape[1] - 1).astype(int)
    return np.asarray(boxes[valid[rows, columns]])


def suppress_duplicates(boxes: np.ndarray) -> np.ndarray:
    """Leave out boxes that a better one of the same class covers, such as one seen by two windows.

    Boxes are compared with those near them only, so that many take no longer for each.

    Args:
        boxes: (boxes, 6) left, top, right, bottom, class, score.
    """
    if not len(boxes):
        return boxes.reshape(0, 6)
    side = max(1.0, float((boxes[:, 2:4] - boxes[:, :2]).max()))
    kept: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    order: list[int] = []
    for number in np.argsort(-boxes[:, 5], kind="stable").tolist():
        box = boxes[number]
        x, y = int((box[0] + box[2]) / 2 // side), int((box[1] + box[3]) / 2 // side)
        near = [other for dx in (-1, 0, 1) for dy in (-1, 0, 1) for other in kept[int(box[4]), x + dx, y + dy]]
        if not near or box_iou(box[None], boxes[near]).max() < NMS_IOU:
            kept[int(box[4]), x, y].append(number)
            order.append(number)
    return boxes[order]


def describe_boxes(boxes: np.ndarray, source: SceneSource, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return boxes as GeoJSON features, in longitude and latitude; in pixels where the scene has no place.

    Args:
        boxes: (boxes, 6) in pixels of the part of the scene.
        source: says where that is.
        classes: names.
    """
    corners = np.stack([boxes[:, [0, 1]], boxes[:, [0, 3]], boxes[:, [2, 3]], boxes[:, [2, 1]], boxes[:, [0, 1]]], 1)
    places = source.locate(corners.reshape(-1, 2)).reshape(-1, 5, 2)
    offset = [source.pixels.column, source.pixels.row] * 2
    return [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [ring.round(9).tolist()]},
            "properties": {
                "class": classes[int(box[4])],
                "score": round(float(box[5]), 5),
                "pixels": (box[:4] + offset).round(3).tolist(),
            },
        }
        for ring, box in zip(places, boxes, strict=True)
    ]
