"""3D object detection as the nuScenes benchmark scores it (arXiv 1903.11027, section 3.1), and its score NDS.

A prediction matches the nearest object of its class that is still free, if nearer on the ground than a threshold; the
best score goes first. Average precision (AP) is the area under the precision over 101 recall levels, those up to
``min_recall`` left out and ``min_precision`` taken off. mAP is its mean over thresholds and classes. The errors of true
positives are taken at one threshold: the running mean over falling confidence, averaged over the recall levels from
``min_recall`` to the highest achieved. Numbers equal nuscenes-devkit 1.2 (``benchmarks/metric_parity.py``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skyweave.perception.metrics.matching import candidate_pairs, greedy_match, rank_by_score, vector_norms
from skyweave.perception.metrics.tables import (
    BoxTable,
    check_paired_frames,
    evaluated_classes,
    prediction_table,
    select_in_range,
    truth_table,
)
from skyweave.perception.results import Detections
from skyweave.recordings.recording import Annotations

RECALL_LEVELS = np.linspace(0, 1, 101)  # of recall
AP_WEIGHT = 5  # of mAP in every NDS
MAX_BOXES_PER_SAMPLE = 500  # predictions a frame that the benchmark allows

TP_METRICS = {
    "translation": "mATE",  # metres on the ground
    "scale": "mASE",  # 1 - intersection over union of the boxes, moved and turned onto each other
    "orientation": "mAOE",  # radians
    "velocity": "mAVE",  # metres per second
    "attribute": "mAAE",  # 1 - accuracy
}
NDS_DEFINITIONS = {
    "nuscenes": ("translation", "scale", "orientation", "velocity", "attribute"),
    "without_attributes": ("translation", "scale", "orientation", "velocity"),
    "uav3d": ("translation", "scale", "orientation"),
}
"""Errors in each definition of the score: (5 mAP + sum of max(0, 1 - error)) / (5 + number of errors), so the divisors
are 10 as in nuScenes, 9, and 8 as in the tables of UAV3D (arXiv 2410.11125). Not comparable with each other."""

NUSCENES_RANGES = {
    **dict.fromkeys(("car", "truck", "bus", "trailer", "construction_vehicle"), 50.0),
    **dict.fromkeys(("pedestrian", "motorcycle", "bicycle"), 40.0),
    **dict.fromkeys(("traffic_cone", "barrier"), 30.0),
}
"""Classes of the nuScenes detection benchmark and how many metres from the ego they are evaluated."""
UAV3D_RANGES = {"car": 150.0}


@dataclass(frozen=True)
class DetectionConfig:
    """How detections are scored. The defaults are nuScenes' ``detection_cvpr_2019``.

    Attributes:
        distance_thresholds: metres on the ground below which a prediction may match.
        tp_distance_threshold: the one at which errors are measured; one of ``distance_thresholds``.
        min_recall: recall up to which nothing counts.
        min_precision: precision that counts as none.
        class_ranges: metres from the frame's origin by class; None for no limit.
        nds: a definition in `NDS_DEFINITIONS`.
        half_turn_symmetric: classes whose front and back look alike: yaw is compared modulo pi.
        undefined_errors: errors that a class has none of, by class.
    """

    distance_thresholds: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    tp_distance_threshold: float = 2.0
    min_recall: float = 0.1
    min_precision: float = 0.1
    class_ranges: Mapping[str, float] | None = None
    nds: str = "nuscenes"
    half_turn_symmetric: tuple[str, ...] = ("barrier",)
    undefined_errors: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {
            "traffic_cone": ("orientation", "velocity", "attribute"),
            "barrier": ("velocity", "attribute"),
        }
    )

    def __post_init__(self) -> None:
        self._check_thresholds()
        if not (0 <= self.min_recall < 1 and 0 <= self.min_precision < 1):
            raise ValueError(f"min_recall {self.min_recall} and min_precision {self.min_precision} must be in [0, 1)")
        if self.nds not in NDS_DEFINITIONS:
            raise ValueError(f"unknown definition of NDS {self.nds!r}; choose one of {', '.join(NDS_DEFINITIONS)}")

    def _check_thresholds(self) -> None:
        """Check the distances up to which boxes match."""
        thresholds = self.distance_thresholds
        if not thresholds or min(thresholds) <= 0 or self.tp_distance_threshold not in thresholds:
            raise ValueError(
                f"distance_thresholds {thresholds} must be metres > 0, with tp_distance_threshold "
                f"{self.tp_distance_threshold} among them"
            )


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class.

    Attributes:
        ap: average precision by threshold in metres.
        errors: by name in `TP_METRICS`, NaN where the class has none.
        objects: number of objects that count.
        predictions: number of predictions.
    """

    ap: dict[float, float]
    errors: dict[str, float]
    objects: int
    predictions: int

    @property
    def mean_ap(self) -> float:
        """Average precision, averaged over the thresholds."""
        return float(np.mean(list(self.ap.values())))


@dataclass(frozen=True)
class DetectionMetrics:
    """The scores of a set of frames.

    Attributes:
        classes: scores by the name of the class.
        config: by which they were scored.
        notes: what was left out, and which value stands for nothing to measure.
    """

    classes: dict[str, ClassScore]
    config: DetectionConfig
    notes: tuple[str, ...] = ()

    @property
    def mean_ap(self) -> float:
        """mAP: the mean over classes and thresholds; NaN without classes."""
        return float(np.mean([score.mean_ap for score in self.classes.values()])) if self.classes else np.nan

    @property
    def errors(self) -> dict[str, float]:
        """Each error, averaged over the classes that have it; NaN where none has."""
        return {name: _mean([score.errors[name] for score in self.classes.values()]) for name in TP_METRICS}

    def score(self, definition: str | None = None) -> float:
        """Return the nuScenes detection score (NDS). An error that no class has counts as 1.

        Args:
            definition: a name in `NDS_DEFINITIONS`; default: the configured one.
        """
        errors = self.errors
        parts = [
            max(0.0, 1 - np.nan_to_num(errors[name], nan=1.0))
            for name in NDS_DEFINITIONS[definition or self.config.nds]
        ]
        return float((AP_WEIGHT * self.mean_ap + sum(parts)) / (AP_WEIGHT + len(parts)))

    @property
    def nds(self) -> float:
        """The nuScenes detection score by the configured definition."""
        return self.score()

    @property
    def nds_definition(self) -> str:
        """The configured definition as a formula, with its divisor."""
        names = NDS_DEFINITIONS[self.config.nds]
        parts = ", ".join(TP_METRICS[name] for name in names)
        return f"(5 mAP + sum of max(0, 1 - error) over {parts}) / {AP_WEIGHT + len(names)}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON; None stands for NaN."""
        return {
            "mAP": _plain(self.mean_ap),
            "NDS": _plain(self.nds),
            "NDS_definition": self.nds_definition,
            **{TP_METRICS[name]: _plain(value) for name, value in self.errors.items()},
            "classes": {
                name: {
                    "AP": {str(threshold): _plain(ap) for threshold, ap in score.ap.items()},
                    "mAP": _plain(score.mean_ap),
                    **{TP_METRICS[error][1:]: _plain(value) for error, value in score.errors.items()},
                    "objects": score.objects,
                    "predictions": score.predictions,
                }
                for name, score in self.classes.items()
            },
            "notes": list(self.notes),
        }


def evaluate_detection(
    truth: Sequence[Annotations],
    predicted: Sequence[Detections],
    classes: Sequence[str] | None = None,
    config: DetectionConfig | None = None,
    origins: np.ndarray | None = None,
    counted: Sequence[np.ndarray] | None = None,
    attributes: Sequence[Sequence[str]] | None = None,
) -> DetectionMetrics:
    """Score detections as the nuScenes benchmark does.

    Args:
        truth: the objects of each frame, in the world frame of the predictions.
        predicted: of the same frames in the same order.
        classes: that are evaluated; default: those that the truth has. One without objects has AP 0 and errors of 1,
            as in the devkit, and is noted.
        config: thresholds, ranges and the definition of NDS; default: nuScenes', without ranges.
        origins: (frames, 2) from where ranges are measured; needed with ``config.ranges`` only.
        counted: for each frame (objects,) bool, which objects are to be found; default: those that a platform sees
            (`skyweave.perception.metrics.visible_objects`). The others are left out before matching, as nuScenes leaves
            out objects without points: a prediction there is a false positive.
        attributes: for each frame the nuScenes attribute of each object, "" for none; without any, mAAE is 1.

    Raises:
        ValueError: another number of frames, or ranges without origins.
    """
    config = config or DetectionConfig()
    check_paired_frames(truth, predicted)
    classes = evaluated_classes(truth, classes)
    objects, notes = truth_table(truth, classes, counted, attributes)
    predictions, more = prediction_table(predicted, classes)
    notes += more
    if config.class_ranges is not None:
        objects, predictions = select_in_range(objects, predictions, origins, len(truth), config.class_ranges, classes)
    notes += _remarks(objects, predictions, classes, len(truth), attributes is not None)
    p, t, distance = candidate_pairs(objects, predictions, max(config.distance_thresholds))
    matches = _match_boxes(config, distance, p, t, predictions)
    order = rank_by_score(predictions.scores)
    scores = {}
    for label, name in enumerate(classes):
        ranked = order[predictions.labels[order] == label]
        count = int((objects.labels == label).sum())
        scores[name] = _score_class(name, objects, count, predictions, ranked, matches, config)
    return DetectionMetrics(scores, config, tuple(notes))


def _match_boxes(
    config: DetectionConfig, distance: np.ndarray, p: np.ndarray, t: np.ndarray, predictions: BoxTable
) -> dict[float, np.ndarray]:
    """Match predictions with objects for each threshold."""
    matches = {}
    for threshold in config.distance_thresholds:
        close = distance < threshold
        matches[threshold] = greedy_match(p[close], t[close], distance[close], predictions.scores)
    return matches


def _score_class(
    name: str,
    objects: BoxTable,
    count: int,
    predictions: BoxTable,
    ranked: np.ndarray,
    matches: dict[float, np.ndarray],
    config: DetectionConfig,
) -> ClassScore:
    """Scores of one class of ``count`` objects; ``ranked`` are its predictions, best first."""
    start = round(100 * config.min_recall) + 1
    ap, errors = {}, dict.fromkeys(TP_METRICS, 1.0)
    for threshold, match in matches.items():
        hit = match[ranked] >= 0
        if not hit.any():
            ap[threshold] = 0.0
            continue
        true = np.cumsum(hit)
        recall = true / count
        precision = np.interp(RECALL_LEVELS, recall, true / np.arange(1, len(hit) + 1), right=0)
        confidence = np.interp(RECALL_LEVELS, recall, predictions.scores[ranked], right=0)
        above = np.maximum(precision[start:] - config.min_precision, 0)
        ap[threshold] = float(above.mean() / (1 - config.min_precision))
        reached = np.flatnonzero(confidence)
        last = int(reached[-1]) if len(reached) else 0
        if threshold == config.tp_distance_threshold and last >= start:
            hits = ranked[hit]
            curves = _errors(objects, match[hits], predictions, hits, name in config.half_turn_symmetric)
            errors = {
                error: float(_at(confidence, predictions.scores[hits], values)[start : last + 1].mean())
                for error, values in curves.items()
            }
    errors |= dict.fromkeys(config.undefined_errors.get(name, ()), np.nan)
    return ClassScore(ap, errors, count, len(ranked))


def _errors(
    objects: BoxTable, t: np.ndarray, predictions: BoxTable, p: np.ndarray, half_turn_symmetric: bool
) -> dict[str, np.ndarray]:
    """Errors of matched pairs (objects t, predictions p), in their order."""
    smaller = np.minimum(objects.sizes[t], predictions.sizes[p]).prod(1)
    period = np.pi if half_turn_symmetric else 2 * np.pi
    turn = (objects.yaws[t] - predictions.yaws[p] + period / 2) % period - period / 2
    known = objects.attributes[t] != ""
    wrong = (objects.attributes[t] != predictions.attributes[p]).astype(float)
    return {
        "translation": vector_norms(predictions.centres[p, :2] - objects.centres[t, :2]),
        "scale": 1 - smaller / (objects.sizes[t].prod(1) + predictions.sizes[p].prod(1) - smaller),
        "orientation": np.abs(turn),
        "velocity": np.linalg.norm(predictions.velocities[p] - objects.velocities[t], axis=1),
        "attribute": np.where(known, wrong, np.nan),
    }


def _at(confidence: np.ndarray, scores: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(101,) running mean of errors (NaN ignored; 1 where all are) at the confidences of the recall levels."""
    known = ~np.isnan(values)
    if not known.any():
        return np.ones_like(confidence)
    count = np.cumsum(known)
    running = np.divide(np.nancumsum(values), count, out=np.zeros_like(values), where=count > 0)
    return np.asarray(np.interp(confidence[::-1], scores[::-1], running[::-1])[::-1])


def _remarks(
    objects: BoxTable, predictions: BoxTable, classes: Sequence[str], frames: int, attributes: bool
) -> list[str]:
    notes = []
    if not classes:
        notes.append("no classes to evaluate: every score is NaN")
    _note_empty_classes(classes, objects, notes, predictions)
    if classes and not attributes:
        notes.append("no attributes are known: mAAE is 1, as in nuScenes; NDS 'without_attributes' leaves it out")
    crowded = int((np.bincount(predictions.frames, minlength=frames) > MAX_BOXES_PER_SAMPLE).sum())
    if crowded:
        notes.append(f"{crowded} frames have more than the {MAX_BOXES_PER_SAMPLE} predictions that nuScenes allows")
    if np.isnan(objects.velocities).any():
        notes.append("objects of unknown velocity do not count in mAVE")
    return notes


def _note_empty_classes(classes: Sequence[str], objects: BoxTable, notes: list[str], predictions: BoxTable) -> None:
    """Note classes without objects or predictions."""
    for label, name in enumerate(classes):
        if not (objects.labels == label).any():
            notes.append(f"class {name!r} has no objects: AP 0 and errors of 1, as in nuScenes; or leave it out")
        elif not (predictions.labels == label).any():
            notes.append(f"class {name!r} has no predictions: AP 0 and errors of 1")


def _mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else np.nan


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
