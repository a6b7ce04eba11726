"""Score a perception model on recordings, as the field's benchmarks do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skyweave.perception.dataset import PerceptionBatch, PerceptionDataset, collate
from skyweave.perception.metrics import (
    DetectionConfig,
    TrackedScene,
    TrackingConfig,
    constant_velocity_trajectories,
    evaluate_bev_ap,
    evaluate_detection,
    evaluate_tracking,
    evaluate_trajectories,
    match_objects,
    sum_instance_metrics,
    video_panoptic_quality,
)
from skyweave.perception.model import PerceptionModel
from skyweave.perception.prediction import ScenePrediction, predict
from skyweave.perception.results import Detections
from skyweave.perception.targets import ObjectTargets, rasterise
from skyweave.perception.tracking import Tracker
from skyweave.recordings.recording import Annotations

Predict = Callable[[PerceptionModel, PerceptionBatch], list[ScenePrediction]]


@dataclass(frozen=True)
class PerceptionScores:
    """All metrics by name, and what a reader should know of them."""

    values: dict[str, float]
    notes: tuple[str, ...]
    samples: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; NaN becomes null."""
        values = {name: None if np.isnan(value) else float(value) for name, value in self.values.items()}
        return {"samples": self.samples, **values, "notes": list(self.notes)}


def evaluate(
    model: PerceptionModel,
    samples: PerceptionDataset,
    batch: int = 1,
    every: int = 1,
    run: Predict = predict,
    tracks: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> PerceptionScores:
    """Score a model on samples.

    The objects to be found are those of the model's categories whose centre is on the sample's map and that some
    platform saw in the frames that the model is given, whether or not the perceiving platform did: what one platform
    cannot see is what others are for. The rest is left out before matching.

    Args:
        samples: without augmentation.
        batch: samples at a time.
        every: score only every so many-th sample.
        run: how outputs come about; the collaborative models bring their own.
        tracks: score tracks as well, which takes every sample and SciPy.
        progress: called with samples done and all.
    """
    model.eval()
    numbers = list(range(0, len(samples), every))
    truth: list[Annotations] = []
    counted: list[np.ndarray] = []
    scenes: list[ScenePrediction] = []
    instance_parts = []
    paths: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    known = objects_found = 0
    for start in range(0, len(numbers), batch):
        loaded = collate([samples[number] for number in numbers[start : start + batch]])
        for sample, scene in zip(loaded.samples, run(model, loaded), strict=True):
            objects = sample.objects
            annotations = _annotations(objects, samples.config.categories)
            wanted = objects.observed & (objects.grid.index(objects.boxes.centres) >= 0)
            truth.append(annotations)
            counted.append(wanted)
            scenes.append(scene)
            if scene.instances is not None:
                instance_parts.append(_instances(objects.of(samples.config.segmented_labels), scene))
            if scene.trajectories is not None and scene.detections is not None:
                mine, rows = _paths(annotations, wanted, objects, scene, samples.config.categories)
                known += int(wanted.sum())
                objects_found += rows
                paths.append(mine)
        if progress is not None:
            progress(min(start + batch, len(numbers)), len(numbers))
    values, notes = _detection(truth, counted, scenes, samples.config.categories)
    if tracks and every == 1 and "mAP" in values:
        where = [samples.index[number][0] for number in numbers]
        values |= _tracking(where, truth, counted, scenes, samples.config.interval)
    if instance_parts:
        summed = sum_instance_metrics(instance_parts)
        values |= {"IoU": summed.iou, "VPQ": summed.pq, "identity_switches": float(summed.identity_switches)}
    if paths:
        values |= _trajectories(paths)
        values["trajectory_recall"] = objects_found / known if known else np.nan
    return PerceptionScores(values, tuple(notes), len(numbers))


def _annotations(objects: ObjectTargets, categories: Sequence[str]) -> Annotations:
    return Annotations(
        objects.boxes,
        objects.velocities,
        tuple(categories[label] for label in objects.labels),
        tuple(str(identity) for identity in objects.identities),
    )


def _detection(
    truth: list[Annotations], counted: list[np.ndarray], scenes: list[ScenePrediction], categories: Sequence[str]
) -> tuple[dict[str, float], list[str]]:
    predicted = [scene.detections for scene in scenes]
    if any(one is None for one in predicted):
        return {}, []
    found: list[Detections] = [one for one in predicted if one is not None]
    present = {name for one, mask in zip(truth, counted, strict=True) for name in np.array(one.categories)[mask]}
    classes = [name for name in categories if name in present]
    if not classes:
        return {}, ["no object of the model's categories was seen on the map"]
    config = DetectionConfig(nds="without_attributes")
    result = evaluate_detection(truth, found, classes, config, counted=counted)
    overlap = evaluate_bev_ap(truth, found, classes, counted=counted)
    values = {"mAP": result.mean_ap, "NDS": result.nds}
    values |= {name: value for name, value in result.errors.items() if name != "mAAE"}
    values |= {f"AP/{name}": score.mean_ap for name, score in result.classes.items()}
    values |= {"AP@0.5": overlap.mean(0.5), "AP@0.7": overlap.mean(0.7)}
    return values, [*result.notes, *overlap.notes]


def _tracking(
    where: list[int],
    truth: list[Annotations],
    counted: list[np.ndarray],
    scenes: list[ScenePrediction],
    interval: float,
) -> dict[str, float]:
    """Scores of the tracks that a `Tracker` makes of each scene's detections."""
    tracked = []
    for scene in dict.fromkeys(where):
        rows = [i for i, own in enumerate(where) if own == scene]
        tracker = Tracker()
        found = [tracker.update(one) for i in rows if (one := scenes[i].detections) is not None]
        times = np.array([one.time for one in found], np.float64) * 1e-9
        tracked.append(TrackedScene([truth[i] for i in rows], found, times, counted=[counted[i] for i in rows]))
    result = evaluate_tracking(tracked, config=TrackingConfig(interpolation="linear", frame_interval=interval))
    return {"AMOTA": result.amota, "AMOTP": result.amotp, "IDS": result.overall("ids")}


def _instances(objects: ObjectTargets, scene: ScenePrediction) -> Any:
    assert scene.instances is not None
    seen = objects.select(objects.observed)
    steps = len(scene.instances)
    truth = np.stack([rasterise(seen.footprints_at(k), seen.identities, objects.grid) for k in range(steps)])
    return video_panoptic_quality(truth, np.stack([one.identities for one in scene.instances]))


def _paths(
    annotations: Annotations,
    wanted: np.ndarray,
    objects: ObjectTargets,
    scene: ScenePrediction,
    categories: Sequence[str],
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], int]:
    """Truth, modes, probabilities and the constant-velocity future of the objects that were found."""
    assert scene.trajectories is not None and scene.detections is not None
    count = len(scene.trajectories)
    boxes = scene.detections.select(np.arange(count))  # best first, so the first are those with trajectories
    rows, columns = match_objects(annotations, boxes, classes=list(categories), counted=wanted)
    still, _ = constant_velocity_trajectories(
        boxes.boxes.centres[columns], boxes.velocities[columns], scene.trajectories.times
    )
    modes, shares = scene.trajectories.modes[columns], scene.trajectories.probabilities[columns]
    return (objects.future[rows], modes, shares, still), len(rows)


def _trajectories(paths: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]) -> dict[str, float]:
    truth, modes, shares, still = (np.concatenate(parts) for parts in zip(*paths, strict=True))
    every = modes.shape[1]
    ours = evaluate_trajectories(truth, modes, shares, ks=(1, every))
    simple = evaluate_trajectories(truth, still, np.ones((len(still), 1)), ks=(1,))
    return {
        f"minADE_{every}": ours.min_ade[every],
        "minADE_1": ours.min_ade[1],
        f"minFDE_{every}": ours.min_fde[every],
        "minFDE_1": ours.min_fde[1],
        "constant_velocity_ADE": simple.min_ade[1],
        "constant_velocity_FDE": simple.min_fde[1],
    }


def ego_only_dataset(samples: PerceptionDataset) -> PerceptionDataset:
    """The same samples, every platform by itself; the objects to be found stay those that any platform saw."""
    return PerceptionDataset(samples.scenes, samples.config, None, 1, samples.seed, samples.true_geometry)
