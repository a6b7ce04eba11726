"""What the model makes of one sensor's images, as pictures and figures."""

import time
from dataclasses import dataclass

import numpy as np
import torch

from skyweave.core.images.principal_components import RunningCovariance
from skyweave.core.observation import Observation
from skyweave.data.batch import stack_observations
from skyweave.demo.collection import Chapter
from skyweave.demo.figures import Stretch, colour, cut, feature_map, shown, stretch_of
from skyweave.demo.neighbours import Search, search
from skyweave.pretraining import MaskedAutoencoder

FINE_GRID = 40
"""Cells a side that a feature map should have at least, where the model can give them."""


@dataclass(frozen=True)
class Row:
    """One image: pictures (rows, columns, 3) uint8, and the error of the hidden pixels.

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
class Pages:
    """All that the report says of one sensor.

    Attributes:
        rows: one an image.
        searches: query and found patches, as framed pictures with their similarity.
        embed_seconds, reconstruct_seconds: an image, mean.
    """

    chapter: Chapter
    rows: list[Row]
    searches: list[list[tuple[np.ndarray, float]]]
    embed_seconds: float
    reconstruct_seconds: float


def make_pages(chapter: Chapter, model: MaskedAutoencoder, mask_ratio: float = 0.75) -> Pages:
    """Embed, mask and reconstruct every image of a chapter, and search among its patches."""
    backbone = model.backbone
    fine_size = _fine_patch_size(chapter.observations, backbone.config.patch_size)
    started = time.perf_counter()
    features = [backbone.embed(observation) for observation in chapter.observations]
    embed_seconds = (time.perf_counter() - started) / len(features)
    fine = [backbone.embed(observation, fine_size) for observation in chapter.observations]

    moments = RunningCovariance(backbone.config.width)
    for own in fine:
        moments.add(own.tokens[0][own.valid[0]].numpy())
    colours = moments.principal_components()

    rows, stretches, seconds = [], [], 0.0
    for seed, (observation, own) in enumerate(zip(chapter.observations, fine, strict=True)):
        started = time.perf_counter()
        prediction, hidden = model.reconstruct(stack_observations([observation]), mask_ratio, seed)
        seconds += time.perf_counter() - started
        stretch = stretch_of(observation)
        components = feature_map(own.dense()[0].numpy(), own.valid[0].view(own.grid).numpy(), colours)
        rows.append(_row(observation, stretch, prediction[0], hidden[0], components))
        stretches.append(stretch)

    found = search(
        [own.dense()[0].numpy() for own in features], [own.valid[0].view(own.grid).numpy() for own in features]
    )
    pictures = [_search_pictures(one, rows, backbone.config.patch_size) for one in found]
    return Pages(chapter, rows, pictures, embed_seconds, seconds / len(rows))


def _row(
    observation: Observation,
    stretch: Stretch,
    prediction: torch.Tensor,
    hidden: torch.Tensor,
    components: np.ndarray,
) -> Row:
    usable, sensor = shown(observation), observation.sensor
    predicted, mask = prediction.numpy(), hidden.numpy()
    asked = observation.valid & mask
    seen = observation.valid & ~mask
    means = (observation.pixels * seen).sum((1, 2)) / np.maximum(seen.sum((1, 2)), 1)
    spread = sensor.stds[:, None, None]
    height, width = observation.shape
    return Row(
        image=colour(observation.pixels, sensor, stretch, usable),
        masked=colour(observation.pixels, sensor, stretch, usable & ~mask),
        reconstruction=colour(predicted, sensor, stretch, usable),
        components=components,
        error=_root_mean_square((predicted - observation.pixels) / spread, asked),
        guess=_root_mean_square((means[:, None, None] - observation.pixels) / spread, asked),
        note=f"{height} x {width} px, {observation.ground_sample_distance:.2g} m, {len(sensor)} bands",
    )


def _root_mean_square(values: np.ndarray, where: np.ndarray) -> float:
    return float(np.sqrt(np.square(values[where], dtype=np.float64).mean())) if where.any() else float("nan")


def _search_pictures(one: Search, rows: list[Row], patch_size: int) -> list[tuple[np.ndarray, float]]:
    margin = 2 * patch_size
    return [
        (cut(rows[place.image].image, place.row, place.column, patch_size, margin), place.similarity)
        for place in (one.query, *one.found)
    ]


def _fine_patch_size(observations: list[Observation], nominal: int) -> int:
    """The largest halving of the nominal patch with ``FINE_GRID`` cells on the shorter side; at least 2 pixels."""
    size = nominal
    while size > 2 and min(min(observation.shape) for observation in observations) / size < FINE_GRID:
        size //= 2
    return size
