"""GEO-Bench as a protocol: tasks x methods x seeds x label fractions, one JSON file a run, resumable."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from skyweave.backbone import Backbone
from skyweave.backbone.device import resolve_device
from skyweave.core.errors import ConfigError
from skyweave.downstream.baselines.encoders import BASELINES, DEFAULT_PATCH_SIZE
from skyweave.downstream.finetuning.batches import SampleCache
from skyweave.downstream.finetuning.benchmark.config import WITHOUT_BACKBONE, BenchmarkConfig
from skyweave.downstream.finetuning.benchmark.patch_size_adapter import PatchSizeAdapter
from skyweave.downstream.finetuning.benchmark.runs import BenchmarkRun, FailedRun, read_run, write_run
from skyweave.downstream.finetuning.config import MethodConfig, MethodKind, RecipeConfig
from skyweave.downstream.finetuning.dataset import LabelledData
from skyweave.downstream.finetuning.module import Log
from skyweave.downstream.finetuning.run import FinetuneResult, finetune_model, with_rates
from skyweave.downstream.geobench.folder import find_tasks, open_task
from skyweave.downstream.geobench.tasks import get_task
from skyweave.downstream.labels.splits import PARTS
from skyweave.downstream.scoring.bootstrap import resample_weights

RESAMPLES = 500
MIN_PATCHES_PER_SIDE, MAX_PATCHES_PER_SIDE = 15, 32
"""Patches that images are cut into where no patch size is asked for."""
MIN_PATCH_SIZE = 2


def run_benchmark(
    folder: str | Path,
    config: BenchmarkConfig,
    output: str | Path,
    backbone: nn.Module | None,
    weights: str = "",
    device: str | torch.device = "cpu",
    log: Log | None = None,
) -> tuple[list[BenchmarkRun], list[FailedRun]]:
    """Make the runs of a benchmark that are not in ``output`` yet, one after the other.

    Args:
        folder: of the archive, see `skyweave.downstream.geobench.open_task`.
        config: what is run.
        output: gets ``runs/TASK/METHOD-FRACTION-SEED.json``, each written when it is done; a run that is stopped goes
            on from its last checkpoint in ``unfinished``. Processes with different tasks may share it.
        backbone: that is fine-tuned: Skyweave's, or a published encoder behind the same interface, for which images
            are enlarged until its patches fit (`PatchSizeAdapter`). None where only baselines without one are run.
        weights: its name and fingerprint, for the files.
        device: where it runs.
        log: called with a line now and then.

    Returns:
        All runs of the configuration, and those that could not be made.

    Raises:
        FileNotFoundError: a folder without the tasks.
        ConfigError: a method that needs a backbone.
    """
    if backbone is None:
        _check_methods(config)
    elif not isinstance(backbone, Backbone):
        backbone = PatchSizeAdapter(backbone)
    names = _task_names(folder, config)
    runner = _Runner(config, Path(output), backbone, weights, device, log or (lambda line: None))
    results: list[BenchmarkRun | FailedRun] = []
    for name in names:
        for fraction in config.fractions:
            task = _OpenedTask(folder, name, fraction, config)
            for method in config.methods:
                results += runner.run_seeds(task, method)
    runs = [result for result in results if isinstance(result, BenchmarkRun)]
    return runs, [result for result in results if isinstance(result, FailedRun)]


def _check_methods(config: BenchmarkConfig) -> None:
    """Refuse methods that need a backbone."""
    if needing := [method for method in config.methods if method not in WITHOUT_BACKBONE]:
        raise ConfigError(f"the method {needing[0]!r} needs a backbone; give --weights, or only baselines")


def _task_names(folder: str | Path, config: BenchmarkConfig) -> list[str]:
    """Return the tasks to run: those of the configuration, else all of the folder; at least one."""
    names = [get_task(name).name for name in config.tasks] or list(find_tasks(folder))
    if not names:
        raise FileNotFoundError(f"{folder} has no task of GEO-Bench; run: skyweave download geobench --all -o {folder}")
    return names


class _OpenedTask:
    """A task at a fraction of its labels; opened when a run needs it, and kept in memory as far as it fits."""

    def __init__(self, folder: str | Path, name: str, fraction: float, config: BenchmarkConfig) -> None:
        self.folder, self.name, self.fraction, self.config = folder, name, fraction, config
        self._data: LabelledData | None = None

    @property
    def data(self) -> LabelledData:
        """Its samples. Raises as `open_task`."""
        if self._data is None:
            self._data = self._open()
        return self._data

    def _open(self) -> LabelledData:
        config, task = self.config, get_task(self.name)
        data = open_task(
            self.folder,
            self.name,
            fraction=self.fraction,
            sensors=[task.sensors[0].name] if config.sensors == "first" else None,
            unlabelled=config.unlabelled,
            statistics=config.statistics,
            partial=config.partial,
        )
        parts, notes = {}, data.notes
        for part in PARTS:
            samples: Any = getattr(data, part)
            if config.limit and len(samples) > config.limit:
                notes = (*notes, f"{config.limit} of {len(samples)} {part} samples, by --limit")
                chosen = np.linspace(0, len(samples) - 1, config.limit).astype(int)
                samples = replace(samples, names=tuple(samples.names[i] for i in chosen))
            parts[part] = SampleCache(samples, data.task, config.recipe.training.cache_gib)
        return LabelledData(data.task, **parts, notes=notes)


@dataclass(frozen=True)
class _Runner:
    """What the runs of a benchmark share."""

    config: BenchmarkConfig
    output: Path
    backbone: nn.Module | None
    weights: str
    device: str | torch.device
    log: Log

    def run_seeds(self, task: _OpenedTask, method: str) -> Iterator[BenchmarkRun | FailedRun]:
        """Yield the seeds of a method; the learning rates of the first serve the others."""
        rates: dict[str, float] = {}
        for seed in range(self.config.seeds):
            name = f"{task.name} {method} {task.fraction:g} seed {seed}"
            path = self.output / "runs" / task.name / f"{method}-{task.fraction:.2f}-{seed}.json"
            recipe = self._recipe(method, task.name)
            digest = self._digest(recipe, task, method, seed)
            run = read_run(path) if path.is_file() else None
            if run is None or run.digest != digest:
                self.log(f"{name}: starts")
                try:
                    recipe = with_rates(recipe, rates) if rates else recipe
                    run = self._run(task, method, recipe, seed, digest, name)
                except (ValueError, OSError, ArithmeticError) as error:
                    yield FailedRun(task.name, method, task.fraction, seed, str(error))
                    continue
                write_run(path, run)
                shutil.rmtree(self._unfinished(digest), ignore_errors=True)
            main = next(iter(run.scores))
            self.log(f"{name}: {main} {run.scores[main]:.3f}")
            rates = rates or run.rates
            yield run

    def _run(
        self, task: _OpenedTask, method: str, recipe: RecipeConfig, seed: int, digest: str, name: str
    ) -> BenchmarkRun:
        module = self.backbone
        if method in BASELINES:
            module = BASELINES[method](recipe.patch_size or DEFAULT_PATCH_SIZE)
        data = task.data
        result = finetune_model(
            data,
            module,
            recipe,
            seed=seed,
            device=self.device,
            output=self._unfinished(digest),
            missing_classes="note",
            log=lambda line: self.log(f"{name}: {line}"),
        )
        settings = [asdict(replace(self.config.recipe, patch_size=self.config.patch_size)), self._options()]
        return BenchmarkRun(
            task=task.name,
            method=method,
            fraction=task.fraction,
            seed=seed,
            digest=digest,
            settings=_hash(settings),
            weights=self._used_weights(method),
            scores=result.scores,
            resampled=resampled_scores(data, result),
            rates=result.rates,
            parameters=result.parameters,
            trained=result.trained,
            samples=list(result.samples),
            seconds=round(result.seconds, 2),
            device=_device_name(self.device),
            notes=list(result.notes),
        )

    def _recipe(self, method: str, name: str) -> RecipeConfig:
        """Return the recipe with this method and a patch size that suits the task's images."""
        recipe, backbone = self.config.recipe, self.backbone
        kind: MethodKind = "frozen" if method in BASELINES else method  # type: ignore[assignment]  # checked before
        chosen = replace(recipe.method, kind=kind) if recipe.method != MethodConfig() else MethodConfig(kind=kind)
        size = self.config.patch_size
        if size is None:
            native = DEFAULT_PATCH_SIZE
            if backbone is not None:
                native = int(backbone.config.patch_size)  # type: ignore[arg-type, union-attr]  # of both kinds of backbone
            side = get_task(name).size
            largest = side // MIN_PATCHES_PER_SIDE
            size = max(MIN_PATCH_SIZE, min(max(native, -(-side // MAX_PATCHES_PER_SIDE)), largest))
        return replace(recipe, method=chosen, patch_size=size)

    def _digest(self, recipe: RecipeConfig, task: _OpenedTask, method: str, seed: int) -> str:
        """Return a digest that changes with anything that changes the run, and not with what other runs there are."""
        determined = [asdict(recipe), self._options(), task.name, task.fraction, method]
        return _hash([*determined, self._used_weights(method), seed])

    def _options(self) -> list[Any]:
        config = self.config
        return [config.sensors, config.statistics, config.unlabelled, config.partial, config.limit]

    def _used_weights(self, method: str) -> str:
        return "" if method in WITHOUT_BACKBONE else self.weights

    def _unfinished(self, digest: str) -> Path:
        """Return the folder where a run that is stopped goes on."""
        return self.output / "unfinished" / digest


def resampled_scores(data: LabelledData, result: FinetuneResult) -> list[float]:
    """Return main scores of a run with the test samples drawn anew with replacement, to six digits.

    The draws depend on the number of samples alone, so that those of two models on the same samples are pairs.

    Args:
        data: with the test samples.
        result: with the predictions of them.

    Raises:
        ConfigError: a task that has no such scores.
    """
    weights = resample_weights(len(data.test), seed=len(data.test), resamples=RESAMPLES)
    scores = data.task.resampled_scores(result.predictions, data.test, weights)
    return [round(float(score), 6) for score in scores]


def _hash(content: list[Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _device_name(device: str | torch.device) -> str:
    kind = resolve_device(device)
    if kind.type == "cuda":
        return torch.cuda.get_device_name(kind)
    return f"{kind.type}, {torch.get_num_threads()} threads"
