"""Boxes of others joined with what the ego reads off its map: as detections, instances and trajectories."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from skyweave.collaboration.box_merging import merge_boxes
from skyweave.collaboration.boxes import (
    box_list_from_detections,
    centres_on_map,
    detections_from_box_list,
    extrapolate_boxes,
)
from skyweave.collaboration.model import CollaborativeModel
from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.grid import MapGrid
from skyweave.perception.config import PerceptionConfig
from skyweave.perception.heads.base import ModelOutputs
from skyweave.perception.heads.trajectories import MIN_FORECAST_SCORE
from skyweave.perception.prediction import forecast_trajectories
from skyweave.perception.results import Detections, InstanceMap, ScenePrediction, Trajectories
from skyweave.perception.results.scene import DETECTION, INSTANCES, TRAJECTORIES
from skyweave.perception.targets import rasterise
from skyweave.wire import BoxList

MIN_INSTANCE_SCORE = 0.3  # of a received box that becomes an instance
MIN_INSTANCE_OVERLAP = 0.2  # share of a box's cells that an instance covers, from which it is that instance
SAME_BOX_M = 1.5  # between a box of the ego and the merged one that it is part of
RECEIVED_SCORE_FACTOR = 0.9  # of boxes of others beside features that have been fused


def merge_received_boxes(
    scene: ScenePrediction,
    received: Sequence[BoxList],
    model: CollaborativeModel,
    outputs: ModelOutputs,
    grid: MapGrid,
    time: int,
    beyond_map: bool = False,
) -> ScenePrediction:
    """Merge the boxes of others into a scene: as detections and with their trajectories.

    They become instances only where no features travel: else the fused map, into which they are rasterised, shows them
    better.

    Args:
        scene: read off the ego's map.
        received: boxes of each other platform.
        model: of the ego.
        outputs: of the perception model, that the scene was read from.
        grid: the map of the scene.
        time: of the scene, UTC nanoseconds.
        beyond_map: keep also what lies beyond that map, where boxes are all that is known.
    """
    if not beyond_map:
        received = _keep_on_map(received, grid)
    received = [boxes for boxes in received if len(boxes)]
    if scene.detections is None or not received:
        return scene
    config = model.perception.config
    weighted = _weighted(received, RECEIVED_SCORE_FACTOR, grid) if model.sends_features else received
    merged = merge_boxes(box_list_from_detections(scene.detections, config.categories), weighted, raise_scores=False)
    detections = detections_from_box_list(merged, config.categories, scene.detections.crs, time)
    detections = detections.select(np.argsort(-detections.scores, kind="stable"))
    instances = _merge_instances(scene, model, received, config)
    trajectories = _forecast(model, outputs, scene.detections, detections, grid)
    return scene.with_results({DETECTION: detections, INSTANCES: instances, TRAJECTORIES: trajectories})


def _keep_on_map(received: Sequence[BoxList], grid: MapGrid) -> list[BoxList]:
    """Keep the boxes whose centres are on the map."""
    return [boxes.select(np.flatnonzero(centres_on_map(boxes, grid))) for boxes in received]


def _merge_instances(
    scene: ScenePrediction, model: CollaborativeModel, received: Sequence[BoxList], config: PerceptionConfig
) -> list[InstanceMap] | None:
    """Add the received boxes to the instances, where no features are fused."""
    instances = scene.instances
    if instances is not None and not model.sends_features:
        instances = add_instances(instances, merge_boxes(received[0], received[1:]), config.interval)
    return instances


def _weighted(received: Sequence[BoxList], factor: float, grid: MapGrid) -> list[BoxList]:
    """Return boxes of which those on the map have their scores multiplied by a factor."""
    return [
        replace(boxes, scores=boxes.scores * np.where(centres_on_map(boxes, grid), factor, 1.0)) for boxes in received
    ]


def add_instances(instances: list[InstanceMap], boxes: BoxList, interval: float) -> list[InstanceMap]:
    """Give boxes the cells that no instance has: they extend the instance that a box lies on, or are a new one.

    Args:
        instances: one map a step, the present first.
        boxes: of the present; they move at constant velocity.
        interval: seconds between the steps.
    """
    boxes = boxes.select(np.flatnonzero(boxes.scores >= MIN_INSTANCE_SCORE))
    if not len(boxes):
        return instances
    grid, first = instances[0].grid, int(max(step.identities.max() for step in instances)) + 1
    numbers = _instance_numbers(boxes, instances[0].identities, first, grid)
    extended = []
    for step, instance_map in enumerate(instances):
        identities = instance_map.identities.copy()
        moved = extrapolate_boxes(boxes, step * interval)
        footprints = rasterise(Boxes(moved.centres, moved.sizes, moved.yaws).footprints(), numbers, grid)
        free = (identities == 0) & (footprints > 0)
        identities[free] = footprints[free]
        extended.append(replace(instance_map, identities=identities))
    return extended


def _instance_numbers(boxes: BoxList, identities: np.ndarray, first: int, grid: MapGrid) -> np.ndarray:
    """Return (n,) the number of the instance that each box lies on, or a new one from ``first`` on."""
    numbers = np.arange(first, first + len(boxes))
    footprints = rasterise(Boxes(boxes.centres, boxes.sizes, boxes.yaws).footprints(), numbers, grid)
    for row, number in enumerate(numbers.copy()):
        beneath = identities[footprints == number]
        if len(beneath) and (beneath > 0).mean() >= MIN_INSTANCE_OVERLAP:
            known, count = np.unique(beneath[beneath > 0], return_counts=True)
            numbers[row] = known[count.argmax()]
    return numbers


def _forecast(
    model: CollaborativeModel,
    outputs: ModelOutputs,
    ego_detections: Detections,
    detections: Detections,
    grid: MapGrid,
) -> Trajectories | None:
    """Return forecasts as the map says for boxes that it shows, else at constant velocity.

    The map shows what features and rasterised boxes put there or, where neither travels, the ego's detections.
    """
    if "trajectories" not in outputs:
        return None
    detections = detections.select(np.flatnonzero(detections.scores >= MIN_FORECAST_SCORE))
    forecast = forecast_trajectories(model.perception, outputs, 0, detections, grid)
    centres = detections.boxes.centres
    shown = grid.index(centres) >= 0
    if not model.sends_features:
        distance = np.linalg.norm(centres[:, None, :2] - ego_detections.boxes.centres[None, :, :2], axis=2)
        shown &= (distance < SAME_BOX_M).any(1)
    straight = centres[:, None, :2] + detections.velocities[:, None] * forecast.times[:, None]
    paths = np.where(shown[:, None, None, None], forecast.modes, straight[:, None])
    probabilities = np.where(shown[:, None], forecast.probabilities, 1 / forecast.probabilities.shape[1])
    return replace(forecast, modes=paths, probabilities=probabilities)
