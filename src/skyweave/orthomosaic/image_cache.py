"""Pixels of photographs, decoded once and kept while there is room."""

from collections import OrderedDict

import numpy as np
from PIL import Image

from skyweave.orthomosaic.photo import Photo

ROOM = 400 * 2**20  # bytes of decoded pixels kept at most


class PictureStore:
    """Reduced copies of pictures, least recently used ones dropped first.

    A copy is an array (rows, columns) or (rows, columns, 3) uint8, smaller than the picture by a power of two.
    """

    def __init__(self, room: int = ROOM) -> None:
        self._room, self._used = room, 0
        self._kept: OrderedDict[tuple[str, str, int], np.ndarray] = OrderedDict()

    def grey(self, photo: Photo, factor: int) -> np.ndarray:
        """(rows, columns) brightness at 1/factor of the size."""
        return self._get(photo, "L", factor)

    def colour(self, photo: Photo, factor: int) -> np.ndarray:
        """(rows, columns, 3) at 1/factor of the size."""
        return self._get(photo, "RGB", factor)

    def _get(self, photo: Photo, mode: str, factor: int) -> np.ndarray:
        key = (photo.path, mode, factor)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        finer = self._kept.get((photo.path, mode, factor // 2)) if factor % 2 == 0 else None
        pixels = _halved(finer) if finer is not None else _decode(photo, mode, factor)
        self._kept[key] = pixels
        self._used += pixels.nbytes
        while self._used > self._room and len(self._kept) > 1:
            self._used -= self._kept.popitem(last=False)[1].nbytes
        return pixels


def sample(picture: np.ndarray, factor: int, pixels: np.ndarray) -> np.ndarray:
    """Bilinear values (...,) or (..., channels) float32 of a copy at the photo's pixels (..., 2); NaN for NaN.

    Half a pixel beyond the outermost centres the outermost value holds.

    Args:
        picture: (rows, columns[, channels]) copy at 1/factor of the size.
    """
    rows, columns = picture.shape[:2]
    known = np.isfinite(pixels[..., 0])
    found = pixels[known]
    x = np.clip(found[:, 0] / factor - 0.5, 0, columns - 1).astype(np.float32)
    y = np.clip(found[:, 1] / factor - 0.5, 0, rows - 1).astype(np.float32)
    left = np.minimum(x.astype(np.int32), max(columns - 2, 0))
    top = np.minimum(y.astype(np.int32), max(rows - 2, 0))
    fx, fy = (x - left)[:, None], (y - top)[:, None]
    flat = picture.reshape(rows * columns, -1)
    index = top * columns + left
    right, below = (1 if columns > 1 else 0), (columns if rows > 1 else 0)
    upper = flat[index] * (1 - fx) + flat[index + right] * fx
    lower = flat[index + below] * (1 - fx) + flat[index + below + right] * fx
    values = np.full((*known.shape, flat.shape[1]), np.nan, np.float32)
    values[known] = upper * (1 - fy) + lower * fy
    return values[..., 0] if picture.ndim == 2 else values


def _decode(photo: Photo, mode: str, factor: int) -> np.ndarray:
    with Image.open(photo.path) as image:
        columns, rows = image.size
        image.draft(mode, (max(columns // factor, 1), max(rows // factor, 1)))  # a JPEG decoder halves for free
        step = factor // max(round(columns / image.width), 1)
        picture = image.convert(mode)
        return np.asarray(picture.reduce(step) if step > 1 else picture)


def _halved(picture: np.ndarray) -> np.ndarray:
    rows, columns = picture.shape[0] // 2 * 2, picture.shape[1] // 2 * 2
    part = picture[:rows, :columns].astype(np.uint16)
    total = part[::2, ::2] + part[1::2, ::2] + part[::2, 1::2] + part[1::2, 1::2]
    return ((total + 2) // 4).astype(np.uint8)
