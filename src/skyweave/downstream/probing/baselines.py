"""Features that need no training: band statistics and random convolutions, on the same cells as the backbone's."""

import numpy as np

from skyweave.downstream.labels.samples import ProbeSamples

PERCENTILES = (10, 25, 50, 75, 90)


def band_statistics(samples: ProbeSamples, extended: bool = False, around: bool = False) -> np.ndarray:
    """Per-band mean and standard deviation of every sample's valid pixels.

    Args:
        extended: also minimum, maximum and percentiles.
        around: also mean and standard deviation over the square of three by three cells about the sample's cell
            (dense samples only), so that a comparison with features that see their surroundings is fair.

    Returns:
        (N, bands * statistics) float32, NaN where a band has no valid pixel.
    """
    return gather_cells(samples, [_statistics_map(samples, i, extended, around) for i in range(len(samples.images))])


def gather_cells(samples: ProbeSamples, maps: list[np.ndarray]) -> np.ndarray:
    """(N, D): each sample's row out of its image's (D, rows, columns) map of cells."""
    stacked = [maps[i][:, r, c] for i, (r, c) in zip(samples.image, samples.cell, strict=True)]
    return np.stack(stacked).astype(np.float32)


def _statistics_map(samples: ProbeSamples, image: int, extended: bool, around: bool) -> np.ndarray:
    observation = samples.images[image]
    values = np.where(observation.valid, observation.pixels, np.nan)
    blocks = split_cells(values, samples.cell_size)
    with np.errstate(all="ignore"):
        count = np.isfinite(blocks).sum(axis=-1)
        filled = np.where(np.isfinite(blocks), blocks, 0.0)
        first = np.where(count > 0, filled.sum(axis=-1) / count, np.nan)
        deviation = np.where(np.isfinite(blocks), blocks - first[..., None], 0.0)
        parts = [first, np.where(count > 0, np.sqrt((deviation**2).sum(axis=-1) / count), np.nan)]
        if extended:
            full = np.where(np.isfinite(blocks), blocks, first[..., None])
            parts += [full.min(axis=-1), full.max(axis=-1), *np.percentile(full, PERCENTILES, axis=-1)]
        if around:
            weight = _box(count.astype(np.float64))
            mean = _box(filled.sum(axis=-1, dtype=np.float64)) / weight
            square = _box((filled.astype(np.float64) ** 2).sum(axis=-1)) / weight
            parts += [mean, np.sqrt(np.maximum(square - mean**2, 0))]
    return np.concatenate(parts).astype(np.float32)


def random_convolutions(samples: ProbeSamples, filters: int, size: int, seed: int) -> np.ndarray:
    """Random convolutional features (MOSAIKS, Rolf et al. 2021, doi:10.1038/s41467-021-24638-z).

    Filters are whitened patches drawn from the images; the positive and the negative part of each normalised response
    are averaged over the sample's valid pixels, every second one where a sample is at least 16 pixels wide.

    Returns:
        (N, 2 * filters) float32.
    """
    import torch
    from torch.nn import functional

    random = np.random.default_rng(seed)
    images = _normalised(samples)
    patches = np.stack([_random_patch(images, size, random) for _ in range(max(4 * filters, 2000))])
    patches = patches.reshape(len(patches), -1).astype(np.float64)
    centre = patches.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov((patches - centre).T))
    whiten = (vectors / np.sqrt(np.maximum(values, 0) + 0.1 * max(values.mean(), 1e-6))) @ vectors.T
    chosen = (patches[random.choice(len(patches), filters, replace=False)] - centre) @ whiten
    chosen /= np.maximum(np.linalg.norm(chosen, axis=1, keepdims=True), 1e-9)
    kernel = (chosen @ whiten.T).astype(np.float32)
    bias = torch.from_numpy((-kernel @ centre).astype(np.float32))
    weight = torch.from_numpy(kernel.reshape(filters, -1, size, size))
    maps = []
    with torch.inference_mode():
        for image, observation in zip(images, samples.images, strict=True):
            cell = samples.cell_size
            stride = 2 if (cell or min(observation.shape)) >= 16 and not (cell or 2) % 2 else 1
            strided = None if cell is None else cell // stride
            padded = np.pad(image, ((0, 0), (size // 2, size // 2), (size // 2, size // 2)), mode="reflect")
            response = functional.conv2d(torch.from_numpy(padded)[None], weight, bias, stride=stride)[0].numpy()
            visible = np.asarray(observation.valid.any(axis=0))[None, ::stride, ::stride]
            seen = split_cells(visible.astype(np.float32), strided)
            share = np.maximum(seen.sum(axis=-1), 1)
            positive = split_cells(np.maximum(response, 0) * visible, strided).sum(axis=-1) / share
            total = split_cells(response * visible, strided).sum(axis=-1) / share
            maps.append(np.concatenate([positive, positive - total]))
    return gather_cells(samples, maps)


def split_cells(values: np.ndarray, cell: int | None) -> np.ndarray:
    """(channels, rows, columns) to (channels, cell rows, cell columns, pixels); one cell where ``cell`` is None."""
    channels, height, width = values.shape
    if cell is None:
        return values.reshape(channels, 1, 1, height * width)
    rows, columns = height // cell, width // cell
    blocks = values[:, : rows * cell, : columns * cell].reshape(channels, rows, cell, columns, cell)
    return blocks.transpose(0, 1, 3, 2, 4).reshape(channels, rows, columns, cell * cell)


def _box(values: np.ndarray) -> np.ndarray:
    """Sum over three by three cells, fewer at the edge."""
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1)))
    rows, columns = values.shape[1:]
    total = np.zeros_like(values)
    for row in range(3):
        for column in range(3):
            total += padded[:, row : row + rows, column : column + columns]
    return total


def _normalised(samples: ProbeSamples) -> list[np.ndarray]:
    """Images with zero mean and unit variance per band over all valid pixels; invalid pixels are zero."""
    count = sum(o.valid.sum(axis=(1, 2)).astype(float) for o in samples.images)
    count = np.maximum(count, 1)
    mean = sum(o.pixels.sum(axis=(1, 2), dtype=float) for o in samples.images) / count
    square = sum((o.pixels.astype(float) ** 2).sum(axis=(1, 2)) for o in samples.images) / count
    std = np.sqrt(np.maximum(square - mean**2, 1e-12))[:, None, None]
    return [np.where(o.valid, (o.pixels - mean[:, None, None]) / std, 0).astype(np.float32) for o in samples.images]


def _random_patch(images: list[np.ndarray], size: int, random: np.random.Generator) -> np.ndarray:
    image = images[random.integers(len(images))]
    row = random.integers(image.shape[1] - size + 1)
    column = random.integers(image.shape[2] - size + 1)
    return image[:, row : row + size, column : column + size]
