"""A model's outputs as results: boxes, instance maps and trajectories in the world."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground
from skyweave.perception.dataset import PerceptionBatch
from skyweave.perception.heads.detection import BOX_OFFSETS
from skyweave.perception.model import PerceptionModel
from skyweave.perception.results import Detections, InstanceMap, Trajectories

MIN_SCORE = 0.05
MIN_FORECAST_SCORE = 0.15  # score of a box from which its trajectory is predicted


@dataclass(frozen=True)
class ScenePrediction:
    """All that is read off one map. What a model has no head for is None.

    Attributes:
        detections: boxes now.
        instances: one map a step, the present first; identities are constant over them.
        trajectories: of the boxes with a score of at least ``MIN_FORECAST_SCORE``, in their order.
    """

    detections: Detections | None = None
    instances: list[InstanceMap] | None = None
    trajectories: Trajectories | None = None


@torch.inference_mode()
def predict(
    model: PerceptionModel, batch: PerceptionBatch, threshold: float = MIN_SCORE, true_boxes: bool = False
) -> list[ScenePrediction]:
    """Run the model over a batch, one result a sample; in bfloat16 where the processor has it.

    Args:
        threshold: least score of a box.
        true_boxes: predict the trajectories of the observed objects where they are, instead of those that are found:
            what the trajectories are worth by themselves. They are the detections of the result, with score 1.
    """
    device = next(model.parameters()).device
    with torch.autocast(device.type, torch.bfloat16):
        outputs = model([views.to(device) for views in batch.frames], torch.from_numpy(batch.present).to(device))
    return decode_batch(model, outputs, batch, threshold, true_boxes)


def decode_batch(
    model: PerceptionModel,
    outputs: dict[str, dict[str, torch.Tensor]],
    batch: PerceptionBatch,
    threshold: float = MIN_SCORE,
    true_boxes: bool = False,
) -> list[ScenePrediction]:
    """Raw outputs to results; see ``predict``."""
    samples = batch.samples
    grids, grounds = [sample.grid for sample in samples], [sample.ground for sample in samples]
    known = _true_boxes(model, outputs, batch) if true_boxes else None
    return decode_maps(model, outputs, grids, grounds, [sample.time for sample in samples], threshold, known)


def decode_maps(
    model: PerceptionModel,
    outputs: dict[str, dict[str, torch.Tensor]],
    grids: Sequence[MapGrid],
    grounds: Sequence[Ground],
    times: Sequence[int],
    threshold: float = MIN_SCORE,
    known: Sequence[Detections] | None = None,
) -> list[ScenePrediction]:
    """Raw outputs to results, for maps that come from no recording: their grids, the ground under them, and their times
    (UTC nanoseconds). ``known`` boxes take the place of those that the model finds.
    """
    config = model.config
    found: Sequence[Detections | None] = known or [None] * len(grids)
    if "detection" in outputs and known is None:
        found = model.heads["detection"].decode(outputs["detection"], grids, grounds, threshold)  # type: ignore[operator]
    maps = None
    if "instances" in outputs:
        maps = model.heads["instances"].decode(outputs["instances"])  # type: ignore[operator]
    scenes = []
    for number, (grid, untimed) in enumerate(zip(grids, found, strict=True)):
        boxes = None if untimed is None else replace(untimed, time=times[number])
        instances = trajectories = None
        if maps is not None:
            step = round(1e9 * config.interval)
            instances = [
                InstanceMap(grid, identities, {}, {}, times[number] + k * step)
                for k, identities in enumerate(maps[number])
            ]
        if "trajectories" in outputs and boxes is not None:
            trajectories = forecast_trajectories(model, outputs, number, boxes, grid)
        scenes.append(ScenePrediction(boxes, instances, trajectories))
    return scenes


def forecast_trajectories(
    model: PerceptionModel,
    outputs: dict[str, dict[str, torch.Tensor]],
    number: int,
    boxes: Detections,
    grid: MapGrid,
) -> Trajectories:
    """What the ``number``-th map says about the future of boxes on it that are worth predicting, theirs or not."""
    config = model.config
    chosen = boxes.select(np.flatnonzero(boxes.scores >= MIN_FORECAST_SCORE))
    labels = np.array([config.categories.index(name) for name in chosen.categories], int)
    modes, shares = model.heads["trajectories"].decode(  # type: ignore[operator]
        outputs["trajectories"], grid, number, chosen.boxes.centres, chosen.boxes.yaws, labels, chosen.velocities
    )
    seconds = config.interval * np.arange(1, config.horizon + 1)
    return Trajectories(modes, shares, seconds, chosen.categories, crs=grid.crs, time=boxes.time)


def _true_boxes(
    model: PerceptionModel, outputs: dict[str, dict[str, torch.Tensor]], batch: PerceptionBatch
) -> list[Detections]:
    """The observed objects on the map, with the velocity that the model says where they are; 0 without a detector."""
    found = []
    for number, sample in enumerate(batch.samples):
        objects = sample.objects.trainable()
        velocities = np.zeros((len(objects.boxes), 2))
        if "detection" in outputs:
            row, column = np.floor(sample.grid.cells_from_world(objects.boxes.centres)).astype(int).T
            box = outputs["detection"]["box"][number, BOX_OFFSETS["velocity"] :, row, column]
            velocities = box.T.double().cpu().numpy()
        names = tuple(model.config.categories[label] for label in objects.labels)
        found.append(Detections(objects.boxes, velocities, names, np.ones(len(names)), sample.grid.crs))
    return found
