"""Figures of nested JSON, and hashes of rasters: for `same_figures.py`."""

import hashlib
import io
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
FINGERPRINT = re.compile(r"[0-9a-f]{16,64}")
NOT_FIGURES = {"config", "notes", "path", "fleet", "budget", "seconds"}  # keys of what commands print


def flattened(value: Any, path: str, renamed: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """Yield every number and hash in plain JSON types with the path of keys that leads to it.

    Args:
        value: dicts, lists, numbers and texts; texts other than numbers and hashes are no figures.
        path: of ``value``.
        renamed: key or word, as it is now, to what it is called in the path. An entry of a list is called by its
            texts, split at commas, or by its place if it has none.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            if key not in NOT_FIGURES:
                yield from flattened(item, f"{path}/{renamed.get(key, key)}", renamed)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from flattened(item, f"{path}/{_name_of_entry(item, renamed) or place}", renamed)
    elif _is_figure(value):
        yield path, str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _is_figure(value: Any) -> bool:
    if isinstance(value, str):
        return bool(NUMBER.fullmatch(value) or FINGERPRINT.fullmatch(value))
    return isinstance(value, int | float) and not isinstance(value, bool)


def _name_of_entry(item: Any, renamed: Mapping[str, str]) -> str:
    texts = [text for text in item.values() if isinstance(text, str)] if isinstance(item, dict) else []
    words = [word for text in texts for word in text.split(", ")]
    return ", ".join(renamed.get(word, word) for word in words)


def numbers(value: Any) -> Iterator[float]:
    """Yield all numbers in plain JSON types, in order."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from numbers(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def hash_of_raster(source: Path | io.BytesIO) -> str:
    """Return the hash of an image's pixels, or of a NumPy archive's arrays, whatever these are called."""
    from PIL import Image

    if isinstance(source, Path) and source.suffix == ".npz":
        with np.load(source) as arrays:
            return sha256("".join(sorted(hash_of_array(array) for array in arrays.values())).encode())
    with Image.open(source) as image:
        return hash_of_array(np.asarray(image))


def hash_of_array(array: np.ndarray) -> str:
    """Return the SHA-256 of type, shape and values."""
    return sha256(f"{array.dtype} {array.shape} ".encode() + np.ascontiguousarray(array).tobytes())


def sha256(content: bytes) -> str:
    """Return the hash as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
