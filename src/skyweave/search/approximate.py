"""Approximate search through a graph of neighbours (HNSW, arXiv 1603.09320), for more patches than fit an exact search.

The library proposes candidates, the neighbours of the ranking's directions; their scores are exact, computed from the
archive's own vectors. With counterexamples the ranking `nearest` may prefer patches that are no neighbours of a
positive example: those are not among the candidates.
"""

from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import DataError, MissingExtraError
from skyweave.search.archive import DECODED_AT_ONCE, PatchArchive
from skyweave.search.exact import Matches, largest
from skyweave.search.ranking import Ranking

CANDIDATES_PER_HIT = 8
MIN_CANDIDATES = 256
EXPANSION = 256  # candidates that the graph keeps while it searches; more: better recall, slower
SUFFIX = ".usearch"


class ApproximateIndex:
    """A graph of the neighbours of an archive's patches, by the library usearch.

    Args:
        archive: whose patches are searched.
        graph: of usearch.
    """

    def __init__(self, archive: PatchArchive, graph: Any) -> None:
        self._archive, self._graph = archive, graph

    def search(self, ranking: Ranking, count: int, excluded: np.ndarray | None = None) -> Matches:
        """Return patches of high score; some of the best may be missing.

        Args:
            ranking: what makes a patch a good one.
            count: of patches.
            excluded: numbers of patches that are left out.
        """
        left_out = np.zeros(0, np.int64) if excluded is None else np.unique(excluded)
        candidates = max(MIN_CANDIDATES, CANDIDATES_PER_HIT * count) + len(left_out)
        candidates = min(candidates, len(self._archive.levels))
        neighbours = [
            self._graph.search(direction, candidates).keys
            for direction in ranking.candidate_directions.astype(np.float32)
        ]
        numbers = np.setdiff1d(np.concatenate(neighbours).astype(np.int64), left_out)
        units = self._archive.decode(numbers) / np.maximum(self._archive.lengths[numbers, None], 1e-30)
        scores = ranking.combine((units @ ranking.directions.T).astype(np.float32))
        order = largest(scores, count)
        return Matches(numbers[order], scores[order])

    def save(self, path: str | Path) -> None:
        """Write the graph; it appears when it is whole.

        Args:
            path: of the file.
        """
        with write_aside(path) as aside:
            self._graph.save(str(aside))


def build_index(archive: PatchArchive, threads: int = 0) -> ApproximateIndex:
    """Add every patch to a new graph, a few thousand a second and thread.

    Args:
        archive: whose patches are searched.
        threads: to use; 0: one a core.

    Raises:
        MissingExtraError: usearch is not installed.
    """
    graph = _new_graph(archive.space.channels)
    for first in range(0, len(archive.levels), DECODED_AT_ONCE):
        numbers = np.arange(first, min(first + DECODED_AT_ONCE, len(archive.levels)))
        graph.add(numbers, archive.decode(numbers), threads=threads)
    return ApproximateIndex(archive, graph)


def load_index(path: str | Path, archive: PatchArchive) -> ApproximateIndex:
    """Map a graph into memory.

    Args:
        path: of the file.
        archive: that it was made from.

    Raises:
        FileNotFoundError: there is none.
        DataError: it is damaged, or of another archive.
        MissingExtraError: usearch is not installed.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no such file: {path}")
    graph = _new_graph(archive.space.channels)
    try:
        graph.view(str(path))
    except RuntimeError as error:
        raise DataError(f"{path} is no index of usearch, or damaged ({error}); make it again") from None
    if len(graph) != len(archive.levels) or graph.ndim != archive.space.channels:
        raise DataError(f"{path} was made from another archive ({len(graph)} patches); make it again")
    return ApproximateIndex(archive, graph)


def _new_graph(channels: int) -> Any:
    try:
        from usearch.index import Index
    except ImportError as error:
        raise MissingExtraError("approximate search needs usearch: pip install 'skyweave[search]'") from error
    return Index(ndim=channels, metric="cos", dtype="i8", expansion_search=EXPANSION)
