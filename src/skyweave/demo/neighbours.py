"""Nearest-neighbour search among patches."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PatchMatch:
    """A patch: image, row and column in its grid, and its cosine similarity to the query."""

    image: int
    row: int
    column: int
    similarity: float = 1.0


@dataclass(frozen=True)
class SearchResult:
    """A query patch and the patches most like it, best first."""

    query: PatchMatch
    matches: list[PatchMatch]


def search_patches(
    maps: list[np.ndarray], valid: list[np.ndarray], queries: int = 3, count: int = 6
) -> list[SearchResult]:
    """Find, for patches of the first image, the most similar patches of the others, or of itself if there are none.

    Queries lie along the direction in which the first image varies most. Similarity is the cosine after the mean of all
    patches is taken away. The patches of a result do not touch each other.

    Args:
        maps: (channels, rows, columns) features of each image.
        valid: (rows, columns) bool of each.
        queries: patches to search for.
        count: results of each.
    """
    vectors, places = _collect_vectors(maps, valid)
    count_first = len(vectors[0])
    if count_first == 0:
        return []
    joined = np.concatenate(vectors)
    joined = joined - joined.mean(0)
    joined /= np.linalg.norm(joined, axis=1, keepdims=True) + 1e-9
    chosen = _spread_queries(joined[:count_first], queries)
    candidates = _mark_candidates(joined, count_first, places)
    return [
        SearchResult(PatchMatch(*places[i]), _best(joined @ joined[i], places, candidates, places[i], count))
        for i in chosen
    ]


def _mark_candidates(joined: np.ndarray, count_first: int, places: list[tuple[int, int, int]]) -> np.ndarray:
    """Mark the patches of other images, or all where there is one image."""
    return np.array([place[0] > 0 for place in places]) if len(joined) > count_first else np.ones(len(places), bool)


def _collect_vectors(
    maps: list[np.ndarray], valid: list[np.ndarray]
) -> tuple[list[np.ndarray], list[tuple[int, int, int]]]:
    """Collect the features and places of all usable patches."""
    vectors, places = [], []
    for image, (features, usable) in enumerate(zip(maps, valid, strict=True)):
        rows, columns = np.nonzero(usable)
        vectors.append(features[:, rows, columns].T)
        places += [(image, int(r), int(c)) for r, c in zip(rows, columns, strict=True)]
    return vectors, places


def _spread_queries(vectors: np.ndarray, queries: int) -> list[int]:
    """Return patches along the direction in which (patches, channels) vectors vary most."""
    direction = np.linalg.svd(vectors, full_matrices=False)[2][0]
    order = np.argsort(vectors @ direction, kind="stable")
    return [int(order[round(q * (len(vectors) - 1))]) for q in np.linspace(0.1, 0.9, queries)]


def _best(
    similarities: np.ndarray,
    places: list[tuple[int, int, int]],
    candidates: np.ndarray,
    query: tuple[int, int, int],
    count: int,
) -> list[PatchMatch]:
    matches: list[PatchMatch] = []
    taken = [query]
    for index in np.argsort(-similarities, kind="stable"):
        image, row, column = places[index]
        if candidates[index] and _is_separate(places[index], taken):
            matches.append(PatchMatch(image, row, column, float(similarities[index])))
            taken.append((image, row, column))
        if len(matches) == count:
            break
    return matches


def _is_separate(place: tuple[int, int, int], taken: list[tuple[int, int, int]]) -> bool:
    """Say whether a patch touches none of the others."""
    image, row, column = place
    return all(i != image or max(abs(r - row), abs(c - column)) > 1 for i, r, c in taken)
