"""Speed of search: exact over int8 vectors on one core, beside libraries, and the recall of a graph of neighbours.

    OMP_NUM_THREADS=1 python benchmarks/search.py
    OMP_NUM_THREADS=1 python benchmarks/search.py --patches 10000000 --graph-patches 0
    OMP_NUM_THREADS=1 python benchmarks/search.py --retrieval DATA/eurosat_ms

Vectors are drawn about random centres, 192 channels. A search is timed in processor seconds (other work on the
machine does not count), from the examples to the sorted hits. Recall is the share of the exact hits that the graph
gives. With ``--retrieval``: of the ten nearest images of each labelled image, the share of its class.
"""

import argparse
import os
import resource
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from skyweave.search.archive import MAX_LEVEL, PatchArchive
from skyweave.search.exact import search_exact
from skyweave.search.ranking import CentroidRanking, NearestRanking, Ranking
from skyweave.search.reader import FeatureSpace

CENTRES = 1000
HITS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patches", type=int, default=1_000_000)
    parser.add_argument("--channels", type=int, default=192)
    parser.add_argument("--graph-patches", type=int, default=100_000, help="of the graph; 0: no graph")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--retrieval", type=Path, metavar="FOLDER", help="images in a folder for each class")
    arguments = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        parser.error("set OMP_NUM_THREADS=1: the measure is one core")
    if arguments.retrieval:
        print_retrieval(arguments.retrieval)
        return
    archive = random_archive(arguments.patches, arguments.channels)
    print("| search | patches | hits | median (processor s) | best |\n| --- | --- | --- | --- | --- |")
    for name, ranking in rankings(archive).items():
        seconds = time_calls(partial(search_exact, archive, ranking, HITS), arguments.rounds)
        print_row(name, len(archive.levels), seconds)
    print_library(archive, arguments.rounds)
    if arguments.graph_patches:
        print_graph(random_archive(arguments.graph_patches, arguments.channels), arguments.rounds)
    print(f"\npeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def random_archive(patches: int, channels: int) -> PatchArchive:
    """Draw vectors about centres, some hundred thousand at a time, and quantise them."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(CENTRES, channels)).astype(np.float32)
    scales = np.full(channels, 4 * 1.2 / MAX_LEVEL, np.float32)
    levels, lengths = np.empty((patches, channels), np.int8), np.empty(patches, np.float32)
    for first in range(0, patches, 100_000):
        count = min(100_000, patches - first)
        vectors = centres[random.integers(CENTRES, size=count)]
        vectors += 0.6 * random.standard_normal((count, channels), np.float32)
        levels[first : first + count] = np.round(vectors / scales).clip(-MAX_LEVEL, MAX_LEVEL)
        lengths[first : first + count] = np.linalg.norm(levels[first : first + count] * scales, axis=1)
    return PatchArchive(FeatureSpace(channels), levels, lengths, np.zeros(channels, np.float32), scales, ())


def rankings(archive: PatchArchive) -> dict[str, Ranking]:
    """Return rankings of one example, and of some of both signs."""
    examples = archive.decode(np.arange(10))
    none = examples[:0]
    return {
        "exact, one example": CentroidRanking(examples[:1], none),
        "exact, five examples and five counterexamples, centroid": CentroidRanking(examples[:5], examples[5:]),
        "exact, five examples and five counterexamples, nearest": NearestRanking(examples[:5], examples[5:]),
    }


def time_calls(call: Callable[[], object], rounds: int) -> list[float]:
    """Return the seconds of each call, after one to warm up."""
    call()
    seconds = []
    for _ in range(rounds):
        began = time.process_time()
        call()
        seconds.append(time.process_time() - began)
    return seconds


def print_row(name: str, patches: int, seconds: list[float]) -> None:
    print(f"| {name} | {patches} | {HITS} | {np.median(seconds):.3f} | {min(seconds):.3f} |", flush=True)


def print_library(archive: PatchArchive, rounds: int) -> None:
    """Time the exact search of usearch, whose kernels are written for int8, on the levels as they are."""
    from usearch.index import search

    query = archive.levels[0]
    seconds = time_calls(
        lambda: search(archive.levels, query, HITS, metric="ip", exact=True, threads=1, dtype="i8"), rounds
    )
    print_row("usearch, exact, inner product of the levels", len(archive.levels), seconds)


def print_graph(archive: PatchArchive, rounds: int) -> None:
    """Time building and searching a graph of neighbours, and count what it misses."""
    from skyweave.search.approximate import build_index

    began = time.process_time()
    index = build_index(archive, threads=1)
    building = time.process_time() - began
    random = np.random.default_rng(1)
    queries = [CentroidRanking(archive.decode(np.array([n])), archive.decode(np.zeros(0, np.int64)))
               for n in random.integers(len(archive.levels), size=50)]  # fmt: skip
    seconds = time_calls(lambda: index.search(queries[0], HITS), rounds)
    print_row(f"graph of neighbours, built in {building:.0f} s", len(archive.levels), seconds)
    shared = [
        len(set(index.search(query, HITS).numbers) & set(search_exact(archive, query, HITS).numbers)) / HITS
        for query in queries
    ]
    print(f"\nrecall of the graph over {len(queries)} searches: {np.mean(shared):.3f}, worst {min(shared):.3f}")


def print_retrieval(folder: Path) -> None:
    """Print precision among the ten nearest images, with and without subtracting the mean of all."""
    import skyweave
    from skyweave.search.ranking import unit_vectors

    model, sensor = skyweave.load("tiny"), skyweave.get_sensor("sentinel2-l1c")
    files = sorted(file for file in folder.rglob("*.tif"))
    labels = np.array([file.parent.name for file in files])
    bands = [band.name for band in sensor.bands]
    order = [*bands[:8], *bands[9:], bands[8]]  # of EuroSAT: B8A is the last
    pooled = []
    statistics = []
    for file in files:
        observation = skyweave.read_observation(file, sensor, unit="dn", bands=order)
        pooled.append(model.embed(observation).dense()[0].mean((1, 2)).numpy())
        statistics.append(np.concatenate([observation.pixels.mean((1, 2)), observation.pixels.std((1, 2))]))
    print(f"{len(files)} images of {len(set(labels))} classes\n\n| vectors | precision at 10 |\n| --- | --- |")
    vectors = np.stack(pooled)
    bands_of = np.stack(statistics)
    bands_of = (bands_of - bands_of.mean(0)) / bands_of.std(0)
    for name, values in (
        ("embeddings, minus their mean, cosine (as search does)", vectors - vectors.mean(0)),
        ("embeddings as they are, cosine", vectors),
        ("mean and standard deviation of each band, standardised, cosine", bands_of),
    ):
        similarity = unit_vectors(values) @ unit_vectors(values).T
        np.fill_diagonal(similarity, -np.inf)
        nearest = np.argsort(-similarity, axis=1)[:, :10]
        print(f"| {name} | {(labels[nearest] == labels[:, None]).mean():.3f} |")


if __name__ == "__main__":
    main()
