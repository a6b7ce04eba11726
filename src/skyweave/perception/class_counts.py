"""How many objects of each class a model is trained or scored on: counted before a step, and refused at zero."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from skyweave.core.errors import DataError
from skyweave.perception.dataset import PerceptionDataset
from skyweave.recordings.recording import RecordedScene

MAX_COUNTED_SAMPLES = 500
"""Of a dataset, evenly spaced: enough to tell classes that are there from those that are not, in seconds."""


@dataclass(frozen=True)
class ClassCounts:
    """Objects of samples.

    Attributes:
        counted: objects that some platform saw and whose centre is on the map, by each of the model's categories.
        annotated: all objects of the same frames, by their own category.
        samples: that were counted.
        available: that the dataset has.
        with_past: counted samples that have an earlier frame at the model's interval, or whose model needs none.
        with_future: counted samples of which some object has a position at a later step.
        interval: of the model, seconds.
    """

    counted: dict[str, int]
    annotated: dict[str, int]
    samples: int
    available: int
    with_past: int
    with_future: int
    interval: float

    @property
    def missing(self) -> list[str]:
        """The model's categories of which there is no object."""
        return [name for name, count in self.counted.items() if not count]

    def describe(self) -> str:
        """Return one line: samples, and objects of each class."""
        share = "" if self.samples == self.available else f" (counted in {self.samples} of them)"
        classes = ", ".join(f"{name} {count}" for name, count in self.counted.items())
        return f"{self.available} samples{share}, objects: {classes}"

    def warnings(self) -> list[str]:
        """Return what a user should know of classes that are on one side only."""
        notes = [f"no object of {', '.join(self.missing)}: not seen, or not in the recordings"] if self.missing else []
        others = {name: count for name, count in self.annotated.items() if name not in self.counted}
        if others:
            notes.append(f"not among the model's categories, and left out: {_listed(others)}")
        mismatch = f"frames are not {self.interval:g} s apart, which is model.interval"
        if not self.with_past:
            notes.append(f"no sample has an earlier frame: {mismatch}, so nothing is learned from the past")
        if not self.with_future:
            notes.append(f"no object has a later position: {mismatch}, so nothing is learned of trajectories")
        return notes

    def check(self) -> None:
        """Refuse samples without a single object of the model's categories.

        Raises:
            DataError: there is none; names both lists, or what keeps the objects from being counted.
        """
        if any(self.counted.values()):
            return
        self._refuse_unseen()
        if not self.annotated:
            raise DataError(
                "the recordings have no annotated object: none is in their tables, or all were left out; "
                "`skyweave inspect FOLDER` says which, and why"
            )
        raise DataError(
            f"no object of the model's categories ({', '.join(self.counted)}) is in the recordings, whose objects are "
            f"{_listed(self.annotated)}; set model.categories to names of these, such as "
            f"--set model.categories=[{', '.join(list(self.annotated)[:2])}]"
        )

    def _refuse_unseen(self) -> None:
        """Raise if objects of the model's categories are annotated, but none counts."""
        of_model = sum(self.annotated.get(name, 0) for name in self.counted)
        if of_model:
            raise DataError(
                f"none of {of_model} annotated objects of the model's categories is on its map and seen by a platform; "
                "check poses, visibility and model.map"
            )


def count_classes(dataset: PerceptionDataset) -> ClassCounts:
    """Count the objects of a dataset's samples, without reading an image.

    Args:
        dataset: its scenes, map, categories and platforms count; its augmentation does not.
    """
    plain = PerceptionDataset(dataset.scenes, dataset.config, None, dataset.platforms)
    chosen = np.unique(np.linspace(0, len(plain) - 1, min(MAX_COUNTED_SAMPLES, len(plain))).round().astype(int))
    counted: Counter[int] = Counter()
    annotated: Counter[str] = Counter()
    with_past = with_future = 0
    for number in chosen.tolist():
        objects = plain.objects(number).trainable()
        counted.update(objects.labels.tolist())
        scene, frame = plain.index[number]
        annotated.update(_categories(dataset.scenes[scene], frame))
        past = plain.timelines[scene].past_frames(dataset.scenes[scene].frames[frame].time)
        with_past += len(past) == 1 or any(index is not None for index in past[:-1])
        with_future += bool(np.isfinite(objects.future).any())
    by_name = {name: counted[label] for label, name in enumerate(plain.config.categories)}
    return ClassCounts(
        by_name,
        dict(annotated.most_common()),
        len(chosen),
        len(plain),
        with_past,
        with_future,
        plain.config.interval,
    )


def check_classes(dataset: PerceptionDataset, log: Callable[[str], None]) -> ClassCounts:
    """Say what a dataset shows of each class, and refuse one that shows none.

    Args:
        dataset: of a training or an evaluation.
        log: called with a line for the counts, and with one for each warning.

    Raises:
        DataError: no object of the model's categories; names those there are.
    """
    counts = count_classes(dataset)
    counts.check()
    log(counts.describe())
    for warning in counts.warnings():
        log(f"warning: {warning}")
    return counts


def _categories(scene: RecordedScene, frame: int) -> Sequence[str]:
    annotations = scene.frames[frame].annotations
    return () if annotations is None else annotations.categories


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in counts.items())
