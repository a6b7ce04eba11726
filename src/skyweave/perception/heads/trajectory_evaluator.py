"""Metrics of forecast trajectories."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skyweave.perception.heads.base import EvaluatedSample, HeadEvaluator, HeadScores
from skyweave.perception.metrics import constant_velocity_trajectories, evaluate_trajectories, match_objects


@dataclass(frozen=True)
class _MatchedPaths:
    """Futures of the detected objects of one sample: true, predicted, and at constant velocity."""

    truth: np.ndarray
    modes: np.ndarray
    probabilities: np.ndarray
    baseline: np.ndarray


class TrajectoryEvaluator(HeadEvaluator):
    """Displacement errors of the detected objects, beside those of constant velocity, and the share that was detected.

    Args:
        categories: classes of the model.
    """

    def __init__(self, categories: Sequence[str]) -> None:
        self.categories = list(categories)
        self.paths: list[_MatchedPaths] = []
        self.num_counted = self.num_matched = 0

    def add(self, sample: EvaluatedSample) -> None:
        """Add a sample.

        Args:
            sample: passed over if it has no trajectories or no detections.
        """
        trajectories, detections = sample.prediction.trajectories, sample.prediction.detections
        if trajectories is None or detections is None:
            return
        boxes = detections.select(np.arange(len(trajectories)))  # best first, so the first are those with trajectories
        rows, columns = match_objects(sample.annotations, boxes, classes=self.categories, counted=sample.counted)
        baseline, _ = constant_velocity_trajectories(
            boxes.boxes.centres[columns], boxes.velocities[columns], trajectories.times
        )
        self.num_counted += int(sample.counted.sum())
        self.num_matched += len(rows)
        self.paths.append(
            _MatchedPaths(
                sample.objects.future[rows], trajectories.modes[columns], trajectories.probabilities[columns], baseline
            )
        )

    def compute(self) -> HeadScores:
        """Return the metrics of all samples; none without trajectories."""
        if not self.paths:
            return HeadScores({})
        truth, modes, probabilities, baseline = (
            np.concatenate([getattr(paths, name) for paths in self.paths])
            for name in ("truth", "modes", "probabilities", "baseline")
        )
        num_modes = modes.shape[1]
        errors = evaluate_trajectories(truth, modes, probabilities, ks=(1, num_modes))
        simple = evaluate_trajectories(truth, baseline, np.ones((len(baseline), 1)), ks=(1,))
        values = {
            f"minADE_{num_modes}": errors.min_ade[num_modes],
            "minADE_1": errors.min_ade[1],
            f"minFDE_{num_modes}": errors.min_fde[num_modes],
            "minFDE_1": errors.min_fde[1],
            "constant_velocity_ADE": simple.min_ade[1],
            "constant_velocity_FDE": simple.min_fde[1],
        }
        values["trajectory_recall"] = self.num_matched / self.num_counted if self.num_counted else np.nan
        return HeadScores(values)
