"""What the model makes of one sensor's images, as search_images and figures."""

import time
from dataclasses import dataclass

import numpy as np
import torch

from skyweave.backbone import Features
from skyweave.backbone.batch import stack_observations
from skyweave.core.images.principal_components import PrincipalComponents, RunningCovariance
from skyweave.core.observation import Observation
from skyweave.demo.collection import Chapter
from skyweave.demo.figures import Stretch, crop_patch, feature_map, percentile_stretch, render_colour, valid_pixels
from skyweave.demo.neighbours import SearchResult, search_patches
from skyweave.pretraining import MaskedAutoencoder

MIN_FINE_CELLS = 40
"""Cells a side that a feature map should have at least, where the model can give them."""


@dataclass(frozen=True)
class ImageFigures:
    """One image: search_images (rows, columns, 3) uint8, and the error of the hidden pixels.

    ``error`` is the root mean square over hidden valid pixels in standard deviations of the sensor's bands;
    ``guess`` is the same for the image's own visible mean of each band.
    """

    image: np.ndarray
    masked: np.ndarray
    reconstruction: np.ndarray
    components: np.ndarray
    error: float
    guess: float
    note: str


@dataclass(frozen=True)
class ChapterFigures:
    """All that the report says of one sensor.

    Attributes:
        rows: one an image.
        searches: query and found patches, as framed search_images with their similarity.
        embed_seconds, reconstruct_seconds: an image, mean.
    """

    chapter: Chapter
    rows: list[ImageFigures]
    searches: list[list[tuple[np.ndarray, float]]]
    embed_seconds: float
    reconstruct_seconds: float


def make_chapter_figures(chapter: Chapter, model: MaskedAutoencoder, mask_ratio: float = 0.75) -> ChapterFigures:
    """Embed, mask and reconstruct every image of a chapter, and search among its patches.

    Args:
        chapter: images of one sensor.
        model: with its decoder.
        mask_ratio: share of hidden patches.
    """
    backbone = model.backbone
    fine_size = _fine_patch_size(chapter.observations, backbone.config.patch_size)
    started = time.perf_counter()
    features = [backbone.embed(observation) for observation in chapter.observations]
    embed_seconds = (time.perf_counter() - started) / len(features)
    fine = [backbone.embed(observation, fine_size) for observation in chapter.observations]

    colours = _common_colours(fine, backbone.config.width)

    rows, stretches, seconds = [], [], 0.0
    for seed, (observation, embedded) in enumerate(zip(chapter.observations, fine, strict=True)):
        started = time.perf_counter()
        prediction, hidden = model.reconstruct(stack_observations([observation]), mask_ratio, seed)
        seconds += time.perf_counter() - started
        stretch = percentile_stretch(observation)
        components = feature_map(embedded.dense()[0].numpy(), embedded.valid[0].view(embedded.grid).numpy(), colours)
        rows.append(_row(observation, stretch, prediction[0], hidden[0], components))
        stretches.append(stretch)

    results = search_patches(
        [embedded.dense()[0].numpy() for embedded in features],
        [embedded.valid[0].view(embedded.grid).numpy() for embedded in features],
    )
    search_images = [_search_images(one, rows, backbone.config.patch_size) for one in results]
    return ChapterFigures(chapter, rows, search_images, embed_seconds, seconds / len(rows))


def _common_colours(embeddings: list[Features], width: int) -> PrincipalComponents:
    """Return the principal components of the valid patches of all images; ``width`` channels."""
    covariance = RunningCovariance(width)
    for embedded in embeddings:
        covariance.add(embedded.tokens[0][embedded.valid[0]].numpy())
    return covariance.principal_components()


def _row(
    observation: Observation,
    stretch: Stretch,
    prediction: torch.Tensor,
    hidden: torch.Tensor,
    components: np.ndarray,
) -> ImageFigures:
    usable, sensor = valid_pixels(observation), observation.sensor
    predicted, mask = prediction.numpy(), hidden.numpy()
    target = observation.valid & mask
    seen = observation.valid & ~mask
    means = (observation.pixels * seen).sum((1, 2)) / np.maximum(seen.sum((1, 2)), 1)
    stds = sensor.stds[:, None, None]
    height, width = observation.shape
    return ImageFigures(
        image=render_colour(observation.pixels, sensor, stretch, usable),
        masked=render_colour(observation.pixels, sensor, stretch, usable & ~mask),
        reconstruction=render_colour(predicted, sensor, stretch, usable),
        components=components,
        error=_root_mean_square((predicted - observation.pixels) / stds, target),
        guess=_root_mean_square((means[:, None, None] - observation.pixels) / stds, target),
        note=f"{height} x {width} px, {observation.ground_sample_distance:.2g} m, {len(sensor)} bands",
    )


def _root_mean_square(values: np.ndarray, where: np.ndarray) -> float:
    return float(np.sqrt(np.square(values[where], dtype=np.float64).mean())) if where.any() else float("nan")


def _search_images(one: SearchResult, rows: list[ImageFigures], patch_size: int) -> list[tuple[np.ndarray, float]]:
    margin = 2 * patch_size
    return [
        (crop_patch(rows[place.image].image, place.row, place.column, patch_size, margin), place.similarity)
        for place in (one.query, *one.matches)
    ]


def _fine_patch_size(observations: list[Observation], nominal: int) -> int:
    """The largest halving of the nominal patch with ``MIN_FINE_CELLS`` cells on the shorter side; at least 2 pixels."""
    size = nominal
    while size > 2 and min(min(observation.shape) for observation in observations) / size < MIN_FINE_CELLS:
        size //= 2
    return size
