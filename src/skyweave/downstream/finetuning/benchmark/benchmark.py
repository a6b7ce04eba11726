"""GEO-Bench as a protocol: tasks x methods x seeds x label fractions, one JSON file a run, resumable."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from skyweave.backbone import Backbone
from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import ConfigError
from skyweave.downstream.finetuning.batches import SampleCache
from skyweave.downstream.finetuning.benchmark.baselines import BASELINES, DEFAULT_PATCH_SIZE
from skyweave.downstream.finetuning.benchmark.patch_size_adapter import PatchSizeAdapter
from skyweave.downstream.finetuning.bootstrap import resampled_scores
from skyweave.downstream.finetuning.config import MethodConfig, MethodKind, RecipeConfig
from skyweave.downstream.finetuning.run import finetune_model, with_rates
from skyweave.downstream.geobench import find_tasks, get_task, open_task
from skyweave.downstream.geobench.folder import Statistics
from skyweave.downstream.geobench.sample import Unlabelled
from skyweave.downstream.labels.labelled_data import LabelledData

METHODS = (*BASELINES, "unet", "scratch", "frozen", "lora", "last", "full")
"""Floors first: features that nothing was learnt for, a small U-Net and the same network from random weights."""
DEFAULT_METHODS = ("statistics", "random-convolutions", "unet", "scratch", "frozen", "lora", "full")
PATCHES_A_SIDE = 15, 32
"""Patches a side that pictures are cut into, at least and at most, where no patch size is asked for."""
Log = Callable[[str], None]


@dataclass(frozen=True)
class BenchmarkConfig:
    """What is run.

    Attributes:
        tasks: of GEO-Bench; empty: all that are in the folder.
        methods: of `METHODS`.
        seeds: of the head's weights and the order of the samples. Learning rates are chosen with the first alone.
        fractions: of the training samples, as published partitions.
        recipe: head and training of every method (its own method is not used).
        patch_size: pixels per patch side; None: the backbone's, made smaller or larger so that every picture has
            between 15 and 32 patches a side.
        sensors: ``first``: a task's first, as in published rows; ``all``: fused.
        statistics: see `skyweave.downstream.geobench.open_task`; as are ``unlabelled`` and ``partial``.
        limit: samples of each split at most, evenly spaced; 0: all.
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
        if not self.methods or self.seeds < 1 or not self.fractions or self.limit < 0:
            raise ConfigError("give one method, one seed and one fraction at least, and a limit of 0 (all) or more")


@dataclass(frozen=True)
class BenchmarkRun:
    """One adaptation, as its JSON file holds it.

    Attributes:
        digest: of all that determines it: another digest is another run.
        settings: of what the runs of one table have in common: recipe and options.
        scores: of the test part, the main one first.
        resampled: main scores with the test samples drawn anew, see `skyweave.downstream.finetuning.bootstrap`.
        rates: learning rates that were used.
        parameters: of the model; ``trained``: of those that learned.
        samples: numbers of training, validation and test samples.
        seconds: of wall clock.
    """

    task: str
    method: str
    fraction: float
    seed: int
    digest: str
    settings: str
    weights: str
    scores: dict[str, float]
    resampled: list[float]
    rates: dict[str, float]
    parameters: int
    trained: int
    samples: list[int]
    seconds: float
    device: str
    notes: list[str]


@dataclass(frozen=True)
class FailedRun:
    """A run that could not be made, and why."""

    task: str
    method: str
    fraction: float
    seed: int
    reason: str


def run_benchmark(
    folder: str | Path,
    plan: BenchmarkConfig,
    output: str | Path,
    backbone: nn.Module | None,
    weights: str = "",
    device: str | torch.device = "cpu",
    report: Log | None = None,
) -> tuple[list[BenchmarkRun], list[FailedRun]]:
    """Make the runs of a plan that are not in ``output`` yet, one after the other.

    Args:
        folder: of the archive, see `skyweave.downstream.geobench.open_task`.
        output: gets ``runs/TASK/METHOD-FRACTION-SEED.json``, each written when it is done; a run that is stopped goes
            on from its last checkpoint in ``unfinished``. Processes with different tasks may share it.
        backbone: that is adapted: ours, or a published encoder behind the same interface, for which pictures are
            enlarged until its patches fit (`PatchSizeAdapter`). None where only the floors without one are run.
        weights: its name and fingerprint, for the files.
        report: called with a line now and then.

    Returns:
        All runs of the plan, and those that could not be made.

    Raises:
        FileNotFoundError, ValueError: a folder without the tasks, or a method that needs a backbone.
    """
    say = report or (lambda line: None)
    if backbone is None and (needing := [m for m in plan.methods if m not in (*BASELINES, "unet")]):
        raise ConfigError(f"the method {needing[0]!r} needs a backbone; give --weights, or only floors")
    if backbone is not None and not isinstance(backbone, Backbone):
        backbone = PatchSizeAdapter(backbone)
    names = [get_task(name).name for name in plan.tasks] or list(find_tasks(folder))
    if not names:
        raise FileNotFoundError(f"{folder} has no task of GEO-Bench; run: skyweave download geobench --all -o {folder}")
    runs: list[BenchmarkRun] = []
    failures: list[FailedRun] = []
    for name in names:
        for fraction in plan.fractions:
            opened = _Opened(folder, name, fraction, plan)
            for method in plan.methods:
                for found in _runs_of(opened, method, plan, Path(output), backbone, weights, device, say):
                    if isinstance(found, BenchmarkRun):
                        runs.append(found)
                    else:
                        failures.append(found)
    return runs, failures


def read_runs(output: str | Path) -> list[BenchmarkRun]:
    """All runs in a folder, whoever made them. Raises ``ValueError`` for one that is damaged."""
    return [_read(path) for path in sorted((Path(output) / "runs").glob("*/*.json"))]


def _runs_of(
    opened: "_Opened",
    method: str,
    plan: BenchmarkConfig,
    output: Path,
    backbone: nn.Module | None,
    weights: str,
    device: str | torch.device,
    say: Log,
) -> Iterator[BenchmarkRun | FailedRun]:
    """A method's seeds; the learning rates of the first serve the others."""
    used = weights if method not in (*BASELINES, "unet") else ""
    rates: dict[str, float] = {}
    for seed in range(plan.seeds):
        where = f"{opened.name} {method} {opened.fraction:g} seed {seed}"
        path = output / "runs" / opened.name / f"{method}-{opened.fraction:.2f}-{seed}.json"
        recipe = _recipe(plan, method, opened.name, backbone)
        digest = _digest(recipe, plan, opened, method, used, seed)
        run = _read(path) if path.is_file() else None
        if run is None or run.digest != digest:
            say(f"{where}: starts")
            unfinished = output / "unfinished" / digest  # where a run that is stopped goes on
            module = BASELINES[method](recipe.patch_size or DEFAULT_PATCH_SIZE) if method in BASELINES else backbone
            try:
                data = opened.data
                done = finetune_model(
                    data,
                    module,
                    with_rates(recipe, rates) if rates else recipe,
                    seed=seed,
                    device=device,
                    output=unfinished,
                    absent="note",
                    report=lambda line, where=where: say(f"{where}: {line}"),  # type: ignore[misc]
                )
            except (ValueError, OSError) as error:
                yield FailedRun(opened.name, method, opened.fraction, seed, str(error))
                continue
            run = BenchmarkRun(
                task=opened.name,
                method=method,
                fraction=opened.fraction,
                seed=seed,
                digest=digest,
                settings=_hash([asdict(replace(plan.recipe, patch_size=plan.patch_size)), _options(plan)]),
                weights=used,
                scores=done.scores,
                resampled=[round(float(v), 6) for v in resampled_scores(data.task, done.predictions, data.test)],
                rates=done.rates,
                parameters=done.parameters,
                trained=done.trained,
                samples=list(done.samples),
                seconds=round(done.seconds, 2),
                device=_device_name(device),
                notes=list(done.notes),
            )
            with write_aside(path) as aside:
                aside.write_text(json.dumps(asdict(run), indent=1) + "\n", encoding="utf-8")
            shutil.rmtree(unfinished, ignore_errors=True)
        main = next(iter(run.scores))
        say(f"{where}: {main} {run.scores[main]:.3f}")
        rates = rates or run.rates
        yield run


class _Opened:
    """A task at a fraction of its labels; opened when a run needs it, and kept in memory as far as it fits."""

    def __init__(self, folder: str | Path, name: str, fraction: float, plan: BenchmarkConfig) -> None:
        self.folder, self.name, self.fraction, self.plan = folder, name, fraction, plan
        self._data: LabelledData | None = None

    @property
    def data(self) -> LabelledData:
        """The task. Raises as `open_task`."""
        if self._data is None:
            plan, task = self.plan, get_task(self.name)
            data = open_task(
                self.folder,
                self.name,
                fraction=self.fraction,
                sensors=[task.sensors[0].name] if plan.sensors == "first" else None,
                unlabelled=plan.unlabelled,
                statistics=plan.statistics,
                partial=plan.partial,
            )
            parts, notes = {}, data.notes
            for part in ("train", "validation", "test"):
                samples: Any = getattr(data, part)
                if plan.limit and len(samples) > plan.limit:
                    notes = (*notes, f"{plan.limit} of {len(samples)} {part} samples, by --limit")
                    chosen = np.linspace(0, len(samples) - 1, plan.limit).astype(int)
                    samples = replace(samples, names=tuple(samples.names[i] for i in chosen))
                parts[part] = SampleCache(samples, data.task, plan.recipe.training.cache_gib)
            self._data = LabelledData(data.task, **parts, notes=notes)
        return self._data


def _recipe(plan: BenchmarkConfig, method: str, name: str, backbone: nn.Module | None) -> RecipeConfig:
    """The plan's recipe with this method and a patch size that suits the task's pictures."""
    kind: MethodKind = "frozen" if method in BASELINES else method  # type: ignore[assignment]
    own = replace(plan.recipe.method, kind=kind) if plan.recipe.method != MethodConfig() else MethodConfig(kind=kind)
    size = plan.patch_size
    if size is None:
        native = int(backbone.config.patch_size) if backbone is not None else DEFAULT_PATCH_SIZE  # type: ignore[arg-type, union-attr]
        side = get_task(name).size
        least, most = PATCHES_A_SIDE
        size = max(2, min(max(native, -(-side // most)), side // least))
    return replace(plan.recipe, method=own, patch_size=size)


def _digest(recipe: RecipeConfig, plan: BenchmarkConfig, opened: _Opened, method: str, weights: str, seed: int) -> str:
    """Changes with anything that changes the run, and not with what other runs there are."""
    return _hash([asdict(recipe), _options(plan), opened.name, opened.fraction, method, weights, seed])


def _options(plan: BenchmarkConfig) -> list[Any]:
    return [plan.sensors, plan.statistics, plan.unlabelled, plan.partial, plan.limit]


def _hash(what: list[Any]) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]


def _read(path: Path) -> BenchmarkRun:
    try:
        return BenchmarkRun(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path} is no run of this benchmark ({error}); remove it to make the run again") from error


def _device_name(device: str | torch.device) -> str:
    kind = torch.device(device)
    if kind.type == "cuda":
        return torch.cuda.get_device_name(kind)
    return f"{kind.type}, {torch.get_num_threads()} threads"
