"""The interface of a task head: targets, loss, decoding and metrics of one task behind one class.

A new task is one file with a subclass of `Head`, registered in `skyweave.perception.heads.HEADS` or installed under the
entry points ``skyweave.heads``; training, prediction, evaluation and export ask heads by this interface only.
"""

from abc import ABC, abstractmethod
from collections.abc import ItemsView, Iterable, Mapping, Sequence, ValuesView
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from skyweave.core.errors import ConfigError
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground
from skyweave.perception.config import PerceptionConfig
from skyweave.perception.domain import TrainingDomain
from skyweave.perception.heads import HEADS
from skyweave.perception.results import ScenePrediction
from skyweave.perception.targets import ObjectTargets
from skyweave.recordings.recording import Annotations

HeadOutputs = dict[str, Tensor]
"""Raw outputs of one head by name, each (batch, ...)."""
ModelOutputs = Mapping[str, HeadOutputs]
"""Raw outputs of all heads by the name of the head."""
BatchResults = Mapping[str, Sequence[Any]]
"""Decoded results by the name of the head, one a sample."""


@dataclass(frozen=True)
class PerceptionHeadConfig:
    """Options of a head; subclasses add fields, which are keys below ``heads.<name>`` in configurations."""

    def check(self, config: PerceptionConfig) -> None:
        """Check the options against the model's configuration.

        Args:
            config: of the model.

        Raises:
            ConfigError: they do not fit together.
        """


@dataclass(frozen=True)
class MapContext:
    """Where, when and how strictly the maps of a batch are decoded.

    Attributes:
        grids: of each sample its map.
        grounds: of each sample the ground under it.
        times: of each sample UTC nanoseconds.
        min_score: lowest score of a result.
        domain: what the model was trained on, where that is known: sizes of classes are bounded by it.
    """

    grids: Sequence[MapGrid]
    grounds: Sequence[Ground]
    times: Sequence[int]
    min_score: float
    domain: TrainingDomain | None = None


@dataclass(frozen=True)
class EvaluatedSample:
    """One sample with its prediction.

    Attributes:
        scene_index: number of the scene that the sample is of; samples come in the order of their frames.
        objects: all objects of the model's categories, on the map or not.
        annotations: the same objects as annotations.
        counted: (objects,) bool: those to be found: on the map and seen by some platform.
        prediction: of the model.
    """

    scene_index: int
    objects: ObjectTargets
    annotations: Annotations
    counted: np.ndarray
    prediction: ScenePrediction


@dataclass(frozen=True)
class HeadScores:
    """Metrics of one head.

    Attributes:
        values: metric by name.
        notes: what a reader should know of them.
    """

    values: dict[str, float]
    notes: tuple[str, ...] = ()


class HeadEvaluator(ABC):
    """Accumulates samples, then computes a head's metrics over all of them."""

    @abstractmethod
    def add(self, sample: EvaluatedSample) -> None:
        """Add a sample.

        Args:
            sample: its prediction may lack this head's result.
        """

    @abstractmethod
    def compute(self) -> HeadScores:
        """Return the metrics of all samples; none where no prediction had this head's result."""


class PerceptionHead(nn.Module, ABC):
    """A task head on the bird's-eye-view map.

    Args:
        config: of the model; ``config.heads[name]`` are this head's options, of ``config_class``.
    """

    name: ClassVar[str]
    """Its name in `skyweave.perception.heads.HEADS`, in configurations and in results."""
    config_class: ClassVar[type[PerceptionHeadConfig]] = PerceptionHeadConfig
    """Class of its options."""
    reads: ClassVar[tuple[str, ...]] = ()
    """Heads whose outputs and results it uses where the model has them; they are decoded first."""

    def __init__(self, config: PerceptionConfig) -> None:
        super().__init__()
        self.config = config

    @abstractmethod
    def forward(self, maps: Tensor) -> HeadOutputs:
        """Compute the raw outputs.

        Args:
            maps: (batch, channels, rows, columns) features of the bird's-eye-view encoder.
        """

    @abstractmethod
    def targets(self, samples: Sequence[ObjectTargets], device: torch.device) -> HeadOutputs:
        """Return what `loss` compares the outputs with.

        Args:
            samples: objects of each sample of the batch.
            device: of the targets.
        """

    @abstractmethod
    def loss(self, outputs: ModelOutputs, targets: HeadOutputs) -> dict[str, Tensor]:
        """Return the head's losses by name, each a scalar.

        Args:
            outputs: of all heads; ``outputs[name]`` are its own.
            targets: from `targets`.
        """

    @abstractmethod
    def decode(self, outputs: ModelOutputs, context: MapContext, results: BatchResults) -> Sequence[Any] | None:
        """Return one result a sample: a `skyweave.perception.results.Result`, or a list of them.

        Args:
            outputs: of all heads; ``outputs[name]`` are its own.
            context: where and when the maps are.
            results: of the heads in ``reads``, as far as there are any.

        Returns:
            the results, or None where those that it needs are missing.
        """

    @abstractmethod
    def evaluator(self, tracks: bool = False) -> HeadEvaluator:
        """Return a new evaluator of this head's results.

        Args:
            tracks: also score tracks over consecutive frames, where the head has any.
        """


class HeadDict(nn.ModuleDict):
    """The heads of a model by name, as a module."""

    def __getitem__(self, name: str) -> PerceptionHead:
        """Return the head called ``name``."""
        return cast(PerceptionHead, super().__getitem__(name))

    def values(self) -> ValuesView[PerceptionHead]:
        """Return the heads in their order."""
        return cast(ValuesView[PerceptionHead], super().values())

    def items(self) -> ItemsView[str, PerceptionHead]:
        """Return pairs of name and head."""
        return cast(ItemsView[str, PerceptionHead], super().items())

    def in_reading_order(self) -> list[PerceptionHead]:
        """Return the heads such that each comes after those that it reads."""
        ordered: dict[str, PerceptionHead] = {}

        def add(names: Iterable[str]) -> None:
            for name in names:
                if name in self and name not in ordered:
                    add(self[name].reads)
                    ordered[name] = self[name]

        add(self)
        return list(ordered.values())


def build_heads(config: PerceptionConfig) -> HeadDict:
    """Return new heads for a model.

    Args:
        config: of the model.

    Raises:
        ConfigError: a head is registered under another name than its own.
    """
    heads = HeadDict()
    for name in config.heads:
        head_class: type[PerceptionHead] = HEADS[name]
        if head_class.name != name:
            raise ConfigError(f"{head_class.__name__} is called {head_class.name!r}, but registered as {name!r}")
        heads[name] = head_class(config)
    return heads
