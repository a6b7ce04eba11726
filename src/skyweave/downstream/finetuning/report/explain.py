"""Why a model predicts as it does: what each band contributes, what the features look like, where the head attends."""

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
from skyweave.downstream.labels.sample import LabelledSample

BATCH = 8
MAX_BAND_GROUPS = 16
"""Bands beyond this many are hidden in groups of neighbours."""


@dataclass(frozen=True)
class BandImportance:
    """What hiding some bands costs.

    Attributes:
        bands: names.
        score: of the samples without these bands.
        loss: the whole score minus this one.
    """

    bands: tuple[str, ...]
    score: float
    loss: float


def band_importance(model: FinetunedModel, samples: Sequence[LabelledSample]) -> list[BandImportance]:
    """Return the main score with some bands set to the sensor's mean, so that they say nothing (occlusion).

    Bands are hidden one by one, in all observations that have them; of sensors with more than 16 bands, groups of
    neighbours. Bands that carry the same information hide each other's importance: a small loss says that a band can be
    spared, not that it holds nothing.

    Args:
        model: fine-tuned.
        samples: labelled, not seen in training.
    """
    whole = _main_score(model, samples)
    importances = []
    for bands in band_groups(model.sensors):
        hidden = [replace(sample, observations=mask_bands(sample.observations, bands)) for sample in samples]
        score = _main_score(model, hidden)
        importances.append(BandImportance(bands, score, whole - score))
    return importances


def band_groups(sensors: Sequence[Sensor]) -> list[tuple[str, ...]]:
    """Return the names of the bands that are hidden together.

    Args:
        sensors: of the observations of a sample.
    """
    names = list(dict.fromkeys(band.name for sensor in sensors for band in sensor.bands))
    size = math.ceil(len(names) / MAX_BAND_GROUPS)
    return [tuple(names[start : start + size]) for start in range(0, len(names), size)]


def mask_bands(observations: Sequence[Observation], bands: Sequence[str]) -> tuple[Observation, ...]:
    """Return the observations with some bands at their mean.

    Args:
        observations: of one sample.
        bands: names.
    """
    masked = []
    for observation in observations:
        hidden = np.array([band.name in bands for band in observation.sensor.bands])[:, None, None]
        mean = observation.sensor.means[:, None, None].astype(np.float32)
        pixels = np.where(hidden & observation.valid, mean, observation.pixels)
        masked.append(replace(observation, pixels=pixels))
    return tuple(masked)


@torch.inference_mode()
def principal_maps(model: FinetunedModel, samples: Sequence[LabelledSample]) -> list[np.ndarray]:
    """Return the first three principal components of the last features, shared by all, as colours.

    Args:
        model: fine-tuned.
        samples: of which the first observation is encoded.

    Returns:
        (rows, columns, 3) uint8 of patches, of each sample; empty for a U-Net.
    """
    if not isinstance(model.network, EncoderWithHead):
        return []
    maps = []
    for sample in samples:
        batch = stack_observations([sample.observations[0]]).to(model.target_mean.device)
        encoded = encode_observations(model.network.backbone, [batch], model.network.patch_size, "last")
        maps.append(encoded.maps[0][0].permute(1, 2, 0).cpu().numpy())
    covariance = RunningCovariance(maps[0].shape[-1])
    for features in maps:
        covariance.add(features.reshape(-1, features.shape[-1]))
    components = covariance.principal_components()
    return [
        components.colours(features.reshape(-1, features.shape[-1])).reshape(*features.shape[:2], 3)
        for features in maps
    ]


@torch.inference_mode()
def attention_maps(model: FinetunedModel, samples: Sequence[LabelledSample]) -> list[np.ndarray]:
    """Return where an attentive head attends.

    Args:
        model: fine-tuned.
        samples: labelled or not.

    Returns:
        (rows, columns) float32 of patches, largest 1, of each sample; empty for other heads.
    """
    if not isinstance(model.network, EncoderWithHead) or not isinstance(model.network.head, AttentivePooled):
        return []
    network, head = model.network, model.network.head
    maps = []
    for sample in samples:
        batches = [stack_observations([image]).to(model.target_mean.device) for image in sample.observations]
        encoded = encode_observations(network.backbone, batches, network.patch_size, network.config.readout)
        weights = head.attention_weights(head.inputs(encoded))[0].mean(0)
        grid = weights.view(encoded.valid.shape[1:]).cpu().numpy()
        maps.append((grid / max(float(grid.max()), 1e-9)).astype(np.float32))
    return maps


def _main_score(model: FinetunedModel, samples: Sequence[LabelledSample]) -> float:
    predictions = predict_samples(model, ImageBatches(SampleCache(samples, model.task), False), BATCH)
    return model.task.scores(predictions, samples)[model.task.main_metric]
