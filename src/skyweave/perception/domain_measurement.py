"""Measure what a model is trained on, at the end of its training."""

from copy import copy
from dataclasses import replace

import numpy as np
import torch

from skyweave.perception.batch import collate
from skyweave.perception.dataset import PerceptionDataset
from skyweave.perception.domain import TrainingDomain
from skyweave.perception.model import PerceptionModel
from skyweave.recordings.recording import Frame

MAX_SAMPLES = 300  # whose present images are looked at
MIN_IMAGES = 8  # to fit to, and as many of other scenes for the limit


@torch.inference_mode()
def measure_domain(model: PerceptionModel, dataset: PerceptionDataset) -> TrainingDomain | None:
    """Return what a model knows, from samples all over its training data; None where there are too few images.

    All images are looked at, and as cameras recorded them, without photometric augmentation: an image drowned in noise
    or dark is like any other one, and among such images nothing would be unlike the training.

    Args:
        model: trained; it is left in evaluation mode.
        dataset: with the augmentation that it was trained with.
    """
    model.eval()
    dataset = _with_images_as_recorded(dataset)
    device = next(model.parameters()).device
    numbers = np.unique(np.linspace(0, len(dataset) - 1, min(MAX_SAMPLES, len(dataset))).astype(int))
    pooled: dict[int, list[np.ndarray]] = {}  # by scene
    _pool_features(numbers, dataset, device, model, pooled)
    scenes = [np.concatenate(parts) for parts in pooled.values() if parts]
    if min(sum(map(len, scenes[half::2])) for half in (0, 1)) < MIN_IMAGES:
        return None
    return TrainingDomain.fit(np.concatenate(scenes[::2]), np.concatenate(scenes[1::2]), _sizes(dataset))


def _with_images_as_recorded(dataset: PerceptionDataset) -> PerceptionDataset:
    """Return the dataset with the geometric part of its augmentation, and all images."""
    geometric = copy(dataset)
    if dataset.augmentation:
        photometric = replace(dataset.augmentation.photometric, share=0.0)
        geometric.augmentation = replace(dataset.augmentation, photometric=photometric, base_maps_only=0.0)
    return geometric


def _pool_features(
    numbers: np.ndarray,
    dataset: PerceptionDataset,
    device: torch.device,
    model: PerceptionModel,
    pooled: dict[int, list[np.ndarray]],
) -> None:
    """Pool the features of some images of each scene."""
    for number in numbers.tolist():
        views = collate([dataset[number]]).frames[-1].to(device)
        with torch.autocast(device.type, torch.bfloat16):
            features = [model.features(batch).pooled.float().cpu().numpy() for batch in views.images]
        pooled.setdefault(dataset.index[number][0], []).extend(features)


def _sizes(dataset: PerceptionDataset) -> dict[str, np.ndarray]:
    """By class (objects, 3) the sizes in the first frame and the last of every scene."""
    sizes: dict[str, list[np.ndarray]] = {name: [] for name in dataset.config.categories}
    for scene in dataset.scenes:
        for frame in (scene.frames[0], scene.frames[-1]):
            _collect_sizes(frame, sizes)
    return {name: np.concatenate(values) for name, values in sizes.items() if values}


def _collect_sizes(frame: Frame, sizes: dict[str, list[np.ndarray]]) -> None:
    """Collect the sizes of the objects of a frame."""
    if frame.annotations is None:
        return
    names = np.array(frame.annotations.categories)
    for name, values in sizes.items():
        values.append(frame.annotations.boxes.sizes[names == name])
