"""How a backbone is fine-tuned: which weights learn, through which head, for how long."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from skyweave.core.errors import ConfigError
from skyweave.downstream.finetuning.tasks.base import Task
from skyweave.downstream.finetuning.tasks.class_weights import ClassWeighting
from skyweave.mapping import FUSIONS

MethodKind = Literal["frozen", "full", "last", "lora", "scratch", "unet"]
HeadKind = Literal["auto", "linear", "attentive", "pyramid", "upernet", "map"]
IMAGE_HEADS = ("linear", "attentive")
DENSE_HEADS = ("linear", "pyramid", "upernet", "map")

DEFAULT_LEARNING_RATES: dict[MethodKind, tuple[float, ...]] = {
    "frozen": (1e-3, 3e-3, 1e-2),
    "full": (1e-4, 3e-4, 1e-3),
    "last": (1e-4, 3e-4, 1e-3),
    "lora": (3e-4, 1e-3, 3e-3),
    "scratch": (1e-4, 3e-4, 1e-3),
    "unet": (1e-3, 3e-3, 1e-2),
}
"""Learning rates that the short sweep tries where a recipe names none."""


@dataclass(frozen=True)
class MethodConfig:
    """Which weights learn.

    Attributes:
        kind: ``frozen``: the head alone, on features that are computed once. ``full``: everything. ``last``: the last
            ``blocks`` blocks. ``lora``: low-rank additions to the attention's matrices (Hu et al. 2021, arXiv
            2106.09685). ``scratch``: everything, from random weights of the same network: what pretraining is worth.
            ``unet``: a small U-Net instead of the backbone: the floor.
        blocks: for ``last``.
        layer_decay: the learning rate of a block is that of the one above it times this (``full`` and ``last``).
        rank: of the additions of ``lora``; alpha / rank scales them.
        targets: matrices that ``lora`` adds to: ``attention`` (qkv and proj), or ``all`` (the feed-forward part too).
        head_first: ``full``, ``last`` and ``lora`` start from a head that was trained on the frozen features, so that
            its first, random gradients do not spoil what the backbone knows (Kumar et al. 2022, arXiv 2202.10054).
        channels: of the U-Net's first level.
    """

    kind: MethodKind = "frozen"
    blocks: int = 4
    layer_decay: float = 0.8
    rank: int = 4
    alpha: float = 8.0
    targets: Literal["attention", "all"] = "attention"
    head_first: bool = True
    channels: int = 24

    def __post_init__(self) -> None:
        _known("method.kind", self.kind, get_args(MethodKind))
        for name in ("blocks", "rank", "alpha", "channels"):
            _positive(f"method.{name}", getattr(self, name))
        if not 0 < self.layer_decay <= 1:
            raise ConfigError(f"method.layer_decay is {self.layer_decay}; use a number above 0 and up to 1 (no decay)")

    @property
    def decay_by_layer(self) -> float:
        """Factor of the learning rate from a block to the one below; 1 for methods whose layers learn alike."""
        return self.layer_decay if self.kind in ("full", "last") else 1.0

    @property
    def starts_with_head(self) -> bool:
        """Whether the head is trained on frozen features before anything else is."""
        return self.kind == "frozen" or (self.head_first and self.kind in ("full", "last", "lora"))


@dataclass(frozen=True)
class HeadConfig:
    """What turns features into an answer.

    Attributes:
        kind: ``linear``: one matrix on pooled features (image) or on every patch (dense). ``attentive``: learned
            queries gather the image's patches. ``pyramid``: the encoder's levels, merged while going from patches to
            pixels. ``upernet``: pyramid pooling and a feature pyramid of four scales (Xiao et al. 2018, arXiv
            1807.10221). ``map``: several sensors, each placed on one map and fused there, of which any may be missing;
            the other heads read the features of several sensors side by side. ``auto``: linear for image tasks, pyramid
            for dense ones.
        channels: inside; of every head but the linear one.
        readout: the features the head reads: patch embedding and four depths side by side (``levels``), or the
            encoder's last output alone.
        fusion: of ``map``: a name in `skyweave.mapping.FUSIONS`.
        left_out: of ``map``: every step trains with all sensors, and with each left out of a sample by this
            probability; one always stays. 0: with all alone.
    """

    kind: HeadKind = "auto"
    channels: int = 64
    readout: Literal["levels", "last"] = "levels"
    fusion: str = "attention"
    left_out: float = 0.5

    def __post_init__(self) -> None:
        _known("head.kind", self.kind, get_args(HeadKind))
        _known("head.fusion", self.fusion, tuple(FUSIONS))
        _positive("head.channels", self.channels)
        if not 0 <= self.left_out < 1:
            raise ConfigError(f"head.left_out is {self.left_out}; use a probability from 0 to below 1")

    @property
    def leaves_out(self) -> float:
        """Probability with which each sensor is left out of a training sample."""
        return self.left_out if self.kind == "map" else 0.0

    def resolved(self, task: Task) -> str:
        """Return the head's kind for a task.

        Args:
            task: that the head serves.

        Raises:
            ConfigError: it cannot serve the task.
        """
        if self.kind == "auto":
            return "pyramid" if task.is_dense else "linear"
        valid = DENSE_HEADS if task.is_dense else IMAGE_HEADS
        if self.kind not in valid:
            form = "an output a pixel" if task.is_dense else "one output an image"
            raise ConfigError(f"head {self.kind!r} cannot serve {task.kind} ({form}); use one of {', '.join(valid)}")
        return self.kind


@dataclass(frozen=True)
class TrainingConfig:
    """Set for how long and how fast weights are trained.

    Attributes:
        steps: optimiser steps of the network (all methods but ``frozen``).
        head_steps: optimiser steps of the head on frozen features.
        batch: samples a step.
        learning_rates: of which the best on validation is taken after a short run of ``sweep_share`` of the steps;
            one: no sweep; none: those of the method in `DEFAULT_LEARNING_RATES`.
        head_learning_rates: the same for the head on frozen features.
        weight_decay: of matrices (AdamW).
        linear_weight_decay: the same for a linear head on frozen features. It has a weight for every feature and class,
            and would learn its training tiles by heart; heads of several layers share theirs over all places.
        warmup: share of the steps in which the learning rate rises; then it falls with a cosine.
        evaluations: how often validation is scored; the best weights are kept.
        patience: evaluations without a better score before training stops.
        class_weights: by frequency in the training labels: ``balanced`` is 1 / frequency, ``root`` its square root.
        dice: weight of the Dice loss beside cross-entropy (segmentation and change), which counts overlap and not
            pixels: a class of few pixels is worth as much as any.
        augment: mirror and turn training images by quarter turns.
        test_time_flips: average the answers over four mirror images.
        clip: largest norm of the gradient.
        precision: as Lightning names it.
        cache_gib: features of frozen backbones are kept in memory up to so much, and computed anew beyond.
    """

    steps: int = 300
    head_steps: int = 400
    batch: int = 8
    learning_rates: list[float] = field(default_factory=list)
    head_learning_rates: list[float] = field(default_factory=list)
    sweep_share: float = 0.3
    weight_decay: float = 0.01
    linear_weight_decay: float = 10.0
    warmup: float = 0.1
    evaluations: int = 10
    patience: int = 4
    class_weights: ClassWeighting = "none"
    dice: float = 0.0
    augment: bool = True
    test_time_flips: bool = False
    clip: float = 1.0
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    cache_gib: float = 4.0

    def __post_init__(self) -> None:
        for name in ("steps", "head_steps", "batch", "evaluations", "patience", "clip"):
            _positive(f"training.{name}", getattr(self, name))
        for rate in (*self.learning_rates, *self.head_learning_rates):
            _positive("training.learning_rates", rate)
        if self.dice < 0:
            raise ConfigError(f"training.dice is {self.dice}; use 0 (none) or more")
        if not 0 < self.sweep_share <= 1:
            raise ConfigError(f"training.sweep_share is {self.sweep_share}; use a share above 0 and up to 1")


@dataclass(frozen=True)
class RecipeConfig:
    """A way to adapt.

    Attributes:
        patch_size: pixels per patch side that the backbone is asked for; None for its own.
    """

    method: MethodConfig = field(default_factory=MethodConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    patch_size: int | None = None

    def head_decay(self, task: Task) -> float:
        """Return the weight decay of the head on frozen features.

        Args:
            task: that the head serves.

        Raises:
            ConfigError: a step of it would turn the weights round.
        """
        if self.head.resolved(task) != "linear":
            return self.training.weight_decay
        decay, fastest = self.training.linear_weight_decay, max(self.rates(head=True))
        if not 0 <= decay * fastest < 1:
            raise ConfigError(
                f"training.linear_weight_decay is {decay:g}; with head learning rates up to {fastest:g} use 0 to below "
                f"{1 / fastest:g}, above which a step would turn the weights round"
            )
        return decay

    def rates(self, head: bool) -> tuple[float, ...]:
        """Return the learning rates to try.

        Args:
            head: of the head on frozen features; else of the network.
        """
        chosen = self.training.head_learning_rates if head else self.training.learning_rates
        return tuple(chosen) or DEFAULT_LEARNING_RATES["frozen" if head else self.method.kind]


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise ConfigError(f"{name} is {value}; use a number above 0")


def _known(name: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise ConfigError(f"{name} is {value!r}; use one of {', '.join(valid)}")
