"""A stage of a fine-tuning: a short training with each learning rate, then the whole one with the best."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors.torch import load_file, save
from torch import Tensor

from skyweave.core.atomic_write import write_aside
from skyweave.core.progress import ProgressLines
from skyweave.downstream.finetuning.batches import BatchSource
from skyweave.downstream.finetuning.config import TrainingConfig
from skyweave.downstream.finetuning.models.finetuned_model import FinetunedModel
from skyweave.downstream.finetuning.module import FinetuneModule, Log, Schedule, load_trained, trained_state
from skyweave.downstream.finetuning.validation import BestWeightsCallback, Score, Validator
from skyweave.downstream.labels.sample import LabelledSample
from skyweave.training.progress import ProgressLinesCallback
from skyweave.training.run_dir import LAST_CHECKPOINT
from skyweave.training.trainer import TrainerConfig, fit

DONE_FILE = "done.json"
BEST_FILE = "best.safetensors"


@dataclass(frozen=True)
class TrainingStage:
    """What the trainings of a fine-tuning share.

    Attributes:
        training: optimiser, batches, losses.
        class_weights: (classes,) of the loss.
        seed: of the order of the samples and their augmentation.
        output: folder of checkpoints; trainings that are done are not done again, and one that was stopped goes on.
        log: called with a line now and then.
    """

    training: TrainingConfig
    class_weights: Tensor | None
    seed: int
    output: Path | None
    log: Log


@dataclass(frozen=True)
class StageResult:
    """What came out of a stage.

    Attributes:
        learning_rate: that was used.
        validation: the best validation score.
        history: (step, validation score) of the whole training.
        best_step: of the weights that were kept; 0: those from before the training.
    """

    learning_rate: float
    validation: float
    history: list[list[float]]
    best_step: int


def train_stage(
    stage: TrainingStage,
    model: FinetunedModel,
    sources: tuple[BatchSource, BatchSource],
    validation: Sequence[LabelledSample],
    name: str,
    rates: Sequence[float],
    steps: int,
    layer_decay: float = 1.0,
    initialised: bool = False,
) -> StageResult:
    """Train what learns in the model, in place, and leave its best weights there.

    Args:
        stage: what all trainings share.
        model: changed in place.
        sources: of training and of validation batches.
        validation: samples, in the order of their source.
        name: of the stage, for folders and log.
        rates: learning rates to try; the best after ``sweep_share`` of the steps is used.
        steps: of the whole training.
        layer_decay: see `Schedule`.
        initialised: the model was trained already, and is kept where training does not make it better.

    Raises:
        TrainingError: a loss that is not finite.
    """
    start = trained_state(model)
    validator = Validator(model.task, sources[1], validation, stage.training.batch)
    rate = rates[0]
    if len(rates) > 1:
        short_steps = max(1, round(stage.training.sweep_share * steps))
        scores = []
        for candidate in rates:
            load_trained(model, start)
            schedule = Schedule(short_steps, candidate, layer_decay, stage.seed)
            run = f"{name}-sweep-{candidate:g}"
            scores.append(_train(stage, model, sources[0], validator, schedule, run, initialised).best)
        rate = rates[max(range(len(rates)), key=lambda number: scores[number])]
        load_trained(model, start)
    schedule = Schedule(steps, rate, layer_decay, stage.seed)
    done = _train(stage, model, sources[0], validator, schedule, f"{name}-{rate:g}", initialised)
    return StageResult(rate, done.best[0], done.history, done.best_step)


@dataclass(frozen=True)
class _Done:
    """What a training left: its best score, the step of it, and the scores on the way."""

    best: Score
    best_step: int
    history: list[list[float]]


def _train(
    stage: TrainingStage,
    model: FinetunedModel,
    source: BatchSource,
    validator: Validator,
    schedule: Schedule,
    name: str,
    initialised: bool,
) -> _Done:
    """Run one training, which leaves its best weights in the model."""
    folder = None if stage.output is None else stage.output / name
    if folder is not None and (folder / DONE_FILE).exists():
        load_trained(model, load_file(folder / BEST_FILE))
        done = json.loads((folder / DONE_FILE).read_text())
        return _Done(tuple(done["best"]), done["best_step"], done["history"])
    training = stage.training
    every = max(1, schedule.steps // training.evaluations)
    start = (validator.measure(model), trained_state(model)) if initialised else None
    callback = BestWeightsCallback(
        validator, start, every, schedule.steps, training.patience, lambda line: stage.log(f"{name}: {line}")
    )
    module = FinetuneModule(model, source, training, schedule, stage.class_weights)
    accelerator = "gpu" if model.target_mean.is_cuda else "cpu"
    trainer = TrainerConfig(training.precision, checkpoint_every=every, log_every=every, accelerator=accelerator)
    resume = folder is not None and (folder / LAST_CHECKPOINT).exists()
    model.train()
    steps = ProgressLinesCallback(ProgressLines(lambda line: stage.log(f"{name}: {line}")))
    fit(module, folder, vars(schedule), trainer, [callback, steps], resume, progress=False)
    load_trained(model, callback.weights)
    model.eval()
    if folder is not None:
        _keep(folder, callback)
    return _Done(callback.best, callback.best_step, callback.history)


def _keep(folder: Path, callback: BestWeightsCallback) -> None:
    """Write what came out of a training; its checkpoint is not needed any more."""
    with write_aside(folder / BEST_FILE) as aside:
        aside.write_bytes(save({key: value.cpu().contiguous() for key, value in callback.weights.items()}))
    with write_aside(folder / DONE_FILE) as aside:
        aside.write_text(json.dumps(asdict(_Done(callback.best, callback.best_step, callback.history))))
    (folder / LAST_CHECKPOINT).unlink(missing_ok=True)
