"""What an output format has to offer: it receives a map of features from north to south, and reads it back."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import numpy as np


@dataclass(frozen=True)
class FeatureMap:
    """A map of features, before it is written.

    Attributes:
        rows: of patches, from north to south.
        columns: of patches.
        channels: of the features.
        crs: coordinate reference system as WKT; None: unknown.
        transform: (a, b, c, d, e, f) with x = a * column + b * row + c and y = d * column + e * row + f of a patch's
            upper left corner.
        tags: what made the map, as text by name: model, fingerprint, sensor, unit, patch size.
    """

    rows: int
    columns: int
    channels: int
    crs: str | None
    transform: tuple[float, float, float, float, float, float]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class ChannelRanges:
    """The range of every channel over all valid patches; zero where there are none.

    Attributes:
        smallest: (channels,) float64.
        largest: (channels,) float64.
    """

    smallest: np.ndarray
    largest: np.ndarray


class FeatureWriter(ABC):
    """Write a map of features to a file. Another package adds a format through an entry point in ``skyweave.writers``.

    A writer is a context manager. Its file lies in a folder of its own until it is whole; then whatever the writer has
    left in that folder is moved beside each other, so that a format may consist of several files.

    Args:
        path: file to write.
        feature_map: what is coming.
        storage: how values are stored, one of ``storages``.

    Attributes:
        suffixes: of files that are written in this format unless another one is asked for.
        storages: how values can be stored.
        block_rows: rows that `write` receives at a time; the last time, what is left.
    """

    suffixes: ClassVar[tuple[str, ...]] = ()
    storages: ClassVar[tuple[str, ...]] = ("float32",)
    block_rows: ClassVar[int] = 64

    def __init__(self, path: Path, feature_map: FeatureMap, storage: str) -> None:
        self.path, self.feature_map, self.storage = path, feature_map, storage

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what is open, whether the map is whole or not."""
        self.close()

    @abstractmethod
    def write(self, row: int, features: np.ndarray) -> None:
        """Write some rows of the map, which come once each, from north to south.

        Args:
            row: number of the first.
            features: (channels, rows, columns) float32, NaN where a patch has no valid pixel.
        """

    @abstractmethod
    def finish(self, ranges: ChannelRanges) -> None:
        """Complete the file after the last row.

        Args:
            ranges: of the channels.
        """

    @abstractmethod
    def read_blocks(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """Yield what was written, before it was quantised: first row, first column, (channels, rows, columns)."""

    @abstractmethod
    def verify(self) -> None:
        """Read the whole file back.

        Raises:
            OSError: it is not whole.
        """

    def close(self) -> None:
        """Close what is open, and remove temporary files; may be called twice. A format without either does nothing."""
        return
