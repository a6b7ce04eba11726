"""Pixels of photographs, decoded once and kept while there is room."""

from collections import OrderedDict
from pathlib import Path

import numpy as np

from skyweave.core.images.decoding import has_transparency, open_image, split_transparency
from skyweave.orthomosaic.photo import Photo

ALPHA = "A"  # the mode of the copies that say how opaque an image is
CACHE_BYTES = 400 * 2**20  # bytes of decoded pixels kept at most


class ImageCache:
    """Reduced copies of pictures, least recently used ones dropped first.

    A copy is an array (rows, columns) or (rows, columns, 3) uint8, smaller than the picture by a power of two.
    """

    def __init__(self, room: int = CACHE_BYTES) -> None:
        self._room, self._used = room, 0
        self._kept: OrderedDict[tuple[str, str, int], np.ndarray] = OrderedDict()
        self._transparent: dict[str, bool] = {}

    def grey(self, photo: Photo, factor: int) -> np.ndarray:
        """Return the brightness of a photo at a reduced size.

        Args:
            photo: whose pixels.
            factor: power of two by which it is reduced.

        Returns:
            (rows, columns) uint8.
        """
        return self._get(photo, "L", factor)

    def colour(self, photo: Photo, factor: int) -> np.ndarray:
        """Return the colours of a photo at a reduced size.

        Args:
            photo: whose pixels.
            factor: power of two by which it is reduced.

        Returns:
            (rows, columns, 3) uint8.
        """
        return self._get(photo, "RGB", factor)

    def opaque(self, photo: Photo, factor: int, pixels: np.ndarray) -> np.ndarray:
        """Return which pixels of a photo are not transparent: (...,) bool.

        Args:
            photo: whose pixels.
            factor: power of two by which the copy that is looked at is reduced.
            pixels: (..., 2) pixels (u, v) of the photo at full size, inside it.
        """
        if photo.path not in self._transparent:
            with open_image(Path(photo.path), photo.name) as image:
                self._transparent[photo.path] = has_transparency(image)
        if not self._transparent[photo.path]:
            return np.ones(pixels.shape[:-1], bool)
        alpha = self._get(photo, ALPHA, factor)
        column, row = np.moveaxis((pixels / factor).astype(int), -1, 0)
        opaque: np.ndarray = alpha[np.minimum(row, alpha.shape[0] - 1), np.minimum(column, alpha.shape[1] - 1)] > 127
        return opaque

    def _make(self, photo: Photo, mode: str, factor: int) -> np.ndarray:
        """Return pixels that are not kept: halved where those of twice the size are, else decoded."""
        finer = self._kept.get((photo.path, mode, factor // 2)) if factor % 2 == 0 else None
        return _halved(finer) if finer is not None else _decode(photo, mode, factor)

    def _get(self, photo: Photo, mode: str, factor: int) -> np.ndarray:
        key = (photo.path, mode, factor)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        pixels = self._make(photo, mode, factor)
        self._kept[key] = pixels
        self._used += pixels.nbytes
        while self._used > self._room and len(self._kept) > 1:
            self._used -= self._kept.popitem(last=False)[1].nbytes
        return pixels


def sample_bilinear(image: np.ndarray, factor: int, pixels: np.ndarray) -> np.ndarray:
    """Sample a reduced copy at pixels of the full size; half a pixel beyond the outermost centres the outermost value
    holds.

    Args:
        image: (rows, columns[, channels]) copy at 1/factor of the size.
        factor: by which it is reduced.
        pixels: (..., 2) pixels (u, v) of the photo at full size, NaN where there is none.

    Returns:
        (...[, channels]) float32, NaN for NaN.
    """
    rows, columns = image.shape[:2]
    known = np.isfinite(pixels[..., 0])
    cached = pixels[known]
    x = np.clip(cached[:, 0] / factor - 0.5, 0, columns - 1).astype(np.float32)
    y = np.clip(cached[:, 1] / factor - 0.5, 0, rows - 1).astype(np.float32)
    left = np.minimum(x.astype(np.int32), max(columns - 2, 0))
    top = np.minimum(y.astype(np.int32), max(rows - 2, 0))
    fx, fy = (x - left)[:, None], (y - top)[:, None]
    flat = image.reshape(rows * columns, -1)
    index = top * columns + left
    right, below = (1 if columns > 1 else 0), (columns if rows > 1 else 0)
    upper = flat[index] * (1 - fx) + flat[index + right] * fx
    lower = flat[index + below] * (1 - fx) + flat[index + below + right] * fx
    values = np.full((*known.shape, flat.shape[1]), np.nan, np.float32)
    values[known] = upper * (1 - fy) + lower * fy
    return values[..., 0] if image.ndim == 2 else values


def _decode(photo: Photo, mode: str, factor: int) -> np.ndarray:
    with open_image(Path(photo.path), photo.name) as image:
        columns, rows = image.size
        image.draft(mode, (max(columns // factor, 1), max(rows // factor, 1)))  # a JPEG decoder halves for free
        step = factor // max(round(columns / image.width), 1)
        if mode == ALPHA:
            converted = image.convert("RGBA").getchannel(ALPHA)
        else:
            converted = split_transparency(image)[0].convert(mode)
        return np.asarray(converted.reduce(step) if step > 1 else converted)


def _halved(image: np.ndarray) -> np.ndarray:
    rows, columns = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    part = image[:rows, :columns].astype(np.uint16)
    total = part[::2, ::2] + part[1::2, ::2] + part[::2, 1::2] + part[1::2, 1::2]
    return ((total + 2) // 4).astype(np.uint8)
