"""Why a model answers as it does: what each band is worth, what the features look like, where it attends."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from skyweave.backbone.batch import stack_observations
from skyweave.core.images.principal_components import RunningCovariance
from skyweave.core.observation import Observation
from skyweave.core.sensors import Sensor
from skyweave.downstream.finetuning.batches import ImageBatches, SampleCache
from skyweave.downstream.finetuning.models.encoder_features import encode_observations
from skyweave.downstream.finetuning.models.finetuned_model import EncoderWithHead, FinetunedModel
from skyweave.downstream.finetuning.models.heads import AttentivePooled
from skyweave.downstream.finetuning.module import predict_samples
from skyweave.downstream.finetuning.scores import MAIN_METRIC, compute_scores
from skyweave.downstream.labels.labelled_data import LabelledSample

BATCH = 8
MAX_BAND_GROUPS = 16
"""Bands beyond this many are hidden in groups of neighbours."""


@dataclass(frozen=True)
class BandImportance:
    """What hiding some bands costs.

    Attributes:
        bands: names.
        score: of the samples without these bands. loss: the whole score minus this one.
    """

    bands: tuple[str, ...]
    score: float
    loss: float


def band_importance(model: FinetunedModel, samples: Sequence[LabelledSample]) -> list[BandImportance]:
    """Occlusion by band: the main score with some bands set to the sensor's mean, so that they tell nothing.

    Bands are hidden one by one, in all observations that have them; of sensors with more than 16 bands, groups of
    neighbours. Bands that carry the same information hide each other's worth: a small loss says that a band can be
    spared, not that it holds nothing.
    """
    name = MAIN_METRIC[model.task.kind]
    whole = _score(model, samples, name)
    found = []
    for own in band_groups(model.sensors):
        hidden = [replace(sample, observations=mask_bands(sample.observations, own)) for sample in samples]
        score = _score(model, hidden, name)
        found.append(BandImportance(own, score, whole - score))
    return found


def band_groups(sensors: Sequence[Sensor]) -> list[tuple[str, ...]]:
    """Names of the bands that are hidden together."""
    names = list(dict.fromkeys(band.name for sensor in sensors for band in sensor.bands))
    size = math.ceil(len(names) / MAX_BAND_GROUPS)
    return [tuple(names[start : start + size]) for start in range(0, len(names), size)]


def mask_bands(observations: Sequence[Observation], bands: Sequence[str]) -> tuple[Observation, ...]:
    """Observations with these bands at their mean."""
    result = []
    for own in observations:
        hidden = np.array([band.name in bands for band in own.sensor.bands])
        mean = own.sensor.means[:, None, None].astype(np.float32)
        result.append(replace(own, pixels=np.where(hidden[:, None, None] & own.valid, mean, own.pixels)))
    return tuple(result)


@torch.inference_mode()
def principal_maps(model: FinetunedModel, samples: Sequence[LabelledSample]) -> list[np.ndarray]:
    """(rows, columns, 3) uint8 of patches: the first three principal components of the last features, shared by all.

    Of the first observation of every sample. Empty for a U-Net.
    """
    if not isinstance(model.network, EncoderWithHead):
        return []
    maps = []
    for sample in samples:
        device = model.target_mean.device
        batch = stack_observations([sample.observations[0]]).to(device)
        encoded = encode_observations(model.network.backbone, [batch], model.network.patch_size, "last")
        maps.append(encoded.maps[0][0].permute(1, 2, 0).cpu().numpy())
    moments = RunningCovariance(maps[0].shape[-1])
    for own in maps:
        moments.add(own.reshape(-1, own.shape[-1]))
    colours = moments.principal_components()
    return [colours.colours(own.reshape(-1, own.shape[-1])).reshape(*own.shape[:2], 3) for own in maps]


@torch.inference_mode()
def attention_maps(model: FinetunedModel, samples: Sequence[LabelledSample]) -> list[np.ndarray]:
    """(rows, columns) float32 of patches, largest 1: where an attentive head looks. Empty for other heads."""
    if not isinstance(model.network, EncoderWithHead) or not isinstance(model.network.head, AttentivePooled):
        return []
    head = model.network.head
    maps = []
    for sample in samples:
        batches = [stack_observations([own]).to(model.target_mean.device) for own in sample.observations]
        encoded = encode_observations(
            model.network.backbone, batches, model.network.patch_size, model.network.config.readout
        )
        weights = head.attention_weights(head.gather(encoded))[0].mean(0)
        grid = weights.view(encoded.valid.shape[1:]).cpu().numpy()
        maps.append((grid / max(float(grid.max()), 1e-9)).astype(np.float32))
    return maps


def _score(model: FinetunedModel, samples: Sequence[LabelledSample], name: str) -> float:
    found = predict_samples(model, ImageBatches(SampleCache(samples, model.task), False), BATCH)
    return compute_scores(model.task, found, samples)[name]
