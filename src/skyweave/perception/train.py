"""Train perception: recordings, model, Lightning, checkpoints, and the exported weights."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import torch

from skyweave.backbone import load_backbone
from skyweave.backbone.state_dict import load_strictly
from skyweave.core.config import load_config_file
from skyweave.core.errors import ConfigError
from skyweave.perception.augmentation import AugmentationConfig
from skyweave.perception.class_counts import check_classes
from skyweave.perception.config import PerceptionConfig
from skyweave.perception.dataset import PerceptionDataset
from skyweave.perception.domain_measurement import measure_domain
from skyweave.perception.model import PerceptionModel
from skyweave.perception.module import (
    PerceptionLossConfig,
    PerceptionModule,
    PerceptionOptimiserConfig,
    PlatformDropoutConfig,
)
from skyweave.perception.weights import load_perception, save_perception
from skyweave.recordings.nuscenes import load_recording
from skyweave.recordings.recording import RecordedScene
from skyweave.training.export import ExportWeights
from skyweave.training.run_dir import WEIGHTS_FILE, prepare_run_dir
from skyweave.training.trainer import TrainerConfig, fit


@dataclass(frozen=True)
class PerceptionTrainConfig:
    """A training run, as read from ``configs/perception/*.yaml``.

    Attributes:
        name: of the exported weights.
        recordings: folders below ``--data``; their scenes are mixed.
        weights: of the backbone to start from: a shipped name, a file, or null for random ones.
        start: a perception model of the same sizes, from whose weights all parts start, the backbone as well: a shipped
            name, a file, or null. Heads and the encoder of rasters that it lacks start untrained.
        split: of these recordings; null for all scenes.
        model: sizes, map and heads.
        augmentation: of the samples.
        optimiser: optimiser and schedule.
        dropout: of platforms.
        losses: their weights.
        trainer: devices, precision and checkpoints.
        platforms: maximum number of platforms of a sample.
        frozen: what stays as it is: ``backbone``, or ``start``, all that the model of ``start`` has, so that what is
            new adds to a model in use and without it nothing changes.
        seed: of the weights, the augmentation and the order of the samples.
        weights_dtype: storage type of the exported weights.

    Raises:
        ConfigError: ``frozen: start`` without a ``start``.
    """

    name: str
    recordings: list[str]
    weights: str | None = "tiny"
    start: str | None = None
    split: str | None = "train"
    model: PerceptionConfig = field(default_factory=PerceptionConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    optimiser: PerceptionOptimiserConfig = field(default_factory=PerceptionOptimiserConfig)
    dropout: PlatformDropoutConfig = field(default_factory=PlatformDropoutConfig)
    losses: PerceptionLossConfig = field(default_factory=PerceptionLossConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    platforms: int = 4
    frozen: Literal["nothing", "backbone", "start"] = "nothing"
    seed: int = 0
    weights_dtype: Literal["float32", "float16", "int8"] = "float32"

    def __post_init__(self) -> None:
        if self.frozen == "start" and self.start is None:
            raise ConfigError(
                "frozen: start leaves all of a model as it is; name one with start, or freeze the backbone"
            )


def train(
    file: Path,
    data: Path,
    output: Path,
    changes: Sequence[str] = (),
    resume: bool = False,
    progress: bool = True,
    log: Callable[[str], None] | None = None,
) -> Path:
    """Train, or go on training, and return the path of the exported weights.

    Args:
        file: configuration, see ``PerceptionTrainConfig``.
        data: folder of the recordings.
        output: folder for checkpoints, logs and weights.
        changes: ``key.key=value`` over the configuration.
        resume: go on from the last checkpoint in ``output``.
        progress: show a progress bar, or a line now and then where there is no terminal.
        log: called with the number of samples and of objects of each class before the first step, and with what a user
            should know of them.

    Raises:
        FileExistsError: ``output`` holds another run.
        FileNotFoundError: no such configuration or recording.
        ConfigError: the configuration is not valid.
        DataError: a recording cannot be used, or shows no object of the model's categories.
    """
    config = load_config_file(file, PerceptionTrainConfig, changes)
    prepare_run_dir(output, asdict(config), resume)
    scenes = load_scenes([data / name for name in config.recordings], config.split)
    dataset = PerceptionDataset(
        scenes, config.model, config.augmentation, config.platforms, config.seed, depth=config.losses.depth > 0
    )
    check_classes(dataset, log or (lambda line: None))
    module = PerceptionModule(
        build_model(config), config.optimiser, config.losses, dataset, config.dropout, config.trainer.workers
    )
    weights, dtype = output / WEIGHTS_FILE, getattr(torch, config.weights_dtype)
    export = ExportWeights(
        lambda training: save_perception(weights, module.model, config.name, dtype, training=training),
        {"samples": len(dataset)},
        asdict(config),
    )
    steps = fit(module, output, asdict(config), config.trainer, [export], resume, progress)
    module.model.domain = measure_domain(module.model, dataset)
    export.write(steps)
    return weights


def build_model(config: PerceptionTrainConfig) -> PerceptionModel:
    """Return the model of a configuration, its backbone pretrained where the configuration says so.

    Args:
        config: of a training run.

    Raises:
        FileNotFoundError: no such weights.
        WeightsError: weights that are damaged or of another model.
    """
    if config.start is not None:
        model = _continued(config, config.start)
    else:
        backbone = load_backbone(config.weights).train() if config.weights else None
        model = PerceptionModel(config.model, backbone, config.seed)
    if config.frozen == "backbone":
        model.backbone.requires_grad_(False)
    return model


def _continued(config: PerceptionTrainConfig, start: str) -> PerceptionModel:
    """A model of a configuration with the weights of another of the same sizes; what that lacks as a whole is new."""
    started = load_perception(start)
    if config.frozen == "start":
        _check_reads_alike(config.model, started.config, start)
    model = PerceptionModel(config.model, started.backbone, config.seed)
    state, new_parts = started.state_dict(), _new_parts(model, started)
    for prefix in new_parts:
        state |= {key: value for key, value in model.state_dict().items() if key.startswith(prefix)}
    load_strictly(model, state, start)
    model.train()
    if config.frozen == "start":
        _freeze_all_but(model, new_parts, start)
    return model


def _check_reads_alike(config: PerceptionConfig, started: PerceptionConfig, start: str) -> None:
    """Refuse a configuration by which weights that stay as they are would be read otherwise than they were trained."""
    configured, known = asdict(config), asdict(started)
    parts = [key for key in configured if key not in ("heads", "rasters") and configured[key] != known[key]]
    differ = {f"model.{key}": known[key] for key in parts}
    heads = [name for name, head in started.heads.items() if config.heads.get(name) != head]
    differ |= {f"model.heads.{name}": known["heads"][name] for name in heads}
    if differ:
        values = ", ".join(f"{key}: {json.dumps(value)}" for key, value in differ.items())
        raise ConfigError(
            f"frozen: start leaves {start} as it is, and it was trained to read otherwise than this configuration; "
            f"write {values}"
        )


def _freeze_all_but(model: PerceptionModel, new_parts: Sequence[str], start: str) -> None:
    """Train new parts alone; the statistics of all other batch norms stay as well."""
    if not new_parts:
        raise ConfigError(f"frozen: start leaves nothing to train: {start} has all parts of this model; freeze less")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(tuple(new_parts)))
    for name, part in model.named_modules():
        if not f"{name}.".startswith(tuple(new_parts)):
            part.training = False  # not eval(), which reaches into new parts


def _new_parts(model: PerceptionModel, started: PerceptionModel) -> list[str]:
    """Prefixes of the parts that a model has and the one that it starts from does not."""
    heads = [f"heads.{name}." for name in model.config.tasks if name not in started.config.tasks]
    reads_rasters = model.rasters is not None and started.rasters is None
    return [*heads, *(["rasters.", "base_map_fusion."] if reads_rasters else [])]


def load_scenes(folders: Sequence[Path], split: str | None) -> list[RecordedScene]:
    """Return the scenes of several recordings.

    Args:
        folders: of the recordings.
        split: whose scenes; None: all.

    Raises:
        FileNotFoundError: no such recording.
        DataError: a recording cannot be read, or has no such split.
    """
    return [scene for folder in folders for scene in load_recording(folder, split=split).scenes]
