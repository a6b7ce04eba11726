"""A stage of an adaptation: a short training with each learning rate, then the whole one with the best."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file, save
from torch import Tensor

from skyweave.core.atomic_write import write_aside
from skyweave.downstream.finetuning.batches import BatchSource
from skyweave.downstream.finetuning.config import TrainingConfig
from skyweave.downstream.finetuning.models.finetuned_model import FinetunedModel
from skyweave.downstream.finetuning.module import (
    BestWeightsCallback,
    FinetuneModule,
    Log,
    Schedule,
    Validator,
    load_trained,
    trained_state,
)
from skyweave.downstream.labels.labelled_data import LabelledSample
from skyweave.training.run_dir import LAST_CHECKPOINT
from skyweave.training.trainer import TrainerConfig, fit

DONE_FILE = "done.json"
BEST_FILE = "best.safetensors"


@dataclass(frozen=True)
class TrainingStage:
    """What the trainings of an adaptation share.

    Attributes:
        weights: of the classes.
        output: folder of checkpoints; trainings that are done are not done again, and one that was stopped goes on.
    """

    training: TrainingConfig
    weights: Tensor | None
    seed: int
    output: Path | None
    say: Log


def train_stage(
    stage: TrainingStage,
    model: FinetunedModel,
    feeds: tuple[BatchSource, BatchSource],
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
    scorer = Validator(model.task, feeds[1], validation, stage.training.batch)
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
    stage: TrainingStage,
    model: FinetunedModel,
    feed: BatchSource,
    scorer: Validator,
    schedule: Schedule,
    name: str,
    able: bool,
) -> tuple[tuple[float, float], list[list[float]]]:
    folder = None if stage.output is None else stage.output / name
    if folder is not None and (folder / DONE_FILE).exists():
        load_trained(model, load_file(folder / BEST_FILE))
        done = json.loads((folder / DONE_FILE).read_text())
        return tuple(done["best"]), done["history"]
    training = stage.training
    every = max(1, schedule.steps // training.evaluations)
    start = (scorer.measure(model), trained_state(model)) if able else None
    keeper = BestWeightsCallback(
        scorer, start, every, schedule.steps, training.patience, lambda line: stage.say(f"{name}: {line}")
    )
    module = FinetuneModule(model, feed, training, schedule, stage.weights)
    accelerator = "gpu" if model.target_mean.is_cuda else "cpu"
    trainer = TrainerConfig(training.precision, checkpoint_every=every, log_every=every, accelerator=accelerator)
    resume = folder is not None and (folder / LAST_CHECKPOINT).exists()
    model.train()
    fit(module, folder, vars(schedule), trainer, [keeper], resume, progress=False)
    load_trained(model, keeper.weights)
    model.eval()
    if folder is not None:
        with write_aside(folder / BEST_FILE) as aside:
            aside.write_bytes(save({key: own.cpu().contiguous() for key, own in keeper.weights.items()}))
        with write_aside(folder / DONE_FILE) as aside:
            aside.write_text(json.dumps({"best": keeper.best, "history": keeper.history}))
        (folder / LAST_CHECKPOINT).unlink(missing_ok=True)
    return keeper.best, keeper.history
