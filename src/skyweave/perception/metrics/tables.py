"""The boxes of all frames as columns, truth and predictions alike, and which of them count."""

import itertools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from skyweave.core.geometry.boxes import Boxes
from skyweave.perception.results import Detections
from skyweave.recordings.recording import ALL_CHANNELS, Annotations


@dataclass(frozen=True)
class BoxTable:
    """n boxes of any number of frames, in the order of the frames and of the boxes in them.

    Attributes:
        frames: (n,) int, which frame a box is in.
        labels: (n,) int index into the evaluated classes.
        centres: (n, 3) metres.
        sizes: (n, 3) length, width, height in metres.
        yaws: (n,) radians.
        velocities: (n, 2) metres per second; NaN where unknown.
        scores: (n,); 1 for truth.
        instances: (n,) identifiers as objects; None where there are none.
        attributes: (n,) names as objects; "" where there is none.
    """

    frames: np.ndarray
    labels: np.ndarray
    centres: np.ndarray
    sizes: np.ndarray
    yaws: np.ndarray
    velocities: np.ndarray
    scores: np.ndarray
    instances: np.ndarray
    attributes: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    def select(self, selection: np.ndarray) -> "BoxTable":
        """Return some of the rows.

        Args:
            selection: (m,) indices, or (n,) bool.
        """
        return BoxTable(*(getattr(self, column.name)[selection] for column in fields(self)))

    def boxes(self) -> Boxes:
        """Return the rows as boxes in the world frame."""
        return Boxes(self.centres, self.sizes, self.yaws)


def truth_table(
    truth: Sequence[Annotations],
    classes: Sequence[str],
    counted: Sequence[np.ndarray] | None = None,
    attributes: Sequence[Sequence[str]] | None = None,
) -> tuple[BoxTable, list[str]]:
    """Return the objects that count, and notes on those that do not.

    Args:
        truth: the objects of each frame.
        classes: names of the evaluated classes; objects of others are left out.
        counted: for each frame (objects,) bool; default: `visible_objects`.
        attributes: for each frame, the attribute of each object, "" for none.

    Raises:
        ValueError: masks or attributes that do not fit the truth.
    """
    sizes = [len(annotations.boxes) for annotations in truth]
    masks = [visible_objects(annotations) for annotations in truth] if counted is None else counted
    _check_lengths("masks of counted objects", masks, sizes)
    if attributes is None:
        attributes = [("",) * size for size in sizes]
    _check_lengths("attributes", attributes, sizes)
    scores = [np.ones(size) for size in sizes]
    table, unknown = _table(truth, scores, [annotations.instances for annotations in truth], attributes, classes)
    keep = np.concatenate([np.zeros(0, bool), *(np.asarray(mask, bool) for mask in masks)])
    notes = []
    if left_out := int((~keep).sum()):
        notes.append(f"{left_out} objects that nobody sees are left out, as objects without points are in nuScenes")
    notes += [f"{n} objects of class {name!r}, which is not evaluated, are left out" for name, n in unknown.items()]
    return table.select(keep & (table.labels >= 0)), notes


def _check_lengths(name: str, given: Sequence[Any], sizes: Sequence[int]) -> None:
    """Check that there is one entry an object of each frame."""
    if [len(of_frame) for of_frame in given] != sizes:
        raise ValueError(f"{name} do not fit the truth: one entry an object of each of the {len(sizes)} frames")


def prediction_table(predicted: Sequence[Detections], classes: Sequence[str]) -> tuple[BoxTable, list[str]]:
    """Return the predictions of the evaluated classes, and notes on those of others.

    Args:
        predicted: of each frame.
        classes: names of the evaluated classes.
    """
    instances = _instances_of(predicted)
    attributes = _attributes_of(predicted)
    table, unknown = _table(predicted, [frame.scores for frame in predicted], instances, attributes, classes)
    notes = _unknown_notes(unknown)
    return table.select(table.labels >= 0), notes


def _instances_of(predicted: Sequence[Detections]) -> list[tuple[str | None, ...]]:
    """Return the instances of each frame, None where they are unknown."""
    return [(None,) * len(frame) if frame.instances is None else frame.instances for frame in predicted]


def _attributes_of(predicted: Sequence[Detections]) -> list[tuple[str, ...]]:
    """Return the attributes of each frame, empty where they are unknown."""
    return [("",) * len(frame) if frame.attributes is None else frame.attributes for frame in predicted]


def _unknown_notes(unknown: dict[str, int]) -> list[str]:
    """Return a note for each class that is not evaluated."""
    return [f"{n} predictions of class {name!r}, which is not evaluated, are left out" for name, n in unknown.items()]


def filter_by_range(
    table: BoxTable, origins: np.ndarray, class_ranges: Mapping[str, float], classes: Sequence[str]
) -> BoxTable:
    """Return the boxes nearer to their frame's origin than their class's range.

    Args:
        table: boxes of all frames.
        origins: (frames, 2) world positions in metres.
        class_ranges: metres by the name of the class.
        classes: names of the classes that the labels index.

    Raises:
        ValueError: a class without a range.
    """
    missing = [name for name in classes if name not in class_ranges]
    if missing:
        raise ValueError(f"no range for class {missing[0]!r}; add it to ranges, infinity for none")
    max_distance = np.array([class_ranges[name] for name in classes], np.float64)
    origins = np.asarray(origins, np.float64)
    distance = np.sqrt(((table.centres[:, :2] - origins[table.frames, :2]) ** 2).sum(1))
    return table.select(distance < max_distance[table.labels])


def select_in_range(
    objects: BoxTable,
    predictions: BoxTable,
    origins: np.ndarray | None,
    frames: int,
    class_ranges: Mapping[str, float],
    classes: Sequence[str],
) -> tuple[BoxTable, BoxTable]:
    """Return the objects and predictions that are nearer than their classes' ranges.

    Args:
        objects: the truth of all frames.
        predictions: of the same frames.
        origins: (frames, 2) world positions in metres that ranges are measured from.
        frames: how many there are.
        class_ranges: metres by the name of the class.
        classes: names of the classes that the labels index.

    Raises:
        ValueError: no origin for each frame, or a class without a range.
    """
    if origins is None or np.shape(origins)[:1] != (frames,):
        raise ValueError("ranges are measured from somewhere: give origins, (frames, 2) world positions in metres")
    near = [filter_by_range(table, origins, class_ranges, classes) for table in (objects, predictions)]
    return near[0], near[1]


def check_paired_frames(truth: Sequence[Annotations], predicted: Sequence[Detections]) -> None:
    """Check that each frame of the truth has its predictions.

    Args:
        truth: annotations of each frame.
        predicted: detections of each frame.

    Raises:
        ValueError: their numbers differ.
    """
    if len(truth) != len(predicted):
        raise ValueError(f"{len(truth)} frames of truth, but {len(predicted)} of predictions; give one each, in order")


def visible_objects(annotations: Annotations, channels: Collection[str] | None = None) -> np.ndarray:
    """Return (n,) bool: which objects some camera sees.

    That is: the share of it that is not hidden is above 0 in some channel. Where the share is unknown (NaN) it counts
    as visible, and where a recording does not state visibility, all its objects do. Where it states only what all
    cameras together see, this stands for each.

    Args:
        annotations: n objects.
        channels: names of the cameras that count; default: all.
    """
    known = annotations.visibility
    if not known:
        return np.ones(len(annotations.boxes), bool)
    if channels is not None and ALL_CHANNELS not in known:
        known = {name: values for name, values in known.items() if name in channels}
        if not known:
            return np.zeros(len(annotations.boxes), bool)
    shares = np.stack([np.asarray(values, np.float64) for values in known.values()])
    return np.asarray((np.isnan(shares) | (shares > 0)).any(0))


def evaluated_classes(truth: Sequence[Annotations], classes: Sequence[str] | None) -> tuple[str, ...]:
    """Return the classes to evaluate: as given, or all that the truth has, by name.

    Args:
        truth: objects of each frame.
        classes: as given.

    Raises:
        ValueError: a class is given twice.
    """
    if classes is None:
        return tuple(sorted({name for annotations in truth for name in annotations.categories}))
    if len(set(classes)) != len(classes):
        raise ValueError(f"classes are given twice: {', '.join(classes)}")
    return tuple(classes)


def _table(
    frames: Sequence[Annotations] | Sequence[Detections],
    scores: Sequence[np.ndarray],
    instances: Sequence[Sequence[str | None]],
    attributes: Sequence[Sequence[str]],
    classes: Sequence[str],
) -> tuple[BoxTable, dict[str, int]]:
    """The boxes of all frames as one table, and how many there are of each class that is not evaluated."""
    label = {name: index for index, name in enumerate(classes)}
    names = _names_of(frames)
    boxes = [frame.boxes for frame in frames]
    table = BoxTable(
        frames=np.repeat(np.arange(len(boxes)), list(map(len, boxes))),
        labels=np.array([label.get(name, -1) for name in names], np.int64),
        centres=_joined([of_frame.centres for of_frame in boxes], 3),
        sizes=_joined([of_frame.sizes for of_frame in boxes], 3),
        yaws=_joined([of_frame.yaws for of_frame in boxes]),
        velocities=_joined([frame.velocities for frame in frames], 2),
        scores=_joined(scores),
        instances=_objects(list(itertools.chain.from_iterable(instances))),
        attributes=_objects(list(itertools.chain.from_iterable(attributes))),
    )
    return table, _count_unknown(names, label)


def _names_of(frames: Sequence[Annotations] | Sequence[Detections]) -> list[str]:
    """Return the category of each box of all frames."""
    return [name for frame in frames for name in frame.categories]


def _count_unknown(names: list[str], label: dict[str, int]) -> dict[str, int]:
    """Count the boxes of classes that are not evaluated."""
    return dict(sorted(Counter(name for name in names if name not in label).items()))


def _joined(arrays: Sequence[np.ndarray], *width: int) -> np.ndarray:
    """Arrays of all frames as one, (0, *width) without frames."""
    return np.concatenate([np.zeros((0, *width)), *arrays])


def _objects(values: list[str | None] | list[str]) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array
