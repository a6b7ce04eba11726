"""Metrics of detected boxes and of the tracks that they make."""

from collections.abc import Sequence

import numpy as np

from skyweave.perception.heads.base import EvaluatedSample, HeadEvaluator, HeadScores
from skyweave.perception.metrics import (
    DetectionConfig,
    TrackedSequence,
    TrackingConfig,
    evaluate_bev_ap,
    evaluate_detection,
    evaluate_tracking,
)
from skyweave.perception.results import Detections
from skyweave.perception.tracking import Tracker

IOU_THRESHOLDS = (0.5, 0.7)


class DetectionEvaluator(HeadEvaluator):
    """mAP, NDS without attributes and its errors, AP by class, AP at an overlap; AMOTA, AMOTP and identity switches.

    Args:
        categories: classes of the model; those of which no object is counted are left out.
        interval: seconds between frames, to score tracks; None: none are scored.
    """

    def __init__(self, categories: Sequence[str], interval: float | None = None) -> None:
        self.categories, self.interval = categories, interval
        self.samples: list[EvaluatedSample] = []
        self.detections: list[Detections] = []

    def add(self, sample: EvaluatedSample) -> None:
        """Add a sample.

        Args:
            sample: without detections, nothing is scored.
        """
        self.samples.append(sample)
        if sample.prediction.detections is not None:
            self.detections.append(sample.prediction.detections)

    def compute(self) -> HeadScores:
        """Return the metrics of all samples."""
        if len(self.detections) < len(self.samples):
            return HeadScores({})
        classes = self._present_classes()
        if not classes:
            return HeadScores({}, ("no object of the model's categories was seen on the map",))
        values, notes = self._detection(classes)
        if self.interval is not None:
            values |= self._tracking(self.interval)
        return HeadScores(values, notes)

    def _present_classes(self) -> list[str]:
        """The classes of which some object is counted."""
        present = {name for sample in self.samples for name in np.array(sample.annotations.categories)[sample.counted]}
        return [name for name in self.categories if name in present]

    def _detection(self, classes: Sequence[str]) -> tuple[dict[str, float], tuple[str, ...]]:
        """Scores of the boxes, frame by frame, and notes on them."""
        truth, counted = [sample.annotations for sample in self.samples], [sample.counted for sample in self.samples]
        config = DetectionConfig(nds="without_attributes")
        metrics = evaluate_detection(truth, self.detections, classes, config, counted=counted)
        bev_ap = evaluate_bev_ap(truth, self.detections, classes, IOU_THRESHOLDS, counted=counted)
        values = {"mAP": metrics.mean_ap, "NDS": metrics.nds}
        values |= {name: value for name, value in metrics.errors.items() if name != "mAAE"}
        values |= {f"AP/{name}": score.mean_ap for name, score in metrics.classes.items()}
        values |= {f"AP@{threshold}": bev_ap.mean(threshold) for threshold in IOU_THRESHOLDS}
        return values, (*metrics.notes, *bev_ap.notes)

    def _tracking(self, interval: float) -> dict[str, float]:
        """Scores of the tracks that a `Tracker` makes of each scene's detections."""
        scenes: list[TrackedSequence] = []
        for scene_index in dict.fromkeys(sample.scene_index for sample in self.samples):
            self._track_scene(scene_index, scenes)
        metrics = evaluate_tracking(scenes, config=TrackingConfig(interpolation="linear", frame_interval=interval))
        return {"AMOTA": metrics.amota, "AMOTP": metrics.amotp, "IDS": metrics.overall("ids")}

    def _track_scene(self, scene_index: int, scenes: list[TrackedSequence]) -> None:
        """Track the detections of one scene."""
        rows = [row for row, sample in enumerate(self.samples) if sample.scene_index == scene_index]
        tracker = Tracker()
        tracks = [tracker.update(self.detections[row]) for row in rows]
        times = np.array([detections.time for detections in tracks], np.float64) * 1e-9
        truth, counted = zip(*((self.samples[r].annotations, self.samples[r].counted) for r in rows), strict=True)
        scenes.append(TrackedSequence(truth, tracks, times, counted=counted))
