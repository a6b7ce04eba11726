"""What every training has in common: an output folder with its configuration, checkpoints, logs, and exact resume."""

import json
import logging
import math
import signal
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import Sampler

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import ConfigError

LAST_CHECKPOINT = "last.ckpt"
CONFIG_FILE = "config.json"
FREE_TO_CHANGE = ("workers", "checkpoint_every")
"""Keys of a configuration that a resumed run may have otherwise than the run it goes on with."""


@dataclass(frozen=True)
class TrainerConfig:
    """Where and how a training runs, as Lightning names it.

    Attributes:
        precision: ``bf16-mixed`` is fastest on CPUs with a matrix unit and on GPUs.
        accumulate: micro steps per optimiser step.
        workers: processes that prepare samples besides, for where a GPU takes the steps.
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
    workers: int = 0
    checkpoint_every: int = 200
    log_every: int = 10


def prepare_run_dir(output: Path, config: dict[str, Any], resume: bool) -> None:
    """Make the folder of a run and keep its configuration there, or check that a run can go on in it.

    Raises:
        FileExistsError: it holds a run and ``resume`` is not set.
        FileNotFoundError: nothing to resume.
        ValueError: a broken checkpoint, or another configuration than that of the run to resume.
    """
    exists = (output / LAST_CHECKPOINT).exists()
    if exists and not resume:
        raise FileExistsError(f"{output} holds a run already; add --resume to go on with it, or choose another folder")
    if resume and not exists:
        raise FileNotFoundError(f"{output} holds no {LAST_CHECKPOINT} to resume; start without --resume")
    if resume:
        _check_readable(output / LAST_CHECKPOINT)
        now, before = (_settled(text) for text in (json.dumps(config), (output / CONFIG_FILE).read_text()))
        differing = [key for key in now if now[key] != before.get(key)]
        if differing:
            raise ConfigError(
                f"{output} was started with another configuration: {', '.join(differing)} differ; resume with the same "
                "one, or start a new folder"
            )


def _settled(text: str) -> dict[str, Any]:
    """A configuration without what may change."""
    config: dict[str, Any] = json.loads(text)
    parts = [config, *(value for value in config.values() if isinstance(value, dict))]
    for part in parts:
        for key in FREE_TO_CHANGE:
            part.pop(key, None)
    return config


class ResumableSampler(Sampler[int]):
    """Sample numbers from ``start`` to ``stop``; each pass over the data is another permutation. A number above the
    length says which pass it is, so that augmentation differs. Has no length on purpose, lest a resumed epoch be cut
    short.
    """

    def __init__(self, length: int, start: int, stop: int, seed: int) -> None:
        self.length, self.start, self.stop, self.seed = length, start, stop, seed

    def __iter__(self) -> Iterator[int]:
        order, drawn = torch.empty(0), -1
        for number in range(self.start, self.stop):
            epoch, place = divmod(number, self.length)
            if epoch != drawn:
                generator = torch.Generator().manual_seed(hash((self.seed, epoch)) % 2**63)
                order, drawn = torch.randperm(self.length, generator=generator), epoch
            yield epoch * self.length + int(order[place])


def log_loss(
    module: lightning.LightningModule, total: Tensor, parts: Mapping[str, Tensor], count: int, advice: str = ""
) -> None:
    """Write a step's loss and its parts, which may carry gradients, into the log.

    Args:
        module: whose step it is.
        total: what is minimised. parts: by name.
        count: samples of the step.
        advice: where else to look than at the learning rate.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    if not torch.isfinite(total):
        broken = [name for name, value in parts.items() if not torch.isfinite(value)]
        raise FloatingPointError(
            f"the loss of {', '.join(broken) or 'all together'} is not finite at step {module.global_step}; the last "
            f"checkpoint is kept. Lower optimiser.learning_rate{advice}"
        )
    module.log("loss", total.detach(), prog_bar=True, batch_size=count)
    module.log_dict({name: value.detach() for name, value in parts.items()}, batch_size=count)


def make_optimiser(
    groups: Sequence[tuple[Iterable[nn.Parameter], float]],
    steps: int,
    warmup: int,
    weight_decay: float,
    betas: tuple[float, float] = (0.9, 0.98),
) -> Any:
    """AdamW as ``configure_optimizers`` gives it: matrices decayed, vectors not; warm-up and cosine, step by step.

    Args:
        groups: parameters, of which those that learn are taken, and their peak learning rate.
        steps: in all, of which the rate rises for ``warmup``.
    """
    own: list[dict[str, Any]] = []
    for parameters, peak in groups:
        learning = [parameter for parameter in parameters if parameter.requires_grad]
        matrices, vectors = [p for p in learning if p.ndim > 1], [p for p in learning if p.ndim <= 1]
        own += [
            {"params": part, "lr": peak, "weight_decay": decay}
            for part, decay in ((matrices, weight_decay), (vectors, 0.0))
            if part
        ]
    optimiser = torch.optim.AdamW(own, betas=betas, fused=True)

    def rate(step: int) -> float:
        return min(1.0, (step + 1) / max(1, warmup)) * 0.5 * (1 + math.cos(math.pi * step / steps))

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
    return {"optimizer": optimiser, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def fit(
    module: lightning.LightningModule,
    output: Path | None,
    config: dict[str, Any],
    steps: int,
    machine: TrainerConfig,
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
            trainer.fit(
                module, ckpt_path=str(output / LAST_CHECKPOINT) if output and resume else None, weights_only=True
            )
        except SystemExit:  # Lightning leaves the process when interrupted, and has made it deaf to further interrupts
            if not trainer.interrupted:
                raise
            signal.signal(signal.SIGINT, handler)
    if trainer.interrupted:
        raise KeyboardInterrupt
    return int(trainer.global_step)


def _saver(output: Path, config: dict[str, Any], machine: TrainerConfig) -> ModelCheckpoint:
    output.mkdir(parents=True, exist_ok=True)
    with write_aside(output / CONFIG_FILE) as aside:
        aside.write_text(json.dumps(config, indent=1))
    saver = ModelCheckpoint(output, save_last=True, save_top_k=0, every_n_train_steps=machine.checkpoint_every)
    saver.CHECKPOINT_NAME_LAST = Path(LAST_CHECKPOINT).stem
    return saver


def _loggers(folder: Path) -> list[Any]:
    return [CSVLogger(folder, name="csv"), TensorBoardLogger(folder, name="tensorboard")]


def _check_readable(checkpoint: Path) -> None:
    try:
        torch.load(checkpoint, map_location="meta", weights_only=True)
    except Exception as error:  # torch raises several kinds, by the place where the file breaks off
        raise ConfigError(
            f"{checkpoint} cannot be read ({error}); start a new folder, or put a whole copy back"
        ) from error
