"""Exact search: every vector is compared.

Levels are widened to floats some hundred at a time, so that they stay in the processor's cache, and multiplied there
by BLAS: one pass over the int8 values is all that memory has to deliver. A product is a sum of some hundred terms in
float32, whose rounding is far below that of the levels.
"""

from dataclasses import dataclass

import numpy as np

from skyweave.search.archive import PatchArchive
from skyweave.search.ranking import Ranking

ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class Matches:
    """Patches by falling score.

    Attributes:
        numbers: of the patches in the archive, int64.
        scores: float32.
    """

    numbers: np.ndarray
    scores: np.ndarray


def score_all(archive: PatchArchive, ranking: Ranking) -> np.ndarray:
    """Return the score of every patch, (patches,) float32.

    Args:
        archive: to search.
        ranking: what makes a patch a good one.
    """
    levels = archive.levels
    directions = np.ascontiguousarray((ranking.directions * archive.scales).T.astype(np.float32))
    scores = np.empty(len(levels), np.float32)
    inverse_lengths = 1 / np.maximum(archive.lengths, np.finfo(np.float32).tiny)
    buffer = np.empty((ROWS_AT_ONCE, levels.shape[1]), np.float32)
    for row in range(0, len(levels), ROWS_AT_ONCE):
        stop = min(row + ROWS_AT_ONCE, len(levels))
        values = buffer[: stop - row]
        np.copyto(values, levels[row:stop])
        scores[row:stop] = ranking.combine((values @ directions) * inverse_lengths[row:stop, None])
    return scores


def search_exact(archive: PatchArchive, ranking: Ranking, count: int, excluded: np.ndarray | None = None) -> Matches:
    """Return the patches of highest score.

    Args:
        archive: to search.
        ranking: what makes a patch a good one.
        count: of patches; fewer where the archive is smaller.
        excluded: numbers of patches that are left out, such as the examples themselves.
    """
    scores = score_all(archive, ranking)
    if excluded is not None:
        scores[excluded] = -np.inf
    numbers = largest(scores, count)
    kept = np.isfinite(scores[numbers])
    return Matches(numbers[kept], scores[numbers][kept])


def largest(scores: np.ndarray, count: int) -> np.ndarray:
    """Return the indices of the largest values by falling value, the lower index first among equal ones.

    Args:
        scores: (patches,).
        count: of indices.
    """
    count = min(count, len(scores))
    if count <= 0:
        return np.zeros(0, np.int64)
    bound = np.partition(scores, len(scores) - count)[len(scores) - count]
    candidates = np.flatnonzero(scores >= bound)
    order = np.argsort(-scores[candidates], kind="stable")
    return candidates[order[:count]]
