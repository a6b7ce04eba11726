"""``skyweave finetune``: one YAML to an adapted model, its scores and a report."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from skyweave.backbone import load_encoder
from skyweave.core.atomic_write import write_aside
from skyweave.core.config import load_config_file
from skyweave.core.errors import ConfigError
from skyweave.downstream.finetuning.config import HeadConfig, MethodConfig, RecipeConfig, TrainingConfig
from skyweave.downstream.finetuning.models.checkpoint import save_finetuned
from skyweave.downstream.finetuning.module import Log
from skyweave.downstream.finetuning.run import FinetuneResult, finetune_model, with_rates
from skyweave.downstream.finetuning.scores import MAIN_METRIC
from skyweave.downstream.labels.config import LabelledDataConfig
from skyweave.downstream.labels.dataset import load_labelled_dataset
from skyweave.downstream.labels.labelled_data import LabelledData
from skyweave.training.run_dir import CONFIG_FILE

WEIGHTS_FILE = "weights.safetensors"
SCORES_FILE = "scores.json"
REPORT_FILE = "report.html"


@dataclass(frozen=True)
class FinetuneConfig:
    """A run, from one YAML in ``configs/finetune``.

    Attributes:
        data: images, labels and their split.
        weights: of the backbone: a shipped name or a file.
        fraction: share of the training samples.
        seeds: repetitions; learning rates are chosen by the first, the model of the best validation is kept.
    """

    name: str
    data: LabelledDataConfig
    weights: str = "tiny"
    method: MethodConfig = field(default_factory=MethodConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    patch_size: int | None = None
    fraction: float = 1.0
    seeds: list[int] = field(default_factory=lambda: [0])

    def __post_init__(self) -> None:
        if not self.seeds:
            raise ConfigError("seeds is empty; name at least one")

    @property
    def recipe(self) -> RecipeConfig:
        """How to adapt."""
        return RecipeConfig(self.method, self.head, self.training, self.patch_size)


@dataclass(frozen=True)
class FinetuneOutput:
    """What was written, and the scores: a run's by seed, and their mean."""

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
    report: Log | None = None,
) -> FinetuneOutput:
    """Adapt a backbone to the data that a configuration names.

    Args:
        file: configuration, see `FinetuneConfig`.
        data: folder that its paths start from.
        output: folder for weights, scores, report and what a stopped run needs to go on.
        changes: ``key.key=value`` over the configuration.
        resume: go on with a stopped run: trainings that are done are not done again, the others go on from their last
            checkpoint.
        with_report: write ``report.html`` too.
        report: called with a line now and then.

    Raises:
        FileExistsError, FileNotFoundError, ValueError: as `skyweave.downstream.finetuning.run.finetune_model` and `load_labelled_dataset`; an output
            that holds a run already, or none to resume.
    """
    config = load_config_file(file, FinetuneConfig, changes)
    recipe = config.recipe
    _start(output, asdict(config), resume)
    labelled = load_labelled_dataset(config.data, data, config.name)
    backbone = None if config.method.kind == "unet" else load_encoder(config.weights, device)
    runs: dict[int, FinetuneResult] = {}
    say = report or (lambda line: None)
    for seed in config.seeds:
        folder = output / "runs" / f"seed-{seed}"
        found = finetune_model(
            labelled,
            backbone,
            recipe,
            seed=seed,
            fraction=config.fraction,
            device=device,
            output=folder,
            report=lambda line, seed=seed: say(f"seed {seed}, {line}"),  # type: ignore[misc]
        )
        recipe = with_rates(recipe, found.rates)
        runs[seed] = found
    best = max(runs, key=lambda seed: runs[seed].validation)
    written = _scores(config, runs, best)
    training = {"config": asdict(config), "seed": best, "seconds": round(runs[best].seconds)}
    save_finetuned(output / WEIGHTS_FILE, runs[best].model, config.name, training=training, metrics=runs[best].scores)
    with write_aside(output / SCORES_FILE) as aside:
        aside.write_text(json.dumps(written, indent=1) + "\n")
    return FinetuneOutput(
        output / WEIGHTS_FILE, _report(output, config, labelled, runs[best], written, with_report), written
    )


def _scores(config: FinetuneConfig, runs: dict[int, FinetuneResult], best: int) -> dict[str, Any]:
    first = next(iter(runs.values()))
    names = list(first.scores)
    return {
        "name": config.name,
        "main": MAIN_METRIC[config.data.task],
        "method": config.method.kind,
        "mean": {name: statistics.fmean(run.scores[name] for run in runs.values()) for name in names},
        "spread": {
            name: statistics.stdev([run.scores[name] for run in runs.values()]) if len(runs) > 1 else None
            for name in names
        },
        "kept": best,
        "runs": {str(seed): run.to_dict() for seed, run in runs.items()},
    }


def _report(
    output: Path, config: FinetuneConfig, data: LabelledData, run: FinetuneResult, written: dict[str, Any], wanted: bool
) -> Path | None:
    if not wanted:
        return None
    from skyweave.downstream.finetuning.report.report import write_report

    return write_report(output / REPORT_FILE, data, run, written)


def _start(output: Path, config: dict[str, Any], resume: bool) -> None:
    """Keep the configuration, or check that a run can go on."""
    kept = output / CONFIG_FILE
    if kept.exists() and not resume:
        raise FileExistsError(f"{output} holds a run already; add --resume to go on with it, or choose another folder")
    if resume and not kept.exists():
        raise FileNotFoundError(f"{output} holds no run to resume; start without --resume")
    now = json.loads(json.dumps(config))
    if resume:
        before = json.loads(kept.read_text())
        differing = [key for key in now if now[key] != before.get(key)]
        if differing:
            raise ConfigError(
                f"{output} was started with another configuration: {', '.join(differing)} differ; resume with the same "
                "one, or start a new folder"
            )
    with write_aside(kept) as aside:
        aside.write_text(json.dumps(config, indent=1))
