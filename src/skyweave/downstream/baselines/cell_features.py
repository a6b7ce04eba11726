"""Features of cells that need no training: band statistics and random convolutions, on the cells of a probe."""

from collections.abc import Sequence

import numpy as np

from skyweave.core.observation import Observation

PERCENTILES = (10, 25, 50, 75, 90)
MIN_PATCHES = 2000
PATCHES_PER_FILTER = 4
WHITENING = 0.1
"""Of the mean variance, added to each axis: axes of noise would be blown up otherwise."""
MIN_STRIDED_SIDE = 16
"""Pixels a side from which every second response is enough."""


def statistics_maps(
    images: Sequence[Observation], cell: int | None, extended: bool = False, around: bool = False
) -> list[np.ndarray]:
    """Return mean and standard deviation per band of every cell's valid pixels.

    Args:
        images: of the samples.
        cell: side in pixels; None: the whole image is one cell.
        extended: also minimum, maximum and percentiles.
        around: also mean and standard deviation over the square of three by three cells about the cell, so that a
            comparison with features that see their surroundings is fair.

    Returns:
        (bands * statistics, cell rows, cell columns) float32 of each image, NaN where a band has no valid pixel.
    """
    return [_statistics_map(image, cell, extended, around) for image in images]


def random_convolution_maps(
    images: Sequence[Observation], cell: int | None, filters: int, size: int, seed: int
) -> list[np.ndarray]:
    """Return random convolutional features (MOSAIKS, Rolf et al. 2021, doi:10.1038/s41467-021-24638-z).

    Filters are whitened patches drawn from the images; the positive and the negative part of each normalised response
    are averaged over the cell's valid pixels, every second one where a cell is at least 16 pixels wide.

    Args:
        images: of the samples.
        cell: side in pixels; None: the whole image is one cell.
        filters: how many.
        size: pixels per side of a filter.
        seed: of the patches.

    Returns:
        (2 * filters, cell rows, cell columns) of each image.
    """
    import torch

    normalised = _normalise(images)
    kernel, offset = _whitened_filters(normalised, filters, size, seed)
    weight = torch.from_numpy(kernel.reshape(filters, -1, size, size))
    bias = torch.from_numpy(offset)
    maps = []
    with torch.inference_mode():
        for values, image in zip(normalised, images, strict=True):
            stride = _stride(image, cell)
            padded = np.pad(values, ((0, 0), (size // 2, size // 2), (size // 2, size // 2)), mode="reflect")
            response = torch.nn.functional.conv2d(torch.from_numpy(padded)[None], weight, bias, stride=stride)
            visible = np.asarray(image.valid.any(axis=0))[None, ::stride, ::stride]
            maps.append(_mean_responses(response[0].numpy(), visible, None if cell is None else cell // stride))
    return maps


def _stride(image: Observation, cell: int | None) -> int:
    """Return 2 where cells are so large, and of an even side, that every second response does; else 1."""
    side = cell or min(image.shape)
    return 2 if side >= MIN_STRIDED_SIDE and not (cell or 2) % 2 else 1


def split_cells(values: np.ndarray, cell: int | None) -> np.ndarray:
    """Return the pixels of each cell.

    Args:
        values: (channels, rows, columns).
        cell: side in pixels; None: one cell.

    Returns:
        (channels, cell rows, cell columns, pixels).
    """
    channels, height, width = values.shape
    if cell is None:
        return values.reshape(channels, 1, 1, height * width)
    rows, columns = height // cell, width // cell
    blocks = values[:, : rows * cell, : columns * cell].reshape(channels, rows, cell, columns, cell)
    return blocks.transpose(0, 1, 3, 2, 4).reshape(channels, rows, columns, cell * cell)


def _statistics_map(observation: Observation, cell: int | None, extended: bool, around: bool) -> np.ndarray:
    blocks = split_cells(np.where(observation.valid, observation.pixels, np.nan), cell)
    known = np.isfinite(blocks)
    with np.errstate(all="ignore"):
        count = known.sum(axis=-1)
        filled = np.where(known, blocks, 0.0)
        mean = np.where(count > 0, filled.sum(axis=-1) / count, np.nan)
        deviation = np.where(known, blocks - mean[..., None], 0.0)
        parts = [mean, np.where(count > 0, np.sqrt((deviation**2).sum(axis=-1) / count), np.nan)]
        if extended:
            full = np.where(known, blocks, mean[..., None])
            parts += [full.min(axis=-1), full.max(axis=-1), *np.percentile(full, PERCENTILES, axis=-1)]
        if around:
            weight = _sum_neighbours(count.astype(np.float64))
            wide_mean = _sum_neighbours(filled.sum(axis=-1, dtype=np.float64)) / weight
            square = _sum_neighbours((filled.astype(np.float64) ** 2).sum(axis=-1)) / weight
            parts += [wide_mean, np.sqrt(np.maximum(square - wide_mean**2, 0))]
    return np.concatenate(parts).astype(np.float32)


def _whitened_filters(images: list[np.ndarray], filters: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (filters, values) float32 and (filters,) float32: weights and biases."""
    random = np.random.default_rng(seed)
    count = max(PATCHES_PER_FILTER * filters, MIN_PATCHES)
    patches = np.stack([_random_patch(images, size, random) for _ in range(count)])
    patches = patches.reshape(len(patches), -1).astype(np.float64)
    centre = patches.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov((patches - centre).T))
    scale = np.sqrt(np.maximum(values, 0) + WHITENING * max(values.mean(), 1e-6))
    whiten = (vectors / scale) @ vectors.T
    chosen = (patches[random.choice(len(patches), filters, replace=False)] - centre) @ whiten
    chosen /= np.maximum(np.linalg.norm(chosen, axis=1, keepdims=True), 1e-9)
    kernel = (chosen @ whiten.T).astype(np.float32)
    return kernel, (-kernel @ centre).astype(np.float32)


def _mean_responses(response: np.ndarray, visible: np.ndarray, cell: int | None) -> np.ndarray:
    """Return (2 * filters, cell rows, cell columns): means of the positive and the negative parts."""
    share = np.maximum(split_cells(visible.astype(np.float32), cell).sum(axis=-1), 1)
    positive = split_cells(np.maximum(response, 0) * visible, cell).sum(axis=-1) / share
    total = split_cells(response * visible, cell).sum(axis=-1) / share
    return np.concatenate([positive, positive - total])


def _sum_neighbours(values: np.ndarray) -> np.ndarray:
    """Return sums over three by three cells, fewer at the edge."""
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1)))
    rows, columns = values.shape[1:]
    total = np.zeros_like(values)
    for row in range(3):
        for column in range(3):
            total += padded[:, row : row + rows, column : column + columns]
    return total


def _normalise(images: Sequence[Observation]) -> list[np.ndarray]:
    """Return images with zero mean and unit variance per band over all valid pixels; invalid pixels are zero."""
    count = np.maximum(sum(image.valid.sum(axis=(1, 2)).astype(float) for image in images), 1)
    mean = sum(image.pixels.sum(axis=(1, 2), dtype=float) for image in images) / count
    square = sum((image.pixels.astype(float) ** 2).sum(axis=(1, 2)) for image in images) / count
    std = np.sqrt(np.maximum(square - mean**2, 1e-12))[:, None, None]
    centre = mean[:, None, None]
    return [np.where(image.valid, (image.pixels - centre) / std, 0).astype(np.float32) for image in images]


def _random_patch(images: list[np.ndarray], size: int, random: np.random.Generator) -> np.ndarray:
    image = images[random.integers(len(images))]
    row = random.integers(image.shape[1] - size + 1)
    column = random.integers(image.shape[2] - size + 1)
    return image[:, row : row + size, column : column + size]
