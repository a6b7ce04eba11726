"""Vectors of many patches as int8, with their places: what is searched."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skyweave.core.errors import DataError
from skyweave.search.places import Places
from skyweave.search.reader import FeatureSpace, PatchReader

MAX_LEVEL = 127
DECODED_AT_ONCE = 65536  # patches


@dataclass(frozen=True)
class ArchivePart:
    """The patches of one file.

    Attributes:
        path: of the file.
        places: of its patches.
        start: number of its first patch in the archive.
        tags: what the file says of how it was made.
    """

    path: str
    places: Places
    start: int
    tags: Mapping[str, str]


@dataclass(frozen=True)
class PatchArchive:
    """Vectors minus their mean, each channel scaled to -127..127.

    What all vectors have in common says nothing about a place and would make all of them similar, so it is subtracted.

    Attributes:
        space: what the vectors are.
        levels: (patches, channels) int8.
        lengths: (patches,) float32, Euclidean lengths of the decoded vectors.
        mean: (channels,) float32, of all vectors.
        scales: (channels,) float32: a decoded vector is ``levels * scales``.
        parts: the files, in the order of their patches.
    """

    space: FeatureSpace
    levels: np.ndarray
    lengths: np.ndarray
    mean: np.ndarray
    scales: np.ndarray
    parts: tuple[ArchivePart, ...]

    @cached_property
    def starts(self) -> np.ndarray:
        """Return the number of the first patch of each part."""
        return np.array([part.start for part in self.parts])

    def decode(self, numbers: np.ndarray) -> np.ndarray:
        """Return vectors minus the mean, (patches, channels) float32.

        Args:
            numbers: of the patches.
        """
        vectors: np.ndarray = self.levels[numbers] * self.scales
        return vectors

    def locate(self, number: int) -> tuple[ArchivePart, int]:
        """Return the file of a patch, and its number in it.

        Args:
            number: of the patch in the archive.
        """
        part = self.parts[int(np.searchsorted(self.starts, number, side="right")) - 1]
        return part, number - part.start

    def outlines(self, numbers: np.ndarray) -> np.ndarray:
        """Return corners of patches, (patches, 4, 2) longitude and latitude.

        Args:
            numbers: of the patches.
        """
        corners = np.empty((len(numbers), 4, 2))
        part_of = np.searchsorted(self.starts, numbers, side="right") - 1
        for index in np.unique(part_of):
            chosen = part_of == index
            part = self.parts[index]
            corners[chosen] = part.places.outlines(numbers[chosen] - part.start)
        return corners


def build_archive(
    readers: Sequence[PatchReader], progress: Callable[[int, int], None] | None = None
) -> tuple[PatchArchive, list[str]]:
    """Read the patches of some files: once for the range of each channel, once more to quantise them.

    Args:
        readers: of the files.
        progress: called with (files read, files to read; each counts twice).

    Returns:
        The archive, and what makes the files, or comparisons between them, doubtful.

    Raises:
        DataError: the files are of different encoders, or hold no patch.
    """
    doubts = _check_spaces(readers)
    fills: dict[str, Counter[float]] = {}
    report = progress or (lambda done, total: None)
    statistics = _ChannelStatistics(readers[0].space.channels)
    for done, reader in enumerate(readers):
        report(done, 2 * len(readers))
        fills[str(reader.path)] = Counter()
        for block in reader.blocks():
            statistics.add(block.vectors)
            fills[str(reader.path)].update(block.fills)
    doubts += [_describe_fills(path, counts) for path, counts in fills.items() if counts]
    if not statistics.count:
        raise DataError(f"no patch has features in {', '.join(str(reader.path) for reader in readers)}")
    mean, scales = statistics.mean(), statistics.scales()
    levels = np.empty((statistics.count, len(mean)), np.int8)
    lengths = np.empty(statistics.count, np.float32)
    parts: list[ArchivePart] = []
    row = 0
    for done, reader in enumerate(readers):
        report(len(readers) + done, 2 * len(readers))
        start, positions = row, []
        for block in reader.blocks():
            stop = row + len(block.vectors)
            levels[row:stop] = np.round((block.vectors - mean) / scales).clip(-MAX_LEVEL, MAX_LEVEL)
            lengths[row:stop] = np.linalg.norm(levels[row:stop] * scales, axis=1)
            positions.append(block.positions)
            row = stop
        if row > start:
            parts.append(
                ArchivePart(str(reader.path), reader.places(np.concatenate(positions)), start, dict(reader.tags))
            )
    report(2 * len(readers), 2 * len(readers))
    return PatchArchive(readers[0].space, levels, lengths, mean, scales, tuple(parts)), doubts


class _ChannelStatistics:
    """Mean and range of every channel, block by block."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self._sum = np.zeros(channels)
        self._smallest = np.full(channels, np.inf)
        self._largest = np.full(channels, -np.inf)

    def add(self, vectors: np.ndarray) -> None:
        if not len(vectors):
            return
        self.count += len(vectors)
        self._sum += vectors.sum(0, dtype=np.float64)
        self._smallest = np.minimum(self._smallest, vectors.min(0))
        self._largest = np.maximum(self._largest, vectors.max(0))

    def mean(self) -> np.ndarray:
        return (self._sum / self.count).astype(np.float32)

    def scales(self) -> np.ndarray:
        mean = self._sum / self.count
        span = np.maximum(self._largest - mean, mean - self._smallest)
        return np.where(span > 0, span / MAX_LEVEL, 1.0).astype(np.float32)


def _check_spaces(readers: Sequence[PatchReader]) -> list[str]:
    """Refuse files whose vectors cannot be compared; return what is doubtful about the others."""
    first = readers[0]
    doubts: dict[str, None] = {}
    if len(readers) == 1 and first.space.fingerprint is None:
        doubts[
            f"{first.path} does not say which encoder made it: its {first.space.channels} bands are taken for the "
            "channels of embeddings"
        ] = None
    for reader in readers[1:]:
        if conflict := reader.space.conflict(first.space):
            raise DataError(
                f"{reader.path} cannot be searched with {first.path}: {conflict}; embed both with one model"
            )
        doubts |= dict.fromkeys(reader.space.doubts(first.space))
    return list(doubts)


def _describe_fills(path: str, counts: Mapping[float, int]) -> str:
    numbers = ", ".join(f"{number:g}" for number in sorted(counts, key=lambda number: -counts[number])[:3])
    return (
        f"{path}: {sum(counts.values())} patches hold one number in every channel ({numbers}), and the file does not "
        "declare it as nodata: they count as patches without features"
    )
