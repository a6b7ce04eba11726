"""A fine-tuning task: targets, loss, decoding, metrics, class weights, augmentation and drawing; and the tasks by name.

A task of another package is one class and an entry point (`skyweave.core.registry`) in the group ``skyweave.tasks``.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from skyweave.core.errors import ConfigError
from skyweave.core.images.true_color import true_color_image
from skyweave.core.observation import Observation
from skyweave.core.registry import Registry
from skyweave.downstream.finetuning.tasks.class_weights import ClassWeighting, frequency_weights
from skyweave.downstream.labels.config import LabelledDataConfig
from skyweave.downstream.labels.kinds.base import LabelKind, dihedral_image
from skyweave.downstream.labels.labelled_images import check_labels
from skyweave.downstream.labels.sample import Label, LabelledSample
from skyweave.inference.raster_output import RasterOutput


@dataclass(frozen=True)
class Prediction:
    """What a model predicts of one sample.

    Attributes:
        label: of the task's kind of label; boxes have a score as a sixth column.
        probabilities: (classes,) or (classes, rows, columns) float32; None where the task has none.
    """

    label: np.ndarray
    probabilities: np.ndarray | None = None


@dataclass(frozen=True)
class ClassTable:
    """Scores by class, for the report.

    Attributes:
        columns: of the scores.
        rows: name of a class, number of its labels, and a score for each column.
        confusion: (classes, classes) counts, true class first; None where classes do not exclude each other.
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, int, tuple[float, ...]]]
    confusion: np.ndarray | None = None


@dataclass(frozen=True)
class Task(ABC):
    """What is to be predicted.

    Subclasses set the class attributes and implement what is abstract; the rest suits most tasks.

    Attributes:
        name: of the task, for messages and cards.
        classes: names; empty where numbers are predicted.
        kind: name in `TASKS`; configurations and cards refer to it.
        label_kind: what a label is (`skyweave.downstream.labels.kinds`).
        main_metric: the score by which learning rates and weights are chosen; larger is better.
        is_dense: there is an output at every pixel; else one an image.
        averages_outputs: outputs of overlapping tiles and of mirrored images may be averaged; not where they hold
            coordinates.
        min_classes: fewest that make sense.
        num_dates: observations of one place at different times that a sample has.
    """

    kind: ClassVar[str]
    label_kind: ClassVar[LabelKind]
    main_metric: ClassVar[str]
    is_dense: ClassVar[bool] = False
    averages_outputs: ClassVar[bool] = True
    min_classes: ClassVar[int] = 2
    num_dates: ClassVar[int] = 1

    name: str
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.classes) < self.min_classes:
            raise ConfigError(
                f"task {self.name!r} ({self.kind}) names {len(self.classes)} classes; name {self.min_classes} or more"
            )

    @classmethod
    def check_data(cls, data: LabelledDataConfig) -> None:
        """Check that declared data can be learned from, before anything is read.

        Args:
            data: as declared.

        Raises:
            ConfigError: labels of another kind, one date for two, blocks where there are no masks; names the remedy.
        """
        check_labels(data.labels, cls.label_kind, cls.kind)
        if (cls.num_dates > 1) != (data.second is not None):
            raise ConfigError("`second`, the second date's file with {name}, is needed for change and for nothing else")
        if data.split.kind == "blocks":
            cls._check_blocks(data)

    @classmethod
    def _check_blocks(cls, data: LabelledDataConfig) -> None:
        """Refuse blocks that tiles do not divide, and labels that blocks cannot be held out of."""
        if data.tiles is None or data.split.block % data.tiles.size:
            raise ConfigError(
                f"split into blocks of {data.split.block} pixels needs `tiles` whose size divides them, is "
                f"{data.tiles.size if data.tiles else None}"
            )
        if not cls.label_kind.per_pixel:
            raise ConfigError("blocks are held out of masks only; split images and boxes by groups")

    @property
    def num_outputs(self) -> int:
        """Numbers that the network predicts of an image or a pixel."""
        return len(self.classes)

    def class_counts(self, samples: Sequence[LabelledSample]) -> np.ndarray:
        """Return (classes,) how often each class occurs: images, pixels or boxes.

        Args:
            samples: labelled.
        """
        total = np.zeros(len(self.classes))
        for sample in samples:
            total += self.label_kind.class_counts(sample.label, len(self.classes))
        return total

    def class_weights(self, samples: Sequence[LabelledSample], weighting: ClassWeighting) -> Tensor | None:
        """Return (classes,) weights of the loss by the frequency of the labels; None where all weigh the same.

        Args:
            samples: of training.
            weighting: how frequencies count.
        """
        return frequency_weights(self.class_counts(samples), weighting)

    def target_statistics(self, samples: Sequence[LabelledSample]) -> tuple[float, float]:
        """Return mean and standard deviation that targets are standardised with; 0 and 1 for classes.

        Args:
            samples: of training.
        """
        return 0.0, 1.0

    def standardise(self, targets: Any, mean: Tensor, std: Tensor) -> Any:
        """Return targets in the units of the network's outputs.

        Args:
            targets: as `collate` returned them.
            mean: (), see `target_statistics`.
            std: (), see `target_statistics`.
        """
        return targets

    def target(self, sample: LabelledSample) -> Tensor:
        """Return a label as the loss takes it.

        Args:
            sample: labelled.
        """
        return torch.from_numpy(np.asarray(sample.label).astype(np.float32))

    def collate(self, targets: Sequence[Tensor]) -> Any:
        """Return the targets of a batch, as the loss takes them: one tensor, or a list.

        Args:
            targets: of the samples.
        """
        return torch.stack(list(targets))

    @abstractmethod
    def loss(
        self, logits: Tensor, targets: Any, class_weights: Tensor | None = None, dice_weight: float = 0.0
    ) -> Tensor:
        """Compute the mean loss of a batch; what has no label does not count.

        Args:
            logits: (batch, outputs) or (batch, outputs, rows, columns) of the network.
            targets: of `collate`, standardised.
            class_weights: of `class_weights`.
            dice_weight: of the Dice loss, where every pixel has a class.

        Returns:
            () float32.
        """

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return what may be averaged over mirrored images: probabilities, or the outputs where there are none.

        Args:
            logits: (batch, outputs, ...) of the network.
        """
        return logits.float()

    def named_outputs(self, probabilities: Tensor, mean: Tensor, std: Tensor) -> dict[str, Tensor]:
        """Return what an exported model gives, by name, in tensor operations only.

        Args:
            probabilities: of `probabilities`, of a batch.
            mean: (), see `target_statistics`.
            std: (), see `target_statistics`.
        """
        return {"probabilities": probabilities}

    def raster_outputs(self, mean: float, std: float) -> list[RasterOutput]:
        """Return the kinds of raster that predictions for a scene are written as, the first by default; none: boxes.

        Args:
            mean: see `target_statistics`.
            std: see `target_statistics`.
        """
        return []

    @abstractmethod
    def decode(self, probabilities: Tensor, mean: float = 0.0, std: float = 1.0) -> list[Prediction]:
        """Return the predictions of a batch.

        Args:
            probabilities: of `probabilities`, of a batch.
            mean: see `target_statistics`.
            std: see `target_statistics`.
        """

    @abstractmethod
    def scores(self, predictions: Sequence[Prediction], samples: Sequence[LabelledSample]) -> dict[str, float]:
        """Return scores by name, the main one first. Classes that neither occur nor are predicted do not count.

        Args:
            predictions: of the samples.
            samples: labelled.

        Raises:
            DataError: nothing has a label.
        """

    def resampled_scores(
        self, predictions: Sequence[Prediction], samples: Sequence[LabelledSample], weights: np.ndarray
    ) -> np.ndarray:
        """Return (resamples,) main scores with the samples weighted.

        Args:
            predictions: of the samples.
            samples: labelled.
            weights: (resamples, samples) how often each sample counts.

        Raises:
            ConfigError: a task that has no such scores.
        """
        raise ConfigError(f"{self.kind} has no resampled scores; choose a task of classes")

    def class_table(self, predictions: Sequence[Prediction], samples: Sequence[LabelledSample]) -> ClassTable | None:
        """Return scores by class for the report; None where there are none.

        Args:
            predictions: of the samples.
            samples: labelled.
        """
        return None

    def dihedral(self, sample: LabelledSample, mirrored: bool, quarter_turns: int) -> LabelledSample:
        """Return a sample whose images are mirrored left-right, then turned, and whose label goes along.

        Args:
            sample: as it was.
            mirrored: whether it is mirrored.
            quarter_turns: counter-clockwise, each by 90 degrees.
        """
        observations = tuple(
            replace(
                observation,
                pixels=dihedral_image(observation.pixels, mirrored, quarter_turns),
                valid=dihedral_image(observation.valid, mirrored, quarter_turns),
                geometry=None,
            )
            for observation in sample.observations
        )
        shape = sample.observations[0].shape
        label = self.label_kind.dihedral(sample.label, shape, mirrored, quarter_turns)
        return replace(sample, observations=observations, label=label)

    def draw(self, observation: Observation, label: Label, reference: Label) -> tuple[np.ndarray, str]:
        """Return a label or a prediction as an image for the report, and words for its caption.

        Args:
            observation: the first of the sample.
            label: what is drawn.
            reference: the true label: numbers are drawn in its range.

        Returns:
            (rows, columns, 3) uint8, and text that begins with what divides it from the words before.
        """
        return true_color_image(observation), f": {label}"


TASKS: Registry[type[Task]] = Registry(
    "tasks",
    "fine-tuning task",
    {
        "classification": "skyweave.downstream.finetuning.tasks.classification:Classification",
        "multilabel": "skyweave.downstream.finetuning.tasks.multilabel:Multilabel",
        "segmentation": "skyweave.downstream.finetuning.tasks.segmentation:Segmentation",
        "regression": "skyweave.downstream.finetuning.tasks.regression:Regression",
        "change": "skyweave.downstream.finetuning.tasks.change:ChangeDetection",
        "detection": "skyweave.downstream.finetuning.tasks.detection:Detection",
    },
)
"""Tasks by what a configuration calls ``task``."""


def make_task(kind: str, name: str, classes: Sequence[str] = ()) -> Task:
    """Return a task.

    Args:
        kind: name in `TASKS`.
        name: for messages and cards.
        classes: names, in the order of their indices.

    Raises:
        UnknownNameError: no such kind of task; lists them.
        ConfigError: too few classes.
    """
    return TASKS[kind](name, tuple(classes))
