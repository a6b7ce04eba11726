"""Images of training and test that show the same ground: scores on those are scores of places that were seen."""

import filecmp
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.data.georeference import Georeference
from skyweave.downstream.labels.images import image_header

MIN_SHARED_SHARE = 0.05
"""Of a test image's extent that a training image covers: neighbours that touch share less."""


def shared_ground_note(train: Sequence[Path], test: Sequence[Path]) -> list[str]:
    """Return a note of the test images whose ground another image of the training part covers in part.

    Args:
        train: images of the training part.
        test: images of the test part; those without a georeference say nothing.
    """
    training, tested = _extents(sorted(set(train) - set(test))), _extents(sorted(set(test)))
    pairs = [
        (path, other)
        for crs, (paths, boxes) in tested.items()
        if crs in training
        for path, box in zip(paths, boxes, strict=True)
        for other in _covering(box, *training[crs])[:1]
    ]
    if not pairs:
        return []
    count = sum(len(paths) for paths, _ in tested.values())
    example = f"{pairs[0][0].name} and {pairs[0][1].name}"
    return [
        f"{len(pairs)} of {count} test images show ground that training images show too ({example}): their scores are "
        "of places that were seen; keep such images together with split.pattern"
    ]


def refuse_shared_files(train: Sequence[Path], test: Sequence[Path]) -> None:
    """Refuse images of another folder to test on that are images of training, by links or as copies.

    Args:
        train: images that are trained on, or chosen by.
        test: images of the folder to test on.

    Raises:
        DataError: one is; names it.
    """
    by_size: dict[int, list[Path]] = {}
    for path in dict.fromkeys(train):
        by_size.setdefault(path.stat().st_size, []).append(path)
    candidates = ((path, other) for path in dict.fromkeys(test) for other in by_size.get(path.stat().st_size, []))
    shared = {path: other for path, other in candidates if filecmp.cmp(path, other, shallow=False)}
    if shared:
        first, other = next(iter(shared.items()))
        raise DataError(
            f"{len(shared)} images to test on are images of training ({first} is {other}): scores on them would be of "
            "what was learned; give another folder with --test-data, or leave it away to test on a part"
        )


def _extents(paths: Sequence[Path]) -> dict[str, tuple[list[Path], np.ndarray]]:
    """Return paths and (n, 4) west, south, east and north by reference system."""
    extents: dict[str, tuple[list[Path], list[tuple[float, float, float, float]]]] = {}
    for path in paths:
        place = image_header(path).place
        if place.crs is None:
            continue
        members = extents.setdefault(place.crs, ([], []))
        members[0].append(path)
        members[1].append(_extent(place))
    return {crs: (members, np.array(boxes)) for crs, (members, boxes) in extents.items()}


def _extent(place: Georeference) -> tuple[float, float, float, float]:
    """Return west, south, east and north of a raster, which may be turned."""
    a, b, west, d, e, north = place.affine
    corners = list(itertools.product((0, place.shape[1]), (0, place.shape[0])))
    x = [west + a * column + b * row for column, row in corners]
    y = [north + d * column + e * row for column, row in corners]
    return min(x), min(y), max(x), max(y)


def _covering(box: np.ndarray, paths: list[Path], boxes: np.ndarray) -> list[Path]:
    """Return the images that cover more than a small share of an extent."""
    width = np.minimum(box[2], boxes[:, 2]) - np.maximum(box[0], boxes[:, 0])
    height = np.minimum(box[3], boxes[:, 3]) - np.maximum(box[1], boxes[:, 1])
    shared = np.clip(width, 0, None) * np.clip(height, 0, None)
    area = (box[2] - box[0]) * (box[3] - box[1])
    return [paths[i] for i in np.flatnonzero(shared > MIN_SHARED_SHARE * area).tolist()]
