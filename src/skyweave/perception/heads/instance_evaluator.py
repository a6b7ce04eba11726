"""Metrics of instance maps."""

from collections.abc import Sequence

import numpy as np

from skyweave.perception.heads.base import EvaluatedSample, HeadEvaluator, HeadScores
from skyweave.perception.metrics import InstanceMetrics, sum_instance_metrics, video_panoptic_quality
from skyweave.perception.targets import rasterise


class InstanceEvaluator(HeadEvaluator):
    """IoU, video panoptic quality and identity switches of the objects that some platform saw.

    Args:
        labels: indices of the classes that the maps show.
    """

    def __init__(self, labels: Sequence[int]) -> None:
        self.labels = labels
        self.metrics: list[InstanceMetrics] = []

    def add(self, sample: EvaluatedSample) -> None:
        """Add a sample.

        Args:
            sample: passed over if it has no instance maps.
        """
        maps = sample.prediction.instances
        if maps is None:
            return
        objects = sample.objects.with_labels(self.labels)
        objects = objects.select(objects.observed)
        truth = [rasterise(objects.footprints_at(k), objects.identities, objects.grid) for k in range(len(maps))]
        self.metrics.append(video_panoptic_quality(np.stack(truth), np.stack([step.identities for step in maps])))

    def compute(self) -> HeadScores:
        """Return the metrics of all samples; none without instance maps."""
        if not self.metrics:
            return HeadScores({})
        metrics = sum_instance_metrics(self.metrics)
        switches = float(metrics.identity_switches)
        return HeadScores({"IoU": metrics.iou, "VPQ": metrics.pq, "identity_switches": switches})
