"""What the suite compares: encoders, the same networks untrained, and features that need no training."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from skyweave.core.errors import ConfigError
from skyweave.downstream.probing.baseline_rows import CLASSIFIERS, FIRST_RANDOM_SEED, probe_baselines
from skyweave.downstream.probing.blocks import FeatureValues
from skyweave.downstream.probing.config import ProbeConfig
from skyweave.downstream.probing.prepared import PreparedProbe

if TYPE_CHECKING:
    from skyweave.backbone import Backbone, Encoder
    from skyweave.downstream.finetuning.config import MethodKind

Role = Literal["weights", "peer", "untrained", "baseline"]


@dataclass(frozen=True)
class TaskFeatures:
    """Features of the samples of a task.

    Attributes:
        candidates: (samples, values) or blocks each; the best is chosen inside each training part.
        names: of the candidates.
    """

    candidates: Sequence[FeatureValues]
    names: list[str]


class FeatureSource(ABC):
    """Features of any task, to be read by the same classifiers.

    Attributes:
        name: in tables.
        role: weights under test, peers by others, the same network untrained, or features that need no training.
        is_random: other features for every seed.
        finetuning: how fine-tuning starts from it; None: not at all.
    """

    name: str
    role: Role
    is_random: bool = False
    finetuning: "MethodKind | None" = None

    def network(self, seed: int) -> "Encoder | None":
        """Return the network that fine-tuning starts from; None where there is none.

        Args:
            seed: of random weights.
        """
        return None

    @abstractmethod
    def key(self) -> str:
        """Return digits that change with the features."""

    @abstractmethod
    def methods(self, prepared: PreparedProbe) -> tuple[str, ...]:
        """Return the classifiers that read it; none where the task has no such features.

        Args:
            prepared: samples of the task, with or without images.
        """

    @abstractmethod
    def features(self, prepared: PreparedProbe, seed: int) -> TaskFeatures:
        """Compute the features.

        Args:
            prepared: samples of the task with their images.
            seed: of what is random.

        Raises:
            SkyweaveError: it cannot read the task's sensor.
        """


@dataclass
class EncoderSource(FeatureSource):
    """An encoder with its weights.

    Attributes:
        name: in tables.
        encoder: stays as it is.
        role: of it.
        half_precision: encode in bfloat16.
    """

    name: str
    encoder: "Encoder"
    role: Role
    half_precision: bool = False

    def __post_init__(self) -> None:
        self.finetuning = "full" if self.role == "weights" else None

    def network(self, seed: int) -> "Encoder":
        """Return the encoder, whatever the seed.

        Args:
            seed: not used.
        """
        return self.encoder

    @cached_property
    def _fingerprint(self) -> str:
        from skyweave.backbone import fingerprint

        return fingerprint(self.encoder)

    def key(self) -> str:
        """Return the fingerprint of the encoder."""
        return self._fingerprint + ("-bf16" if self.half_precision else "")

    def methods(self, prepared: PreparedProbe) -> tuple[str, ...]:
        """Return the linear model and nearest neighbours.

        Args:
            prepared: any.
        """
        return CLASSIFIERS

    def features(self, prepared: PreparedProbe, seed: int) -> TaskFeatures:
        """Encode the images of a task.

        Args:
            prepared: samples of the task with their images.
            seed: not used.
        """
        return _encode(self.encoder, prepared, self.half_precision)


@dataclass
class UntrainedSource(FeatureSource):
    """The architecture of a backbone with random weights, other ones for every seed.

    Attributes:
        like: the backbone.
        name: in tables.
        half_precision: encode in bfloat16.
    """

    like: "Backbone"
    name: str = "untrained"
    half_precision: bool = False
    role: Role = field(default="untrained", init=False)
    is_random: bool = field(default=True, init=False)
    finetuning: "MethodKind | None" = field(default="scratch", init=False)

    def key(self) -> str:
        """Return the fingerprint of the first random weights."""
        from skyweave.backbone import fingerprint

        return fingerprint(self.network(0)) + ("-bf16" if self.half_precision else "")

    def methods(self, prepared: PreparedProbe) -> tuple[str, ...]:
        """Return the linear model and nearest neighbours.

        Args:
            prepared: any.
        """
        return CLASSIFIERS

    def features(self, prepared: PreparedProbe, seed: int) -> TaskFeatures:
        """Encode the images of a task.

        Args:
            prepared: samples of the task with their images.
            seed: of the weights.
        """
        return _encode(self.network(seed), prepared, self.half_precision)

    def network(self, seed: int) -> "Backbone":
        """Return the architecture with the random weights of a seed.

        Args:
            seed: of the weights.
        """
        from skyweave.backbone import build_backbone

        sensors = list(self.like.sensors.values())
        return build_backbone(self.like.config, sensors, seed=FIRST_RANDOM_SEED + seed).eval()


@dataclass
class BaselineSource(FeatureSource):
    """Features that need no training.

    Attributes:
        name: of a baseline of probes.
        is_random: other features for every seed.
    """

    name: str
    is_random: bool = False
    role: Role = field(default="baseline", init=False)

    def key(self) -> str:
        """Return the name: it says all."""
        return "baseline"

    def methods(self, prepared: PreparedProbe) -> tuple[str, ...]:
        """Return the classifiers of the baseline; none where the task has no such features.

        Args:
            prepared: samples of the task.
        """
        return {b.name: b.classifiers for b in probe_baselines(prepared, None, None)}.get(self.name, ())

    def features(self, prepared: PreparedProbe, seed: int) -> TaskFeatures:
        """Compute the features of all samples.

        Args:
            prepared: samples of the task with their images.
            seed: of random ones.
        """
        baseline = next(b for b in probe_baselines(prepared, None, None) if b.name == self.name)
        return TaskFeatures(baseline.compute(seed), [self.name])


@dataclass
class UNetSource(FeatureSource):
    """A small U-Net, which has no features but can learn a task."""

    name: str = "U-Net"
    role: Role = field(default="baseline", init=False)
    finetuning: "MethodKind | None" = field(default="unet", init=False)

    def key(self) -> str:
        """Return the name: it says all."""
        return "unet"

    def methods(self, prepared: PreparedProbe) -> tuple[str, ...]:
        """Return no classifier: it has no features.

        Args:
            prepared: any.
        """
        return ()

    def features(self, prepared: PreparedProbe, seed: int) -> TaskFeatures:
        """Raise an error, as there are none.

        Args:
            prepared: any.
            seed: any.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("a U-Net has no features before it learned; use the method finetune")


def baseline_sources() -> list[FeatureSource]:
    """Return all features that need no training."""
    return [BaselineSource(name, is_random) for name, is_random in BASELINES.items()]


BASELINES = {
    "statistics": False,
    "statistics+": False,
    "statistics 3x3 cells": False,
    "texture": False,
    "random convolutions": True,
}
"""Names of the baselines of probes, and whether they are random."""


def encoder_sources(names: Sequence[str], device: str = "cpu", half_precision: bool = False) -> list[FeatureSource]:
    """Load encoders, and add each of their architectures untrained.

    Args:
        names: shipped names, files, or what others published.
        device: where they are to run.
        half_precision: encode in bfloat16.

    Raises:
        FileNotFoundError: no such weights.
        WeightsError: not weights that can be read.
    """
    from skyweave.backbone import Backbone, load_encoder

    sources: list[FeatureSource] = []
    architectures: list[object] = []
    for name, title in zip(names, _titles(names), strict=True):
        encoder = load_encoder(name, device)
        is_backbone = isinstance(encoder, Backbone)
        sources.append(EncoderSource(title, encoder, "weights" if is_backbone else "peer", half_precision))
        if isinstance(encoder, Backbone) and encoder.config not in architectures:
            architectures.append(encoder.config)
            like = "untrained" if len(architectures) == 1 else f"untrained like {title}"
            sources.append(UntrainedSource(encoder, like, half_precision))
    return sources


def _titles(names: Sequence[str]) -> list[str]:
    """Return the names without folders and suffixes, as far as they stay different."""
    from pathlib import Path

    short = [Path(name).stem for name in names]
    return [
        one if short.count(one) == 1 else str(Path(name).with_suffix(""))
        for one, name in zip(short, names, strict=True)
    ]


def _encode(encoder: "Encoder", prepared: PreparedProbe, half_precision: bool) -> TaskFeatures:
    from skyweave.downstream.probing.features import encode_probe_samples, feature_candidates

    config: ProbeConfig = prepared.config
    size = encoder.nearest_patch_size(config.patch_size)
    has_levels = bool(encoder.embed(prepared.samples.images[0], size).levels)
    candidates = feature_candidates(config, has_levels)
    values = encode_probe_samples(encoder, prepared.samples, candidates, size, half_precision)
    return TaskFeatures(values, [candidate.name for candidate in candidates])
