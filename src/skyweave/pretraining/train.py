"""Run a pretraining: data, model, Lightning, checkpoints, and the weights at the end."""

import json
import logging
import time
import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from skyweave.backbone import build_backbone
from skyweave.data.dataset import ImageDataset, load_dataset
from skyweave.files import write_aside
from skyweave.pretraining.config import PretrainConfig, dataset_path
from skyweave.pretraining.masked_autoencoder import MaskedAutoencoder
from skyweave.pretraining.module import PretrainingModule
from skyweave.pretraining.weights import save_autoencoder
from skyweave.records import read_record
from skyweave.sensors import Sensor, catalogue

LAST = "last.ckpt"
CONFIG = "config.json"
WEIGHTS = "weights.safetensors"


def pretrain(
    file: Path,
    data: Path,
    output: Path,
    changes: list[str] | None = None,
    resume: bool = False,
    progress: bool = True,
) -> Path:
    """Train, or go on training, and return the path of the exported weights.

    Args:
        file: configuration, see ``PretrainConfig``.
        data: folder in which the dataset's globs start.
        output: folder for checkpoints, logs and weights.
        changes: ``key.key=value`` over the configuration.
        resume: go on from the last checkpoint in ``output``; the continuation repeats what the uninterrupted run
            would have done, bit for bit on a CPU.

    Raises:
        FileExistsError: ``output`` holds a run and ``resume`` is not set.
        FileNotFoundError: nothing to resume, or no data.
        ValueError: a wrong configuration, or one that differs from that of the run to resume.
    """
    config = read_record(file, PretrainConfig, changes or [])
    checkpoint = output / LAST
    _check_output(output, config, resume)
    dataset = load_dataset(dataset_path(config, file), data)
    module = build_module(config, dataset)
    output.mkdir(parents=True, exist_ok=True)
    with write_aside(output / CONFIG) as aside:
        aside.write_text(json.dumps(asdict(config), indent=1))
    export = ExportWeights(output / WEIGHTS, config, dataset)
    saver = ModelCheckpoint(output, save_last=True, save_top_k=0, every_n_train_steps=config.checkpoint_every)
    saver.CHECKPOINT_NAME_LAST = "last"
    # Lightning's advice is written for its own users; ours get errors that name their configuration.
    for logger in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero", "lightning.fabric"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    trainer = _trainer(config, output, [saver, export], progress)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch")
        trainer.fit(module, ckpt_path=str(checkpoint) if resume else None, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt
    export.write(module, trainer.global_step)
    return output / WEIGHTS


def build_module(config: PretrainConfig, dataset: ImageDataset) -> PretrainingModule:
    """The module that a configuration describes, with weights drawn from its seed."""
    if config.source_weights:
        names = [source.name for source in dataset.sources]
        if unknown := sorted(config.source_weights.keys() - set(names)):
            raise ValueError(f"source_weights: no source is called {', '.join(unknown)}; sources: {', '.join(names)}")
        dataset.sources = [
            replace(source, weight=config.source_weights.get(source.name, source.weight)) for source in dataset.sources
        ]
    backbone = build_backbone(
        config.backbone.size, full_sensors(dataset), seed=config.seed, **config.backbone.changes()
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = MaskedAutoencoder(backbone, config.decoder, config.objective)
    return PretrainingModule(model, config, dataset)


def full_sensors(dataset: ImageDataset) -> list[Sensor]:
    """Each sensor of the dataset once, with all the bands that any of its sources has, in the sensor's order."""
    bands: dict[str, dict[str, Any]] = {}
    first: dict[str, Sensor] = {}
    for source in dataset.sources:
        first.setdefault(source.sensor.name, source.sensor)
        bands.setdefault(source.sensor.name, {}).update({band.name: band for band in source.sensor.bands})
    sensors = []
    for name, sensor in first.items():
        order = list(bands[name])
        if known := catalogue().get(name):
            order = [band.name for band in known.bands if band.name in bands[name]]
        sensors.append(replace(sensor, bands=tuple(bands[name][band] for band in order)))
    return sensors


class ExportWeights(Callback):
    """Writes the weights with their card whenever Lightning writes a checkpoint."""

    def __init__(self, path: Path, config: PretrainConfig, dataset: ImageDataset) -> None:
        self.path = path
        self.config = config
        self.sources = {source.name: len(source) for source in dataset.sources}
        self.started = time.time()

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Lightning's hook."""
        if trainer.is_global_zero:
            self.write(pl_module, trainer.global_step)

    def write(self, module: PretrainingModule, steps: int) -> None:
        """Weights and card, aside and renamed."""
        training = {
            "steps": steps,
            "seconds": round(time.time() - self.started),
            "images_by_source": self.sources,
            "config": asdict(self.config),
        }
        dtype = getattr(torch, self.config.weights_dtype)
        save_autoencoder(self.path, module.model, self.config.name, dtype, training=training)


def _check_output(output: Path, config: PretrainConfig, resume: bool) -> None:
    exists = (output / LAST).exists()
    if exists and not resume:
        raise FileExistsError(f"{output} holds a run already; add --resume to go on with it, or choose another folder")
    if resume and not exists:
        raise FileNotFoundError(f"{output} holds no {LAST} to resume; start without --resume")
    if resume:
        _check_readable(output / LAST)
        before = json.loads((output / CONFIG).read_text())
        now = json.loads(json.dumps(asdict(config)))
        differing = [key for key in now if now[key] != before.get(key) and key not in ("workers", "checkpoint_every")]
        if differing:
            raise ValueError(
                f"{output} was started with another configuration: {', '.join(differing)} differ; resume with the same "
                "one, or start a new folder"
            )


def _check_readable(checkpoint: Path) -> None:
    try:
        torch.load(checkpoint, map_location="meta", weights_only=True)
    except Exception as error:  # torch raises several kinds, by the place where the file breaks off
        raise ValueError(
            f"{checkpoint} cannot be read ({error}); start a new folder, or put a whole copy back"
        ) from error


def _trainer(config: PretrainConfig, output: Path, callbacks: list[Callback], progress: bool) -> lightning.Trainer:
    logs = output / "logs"
    return lightning.Trainer(
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.num_nodes,
        strategy=config.strategy,
        precision=config.precision,
        max_steps=config.optimiser.steps,
        max_epochs=-1,
        accumulate_grad_batches=config.accumulate,
        logger=[CSVLogger(logs, name="csv"), TensorBoardLogger(logs, name="tensorboard")],
        log_every_n_steps=config.log_every,
        callbacks=callbacks,
        enable_progress_bar=progress,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
