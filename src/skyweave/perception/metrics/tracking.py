"""Multi-object tracking as the nuScenes tracking benchmark scores it: AMOTA, AMOTP, and MOTA and friends.

Before scoring, a track's score is the mean of its boxes' in the scene, and gaps of tracks, of truth and of predictions,
are filled. For each of 40 recall levels from 0.1 to 1 the score is sought above which tracks reach it; there, objects
and tracks are associated frame by frame (CLEAR MOT: pairs of the frame before stay while nearer than 2 m, the others
are assigned at least total distance). AMOTA is the mean over the levels of

    MOTAR = max(0, 1 - (IDS + FP + FN - (1 - r) P) / (r P)),  r = share of the P objects that match without a switch,

AMOTP the mean of the mean distance of matches (MOTP); a level that is not reached counts 0 and 2 m. All other figures
are those at the level of the best MOTA, of equal ones that of most recall. Numbers equal nuscenes-devkit 1.2 with
motmetrics 1.4 (``benchmarks/metric_parity.py``).

Its interpolation weighs the two ends of a gap the wrong way round (the box after the gap counts more the nearer the
time is to the box before it), which matters for gaps of more than one frame only. ``interpolation="devkit"`` does the
same, to be comparable; ``interpolation="linear"`` does it right; ``interpolation=None`` leaves gaps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skyweave.perception.metrics.association import Association, AssociationFrame, associate_frames
from skyweave.perception.metrics.interpolation import (
    Interpolation,
    interpolate_tracks,
    iterate_frames,
    with_track_scores,
)
from skyweave.perception.metrics.tables import (
    BoxTable,
    evaluated_classes,
    filter_by_range,
    prediction_table,
    truth_table,
)
from skyweave.perception.results import Detections
from skyweave.recordings.recording import Annotations

SUMMED = ("mt", "ml", "tp", "fp", "fn", "ids", "frag")  # over classes; the others are averaged
WORST_DISTANCE, WORST_TIME, WORST_FALSE = 2.0, 20.0, 500.0  # of motp in metres, of tid and lgd in seconds, of faf
MOSTLY_TRACKED, MOSTLY_LOST = 0.8, 0.2  # shares of an object's frames in which it is tracked


@dataclass(frozen=True)
class TrackingConfig:
    """How tracks are scored. The defaults are nuScenes' ``tracking_nips_2019``.

    Attributes:
        max_distance: metres on the ground from which an object and a track do not match.
        num_recall_levels: number of recall levels.
        min_recall: the lowest recall level.
        interpolation: how gaps of tracks are filled; None: not at all.
        class_ranges: metres from the frame's origin by class; None for no limit.
        frame_interval: seconds between frames, for the durations ``tid`` and ``lgd``.
    """

    max_distance: float = 2.0
    num_recall_levels: int = 40
    min_recall: float = 0.1
    interpolation: Interpolation | None = "devkit"
    class_ranges: Mapping[str, float] | None = None
    frame_interval: float = 0.5


@dataclass(frozen=True)
class TrackingMetrics:
    """Metrics of a set of scenes, by class, then by name.

    The names: ``amota``, ``amotp`` (m), ``recall``, ``motar``, ``mota``, ``motp`` (m), ``mt`` and ``ml`` (objects
    tracked at least 80 %, less than 20 % of their frames), ``faf`` (false alarms in 100 frames), ``gt``, ``tp``,
    ``fp``, ``fn``, ``ids`` (identity switches), ``frag``, ``tid`` (seconds to the first match), ``lgd`` (longest gap,
    seconds). NaN where a class has no objects, or a metric no meaning.

    Attributes:
        classes: metric by name, by the name of the class.
        config: by which they were scored.
        notes: what was left out.
    """

    classes: dict[str, dict[str, float]]
    config: TrackingConfig = field(default_factory=TrackingConfig)
    notes: tuple[str, ...] = ()

    def overall(self, name: str) -> float:
        """Return the mean over the classes, or the sum for counts (`SUMMED`).

        Args:
            name: of the metric.
        """
        known = [v for values in self.classes.values() if not np.isnan(v := values[name])]
        if name in SUMMED:
            return float(sum(known))
        return float(np.mean(known)) if known else np.nan

    @property
    def amota(self) -> float:
        """AMOTA: the mean over the classes that have objects."""
        return self.overall("amota")

    @property
    def amotp(self) -> float:
        """AMOTP: the mean over the classes that have objects, metres."""
        return self.overall("amotp")

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON; None stands for NaN."""
        names = list(next(iter(self.classes.values()), {}))
        plain = {c: {k: _plain(v) for k, v in values.items()} for c, values in self.classes.items()}
        return {**{k: _plain(self.overall(k)) for k in names}, "classes": plain, "notes": list(self.notes)}


@dataclass(frozen=True)
class TrackedSequence:
    """One scene: objects and tracks of its frames in order. Tracks are detections with ``instances``.

    Attributes:
        truth: objects of each frame.
        predicted: tracks of each frame, an identifier once a frame.
        times: (frames,) seconds, rising.
        origins: (frames, 2) from where ranges are measured; needed with ranges only.
        counted: for each frame (objects,) bool; default: those that a platform sees. An object that is hidden between
            two frames in which it is seen comes back as the gap is filled, as in nuScenes.
    """

    truth: Sequence[Annotations]
    predicted: Sequence[Detections]
    times: np.ndarray
    origins: np.ndarray | None = None
    counted: Sequence[np.ndarray] | None = None

    def __post_init__(self) -> None:
        self._check_times()
        for number, frame in enumerate(self.predicted):
            _check_tracks(number, frame)
        self._check_truth()

    def _check_times(self) -> None:
        """Check that each frame has its time, and that times rise."""
        if not len(self.truth) == len(self.predicted) == len(self.times):
            raise ValueError(
                f"{len(self.truth)} frames of truth, {len(self.predicted)} of tracks and {len(self.times)} times; "
                "give one each, in order"
            )
        if (np.diff(np.asarray(self.times, np.float64)) <= 0).any():
            raise ValueError("times of the frames must rise")

    def _check_truth(self) -> None:
        """Check that no frame has an object more than once."""
        for number, annotations in enumerate(self.truth):
            if len(set(annotations.instances)) < len(annotations.instances):
                raise ValueError(f"frame {number} of the truth has one object more than once")


def _check_tracks(number: int, frame: Detections) -> None:
    if frame.instances is None and len(frame):
        raise ValueError(f"frame {number} has detections without instances; run a tracker first")
    if frame.instances is not None and len(set(frame.instances)) < len(frame.instances):
        raise ValueError(f"frame {number} has one track more than once; a track is one box a frame")


def evaluate_tracking(
    scenes: Sequence[TrackedSequence], classes: Sequence[str] | None = None, config: TrackingConfig | None = None
) -> TrackingMetrics:
    """Score tracks as the nuScenes benchmark does.

    Args:
        scenes: scored together; identities hold within their scene.
        classes: names of the evaluated classes; default: those that the truth has.
        config: default: nuScenes', without ranges.

    Raises:
        ValueError: frames that do not fit together, tracks without identity, ranges without origins.
    """
    config = config or TrackingConfig()
    classes = evaluated_classes([frame for scene in scenes for frame in scene.truth], classes)
    notes: list[str] = []
    tables, notes = _tables_of(scenes, classes, config, notes)
    metrics = {}
    for label, name in enumerate(classes):
        frames = _class_frames(tables, label, config)
        metrics[name] = _score_class(frames, config)
        notes += _remarks(name, frames)
    return TrackingMetrics(metrics, config, tuple(notes))


def _tables_of(
    scenes: Sequence[TrackedSequence], classes: tuple[str, ...], config: TrackingConfig, notes: list[str]
) -> tuple[list[tuple[BoxTable, BoxTable]], list[str]]:
    """Make the tables of objects and tracks of each scene."""
    tables = []
    for scene in scenes:
        objects, tracks, remarks = _scene_tables(scene, classes, config)
        notes += [note for note in remarks if note not in notes]
        tables.append((objects, tracks))
    return tables, notes


def _class_frames(
    tables: list[tuple[BoxTable, BoxTable]], label: int, config: TrackingConfig
) -> list[AssociationFrame]:
    """Return the frames of all scenes with the objects and tracks of a class."""
    return [
        AssociationFrame.between(objects, tracks, config.max_distance, number)
        for number, of_scene in enumerate(tables)
        for objects, tracks in iterate_frames(*of_scene, label)
    ]


def _remarks(name: str, frames: Sequence[AssociationFrame]) -> list[str]:
    if not any(frame.objects for frame in frames):
        return [f"class {name!r} has no objects: its figures are NaN and not in the mean"]
    if not any(frame.tracks for frame in frames):
        return [f"class {name!r} has no tracks: AMOTA 0 and AMOTP {WORST_DISTANCE:g}, as in nuScenes"]
    return []


def _scene_tables(
    scene: TrackedSequence, classes: Sequence[str], config: TrackingConfig
) -> tuple[BoxTable, BoxTable, list[str]]:
    """Objects and tracks of one scene, ready to be associated, and notes on what was left out."""
    objects, notes = truth_table(scene.truth, classes, scene.counted)
    tracks, unknown = prediction_table(scene.predicted, classes)
    if config.class_ranges is not None:
        if scene.origins is None:
            raise ValueError("ranges are measured from somewhere: give each scene origins, (frames, 2) in metres")
        objects = filter_by_range(objects, scene.origins, config.class_ranges, classes)
        tracks = filter_by_range(tracks, scene.origins, config.class_ranges, classes)
    times = np.asarray(scene.times)
    objects = interpolate_tracks(objects, times, config.interpolation)
    tracks = interpolate_tracks(with_track_scores(tracks), times, config.interpolation)
    return objects, tracks, [*notes, *unknown]


def _score_class(frames: Sequence[AssociationFrame], config: TrackingConfig) -> dict[str, float]:
    count = sum(len(frame.objects) for frame in frames)
    if not count:
        return dict.fromkeys(("amota", "amotp", *_worst(0, 0)), np.nan)
    thresholds = _thresholds(frames, count, config)
    achieved = thresholds[~np.isnan(thresholds)]
    if not len(achieved):
        num_objects = _count_objects(frames)
        return _average_levels([_worst(count, num_objects)], 0)
    scores = np.unique(achieved).tolist()
    by_score = {score: _metrics_at(associate_frames(frames, score), config.frame_interval) for score in scores}
    levels = [by_score[score] for score in achieved.tolist()]
    return _average_levels(levels, config.num_recall_levels - len(levels))


def _count_objects(frames: Sequence[AssociationFrame]) -> int:
    """Count the different objects of all frames."""
    return len({(frame.scene, name) for frame in frames for name in frame.objects})


def _average_levels(levels: Sequence[dict[str, float]], num_missing: int) -> dict[str, float]:
    """AMOTA and AMOTP over the recall levels, of which some were missed, and the metrics at the best level."""
    missing = np.full(num_missing, np.nan)
    motar = np.append(missing, [level["motar"] for level in levels])
    motp = np.append(missing, [level["motp"] for level in levels])
    best = max(levels, key=lambda level: level["mota"])  # the first, of the highest recall
    return {
        "amota": np.nan if np.isnan(motar).all() else float(np.nan_to_num(motar, nan=0.0).mean()),
        "amotp": np.nan if np.isnan(motp).all() else float(np.nan_to_num(motp, nan=WORST_DISTANCE).mean()),
        **best,
    }


def _thresholds(frames: Sequence[AssociationFrame], count: int, config: TrackingConfig) -> np.ndarray:
    """(levels,) scores at which each recall level is reached, of falling recall; NaN where it is not."""
    scores = np.sort(associate_frames(frames).scores)[::-1]
    if not len(scores):
        return np.full(config.num_recall_levels, np.nan)
    recall = np.arange(1, len(scores) + 1) / count
    levels = np.linspace(config.min_recall, 1, config.num_recall_levels).round(12)
    thresholds = np.interp(levels, recall, scores, right=0)
    return np.where(levels > recall[-1], np.nan, thresholds)[::-1]


def _metrics_at(association: Association, frame_interval: float) -> dict[str, float]:
    """Everything but the averages, at one recall level."""
    count, paired = association.objects, association.matches + association.switches
    wrong = association.misses + association.switches + association.false
    recall = association.matches / count
    tracked_share = np.array([tracked.mean() for _, tracked in association.histories])
    matched = [(times, tracked) for times, tracked in association.histories if tracked.any()]
    return {
        "recall": paired / count,
        "motar": max(0.0, 1 - (wrong - (1 - recall) * count) / (recall * count)) if association.matches else np.nan,
        "mota": max(0.0, 1 - wrong / count),
        "motp": association.distance / paired if paired else np.nan,
        "mt": float((tracked_share >= MOSTLY_TRACKED).sum()),
        "ml": float((tracked_share < MOSTLY_LOST).sum()),
        "faf": association.false / association.frames * 100,
        "gt": float(count),
        "tp": float(association.matches),
        "fp": float(association.false),
        "fn": float(association.misses),
        "ids": float(association.switches),
        "frag": float(sum(_fragments(tracked) for _, tracked in matched)),
        "tid": _mean([(times[tracked][0] - times[0]) * frame_interval for times, tracked in matched]),
        "lgd": _mean([_longest_gap(times, tracked) * frame_interval for times, tracked in matched]),
    }


def _worst(count: int, objects: int) -> dict[str, float]:
    """Metrics of a class of which no object was ever matched."""
    return {
        **dict.fromkeys(("recall", "motar", "mota"), 0.0),
        "motp": WORST_DISTANCE,
        "mt": 0.0,
        "ml": float(objects),
        "faf": WORST_FALSE,
        "gt": float(count),
        "tp": 0.0,
        "fp": np.nan,
        "fn": float(count),
        "ids": np.nan,
        "frag": np.nan,
        "tid": WORST_TIME,
        "lgd": WORST_TIME,
    }


def _fragments(tracked: np.ndarray) -> int:
    """How often an object is lost between its first and its last match."""
    hits = np.flatnonzero(tracked)
    return int((np.diff(hits) > 1).sum())


def _longest_gap(times: np.ndarray, tracked: np.ndarray) -> int:
    """Maximum number of frames in a row without a match, from an object's first to its last."""
    edges = np.concatenate([[times[0] - 1], times[tracked], [times[-1] + 1]])
    return int(np.diff(edges).max()) - 1


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else np.nan


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
