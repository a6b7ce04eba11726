"""What a run of the suite computes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from skyweave.core.errors import ConfigError

METHODS = ("knn", "linear", "finetune")
"""Of encoders; baselines are read by trees as well."""
DEFAULT_METHODS = ("knn", "linear")

MAX_SEEDS = 1000


@dataclass(frozen=True)
class SuiteConfig:
    """What is run.

    Attributes:
        configs: folder of the tasks.
        data: folder that the tasks' paths start from.
        output: folder of the run; what is finished there is not run again.
        weights: encoders: shipped names, files, or what others published.
        test_data: folder of the same layout to test on; ``data`` is then only trained on.
        tasks: names; None: all.
        methods: of encoders.
        shares: of the training labels.
        seeds: repetitions with other folds, and other random weights and filters.
        baselines: whether features that need no training are compared.
        device: where encoders run.
        half_precision: encode in bfloat16: two to three times faster where the processor has it.
    """

    configs: Path
    data: Path
    output: Path
    weights: Sequence[str] = ()
    test_data: Path | None = None
    tasks: Sequence[str] | None = None
    methods: Sequence[str] = DEFAULT_METHODS
    shares: Sequence[float] = (1.0,)
    seeds: int = 1
    baselines: bool = True
    device: str = "cpu"
    half_precision: bool = False

    def __post_init__(self) -> None:
        if unknown := [method for method in self.methods if method not in METHODS]:
            raise ConfigError(f"no method {unknown[0]!r}; there are {', '.join(METHODS)}")
        if wrong := [share for share in self.shares if not 0 < share <= 1]:
            raise ConfigError(f"a share of the labels is above 0 and at most 1, not {wrong[0]}")
        if not 1 <= self.seeds <= MAX_SEEDS:
            raise ConfigError(f"seeds is {self.seeds}; give 1 to {MAX_SEEDS}")
