"""Decode a model's outputs to results in the world, by whatever heads it has."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import torch

from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground
from skyweave.perception.batch import PerceptionBatch
from skyweave.perception.heads.base import MapContext, ModelOutputs
from skyweave.perception.heads.box_encoding import batch_cells, velocities_at
from skyweave.perception.heads.trajectories import TrajectoryHead
from skyweave.perception.model import PerceptionModel
from skyweave.perception.results import Detections, ScenePrediction, Trajectories
from skyweave.perception.results.scene import DETECTION, TRAJECTORIES

MIN_SCORE = 0.05  # of a box


@torch.inference_mode()
def predict(
    model: PerceptionModel, batch: PerceptionBatch, min_score: float = MIN_SCORE, true_boxes: bool = False
) -> list[ScenePrediction]:
    """Run the model over a batch; in bfloat16 where the processor has it.

    Args:
        model: in evaluation mode.
        batch: of samples.
        min_score: lowest score of a box.
        true_boxes: predict from the true boxes of the observed objects instead of the detected ones, which measures the
            trajectories by themselves. They are the detections of the result, with score 1.

    Returns:
        one result a sample.
    """
    device = next(model.parameters()).device
    with torch.autocast(device.type, torch.bfloat16):
        base = None if batch.base_maps is None else model.observe(batch.base_maps.to(device))
        maps = [model.observe(views.to(device)) for views in batch.frames]
        present = torch.from_numpy(batch.present).to(device)
        outputs = model.perceive([model.fuse(one) for one in maps], present, base_maps=base)
    scenes, novelty = decode_batch(model, outputs, batch, min_score, true_boxes), maps[-1].novelty
    if novelty is None:
        return scenes
    return [replace(scene, novelty=float(value)) for scene, value in zip(scenes, novelty.amax(1), strict=True)]


def decode_batch(
    model: PerceptionModel,
    outputs: ModelOutputs,
    batch: PerceptionBatch,
    min_score: float = MIN_SCORE,
    true_boxes: bool = False,
) -> list[ScenePrediction]:
    """Decode raw outputs of a batch.

    Args:
        model: that made the outputs.
        outputs: of its heads.
        batch: that they were made from.
        min_score: lowest score of a box.
        true_boxes: see `predict`.

    Returns:
        one result a sample.
    """
    grids, grounds = [sample.grid for sample in batch.samples], [sample.ground for sample in batch.samples]
    boxes = _true_boxes(model, outputs, batch) if true_boxes else None
    return decode_maps(model, outputs, grids, grounds, [sample.time for sample in batch.samples], min_score, boxes)


def decode_maps(
    model: PerceptionModel,
    outputs: ModelOutputs,
    grids: Sequence[MapGrid],
    grounds: Sequence[Ground],
    times: Sequence[int],
    min_score: float = MIN_SCORE,
    boxes: Sequence[Detections] | None = None,
) -> list[ScenePrediction]:
    """Decode raw outputs on maps that need not be of a recording.

    Args:
        model: that made the outputs.
        outputs: of all its heads or of some.
        grids: of each sample its map.
        grounds: of each sample the ground under it.
        times: of each sample UTC nanoseconds.
        min_score: lowest score of a box.
        boxes: of each sample boxes that take the place of the detected ones.

    Returns:
        one result a sample.
    """
    context = MapContext(grids, grounds, times, min_score, model.domain)
    results: dict[str, Sequence[object]] = {}
    if boxes is not None:
        results[DETECTION] = [replace(given, time=time) for given, time in zip(boxes, times, strict=True)]
    _decode_heads(model, outputs, results, context)
    return [
        ScenePrediction({name: of_samples[number] for name, of_samples in results.items()})
        for number in range(len(grids))
    ]


def _decode_heads(
    model: PerceptionModel, outputs: ModelOutputs, results: dict[str, Sequence[object]], context: MapContext
) -> None:
    """Decode the heads that have outputs and no result yet."""
    for head in model.heads.in_reading_order():
        if head.name in outputs and head.name not in results:
            decoded = head.decode(outputs, context, results)
            if decoded is not None:
                results[head.name] = decoded


def forecast_trajectories(
    model: PerceptionModel, outputs: ModelOutputs, number: int, boxes: Detections, grid: MapGrid
) -> Trajectories:
    """Return the trajectories of boxes on one map of a batch, whether the model detected them or not.

    Args:
        model: with a trajectory head.
        outputs: of its heads.
        number: of the map in the batch.
        boxes: those below `skyweave.perception.heads.trajectories.MIN_FORECAST_SCORE` are left out.
        grid: the map.
    """
    head = cast(TrajectoryHead, model.heads[TRAJECTORIES])
    return head.forecast(outputs[TRAJECTORIES], number, boxes, grid)


def _true_boxes(model: PerceptionModel, outputs: ModelOutputs, batch: PerceptionBatch) -> list[Detections]:
    """The observed objects on the map, with the velocity that the model predicts where they are."""
    detections = []
    for number, sample in enumerate(batch.samples):
        objects = sample.objects.trainable()
        cells = np.floor(batch_cells(number, sample.grid.cells_from_world(objects.boxes.centres)))
        velocities = velocities_at(outputs.get(DETECTION, {}).get("box"), torch.from_numpy(cells))
        names = tuple(model.config.categories[label] for label in objects.labels)
        scores = np.ones(len(names))
        detections.append(Detections(objects.boxes, velocities.double().cpu().numpy(), names, scores, sample.grid.crs))
    return detections
