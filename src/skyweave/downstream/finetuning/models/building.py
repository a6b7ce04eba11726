"""Models with random heads on a given backbone, or U-Nets."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from skyweave.backbone.batch import stack_observations
from skyweave.core.observation import Observation
from skyweave.core.sensors import Sensor
from skyweave.downstream.finetuning.config import HeadConfig, RecipeConfig
from skyweave.downstream.finetuning.models.dense_heads import LinearDense, Pyramid, UPerNet
from skyweave.downstream.finetuning.models.encoder_features import encode_observations
from skyweave.downstream.finetuning.models.finetuned_model import DEFAULT_TILE_SIDE, EncoderWithHead, FinetunedModel
from skyweave.downstream.finetuning.models.heads import AttentivePooled, Head, LinearPooled
from skyweave.downstream.finetuning.models.map_head import MapHead, MapHeadShape
from skyweave.downstream.finetuning.models.unet import UNet
from skyweave.downstream.finetuning.tasks.base import Task

MAX_PATCH_SIZE = 16
"""Pixels that a patch may have at most where no patch size is asked for, to measure a backbone on two of them."""


@dataclass(frozen=True)
class FeatureShape:
    """What a head must fit.

    Attributes:
        channels: of a map.
        levels: number of maps.
        patch: pixels per patch side.
        sources: observations whose maps lie side by side.
    """

    channels: int
    levels: int
    patch: int
    sources: int = 1


def build_model(
    task: Task,
    backbone: nn.Module | None,
    sensors: Sequence[Sensor],
    recipe: RecipeConfig,
    seed: int,
    tile: int = DEFAULT_TILE_SIDE,
) -> FinetunedModel:
    """Return a model with a random head on the given backbone (which is not copied), or a U-Net where there is none.

    Args:
        task: what is predicted.
        backbone: from a `SensorBatch` and a patch size to `Features`; None: a U-Net.
        sensors: of the observations of a sample.
        recipe: head, and channels of the U-Net.
        seed: of the random weights.
        tile: see `FinetunedModel`.

    Raises:
        ConfigError: a head that cannot serve the task.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: EncoderWithHead | UNet
        if backbone is None:
            network = UNet(sensors, task.num_outputs, task.is_dense, recipe.method.channels)
        else:
            head = build_head(recipe.head, task, measure_features(backbone, sensors, recipe, task))
            network = EncoderWithHead(backbone, head, recipe.patch_size, recipe.head, task.num_dates > 1)
    return FinetunedModel(task, network, sensors, tile, recipe.training.test_time_flips)


def build_head(config: HeadConfig, task: Task, shape: FeatureShape) -> Head:
    """Return a random head.

    Args:
        config: its kind and channels.
        task: that it serves.
        shape: of the features that it reads.

    Raises:
        ConfigError: it cannot serve the task.
    """
    kind, outputs = config.resolved(task), task.num_outputs
    if kind == "attentive":
        return AttentivePooled(shape.channels * shape.levels, outputs, config.channels)
    if kind == "map":
        channels = shape.channels // shape.sources
        sizes = MapHeadShape(channels, shape.levels, shape.patch, shape.sources, outputs, config.channels)
        return MapHead(sizes, config.fusion)
    if kind == "linear" and not task.is_dense:
        return LinearPooled(shape.channels * shape.levels, outputs)
    if kind == "linear":
        return LinearDense(shape.channels, shape.levels, shape.patch, outputs)
    head = Pyramid if kind == "pyramid" else UPerNet
    return head(shape.channels, shape.levels, shape.patch, outputs, config.channels)


@torch.no_grad()
def measure_features(backbone: nn.Module, sensors: Sequence[Sensor], recipe: RecipeConfig, task: Task) -> FeatureShape:
    """Return what the backbone gives, measured on empty images: encoders by others need no further interface.

    Args:
        backbone: from a `SensorBatch` and a patch size to `Features`.
        sensors: of the observations of a sample.
        recipe: patch size, and levels that the head reads.
        task: with one or two dates.
    """
    device = next(backbone.parameters()).device
    side = 2 * (recipe.patch_size or MAX_PATCH_SIZE)
    empty = [
        Observation.from_pixels(np.broadcast_to(sensor.means[:, None, None], (len(sensor), side, side)), sensor)
        for sensor in sensors
    ]
    batches = [stack_observations([observation]).to(device) for observation in empty]
    encoded = encode_observations(backbone, batches, recipe.patch_size, recipe.head.readout, task.num_dates > 1)
    return FeatureShape(encoded.maps[0].shape[1], len(encoded.maps), encoded.patch, len(sensors))
