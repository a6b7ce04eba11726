"""Images to patches and back, at any patch size."""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from skyweave.backbone.batch import SensorBatch


def patchify(images: Tensor, patch_size: int) -> Tensor:
    """Return patches (batch, patches, channels, p, p), row-major.

    Rows and columns must be multiples of the patch size; see `pad_to_patches`. In memory a pixel's channels lie side by
    side, as tokenizers read them: whole rows of patches are copied, and nothing has to be reordered afterwards.

    Args:
        images: (batch, channels, rows, columns).
        patch_size: pixels per patch side.
    """
    batch, channels, rows, columns = images.shape
    pixels = images.permute(0, 2, 3, 1).reshape(
        batch, rows // patch_size, patch_size, columns // patch_size, patch_size, channels
    )
    patches = pixels.transpose(2, 3).reshape(batch, -1, patch_size, patch_size, channels)
    return patches.permute(0, 1, 4, 2, 3)


def unpatchify(patches: Tensor, grid: tuple[int, int]) -> Tensor:
    """Join patches to images, the inverse of `patchify`: (batch, channels, rows * p, columns * p).

    Args:
        patches: (batch, patches, channels, p, p), row-major.
        grid: (rows, columns) of patches.
    """
    batch, _, channels, size, _ = patches.shape
    rows, columns = grid
    image = patches.view(batch, rows, columns, channels, size, size).permute(0, 3, 1, 4, 2, 5)
    return image.reshape(batch, channels, rows * size, columns * size)


def pad_to_patches(batch: SensorBatch, patch_size: int) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Pad images below and right with invalid zeros to whole patches.

    Args:
        batch: images of one sensor and size.
        patch_size: pixels per patch side.

    Returns:
        pixels (batch, bands, rows', columns'), valid (same shape, bool), (patch rows, patch columns).
    """
    rows, columns = batch.pixels.shape[-2:]
    below, right = -rows % patch_size, -columns % patch_size
    pixels, valid = batch.pixels, batch.valid
    if below or right:
        pixels = functional.pad(pixels, (0, right, 0, below))
        valid = functional.pad(valid, (0, right, 0, below), value=False)
    return pixels, valid, ((rows + below) // patch_size, (columns + right) // patch_size)


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def resize_matrix(source: int, target: int) -> Tensor:
    """Return the (target**2, source**2) matrix that resizes a flattened square patch: bilinear up, anti-aliased down.

    Applying a kernel of the nominal size to the resized patch equals applying ``kernel @ matrix`` to the patch itself,
    so one set of weights serves any patch size (after FlexiViT, arXiv 2212.08013, without its pseudo-inverse: the
    nominal kernel always sees the patch as it would look at the nominal number of pixels).

    Args:
        source: pixels per side before.
        target: pixels per side after.
    """
    if source == target:
        return torch.eye(source * source)
    basis = torch.eye(source * source).view(source * source, 1, source, source)
    resized = functional.interpolate(
        basis, size=(target, target), mode="bilinear", align_corners=False, antialias=target < source
    )
    return resized.view(source * source, target * target).T.contiguous()


def downsample_pixels(pixels: Tensor, factor: int) -> Tensor:
    """Shrink patches to (batch, number, p / factor, p / factor, channels).

    Times ``edge_correction`` this is ``resize_matrix``, as a small convolution of every channel instead of a product.

    Args:
        pixels: (batch, number, p, p, channels).
        factor: whole number by which they shrink.
    """
    channels = pixels.shape[-1]
    taps = _taps(factor).to(pixels)
    kernel = torch.outer(taps, taps).expand(channels, 1, -1, -1)
    images = pixels.flatten(0, 1).permute(0, 3, 1, 2)
    shrunk = functional.conv2d(images, kernel, stride=factor, padding=(len(taps) - factor) // 2, groups=channels)
    result: Tensor = shrunk.permute(0, 2, 3, 1).unflatten(0, pixels.shape[:2])
    return result


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def edge_correction(factor: int, size: int) -> Tensor:
    """Return what `downsample_pixels` has to be multiplied with, (size**2,): more at edges, where its filter lacks
    pixels.

    Args:
        factor: by which patches shrink.
        size: pixels per side of the result.
    """
    taps = _taps(factor)
    around = (len(taps) - factor) // 2
    there = functional.pad(torch.ones(factor * size), (around, around)).unfold(0, len(taps), factor)
    whole = (there * taps).sum(1)  # no convolution, which autocast would round for everybody who asks later
    return torch.outer(1 / whole, 1 / whole).flatten()


def _taps(factor: int) -> Tensor:
    """The bilinear filter that shrinks ``factor`` times without aliases: a triangle twice as wide, sum 1."""
    reach = 2 * factor - factor % 2
    distance = torch.arange(reach) - (reach - 1) / 2
    return (1 - distance.abs() / factor) / factor
