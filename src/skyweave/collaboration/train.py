"""Run a training of collaboration: cache, codec and fusion under Lightning, tables, weights."""

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from skyweave.collaboration.batches import CollaborationDataset
from skyweave.collaboration.cache import FeatureCache, build_feature_cache
from skyweave.collaboration.config import CollaborationConfig, CollaborationLossConfig, ImpairmentConfig
from skyweave.collaboration.dataset import CachedDataset
from skyweave.collaboration.entropy_tables import freeze_tables
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.module import CollaborationModule
from skyweave.collaboration.weights import round_weights, save_collaboration
from skyweave.core.config import load_config_file
from skyweave.core.errors import ConfigError
from skyweave.core.progress import ProgressLines
from skyweave.perception.class_counts import check_classes
from skyweave.perception.dataset import PerceptionDataset
from skyweave.perception.heads import HEADS
from skyweave.perception.model import PerceptionModel
from skyweave.perception.module import PerceptionOptimiserConfig
from skyweave.perception.train import load_scenes
from skyweave.perception.weights import load_perception
from skyweave.training.run_dir import WEIGHTS_FILE, prepare_run_dir
from skyweave.training.trainer import TrainerConfig, fit


@dataclass(frozen=True)
class CollaborationTrainConfig:
    """A run, from one YAML in ``configs/collaboration``.

    Attributes:
        name: of the weights.
        perception: weights of the perception model that platforms have; it stays as it is.
        recordings: folders below ``--data``; their scenes are mixed.
        split: of these recordings; null for all scenes.
        scenes: of these at most, so that the cache (2.5 MB a platform and frame) fits the disk; null for all.
        cells: side of the part of the map that a step sees; null for all of it.
        collaboration: strategy and codec.
        impairments: of links and poses.
        losses: their weights.
        optimiser: steps, rates and batch.
        trainer: where and how it runs.
        platforms: how many a sample has at most.
        reader_rate: learning rate of what reads the fused map (memory, trunk and heads), in that of everything else; 0
            leaves it as perception made it. Cells are made by what stays as it is, so platforms that read otherwise
            still understand each other.
        weights_dtype: in which weights are stored, perception's included.
        seed: of everything random.
    """

    name: str
    perception: str
    recordings: list[str]
    split: str | None = "train"
    scenes: int | None = 60
    collaboration: CollaborationConfig = field(default_factory=CollaborationConfig)
    impairments: ImpairmentConfig = field(default_factory=ImpairmentConfig)
    losses: CollaborationLossConfig = field(default_factory=CollaborationLossConfig)
    optimiser: PerceptionOptimiserConfig = field(default_factory=lambda: PerceptionOptimiserConfig(steps=600))
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    platforms: int = 4
    cells: int | None = 64
    reader_rate: float = 0.0
    weights_dtype: Literal["float32", "float16", "int8"] = "float32"
    seed: int = 0


def train(
    file: Path,
    data: Path,
    output: Path,
    changes: Sequence[str] = (),
    resume: bool = False,
    progress: bool = True,
    log: Callable[[str], None] | None = None,
) -> Path:
    """Train, or go on training, and return the path of the weights.

    The cache of features is made in ``output/cache`` on the first run.

    Args:
        file: YAML of the run.
        data: folder of the recordings.
        output: folder of the run.
        changes: to the YAML, such as ``optimiser.steps=100``.
        resume: go on with the run in ``output``.
        progress: show a bar, or a line now and then where there is no terminal.
        log: called with the number of samples and of objects of each class before any work, and with what a user should
            know of them.

    Raises:
        ConfigError: the YAML is not valid.
        DataError: a recording cannot be used, or shows no object of the model's categories.
        WeightsError: the perception model cannot be used.
        FileExistsError: there is a run in ``output`` already.
        FileNotFoundError: a file or folder is missing.
    """
    config = load_config_file(file, CollaborationTrainConfig, changes)
    prepare_run_dir(output, asdict(config), resume)
    perception = load_perception(config.perception)
    scenes = load_scenes([data / name for name in config.recordings], config.split)[: config.scenes]
    check_classes(PerceptionDataset(scenes, perception.config, None, config.platforms), log or (lambda line: None))
    lines = ProgressLines()
    cache = build_feature_cache(
        output / "cache",
        perception,
        str(perception.card.parts["perception_fingerprint"]),
        scenes,
        progress=lambda done, total: lines.report("observing", done, total) if progress else None,
    )
    model = CollaborativeModel(perception, config.collaboration, config.seed)
    samples = CachedDataset(scenes, perception.config, cache, config.platforms, config.seed)
    return train_model(output, config, model, samples, cache, resume, progress)


def train_model(
    output: Path,
    config: CollaborationTrainConfig,
    model: CollaborativeModel,
    samples: CachedDataset,
    cache: FeatureCache,
    resume: bool = False,
    progress: bool = True,
) -> Path:
    """Train with everything at hand, so that several strategies share a cache, and return the path of the weights.

    Args:
        output: folder of the run.
        config: of the run.
        model: to be trained.
        samples: of the training scenes.
        cache: of their maps.
        resume: go on with the run in ``output``.
        progress: show a bar.
    """
    began = time.time()
    dataset = CollaborationDataset(
        samples, config.impairments, model.sends_features, config.platforms - 1, config.seed, config.cells
    )
    model.codec.start_from(sample_cells(cache, config.seed))
    module = CollaborationModule(
        model, config.optimiser, config.losses, dataset, config.reader_rate, config.trainer.workers
    )
    steps = fit(module, output, asdict(config), config.trainer, [], resume, progress)
    model.requires_grad_(False)
    model.cpu().eval()
    dtype = getattr(torch, config.weights_dtype)
    round_weights(model, dtype)
    if model.sends_features:
        freeze_tables(model, cache)
    training = {
        "steps": steps,
        "seconds": round(time.time() - began),
        "samples": len(samples),
        "config": asdict(config),
    }
    save_collaboration(output / WEIGHTS_FILE, model, config.name, dtype, training=training)
    return output / WEIGHTS_FILE


def train_head(
    output: Path,
    config: CollaborationTrainConfig,
    model: CollaborativeModel,
    task: str,
    samples: CachedDataset,
    start: nn.Module | None = None,
) -> Path:
    """Give a trained model a head for one more task, and train nothing but that head, on what comes over the wire.

    Args:
        output: folder of the run.
        config: its optimiser, impairments, seed and name count.
        model: that others' messages are already read with; it is left as it is.
        task: of the head.
        samples: of the training scenes.
        start: such a head of a like model, to start from; else it starts untrained.

    Raises:
        ConfigError: the model has that head already, or there is none of that name.
    """
    perception = add_head(model.perception, task, config.seed)
    if start is not None:
        perception.heads[task].load_state_dict(start.state_dict())
    extended = CollaborativeModel(perception, model.config)
    state = {key: value for key, value in model.state_dict().items() if not key.startswith("perception.")}
    extended.load_state_dict(state, strict=False)
    extended.requires_grad_(False).eval()  # the codec rounds, as on the wire; two samples are too few for statistics
    extended.perception.heads[task].requires_grad_(True)
    samples = CachedDataset(samples.scenes, perception.config, samples.cache, config.platforms, config.seed)
    dataset = CollaborationDataset(
        samples, config.impairments, extended.sends_features, config.platforms - 1, config.seed, config.cells
    )
    losses = CollaborationLossConfig(distillation=0.0, rate=0.0, visible=0.0, active_tasks=(task,))
    module = CollaborationModule(extended, config.optimiser, losses, dataset, workers=config.trainer.workers)
    prepare_run_dir(output, asdict(config), resume=False)
    steps = fit(module, output, asdict(config), config.trainer, [], progress=False)
    extended.cpu().eval()
    extended.tables = model.tables
    save_collaboration(output / WEIGHTS_FILE, extended, config.name, training={"steps": steps, "head": task})
    return output / WEIGHTS_FILE


def add_head(perception: PerceptionModel, task: str, seed: int = 0) -> PerceptionModel:
    """Return a copy of a perception model with one more, untrained head.

    Args:
        perception: trained; it is left as it is.
        task: of the head.
        seed: of its weights.

    Raises:
        ConfigError: the model has that head already, or there is none of that name.
    """
    config = perception.config
    if task in config.tasks or task not in HEADS:
        raise ConfigError(
            f"task {task!r} must be one of {', '.join(HEADS)} that the model lacks; it has {config.tasks}"
        )
    heads = config.with_heads([*config.tasks, task])
    extended = PerceptionModel(heads, copy.deepcopy(perception.backbone), seed)
    extended.load_state_dict(perception.state_dict(), strict=False)
    return extended


def sample_cells(cache: FeatureCache, seed: int = 0, maps: int = 48, each: int = 400) -> Tensor:
    """Draw feature cells from maps all over the cache, those with much energy more often.

    Args:
        cache: of the training maps.
        seed: of everything random.
        maps: how many maps are drawn from.
        each: cells a map.

    Returns:
        (n, channels).
    """
    generator = np.random.default_rng(seed)
    keys, parts = list(cache.entries), []
    for i in np.linspace(0, len(keys) - 1, min(maps, len(keys))).astype(int):
        ego = cache[keys[i]]
        cells = ego.features.numpy()[:, ego.visible.numpy()].T
        if len(cells):
            energy = np.square(cells).sum(1) + 1e-6
            chosen = generator.choice(len(cells), min(each, len(cells)), replace=False, p=energy / energy.sum())
            parts.append(cells[chosen])
    return torch.from_numpy(np.concatenate(parts))
