"""A stage of an adaptation: a short training with each learning rate, then the whole one with the best."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file, save
from torch import Tensor

from skyweave.core.atomic_write import write_aside
from skyweave.downstream.finetuning.data_source import Feed
from skyweave.downstream.finetuning.models.adapted_model import FinetunedModel
from skyweave.downstream.finetuning.module import (
    AdaptationModule,
    KeepBest,
    Report,
    Schedule,
    Validation,
    load_trained,
    trained_state,
)
from skyweave.downstream.finetuning.recipe import Training
from skyweave.downstream.labels.labelled_data import LabelledSample
from skyweave.training.trainer import LAST_CHECKPOINT, TrainerConfig, fit

DONE = "done.json"
BEST = "best.safetensors"


@dataclass(frozen=True)
class Stage:
    """What the trainings of an adaptation share.

    Attributes:
        weights: of the classes.
        output: folder of checkpoints; trainings that are done are not done again, and one that was stopped goes on.
    """

    training: Training
    weights: Tensor | None
    seed: int
    output: Path | None
    say: Report


def train_stage(
    stage: Stage,
    model: FinetunedModel,
    feeds: tuple[Feed, Feed],
    validation: Sequence[LabelledSample],
    name: str,
    rates: Sequence[float],
    steps: int,
    layer_decay: float = 1.0,
    able: bool = False,
) -> tuple[float, float, list[list[float]]]:
    """Train what learns in the model, in place, and leave its best weights there.

    Args:
        feeds: of training and of validation.
        rates: learning rates to try; the best after ``sweep_share`` of the steps is used.
        able: the model was trained already, and is kept where training does not make it better.

    Returns:
        The learning rate, its best validation score, and (step, score) of the whole training.
    """
    start = trained_state(model)
    scorer = Validation(model.task, feeds[1], validation, stage.training.batch)
    rate = rates[0]
    if len(rates) > 1:
        short = max(1, round(stage.training.sweep_share * steps))
        found = []
        for one in rates:
            load_trained(model, start)
            schedule = Schedule(short, one, layer_decay, stage.seed)
            found.append(_train(stage, model, feeds[0], scorer, schedule, f"{name}-sweep-{one:g}", able)[0])
        rate = rates[max(range(len(rates)), key=lambda number: found[number])]
        load_trained(model, start)
    schedule = Schedule(steps, rate, layer_decay, stage.seed)
    best, history = _train(stage, model, feeds[0], scorer, schedule, f"{name}-{rate:g}", able)
    return rate, best[0], history


def _train(
    stage: Stage, model: FinetunedModel, feed: Feed, scorer: Validation, schedule: Schedule, name: str, able: bool
) -> tuple[tuple[float, float], list[list[float]]]:
    folder = None if stage.output is None else stage.output / name
    if folder is not None and (folder / DONE).exists():
        load_trained(model, load_file(folder / BEST))
        done = json.loads((folder / DONE).read_text())
        return tuple(done["best"]), done["history"]
    training = stage.training
    every = max(1, schedule.steps // training.evaluations)
    start = (scorer.measure(model), trained_state(model)) if able else None
    keeper = KeepBest(
        scorer, start, every, schedule.steps, training.patience, lambda line: stage.say(f"{name}: {line}")
    )
    module = AdaptationModule(model, feed, training, schedule, stage.weights)
    accelerator = "gpu" if model.target_mean.is_cuda else "cpu"
    machine = TrainerConfig(training.precision, checkpoint_every=every, log_every=every, accelerator=accelerator)
    resume = folder is not None and (folder / LAST_CHECKPOINT).exists()
    model.train()
    fit(module, folder, vars(schedule), schedule.steps, machine, [keeper], resume, progress=False)
    load_trained(model, keeper.weights)
    model.eval()
    if folder is not None:
        with write_aside(folder / BEST) as aside:
            aside.write_bytes(save({key: own.cpu().contiguous() for key, own in keeper.weights.items()}))
        with write_aside(folder / DONE) as aside:
            aside.write_text(json.dumps({"best": keeper.best, "history": keeper.history}))
        (folder / LAST_CHECKPOINT).unlink(missing_ok=True)
    return keeper.best, keeper.history
