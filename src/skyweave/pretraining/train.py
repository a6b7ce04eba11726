"""Run a pretraining: data, model, Lightning, checkpoints, and the weights at the end."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from skyweave.backbone import Backbone, build_backbone, load_backbone
from skyweave.backbone.state_dict import load_strictly
from skyweave.core.config import load_config_file
from skyweave.core.errors import ConfigError, WeightsError
from skyweave.core.sensors import Sensor, catalogue
from skyweave.data.dataset import ImageDataset, load_dataset
from skyweave.pretraining.config import PretrainConfig, dataset_path
from skyweave.pretraining.module import PretrainingModule
from skyweave.pretraining.pretrainer import Pretrainer
from skyweave.pretraining.weights import save_pretrained
from skyweave.pretraining.whitening import fit_whitening
from skyweave.training.export import ExportWeights
from skyweave.training.run_dir import WEIGHTS_FILE, prepare_run_dir
from skyweave.training.trainer import fit


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
        resume: go on from the last checkpoint in ``output``; the continuation repeats what the uninterrupted run would
            have done, bit for bit on a CPU.
        progress: show a bar.

    Raises:
        FileExistsError: ``output`` holds a run and ``resume`` is not set.
        FileNotFoundError: nothing to resume, or no data.
        ValueError: a wrong configuration, or one that differs from that of the run to resume.
    """
    config = load_config_file(file, PretrainConfig, changes or [])
    prepare_run_dir(output, asdict(config), resume)
    dataset = load_dataset(dataset_path(config, file), data)
    module = build_module(config, dataset)
    weights = output / WEIGHTS_FILE
    dtype = getattr(torch, config.weights_dtype)
    facts = {"images_by_source": {source.name: len(source) for source in dataset.sources}}
    export = ExportWeights(
        lambda training: save_pretrained(weights, module.model, config.name, dtype, training=training),
        facts,
        asdict(config),
    )
    steps = fit(module, output, asdict(config), config.trainer, [export], resume, progress)
    if config.whitening is not None:
        fit_whitening(module.model.backbone, dataset, config.whitening)
    export.write(steps)
    return weights


def build_module(config: PretrainConfig, dataset: ImageDataset) -> PretrainingModule:
    """Return the module that a configuration describes, with weights drawn from its seed.

    Args:
        config: of the run.
        dataset: that is trained on; its sources receive the configuration's weights.
    """
    if config.source_weights:
        names = [source.name for source in dataset.sources]
        if unknown := sorted(config.source_weights.keys() - set(names)):
            raise ConfigError(f"source_weights: no source is called {', '.join(unknown)}; sources: {', '.join(names)}")
        dataset.sources = [
            replace(source, weight=config.source_weights.get(source.name, source.weight)) for source in dataset.sources
        ]
    backbone = build_backbone(
        config.backbone.size, full_sensors(dataset), seed=config.seed, **config.backbone.changes()
    )
    if config.start is not None:
        _start_from(backbone, config.start)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = Pretrainer(backbone, config.typed_objectives(), config.masking)
    return PretrainingModule(model, config, dataset)


def _start_from(backbone: Backbone, start: str) -> None:
    """Give a backbone the weights of another of the same numbers; its sensors and their statistics stay its own."""
    other = load_backbone(start)
    other.remove_whitening()  # fitted last, for the weights as they are then
    numbers, others = asdict(backbone.config), asdict(other.config)
    if differing := [f"{key} {others[key]!r}, not {numbers[key]!r}" for key in numbers if numbers[key] != others[key]]:
        raise WeightsError(f"start: {start} has {'; '.join(differing)}; give `backbone` the numbers of these weights")
    load_strictly(backbone, other.state_dict(), start)


def full_sensors(dataset: ImageDataset) -> list[Sensor]:
    """Return each sensor of a dataset once, with all the bands that any of its sources has, in the sensor's order.

    Args:
        dataset: of images.
    """
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
