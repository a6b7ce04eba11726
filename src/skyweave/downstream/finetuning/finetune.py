"""``skyweave finetune``: one YAML to a fine-tuned model, its scores and a report."""

import contextlib
import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from skyweave.backbone import load_encoder
from skyweave.backbone.device import resolve_device
from skyweave.core.atomic_write import write_aside
from skyweave.core.config import load_config_file
from skyweave.core.errors import ConfigError
from skyweave.downstream.finetuning.config import HeadConfig, MethodConfig, RecipeConfig, TrainingConfig
from skyweave.downstream.finetuning.dataset import LabelledData, TileSequence, load_labelled_dataset
from skyweave.downstream.finetuning.models.checkpoint import save_finetuned
from skyweave.downstream.finetuning.module import Log
from skyweave.downstream.finetuning.run import FinetuneResult, finetune_model, with_rates
from skyweave.downstream.finetuning.stages import DONE_FILE
from skyweave.downstream.finetuning.tasks.base import TASKS, Task, make_task
from skyweave.downstream.labels.config import LabelledDataConfig
from skyweave.downstream.labels.sample import LabelledSample
from skyweave.downstream.labels.shared_ground import refuse_shared_files, shared_ground_note
from skyweave.training.run_dir import CONFIG_FILE, LAST_CHECKPOINT, WEIGHTS_FILE, prepare_run_dir, write_config

SCORES_FILE = "scores.json"
REPORT_FILE = "report.html"
RUNS_FOLDER = "runs"
PROGRESS = (f"{RUNS_FOLDER}/**/{LAST_CHECKPOINT}", f"{RUNS_FOLDER}/**/{DONE_FILE}")


@dataclass(frozen=True)
class FinetuneConfig:
    """A run, from one YAML in ``configs/finetune``.

    Attributes:
        name: of the run and its weights.
        task: what is predicted: a name in `skyweave.downstream.finetuning.tasks.base.TASKS`.
        data: images, labels and their split.
        weights: of the backbone: a shipped name or a file.
        method: which weights learn.
        head: what turns features into predictions.
        training: for how long and how fast.
        patch_size: pixels per patch side that the backbone is asked for; None for its own.
        fraction: share of the training samples.
        seeds: repetitions; learning rates are chosen by the first, the model of the best validation is kept.
    """

    name: str
    task: str
    data: LabelledDataConfig
    weights: str = "tiny"
    method: MethodConfig = field(default_factory=MethodConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    patch_size: int | None = None
    fraction: float = 1.0
    seeds: list[int] = field(default_factory=lambda: [0])

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ConfigError(f"there is no task {self.task!r}; use one of {', '.join(TASKS)}")
        TASKS[self.task].check_data(self.data)
        if not self.seeds:
            raise ConfigError("seeds is empty; name at least one")

    @property
    def recipe(self) -> RecipeConfig:
        """The method, head and training together."""
        return RecipeConfig(self.method, self.head, self.training, self.patch_size)

    def make_task(self) -> Task:
        """Return the task with the classes of the labels.

        Raises:
            ConfigError: too few classes.
        """
        return make_task(self.task, self.name, self.data.labels.class_names)


@dataclass(frozen=True)
class FinetuneOutput:
    """What was written.

    Attributes:
        weights: path of the weights; their card is beside them.
        report: path of the page, where it was asked for.
        scores: what ``scores.json`` holds: of each seed, and their mean.
    """

    weights: Path
    report: Path | None
    scores: dict[str, Any]


def finetune(
    file: Path,
    data: Path,
    output: Path,
    changes: Sequence[str] = (),
    resume: bool = False,
    with_report: bool = False,
    device: str = "cpu",
    log: Log | None = None,
    test_data: Path | None = None,
) -> FinetuneOutput:
    """Fine-tune a backbone on the data that a configuration names.

    Args:
        file: configuration, see `FinetuneConfig`.
        data: folder that its paths start from.
        output: folder for weights, scores, report and what a stopped run needs to go on.
        changes: ``key.key=value`` over the configuration.
        resume: go on with a stopped run: trainings that are done are not done again, the others go on from their last
            checkpoint.
        with_report: write ``report.html`` too.
        device: where it runs.
        log: called with a line now and then.
        test_data: folder of the same layout whose images are the test part; the test part of ``data`` is then not used.

    Raises:
        FileExistsError: an output that holds a run already.
        FileNotFoundError: no configuration, image or table; no run to resume.
        ConfigError, DataError, TrainingError: as `skyweave.downstream.finetuning.run.finetune_model` and
            `skyweave.downstream.finetuning.dataset.load_labelled_dataset`.
    """
    config = load_config_file(file, FinetuneConfig, changes)
    resolve_device(device)
    prepare_run_dir(output, asdict(config), resume, PROGRESS)
    labelled = load_labelled_dataset(config.data, config.make_task(), data, test_data)
    train, validation, test = (_paths(part) for part in (labelled.train, labelled.validation, labelled.test))
    labelled = replace(labelled, notes=(*labelled.notes, *shared_ground_note(train, test)))
    if test_data is not None:
        refuse_shared_files([*train, *validation], test)
    _check_patch_size(config.patch_size, labelled)
    with _kept_config(output, asdict(config)):
        runs = _run_seeds(config, labelled, output, device, log or (lambda line: None))
    best = max(runs, key=lambda seed: runs[seed].validation)
    scores = _summary(config, runs, best)
    training = {"config": asdict(config), "seed": best, "seconds": round(runs[best].seconds)}
    save_finetuned(output / WEIGHTS_FILE, runs[best].model, config.name, training=training, metrics=runs[best].scores)
    with write_aside(output / SCORES_FILE) as aside:
        aside.write_text(json.dumps(scores, indent=1) + "\n")
    if not with_report:
        return FinetuneOutput(output / WEIGHTS_FILE, None, scores)
    from skyweave.downstream.finetuning.report.report import write_report

    report = write_report(output / REPORT_FILE, labelled, runs[best], scores)
    return FinetuneOutput(output / WEIGHTS_FILE, report, scores)


def _paths(part: Sequence[LabelledSample]) -> list[Path]:
    """Files of the samples of a part; none of samples that come from elsewhere."""
    return [tile.path for tile in part.tiles] if isinstance(part, TileSequence) else []


def _check_patch_size(patch_size: int | None, labelled: LabelledData) -> None:
    """Refuse patches that are larger than an image: it would be one patch, the rest of it masked."""
    rows, columns = labelled.train[0].observations[0].shape
    if patch_size is not None and patch_size > max(rows, columns):
        raise ConfigError(
            f"patch_size {patch_size} is larger than the images, {columns} x {rows} pixels (width x height); use "
            f"{max(min(rows, columns) // 4, 1)}, so that an image has several patches"
        )


def _run_seeds(
    config: FinetuneConfig, data: LabelledData, output: Path, device: str, log: Log
) -> dict[int, FinetuneResult]:
    """Return the result of each seed; further ones use the learning rates that the first chose."""
    recipe = config.recipe
    backbone = None if config.method.kind == "unet" else load_encoder(config.weights, device)
    runs: dict[int, FinetuneResult] = {}
    for seed in config.seeds:
        runs[seed] = finetune_model(
            data,
            backbone,
            recipe,
            seed=seed,
            fraction=config.fraction,
            device=device,
            output=output / RUNS_FOLDER / f"seed-{seed}",
            with_baselines=seed == config.seeds[0],
            log=lambda line, seed=seed: log(f"seed {seed}, {line}"),  # type: ignore[misc]  # mypy: a default in a lambda
        )
        recipe = with_rates(recipe, runs[seed].rates)
    return runs


def _summary(config: FinetuneConfig, runs: dict[int, FinetuneResult], best: int) -> dict[str, Any]:
    """Return what ``scores.json`` holds."""
    by_name = {name: [run.scores[name] for run in runs.values()] for name in runs[best].scores}
    return {
        "name": config.name,
        "main": TASKS[config.task].main_metric,
        "method": config.method.kind,
        "mean": {name: statistics.fmean(values) for name, values in by_name.items()},
        "std": {name: statistics.stdev(values) if len(values) > 1 else None for name, values in by_name.items()},
        "kept": best,
        "baselines": runs[config.seeds[0]].baselines,
        "without": runs[best].without,
        "runs": {str(seed): run.to_dict() for seed, run in runs.items()},
    }


@contextlib.contextmanager
def _kept_config(output: Path, config: dict[str, Any]) -> Iterator[None]:
    """Keep the configuration beside what the block trains; nothing stays where it raises before it trains."""
    created = [folder for folder in (output, *output.parents) if not folder.exists()]
    write_config(output, config)
    try:
        yield
    finally:
        if not (output / RUNS_FOLDER).exists():
            (output / CONFIG_FILE).unlink(missing_ok=True)
            for folder in created:
                with contextlib.suppress(OSError):
                    folder.rmdir()
