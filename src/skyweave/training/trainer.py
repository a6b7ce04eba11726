"""Run a training to its end with Lightning: checkpoints, logs and exact resume."""

import logging
import signal
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from skyweave.core.atomic_write import claim_folder, removed_when_broken_off
from skyweave.core.errors import ConfigError
from skyweave.training.checkpoint_io import AsideCheckpointIO
from skyweave.training.module import SkyweaveModule
from skyweave.training.progress import ProgressLinesCallback
from skyweave.training.run_dir import LAST_CHECKPOINT, write_config

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


@dataclass(frozen=True)
class TrainerConfig:
    """Where and how a training runs, as Lightning names it.

    Attributes:
        precision: ``bf16-mixed`` is fastest on CPUs with a matrix unit and on GPUs.
        accumulate: micro steps per optimiser step.
        devices: per node.
        num_nodes: machines.
        strategy: ``auto``, ``ddp``, ``fsdp``.
        accelerator: ``auto`` takes a GPU where there is one; ``cpu``, ``gpu``.
        workers: processes that prepare samples besides, for where a GPU takes the steps.
        checkpoint_every: optimiser steps between checkpoints.
        log_every: optimiser steps between lines of the log.

    Raises:
        ConfigError: a count below 1.
    """

    precision: Precision = "bf16-mixed"
    accumulate: int = 1
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    accelerator: str = "auto"
    workers: int = 0
    checkpoint_every: int = 200
    log_every: int = 10

    def __post_init__(self) -> None:
        for name in ("accumulate", "checkpoint_every", "log_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"trainer.{name} is {getattr(self, name)}, must be at least 1")


def fit(
    module: SkyweaveModule[Any],
    output: Path | None,
    run_config: Mapping[str, Any],
    trainer_config: TrainerConfig,
    callbacks: Sequence[Callback] = (),
    resume: bool = False,
    progress: bool = True,
) -> int:
    """Train to the last step, from the last checkpoint in ``output`` where ``resume`` is set.

    Args:
        module: what is trained; its optimiser configuration says for how many steps.
        output: folder of checkpoints and logs; None: nothing is written.
        run_config: kept in ``output``, as plain JSON types.
        trainer_config: where and how to run.
        callbacks: of Lightning, besides the one that writes checkpoints.
        resume: go on from the last checkpoint.
        progress: show a bar on a terminal, and write a line now and then elsewhere.

    Returns:
        Optimiser steps taken in all.

    Raises:
        ConfigError: another process trains in ``output``.
        KeyboardInterrupt: the user stopped it; the last checkpoint is kept.
        TrainingError: a loss is not finite; the last checkpoint is kept.
    """
    if output is not None and getattr(rank_zero_only, "rank", 0) == 0:
        with claim_folder(output), removed_when_broken_off(output, unless=LAST_CHECKPOINT):
            return _run(module, output, run_config, trainer_config, callbacks, resume, progress)
    return _run(module, output, run_config, trainer_config, callbacks, resume, progress)


def _run(
    module: SkyweaveModule[Any],
    output: Path | None,
    run_config: Mapping[str, Any],
    trainer_config: TrainerConfig,
    callbacks: Sequence[Callback],
    resume: bool,
    progress: bool,
) -> int:
    """Train, in the one process that may write into the folder or in one of its helpers."""
    savers, draws_bar = _savers(output, run_config, trainer_config, progress)
    # Lightning's advice is written for its own users; ours get errors that name their configuration.
    for logger in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero", "lightning.fabric"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch")
        trainer = lightning.Trainer(
            accelerator=trainer_config.accelerator,
            devices=trainer_config.devices,
            num_nodes=trainer_config.num_nodes,
            strategy=trainer_config.strategy,
            precision=trainer_config.precision,
            max_steps=module.optimiser.steps,
            max_epochs=-1,
            accumulate_grad_batches=trainer_config.accumulate,
            logger=False if output is None else _loggers(output / "logs"),
            log_every_n_steps=trainer_config.log_every,
            enable_checkpointing=output is not None,
            callbacks=[*savers, *callbacks],
            enable_progress_bar=draws_bar,
            enable_model_summary=False,
            use_distributed_sampler=False,
            plugins=[AsideCheckpointIO()],
        )
        _fit(trainer, module, str(output / LAST_CHECKPOINT) if output and resume else None)
    if trainer.interrupted:
        raise KeyboardInterrupt
    return int(trainer.global_step)


def _savers(
    output: Path | None, run_config: Mapping[str, Any], trainer_config: TrainerConfig, progress: bool
) -> tuple[list[Callback], bool | Any]:
    """Return the callbacks that save progress or print it."""
    savers: list[Callback] = [] if output is None else [_checkpoint_callback(output, run_config, trainer_config)]
    draws_bar = progress and sys.stderr.isatty()
    if progress and not draws_bar:
        savers.append(ProgressLinesCallback())
    return savers, draws_bar


def _fit(trainer: lightning.Trainer, module: SkyweaveModule[Any], checkpoint: str | None) -> None:
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, ckpt_path=checkpoint, weights_only=True)
    except SystemExit:  # Lightning leaves the process when interrupted, and ignores further interrupts from then on
        if not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, handler)


def _checkpoint_callback(output: Path, config: Mapping[str, Any], trainer_config: TrainerConfig) -> ModelCheckpoint:
    write_config(output, config)
    every = trainer_config.checkpoint_every
    saver = ModelCheckpoint(output, save_last=True, save_top_k=0, every_n_train_steps=every)
    saver.CHECKPOINT_NAME_LAST = Path(LAST_CHECKPOINT).stem
    return saver


def _loggers(folder: Path) -> list[Any]:
    return [CSVLogger(folder, name="csv"), TensorBoardLogger(folder, name="tensorboard")]
