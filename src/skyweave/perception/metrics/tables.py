"""The boxes of all frames as columns, truth and predictions alike, and which of them count."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields

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
    counted = [visible_objects(a) for a in truth] if counted is None else [np.asarray(mask, bool) for mask in counted]
    sizes = [len(a.boxes) for a in truth]
    for name, given in (("masks of counted objects", counted), ("attributes", attributes)):
        if given is not None and [len(part) for part in given] != sizes:
            raise ValueError(f"{name} do not fit the truth: one entry an object of each of the {len(truth)} frames")
    table, unknown = _table(
        [a.boxes for a in truth],
        [a.velocities for a in truth],
        [a.categories for a in truth],
        [np.ones(n) for n in sizes],
        [a.instances for a in truth],
        attributes if attributes is not None else [("",) * n for n in sizes],
        classes,
    )
    left_out = sum(int((~mask).sum()) for mask in counted)
    notes = [f"{left_out} objects that nobody sees are left out, as objects without points are in nuScenes"] * (
        left_out > 0
    )
    notes += [f"{n} objects of class {name!r}, which is not evaluated, are left out" for name, n in unknown.items()]
    keep = np.concatenate([np.zeros(0, bool), *counted])
    return table.select(keep & (table.labels >= 0)), notes


def prediction_table(predicted: Sequence[Detections], classes: Sequence[str]) -> tuple[BoxTable, list[str]]:
    """Return the predictions of the evaluated classes, and notes on those of others.

    Args:
        predicted: of each frame.
        classes: names of the evaluated classes.
    """
    table, unknown = _table(
        [d.boxes for d in predicted],
        [d.velocities for d in predicted],
        [d.categories for d in predicted],
        [d.scores for d in predicted],
        [d.instances if d.instances is not None else (None,) * len(d) for d in predicted],
        [d.attributes if d.attributes is not None else ("",) * len(d) for d in predicted],
        classes,
    )
    notes = [f"{n} predictions of class {name!r}, which is not evaluated, are left out" for name, n in unknown.items()]
    return table.select(table.labels >= 0), notes


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
    boxes: Sequence[Boxes],
    velocities: Sequence[np.ndarray],
    categories: Sequence[Sequence[str]],
    scores: Sequence[np.ndarray],
    instances: Sequence[Sequence[str | None]],
    attributes: Sequence[Sequence[str]],
    classes: Sequence[str],
) -> tuple[BoxTable, dict[str, int]]:
    label = {name: index for index, name in enumerate(classes)}
    names = [name for frame in categories for name in frame]
    table = BoxTable(
        frames=np.repeat(np.arange(len(boxes)), [len(b) for b in boxes]),
        labels=np.array([label.get(name, -1) for name in names], np.int64),
        centres=np.concatenate([np.zeros((0, 3)), *(b.centres for b in boxes)]),
        sizes=np.concatenate([np.zeros((0, 3)), *(b.sizes for b in boxes)]),
        yaws=np.concatenate([np.zeros(0), *(b.yaws for b in boxes)]),
        velocities=np.concatenate([np.zeros((0, 2)), *velocities]),
        scores=np.concatenate([np.zeros(0), *scores]),
        instances=_objects([i for frame in instances for i in frame]),
        attributes=_objects([a for frame in attributes for a in frame]),
    )
    return table, dict(sorted(Counter(name for name in names if name not in label).items()))


def _objects(values: list[str | None] | list[str]) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array
