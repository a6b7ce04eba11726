"""Run a training of perception: recordings, model, Lightning, checkpoints, and the weights at the end."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import torch

from skyweave.backbone import load_backbone
from skyweave.core.config import load_config_file
from skyweave.perception.augmentation import AugmentationConfig
from skyweave.perception.config import PerceptionConfig
from skyweave.perception.dataset import PerceptionDataset
from skyweave.perception.model import PerceptionModel
from skyweave.perception.module import (
    PerceptionLossConfig,
    PerceptionModule,
    PerceptionOptimiserConfig,
    PlatformDropoutConfig,
)
from skyweave.perception.weights import save_perception
from skyweave.recordings.nuscenes import load_recording
from skyweave.recordings.recording import RecordedScene
from skyweave.training.export import WEIGHTS_FILE, ExportWeights
from skyweave.training.run_dir import prepare_run_dir
from skyweave.training.trainer import TrainerConfig, fit


@dataclass(frozen=True)
class PerceptionTrainConfig:
    """A run, from one YAML in ``configs/perception``.

    Attributes:
        weights: of the backbone to start from: a shipped name, a file, or null for random ones.
        recordings: folders below ``--data``; their scenes are mixed.
        split: of these recordings; null for all scenes.
        platforms: how many a sample has at most.
        frozen: leave the backbone as it is.
        weights_dtype: storage type of the exported weights.
    """

    name: str
    recordings: list[str]
    weights: str | None = "tiny"
    split: str | None = "train"
    model: PerceptionConfig = field(default_factory=PerceptionConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    optimiser: PerceptionOptimiserConfig = field(default_factory=PerceptionOptimiserConfig)
    dropout: PlatformDropoutConfig = field(default_factory=PlatformDropoutConfig)
    losses: PerceptionLossConfig = field(default_factory=PerceptionLossConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    platforms: int = 4
    frozen: bool = False
    seed: int = 0
    weights_dtype: Literal["float32", "float16", "int8"] = "float32"


def train(
    file: Path,
    data: Path,
    output: Path,
    changes: Sequence[str] = (),
    resume: bool = False,
    progress: bool = True,
) -> Path:
    """Train, or go on training, and return the path of the exported weights.

    Args:
        file: configuration, see ``PerceptionTrainConfig``.
        data: folder of the recordings.
        output: folder for checkpoints, logs and weights.
        changes: ``key.key=value`` over the configuration.
        resume: go on from the last checkpoint in ``output``.

    Raises:
        FileExistsError, FileNotFoundError, ValueError: as `skyweave.training.prepare_run_dir` and ``load_recording``.
    """
    config = load_config_file(file, PerceptionTrainConfig, changes)
    prepare_run_dir(output, asdict(config), resume)
    scenes = load_scenes([data / name for name in config.recordings], config.split)
    samples = PerceptionDataset(
        scenes, config.model, config.augmentation, config.platforms, config.seed, depth=config.losses.depth > 0
    )
    module = PerceptionModule(
        build_model(config), config.optimiser, config.losses, samples, config.dropout, config.trainer.workers
    )
    weights, dtype = output / WEIGHTS_FILE, getattr(torch, config.weights_dtype)
    export = ExportWeights(
        lambda training: save_perception(weights, module.model, config.name, dtype, training=training),
        {"samples": len(samples)},
        asdict(config),
    )
    export.write(fit(module, output, asdict(config), config.trainer, [export], resume, progress))
    return weights


def build_model(config: PerceptionTrainConfig) -> PerceptionModel:
    """The model of a configuration, its backbone pretrained where the configuration says so."""
    backbone = load_backbone(config.weights).train() if config.weights else None
    model = PerceptionModel(config.model, backbone, config.seed)
    if config.frozen:
        model.backbone.requires_grad_(False)
    return model


def load_scenes(folders: Sequence[Path], split: str | None) -> list[RecordedScene]:
    """The scenes of several recordings. Raises as ``load_recording``."""
    return [scene for folder in folders for scene in load_recording(folder, split=split).scenes]
