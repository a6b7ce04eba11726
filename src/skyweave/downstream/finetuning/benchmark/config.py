"""What a benchmark runs: tasks, methods, seeds, label fractions and the recipe of all of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from skyweave.core.errors import ConfigError
from skyweave.downstream.baselines.encoders import BASELINES
from skyweave.downstream.finetuning.config import RecipeConfig
from skyweave.downstream.geobench.folder import Statistics
from skyweave.downstream.geobench.sample import Unlabelled

WITHOUT_BACKBONE = (*BASELINES, "unet")
BASELINE_METHODS = (*WITHOUT_BACKBONE, "scratch")
"""Features that nothing was learned for, a small U-Net and the same network from random weights."""
METHODS = (*BASELINE_METHODS, "frozen", "lora", "last", "full")
DEFAULT_METHODS = tuple(method for method in METHODS if method != "last")

MAX_SEEDS = 1000


@dataclass(frozen=True)
class BenchmarkConfig:
    """What is run.

    Attributes:
        tasks: of GEO-Bench; empty: all that are in the folder.
        methods: of `METHODS`.
        seeds: of the head's weights and the order of the samples. Learning rates are chosen with the first alone.
        fractions: of the training samples, as published partitions.
        recipe: head and training of every method (its own method is not used).
        patch_size: pixels per patch side; None: the backbone's, made smaller or larger so that every image has
            between 15 and 32 patches a side.
        sensors: ``first``: a task's first, as in published rows; ``all``: fused.
        statistics: see `skyweave.downstream.geobench.open_task`.
        unlabelled: see `skyweave.downstream.geobench.open_task`.
        partial: see `skyweave.downstream.geobench.open_task`.
        limit: samples of each split at most, evenly spaced; 0: all.

    Raises:
        ConfigError: no such method, or nothing to run.
    """

    tasks: Sequence[str] = ()
    methods: Sequence[str] = DEFAULT_METHODS
    seeds: int = 3
    fractions: Sequence[float] = (1.0,)
    recipe: RecipeConfig = field(default_factory=RecipeConfig)
    patch_size: int | None = None
    sensors: Literal["first", "all"] = "first"
    statistics: Statistics = "auto"
    unlabelled: Unlabelled = "class"
    partial: bool = False
    limit: int = 0

    def __post_init__(self) -> None:
        if unknown := [method for method in self.methods if method not in METHODS]:
            raise ConfigError(f"there is no method {unknown[0]!r}; use {', '.join(METHODS)}")
        self._check_counts()

    def _check_counts(self) -> None:
        if unknown := [fraction for fraction in self.fractions if not 0 < fraction <= 1]:
            raise ConfigError(f"a fraction of {unknown[0]:g} of the training samples; give some from above 0 to 1")
        if self.seeds > MAX_SEEDS:
            raise ConfigError(f"{self.seeds} seeds are more than anybody waits for; give {MAX_SEEDS} at most")
        if not self.methods or self.seeds < 1 or not self.fractions or self.limit < 0:
            raise ConfigError("give one method, one seed and one fraction at least, and a limit of 0 (all) or more")
