"""What every training has in common: an output folder with its configuration, checkpoints, logs, and exact resume."""

import json
import logging
import signal
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from skyweave.files import write_aside

LAST = "last.ckpt"
CONFIG = "config.json"
FREE_TO_CHANGE = ("workers", "checkpoint_every")
"""Keys of a configuration that a resumed run may have otherwise than the run it goes on with."""


@dataclass(frozen=True)
class Machine:
    """Where and how a training runs, as Lightning names it.

    Attributes:
        precision: ``bf16-mixed`` is fastest on CPUs with a matrix unit and on GPUs.
        accumulate: micro steps per optimiser step.
        checkpoint_every: optimiser steps between checkpoints.
        log_every: optimiser steps between lines of the log.
        strategy: ``auto``, ``ddp``, ``fsdp``.
    """

    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "bf16-mixed"
    accumulate: int = 1
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    accelerator: str = "auto"
    checkpoint_every: int = 200
    log_every: int = 10


def start_output(output: Path, config: dict[str, Any], resume: bool) -> None:
    """Make the folder of a run and keep its configuration there, or check that a run can go on in it.

    Raises:
        FileExistsError: it holds a run and ``resume`` is not set.
        FileNotFoundError: nothing to resume.
        ValueError: a broken checkpoint, or another configuration than that of the run to resume.
    """
    exists = (output / LAST).exists()
    if exists and not resume:
        raise FileExistsError(f"{output} holds a run already; add --resume to go on with it, or choose another folder")
    if resume and not exists:
        raise FileNotFoundError(f"{output} holds no {LAST} to resume; start without --resume")
    now = json.loads(json.dumps(config))
    if resume:
        _check_readable(output / LAST)
        before = json.loads((output / CONFIG).read_text())
        differing = [key for key in now if now[key] != before.get(key) and key not in FREE_TO_CHANGE]
        if differing:
            raise ValueError(
                f"{output} was started with another configuration: {', '.join(differing)} differ; resume with the same "
                "one, or start a new folder"
            )


def fit(
    module: lightning.LightningModule,
    output: Path | None,
    config: dict[str, Any],
    steps: int,
    machine: Machine,
    callbacks: Sequence[Callback] = (),
    resume: bool = False,
    progress: bool = True,
) -> int:
    """Train to the end, from the last checkpoint in ``output`` where ``resume`` is set.

    Without an ``output`` nothing is written: no checkpoint, no log.

    Returns:
        Optimiser steps taken in all.

    Raises:
        KeyboardInterrupt: the user stopped it; the last checkpoint is kept.
    """
    saver = [] if output is None else [_saver(output, config, machine)]
    # Lightning's advice is written for its own users; ours get errors that name their configuration.
    for logger in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero", "lightning.fabric"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch")
        trainer = lightning.Trainer(
            accelerator=machine.accelerator,
            devices=machine.devices,
            num_nodes=machine.num_nodes,
            strategy=machine.strategy,
            precision=machine.precision,
            max_steps=steps,
            max_epochs=-1,
            accumulate_grad_batches=machine.accumulate,
            logger=False if output is None else _loggers(output / "logs"),
            log_every_n_steps=machine.log_every,
            enable_checkpointing=output is not None,
            callbacks=[*saver, *callbacks],
            enable_progress_bar=progress,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        handler = signal.getsignal(signal.SIGINT)
        try:
            trainer.fit(module, ckpt_path=str(output / LAST) if output and resume else None, weights_only=True)
        except SystemExit:  # Lightning leaves the process when interrupted, and has made it deaf to further interrupts
            if not trainer.interrupted:
                raise
            signal.signal(signal.SIGINT, handler)
    if trainer.interrupted:
        raise KeyboardInterrupt
    return int(trainer.global_step)


def _saver(output: Path, config: dict[str, Any], machine: Machine) -> ModelCheckpoint:
    output.mkdir(parents=True, exist_ok=True)
    with write_aside(output / CONFIG) as aside:
        aside.write_text(json.dumps(config, indent=1))
    saver = ModelCheckpoint(output, save_last=True, save_top_k=0, every_n_train_steps=machine.checkpoint_every)
    saver.CHECKPOINT_NAME_LAST = Path(LAST).stem
    return saver


def _loggers(folder: Path) -> list[Any]:
    return [CSVLogger(folder, name="csv"), TensorBoardLogger(folder, name="tensorboard")]


def _check_readable(checkpoint: Path) -> None:
    try:
        torch.load(checkpoint, map_location="meta", weights_only=True)
    except Exception as error:  # torch raises several kinds, by the place where the file breaks off
        raise ValueError(
            f"{checkpoint} cannot be read ({error}); start a new folder, or put a whole copy back"
        ) from error
