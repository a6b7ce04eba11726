"""``skyweave search``: places that are like examples."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyweave.core.errors import ConfigError
from skyweave.core.run_arguments import OutputFile

if TYPE_CHECKING:
    from skyweave.search.approximate import ApproximateIndex
    from skyweave.search.archive import PatchArchive
    from skyweave.search.examples import ExampleSet
    from skyweave.search.hits import Hit

TABLE_ROWS = 10


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of the command line.
    """
    parser = subparsers.add_parser(
        "search",
        help="places that are like examples",
        description="Search embeddings for the patches that are most like the examples and least like the "
        "counterexamples. Every vector is compared.",
        epilog="Example: skyweave search features.tif --point 13.06 52.39 --not-point 13.10 52.41 -o hits.geojson",
    )
    parser.add_argument(
        "embeddings",
        nargs="+",
        metavar="EMBEDDINGS",
        help="files that `skyweave embed` wrote, all with one model; or one file of --save-index",
    )
    for prefix, what in (("", "like"), ("not-", "unlike")):
        parser.add_argument(
            f"--{prefix}point",
            nargs=2,
            type=float,
            action="append",
            default=[],
            metavar=("LON", "LAT"),
            help=f"patches {what} the one at this place in degrees; repeatable",
        )
        parser.add_argument(
            f"--{prefix}area",
            action="append",
            default=[],
            metavar="FILE.geojson",
            help=f"patches {what} those in these polygons, or at these points; repeatable",
        )
        parser.add_argument(
            f"--{prefix}image",
            action="append",
            default=[],
            metavar="IMAGE",
            help=f"patches {what} this raster; needs --sensor and --unit; repeatable",
        )
    parser.add_argument("--sensor", help="of the images: a name from `skyweave sensors`, or a .yaml file")
    parser.add_argument("--unit", help="how the images store values (dn, reflectance, db, uint8, ...)")
    parser.add_argument("--bands", metavar="B,B,..", help="the images' bands in order, if they do not name them")
    parser.add_argument("--weights", default="tiny", help="that made the embeddings (default: tiny)")
    parser.add_argument("--ranking", default="centroid", help="centroid (default) or nearest, see the documentation")
    parser.add_argument("-n", "--count", type=int, default=20, metavar="N", help="hits (default: 20)")
    parser.add_argument("--spacing", type=float, default=0.0, metavar="METRES", help="between two hits (default: 0)")
    parser.add_argument("-o", "--output", type=OutputFile(".geojson", ".json"), metavar="HITS.geojson", help="hits")
    parser.add_argument("--sheet", type=OutputFile(".png"), metavar="OUT.png", help="contact sheet; needs --scene")
    parser.add_argument("--scene", action="append", default=[], metavar="SCENE", help="raster to show hits on")
    parser.add_argument("--scene-bands", metavar="R,G,B", help="its bands to show, from 1, such as 4,3,2")
    parser.add_argument(
        "--save-index",
        type=OutputFile(".safetensors"),
        metavar="OUT.safetensors",
        help="keep the vectors as int8 in one file, so that later searches start at once",
    )
    parser.add_argument(
        "--approximate", action="store_true", help="through a graph of neighbours, for more than ten million patches"
    )
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Search and print the hits; return 0.

    Args:
        args: parsed arguments of the command.

    Raises:
        ConfigError: options that do not fit each other.
    """
    from skyweave.search.exact import search_exact
    from skyweave.search.hits import collect_hits, write_hits
    from skyweave.search.ranking import RANKINGS

    _check_options(args)
    ranking_class = RANKINGS[args.ranking]
    archive, index = _open_archive(args)
    if not _has_examples(args):
        print(f"{args.save_index}: {len(archive.levels)} patches, {archive.space.channels} channels")
        return 0
    positives, negatives = _examples(args, archive, ""), _examples(args, archive, "not_")
    ranking = ranking_class(positives.vectors, negatives.vectors)
    examples = [*positives.numbers, *negatives.numbers]

    def search(count: int) -> Any:
        import numpy as np

        excluded = np.array(examples, np.int64)
        if index is not None:
            return index.search(ranking, count, excluded)
        return search_exact(archive, ranking, count, excluded)

    hits = collect_hits(archive, search, args.count, args.spacing)
    if args.sheet and hits:  # first, as reading the scene may fail
        _write_sheet(args, hits)
    if args.output:
        write_hits(args.output, hits, ranking.summary)
    _print_hits(args, hits, len(archive.levels), ranking.summary)
    return 0


def _check_options(args: argparse.Namespace) -> None:
    """Refuse options that do not fit each other, before anything slow begins."""
    if not (args.point or args.area or args.image) and not args.save_index:
        raise ConfigError("nothing to search for: give --point LON LAT, --area FILE.geojson or --image IMAGE")
    if (args.image or args.not_image) and not (args.sensor and args.unit):
        raise ConfigError("an image needs --sensor and --unit, as `skyweave embed` does")
    if args.sheet and not args.scene:
        raise ConfigError("--sheet needs --scene SCENE, the raster that the embeddings are of")
    _check_numbers(args)


def _check_numbers(args: argparse.Namespace) -> None:
    """Refuse numbers out of their range."""
    if args.count < 1:
        raise ConfigError(f"--count {args.count}: give 1 or more")
    if not args.spacing >= 0:
        raise ConfigError(f"--spacing {args.spacing}: give 0 metres or more")


def _has_examples(args: argparse.Namespace) -> bool:
    return bool(args.point or args.area or args.image)


def _open_archive(args: argparse.Namespace) -> "tuple[PatchArchive, ApproximateIndex | None]":
    """Load or build the archive, and the graph of neighbours where it is asked for; save both where they are."""
    from skyweave.core.progress import show_progress
    from skyweave.search.archive import build_archive
    from skyweave.search.archive_file import is_archive, load_archive, save_archive
    from skyweave.search.readers import open_patches

    if len(args.embeddings) == 1 and is_archive(args.embeddings[0]):
        archive = load_archive(args.embeddings[0])
    else:
        readers = [open_patches(path) for path in args.embeddings]
        with show_progress("reading embeddings") as report:
            archive, doubts = build_archive(readers, lambda done, total: report("reading embeddings", done, total))
        _warn(doubts)
    if args.save_index:
        save_archive(archive, args.save_index)
    return archive, _open_index(args, archive) if args.approximate else None


def _open_index(args: argparse.Namespace, archive: "PatchArchive") -> "ApproximateIndex":
    from skyweave.search.approximate import SUFFIX, build_index, load_index

    beside = Path(args.embeddings[0]).with_suffix(SUFFIX)
    if len(args.embeddings) == 1 and beside.exists():
        return load_index(beside, archive)
    index = build_index(archive)
    if args.save_index:
        index.save(args.save_index.with_suffix(SUFFIX))
    return index


def _examples(args: argparse.Namespace, archive: "PatchArchive", prefix: str) -> "ExampleSet":
    """Return all examples of one sign."""
    from skyweave.search.examples import area_examples, join_examples, point_example

    examples = [point_example(archive, *point) for point in getattr(args, f"{prefix}point")]
    examples += [area_examples(archive, path) for path in getattr(args, f"{prefix}area")]
    examples += [_image_example(args, archive, path) for path in getattr(args, f"{prefix}image")]
    return join_examples(examples, archive.space.channels)


def _image_example(args: argparse.Namespace, archive: "PatchArchive", path: str) -> "ExampleSet":
    """Embed an image in a temporary folder, and return it as an example."""
    import tempfile

    import skyweave
    from skyweave.search.examples import image_example
    from skyweave.search.readers import open_patches

    bands = args.bands if args.bands in (None, "sensor") else [band.strip() for band in args.bands.split(",")]
    sensor = skyweave.get_sensor(args.sensor)
    with tempfile.TemporaryDirectory(prefix="skyweave-search-") as folder:
        output = Path(folder) / "example.tif"
        result = skyweave.embed_scene(
            path, output, skyweave.load(args.weights), sensor, unit=args.unit, bands=bands, model_name=args.weights
        )
        example, doubts = image_example(archive, open_patches(output))
    _warn([*result.notes, *doubts])
    return example


def _write_sheet(args: argparse.Namespace, hits: "list[Hit]") -> None:
    from skyweave.search.band_numbers import parse_band_numbers
    from skyweave.search.contact_sheet import write_hit_sheet

    uncovered = write_hit_sheet(args.sheet, hits, args.scene, parse_band_numbers(args.scene_bands))
    if uncovered:
        _warn([f"{uncovered} of {len(hits)} hits lie in none of the scenes; give the others with --scene, too"])


def _warn(notes: "list[str]") -> None:
    for note in dict.fromkeys(notes):
        print(f"warning: {note}", file=sys.stderr)


def _print_hits(args: argparse.Namespace, hits: "list[Hit]", searched: int, summary: str) -> None:
    from skyweave.search.places import centres_of

    rows = [
        {
            "rank": hit.rank,
            "score": hit.score,
            "file": hit.path,
            **hit.names,
            "centre": centres_of(hit.outline[None])[0].tolist(),
        }
        for hit in hits
    ]
    if args.json:
        print(json.dumps({"searched": searched, "ranking": summary, "hits": rows}))
        return
    print(f"{searched} patches searched; score: {summary}")
    for row in rows[:TABLE_ROWS]:
        longitude, latitude = row["centre"]
        print(f"{row['rank']:4d}  {row['score']:7.4f}  {longitude:.5f} {latitude:.5f}  {row['file']}")
    if len(rows) > TABLE_ROWS:
        print(f"      and {len(rows) - TABLE_ROWS} more")
    for path, what in ((args.output, "hits"), (args.sheet, "contact sheet"), (args.save_index, "index")):
        if path:
            print(f"{path}: {what}")
