"""``skyweave shards``: pack a dataset into tar shards, decoded and tiled, for training on large sets."""

import argparse
import itertools
import sys
from typing import TYPE_CHECKING

from skyweave.core.errors import ConfigError
from skyweave.core.run_arguments import OutputFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from skyweave.core.observation import Observation
    from skyweave.data.dataset import ImageDataset, SourceIndex

INDEX = "dataset.yaml"
MAX_SHARD_MB = 1e6  # a terabyte


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of the ``skyweave`` command.
    """
    parser = subparsers.add_parser(
        "shards",
        help="pack a dataset into tar shards",
        description="Decode the images of a dataset, cut them into tiles, and write tar shards (key.npy, key.json) and "
        "a dataset.yaml that reads them.",
    )
    parser.add_argument("dataset", help="dataset YAML, see docs/data.md")
    parser.add_argument("--data", required=True, metavar="ROOT", help="folder that the dataset's globs start in")
    parser.add_argument(
        "-o", "--output", type=OutputFolder(INDEX), required=True, metavar="DIR", help="folder for the shards"
    )
    parser.add_argument("--tile", type=int, default=256, help="largest side of a tile in pixels (default: %(default)s)")
    parser.add_argument("--split", help="only images of this split")
    parser.add_argument("--shard-mb", type=float, default=512, help="size of a shard in MB (default: %(default)s)")
    parser.add_argument("--cache", help="folder for decoded images (default: the user's cache folder)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the shards of every source, and the dataset YAML that reads them.

    Args:
        args: as parsed.

    Returns:
        0.

    Raises:
        ConfigError: an option or the dataset YAML is not valid.
        DataError: an image cannot be read as declared.
    """
    from pathlib import Path

    import yaml
    from rich.console import Console
    from rich.progress import Progress

    from skyweave.core.atomic_write import claim_folder, write_aside
    from skyweave.data.dataset import load_dataset
    from skyweave.data.shards import shard_pattern, write_shards

    output = Path(args.output)
    _check_options(args)
    if (output / INDEX).exists():
        raise ConfigError(f"{output} holds shards already; choose another folder, or remove it")
    dataset = load_dataset(args.dataset, args.data, split=args.split, cache=args.cache)
    entries = []
    console = Console(stderr=True)
    with claim_folder(output), Progress(console=console, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("packing", total=len(dataset))
        for source in dataset.sources:
            counted = _tiles(dataset, source, args.tile, lambda: progress.advance(task))
            shards = write_shards(counted, output, source.name, max_bytes=int(args.shard_mb * 2**20))
            if not shards:
                console.print(f"{source.name}: no tile has a valid pixel, left out")
                continue
            entries.append(
                {
                    "name": source.name,
                    "sensor": dataset.declared_sensor(source),
                    "shards": shard_pattern(source.name),
                    "split": args.split or "train",
                    "weight": source.weight,
                }
            )
    with write_aside(output / INDEX) as aside:
        aside.write_text(yaml.safe_dump({"sources": entries}, sort_keys=False))
    console.print(f"{len(entries)} sources in {output}; read them with {output / 'dataset.yaml'}")
    return 0


def _check_options(args: argparse.Namespace) -> None:
    """Refuse tiles and shards of no size."""
    if args.tile < 1:
        raise ConfigError(f"--tile {args.tile} must be at least 1 pixel")
    if not 0 < args.shard_mb <= MAX_SHARD_MB:
        raise ConfigError(f"--shard-mb {args.shard_mb:g} must be above 0, and at most {MAX_SHARD_MB:g}")


def _tiles(
    dataset: "ImageDataset", source: "SourceIndex", side: int, on_image: "Callable[[], None]"
) -> "Iterator[tuple[str, Observation]]":
    """Yield (key, tile) of a source; the last tile of a row or column is shifted inwards; empty tiles are left out."""
    from dataclasses import replace

    for index in source.indices.tolist():
        image = dataset.open(index)
        files = dataset.files(index)
        name = files[0].relative_to(dataset.root).as_posix() if files else f"image {index}"
        rows, columns = tile_starts(image.shape[0], side), tile_starts(image.shape[1], side)
        for row, column in itertools.product(rows, columns):
            tile = image.window(row, column, min(side, image.shape[0]), min(side, image.shape[1]))
            if tile.valid.any():
                yield f"{index:07d}-{row:05d}-{column:05d}", replace(tile, source=name)
        on_image()


def tile_starts(length: int, side: int) -> list[int]:
    """Return the first pixels of the tiles along an axis: all inside the image, every pixel in one.

    Args:
        length: pixels of the image along the axis.
        side: pixels of a tile along the axis.
    """
    return [min(start, max(0, length - side)) for start in range(0, length, side)]
