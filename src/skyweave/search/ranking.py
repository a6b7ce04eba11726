"""What makes a patch a good match of some examples, as directions and how their cosines become one score."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.registry import Registry


class Ranking(ABC):
    """A score from cosines with a few directions. Another package adds one by an entry point in ``skyweave.rankings``.

    Args:
        positives: (examples, channels), minus the archive's mean.
        negatives: (examples, channels), the same; may be none.

    Raises:
        DataError: an example that is the mean of all patches has no direction.

    Attributes:
        directions: (directions, channels).
        summary: how the score is made, in one line.
    """

    summary: ClassVar[str] = ""

    def __init__(self, positives: np.ndarray, negatives: np.ndarray) -> None:
        self.directions = self.choose_directions(unit_vectors(positives), unit_vectors(negatives))

    @abstractmethod
    def choose_directions(self, positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
        """Return the directions, (directions, channels).

        Args:
            positives: (examples, channels), of length 1.
            negatives: (examples, channels), of length 1; may be none.
        """

    @property
    def candidate_directions(self) -> np.ndarray:
        """Return directions near which an approximate search looks for candidates, (directions, channels)."""
        return self.directions

    @abstractmethod
    def combine(self, products: np.ndarray) -> np.ndarray:
        """Return scores, (patches,); larger is better.

        Args:
            products: (patches, directions), of patches of length 1 with the directions.
        """


class CentroidRanking(Ranking):
    """Cosine with the mean of the positive examples, minus that with the mean of the negative ones."""

    summary = "cosine with the mean positive example, minus that with the mean negative one"

    def choose_directions(self, positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
        """Return the one direction, (1, channels).

        Args:
            positives: (examples, channels), of length 1.
            negatives: (examples, channels), of length 1; may be none.
        """
        direction = unit_vectors(positives.mean(0, keepdims=True))
        return direction - unit_vectors(negatives.mean(0, keepdims=True)) if len(negatives) else direction

    def combine(self, products: np.ndarray) -> np.ndarray:
        """Return the products themselves, (patches,).

        Args:
            products: (patches, 1).
        """
        return products[:, 0]


class NearestRanking(Ranking):
    """Largest cosine with a positive example, minus the largest with a negative one."""

    summary = "largest cosine with a positive example, minus the largest with a negative one"

    def choose_directions(self, positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
        """Return the examples themselves, (examples, channels).

        Args:
            positives: (examples, channels), of length 1.
            negatives: (examples, channels), of length 1; may be none.
        """
        self._positives = len(positives)
        return np.concatenate([positives, negatives])

    @property
    def candidate_directions(self) -> np.ndarray:
        """Return the positive examples, (examples, channels)."""
        return self.directions[: self._positives]

    def combine(self, products: np.ndarray) -> np.ndarray:
        """Return the difference of the largest cosines, (patches,).

        Args:
            products: (patches, examples).
        """
        best: np.ndarray = products[:, : self._positives].max(1)
        if products.shape[1] > self._positives:
            best = best - products[:, self._positives :].max(1)
        return best


RANKINGS: Registry[type[Ranking]] = Registry(
    "rankings",
    "ranking",
    {"centroid": "skyweave.search.ranking:CentroidRanking", "nearest": "skyweave.search.ranking:NearestRanking"},
)


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """Return vectors of length 1, (vectors, channels).

    Args:
        vectors: (vectors, channels).

    Raises:
        DataError: one of length zero.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if len(vectors) and not lengths.min() > 0:
        raise DataError(
            "an example equals the mean of all patches, or the examples cancel out, so nothing is like it more than "
            "anything else; give another example"
        )
    unit: np.ndarray = vectors / lengths
    return unit
