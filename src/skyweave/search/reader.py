"""What a file of embeddings has to offer: the vectors of its patches, block by block, and their places."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from skyweave.search.places import Places

GSD_TOLERANCE = 0.02
"""Relative difference up to which two ground sample distances are the same."""
MIN_CHANNELS_OF_FILL = 8
"""Of vectors that are recognised as filled; few channels may hold one number by chance."""


@dataclass(frozen=True)
class FeatureSpace:
    """What must agree before vectors may be compared.

    Attributes:
        channels: of a vector.
        fingerprint: of the encoder; None: the file does not say.
        sensor: name of the sensor; None: the file does not say.
        ground_sample_distance: of the pixels that were encoded, in metres; None: the file does not say.
    """

    channels: int
    fingerprint: str | None = None
    sensor: str | None = None
    ground_sample_distance: float | None = None

    def conflict(self, other: "FeatureSpace") -> str | None:
        """Return why vectors of two spaces cannot be compared; None where they can.

        Args:
            other: space.
        """
        if self.channels != other.channels:
            return f"{self.channels} channels, {other.channels} there"
        if self.fingerprint and other.fingerprint and self.fingerprint != other.fingerprint:
            return f"encoder {self.fingerprint[:12]}, {other.fingerprint[:12]} there"
        return None

    def doubts(self, other: "FeatureSpace") -> list[str]:
        """Return what makes a comparison doubtful although the encoder is the same.

        Args:
            other: space.
        """
        doubts = []
        if self.fingerprint is None or other.fingerprint is None:
            doubts.append("a file does not say which encoder made it; that they are the same is taken on trust")
        if self.sensor and other.sensor and self.sensor != other.sensor:
            doubts.append(f"sensors differ ({self.sensor}, {other.sensor}): features of one place may differ, too")
        if self._differs_in_resolution(other):
            doubts.append(
                f"pixels differ in size ({self.ground_sample_distance:g} m, {other.ground_sample_distance:g} m): "
                "features of one place may differ, too"
            )
        return doubts

    def _differs_in_resolution(self, other: "FeatureSpace") -> bool:
        first, second = self.ground_sample_distance, other.ground_sample_distance
        return first is not None and second is not None and abs(first - second) > GSD_TOLERANCE * max(first, second)


@dataclass(frozen=True)
class PatchBlock:
    """Some patches of a file.

    Attributes:
        vectors: (patches, channels) float32, finite.
        positions: (patches, ...), what `PatchReader.places` makes places of.
        fills: how many patches were left out by the number that all of their channels hold, see `find_fills`.
    """

    vectors: np.ndarray
    positions: np.ndarray
    fills: Mapping[float, int] = field(default_factory=dict)


def find_fills(stored: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, dict[float, int]]:
    """Return which patches hold a vector, and how many hold one number in every channel, which no encoder writes.

    Files of others fill what they do not know with 0, -9999 or -128, and do not always declare it as nodata.

    Args:
        stored: (channels, ...) values as the file has them.
        valid: (...) patches that the file does not declare as without features.

    Returns:
        (...) bool, and the number of filled patches by what they hold.
    """
    if len(stored) < MIN_CHANNELS_OF_FILL:
        return valid, {}
    filled = valid & (stored == stored[:1]).all(0)
    numbers, counts = np.unique(stored[0][filled], return_counts=True)
    return valid & ~filled, dict(zip(numbers.tolist(), counts.tolist(), strict=True))


class PatchReader(ABC):
    """Reads the embeddings of one file. Another package adds a format by an entry point in ``skyweave.patch_readers``.

    Args:
        path: of the file or store.

    Raises:
        DataError: it holds no embeddings.

    Attributes:
        suffixes: of the files that it reads.
        space: what the vectors are.
        tags: what the file says of how it was made.
    """

    suffixes: ClassVar[tuple[str, ...]] = ()
    space: FeatureSpace
    tags: Mapping[str, str]

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def blocks(self) -> Iterator[PatchBlock]:
        """Yield all patches that have features, in the same order each time."""

    @abstractmethod
    def places(self, positions: np.ndarray) -> Places:
        """Return the places of patches.

        Args:
            positions: of the blocks, in their order.
        """
