"""Nearest-neighbour search among patches."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Place:
    """A patch: image, row and column in its grid, and its cosine similarity to the query."""

    image: int
    row: int
    column: int
    similarity: float = 1.0


@dataclass(frozen=True)
class Search:
    """A query patch and the patches most like it, best first."""

    query: Place
    found: list[Place]


def search(maps: list[np.ndarray], valid: list[np.ndarray], queries: int = 3, count: int = 6) -> list[Search]:
    """For patches of the first image, the most similar patches of the others (of itself, if there are none).

    Queries are spread along the direction in which the first image varies most. Similarity is the cosine after the
    mean of all patches is taken away. Found patches do not touch each other.

    Args:
        maps: (channels, rows, columns) features of each image.
        valid: (rows, columns) bool of each.
    """
    vectors, places = [], []
    for image, (features, usable) in enumerate(zip(maps, valid, strict=True)):
        rows, columns = np.nonzero(usable)
        vectors.append(features[:, rows, columns].T)
        places += [(image, int(r), int(c)) for r, c in zip(rows, columns, strict=True)]
    own = len(vectors[0])
    if own == 0:
        return []
    joined = np.concatenate(vectors)
    joined = joined - joined.mean(0)
    joined /= np.linalg.norm(joined, axis=1, keepdims=True) + 1e-9
    direction = np.linalg.svd(joined[:own], full_matrices=False)[2][0]
    order = np.argsort(joined[:own] @ direction, kind="stable")
    chosen = [int(order[round(q * (own - 1))]) for q in np.linspace(0.1, 0.9, queries)]
    candidates = np.array([place[0] > 0 for place in places]) if len(joined) > own else np.ones(len(places), bool)
    return [Search(Place(*places[i]), _best(joined @ joined[i], places, candidates, places[i], count)) for i in chosen]


def _best(
    similarities: np.ndarray,
    places: list[tuple[int, int, int]],
    candidates: np.ndarray,
    query: tuple[int, int, int],
    count: int,
) -> list[Place]:
    found: list[Place] = []
    taken = [query]
    for index in np.argsort(-similarities, kind="stable"):
        image, row, column = places[index]
        apart = all(i != image or max(abs(r - row), abs(c - column)) > 1 for i, r, c in taken)
        if candidates[index] and apart:
            found.append(Place(image, row, column, float(similarities[index])))
            taken.append((image, row, column))
        if len(found) == count:
            break
    return found
