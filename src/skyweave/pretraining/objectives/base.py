"""The interface of a pretraining objective, and the registry of those that there are."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from skyweave.backbone.backbone import Backbone
from skyweave.backbone.batch import SensorBatch
from skyweave.core.config import TaggedConfig
from skyweave.core.registry import Registry
from skyweave.pretraining.masking import EncodedView
from skyweave.pretraining.mixing import Pair


@dataclass(frozen=True)
class EncodedBatch:
    """Images of one sensor and size, and their encoded views.

    Attributes:
        batch: whole and as they were read: what a target may be made of.
        views: at least one.
    """

    batch: SensorBatch
    views: list[EncodedView]


@dataclass(frozen=True)
class EncodedStep:
    """All that was encoded in a training step.

    Attributes:
        batches: images of one sensor and size each.
        pairs: which of the images show the same ground.
    """

    batches: Sequence[EncodedBatch]
    pairs: Sequence[Pair] = ()


class Objective(nn.Module, ABC):
    """A loss on encoded views; its layers are thrown away after the pretraining, or kept beside the backbone."""

    @abstractmethod
    def forward(self, encoded: EncodedStep, generator: torch.Generator) -> list[Tensor]:
        """Return the loss of each batch, a scalar each; zero where a batch has nothing to learn from.

        Args:
            encoded: of one step.
            generator: source of all randomness.
        """


class ObjectiveConfig(TaggedConfig, ABC):
    """Base of the configurations of objectives.

    Attributes:
        weight: of the loss in the sum of all objectives.
    """

    kinds: ClassVar[Registry[type["ObjectiveConfig"]]] = Registry(
        "objectives",
        "objective",
        {
            "pixels": "skyweave.pretraining.objectives.pixels:PixelsConfig",
            "patch_discrimination": "skyweave.pretraining.objectives.patch_discrimination:PatchDiscriminationConfig",
            "contrast": "skyweave.pretraining.objectives.contrast:ContrastConfig",
            "distillation": "skyweave.pretraining.objectives.distillation:DistillationConfig",
        },
    )
    weight: float

    @abstractmethod
    def build(self, backbone: Backbone) -> Objective:
        """Return the objective, with layers of random weights.

        Args:
            backbone: that is trained.
        """
