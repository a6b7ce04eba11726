"""Learned whitening: features of the same ground are made alike by one linear layer behind the final norm.

What differs between two images of the same ground (their resolution, their sensor) lies in few directions of the
feature space. Whitening by the covariance of these differences makes it as small as in every other direction (the first
step of the learned projections of Mikolajczyk and Matas, ICCV 2007; used for retrieval by Radenovic et al., arXiv
1711.02512); then directions that tell places apart are given more weight. The layer can be inverted: nothing that the
features tell is lost, but a penalised model weighs it otherwise.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from skyweave.backbone.backbone import Backbone
from skyweave.backbone.batch import SensorBatch, stack_observations
from skyweave.core.errors import ConfigError, DataError
from skyweave.data.dataset import ImageDataset
from skyweave.pretraining.masking import coarsen

BATCH_IMAGES = 16
"""Images that are encoded together."""

FACTORS = (2, 3)
"""By which images are coarsened to be compared with themselves."""


@dataclass(frozen=True)
class WhiteningConfig:
    """How the whitening is fitted.

    Attributes:
        images: of each source, evenly chosen, at most.
        side: pixels of the windows that are read, at most.
        shrinkage: of the covariance of differences towards equal variance in all directions, above 0 and at most 1.
        contrast: exponent of the weight of a direction, over its ratio of the variance between places to that of
            differences at one place; 0: whitening alone.
    """

    images: int = 100
    side: int = 96
    shrinkage: float = 0.001
    contrast: float = 0.25

    def __post_init__(self) -> None:
        if self.images < 2 or self.side < 2:
            raise ConfigError(f"whitening of {self.images} images of {self.side} pixels: give at least 2 of each")
        if not 0 < self.shrinkage <= 1:
            raise ConfigError(f"whitening.shrinkage is {self.shrinkage}, must be above 0 and at most 1")
        if self.contrast < 0:
            raise ConfigError(f"whitening.contrast is {self.contrast}, must be at least 0; 0 is whitening alone")


@torch.inference_mode()
def fit_whitening(backbone: Backbone, dataset: ImageDataset, config: WhiteningConfig | None = None) -> None:
    """Fit the whitening of a backbone to images, without labels, in place of the one that it has.

    Args:
        backbone: gets the layer; its other weights stay as they are.
        dataset: images of any sensors; sources of the same places teach what sensors differ in.
        config: how.

    Raises:
        DataError: no image is large enough to be compared with itself.
    """
    config = config or WhiteningConfig()
    plain = copy.deepcopy(backbone).eval()
    plain.remove_whitening()
    features, differences = [], _between_sensors(plain, dataset, config)
    for number in range(len(dataset.sources)):
        batches = list(_windows(dataset, number, config))
        features.append(torch.cat([_pooled(plain, batch) for batch in batches]).double())
        differences += [_differences(plain, batches, factor) for factor in FACTORS]
    places = [values for values in features if len(values) > 1]
    if not places or not any(map(len, differences)):
        raise DataError("whitening: no source has two images that are large enough; give more, or larger ones")
    matrix = whitening_matrix(
        _mean_covariance([values for values in differences if len(values)]) / 2,
        _mean_covariance([values - values.mean(0) for values in places]),
        config,
    )
    backbone.set_whitening(matrix, torch.stack([values.mean(0) for values in features]).mean(0))


def whitening_matrix(same: Tensor, places: Tensor, config: WhiteningConfig) -> Tensor:
    """Return the matrix that whitens differences at one place and favours what tells places apart.

    Args:
        same: (width, width) covariance of features of one place.
        places: (width, width) covariance of features of many places.
        config: how.

    Returns:
        (width, width), of which the features have a mean square of 1.
    """
    even = torch.eye(len(same), dtype=same.dtype) * same.diagonal().mean()
    shrunk = (1 - config.shrinkage) * same + config.shrinkage * even
    whitening = torch.linalg.inv(torch.linalg.cholesky(shrunk))
    ratios, directions = torch.linalg.eigh(whitening @ places @ whitening.T)
    weights = ratios.clamp(min=float(ratios.max()) * 1e-6).pow(config.contrast)
    matrix = (directions * weights).T @ whitening
    scale: Tensor = (matrix @ places @ matrix.T).diagonal().mean().sqrt()
    scaled: Tensor = matrix / scale
    return scaled


def _mean_covariance(groups: list[Tensor]) -> Tensor:
    """Return the mean over groups of the covariance about zero of their rows."""
    return torch.stack([values.double().T @ values.double() / len(values) for values in groups]).mean(0)


def _windows(dataset: ImageDataset, number: int, config: WhiteningConfig) -> Iterator[SensorBatch]:
    """Yield evenly chosen images of a source, cut to windows of one size, in batches."""
    indices = dataset.sources[number].indices
    chosen = indices[np.unique(np.linspace(0, len(indices) - 1, config.images).round().astype(int))]
    for start in range(0, len(chosen), BATCH_IMAGES):
        images = [dataset.observation(int(index)) for index in chosen[start : start + BATCH_IMAGES]]
        rows, columns = (min(config.side, *(image.shape[axis] for image in images)) for axis in (0, 1))
        yield stack_observations([image.window(0, 0, rows, columns) for image in images])


def _pooled(backbone: Backbone, batch: SensorBatch) -> Tensor:
    """Return (images, width) mean features, of patches of which half an image holds two a side."""
    features: Tensor = backbone(batch, _patch(backbone, batch)).pooled
    return features


def _patch(backbone: Backbone, batch: SensorBatch) -> int:
    """Return the nominal patch size, or a smaller one."""
    return max(1, min(backbone.patch_size, min(batch.pixels.shape[-2:]) // 4))


def _differences(backbone: Backbone, batches: list[SensorBatch], factor: int) -> Tensor:
    """Return (images, width) differences of the features of images and of copies ``factor`` times as coarse."""
    parts = [torch.empty(0, backbone.width)]
    for batch in batches:
        patch = _patch(backbone, batch)
        rows, columns = (extent // (factor * patch) * factor * patch for extent in batch.pixels.shape[-2:])
        if min(rows, columns):
            whole = replace(batch, pixels=batch.pixels[..., :rows, :columns], valid=batch.valid[..., :rows, :columns])
            features = [backbone(one, patch).pooled for one in (whole, coarsen(whole, factor))]
            parts.append(features[0] - features[1])
    return torch.cat(parts)


def _between_sensors(backbone: Backbone, dataset: ImageDataset, config: WhiteningConfig) -> list[Tensor]:
    """Return (number, width) differences of features of windows of the same place, one tensor for each two sources."""
    by_pair: dict[tuple[str, str], list[Tensor]] = {}
    for source in dataset.sources:
        for index in source.indices[: config.images]:
            for other in dataset.paired(int(index)):
                names = (source.name, dataset.source_name(other))
                if names[0] < names[1]:
                    by_pair.setdefault(names, []).append(
                        _difference_of_images(backbone, dataset, int(index), other, config)
                    )
    return [torch.cat(parts) for parts in by_pair.values()]


def _difference_of_images(
    backbone: Backbone, dataset: ImageDataset, index: int, other: int, config: WhiteningConfig
) -> Tensor:
    """Return (windows, width) differences of features of two images of one grid."""
    images = [dataset.observation(index), dataset.observation(other)]
    side = min(config.side, *(extent for image in images for extent in image.shape)) * 2 // 3
    starts = [range(0, min(image.shape[axis] for image in images) - side + 1, max(1, side // 4)) for axis in (0, 1)]
    places = [(row, column) for row in starts[0] for column in starts[1]]
    features = []
    for image in images:
        batch = stack_observations([image.window(row, column, side, side) for row, column in places])
        features.append(_pooled(backbone, batch))
    return features[0] - features[1]
