"""``skyweave change``: what differs between embeddings of two dates by more than chance explains."""

import argparse
import json
import math
import sys
from typing import TYPE_CHECKING

from skyweave.core.errors import ConfigError
from skyweave.core.run_arguments import OutputFile

if TYPE_CHECKING:
    from skyweave.search.change.change_map import ChangeMap


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of the command line.
    """
    parser = subparsers.add_parser(
        "change",
        help="what changed between embeddings of two dates",
        description="Compare embeddings of two dates on one grid, and find the patches that differ by more than "
        "unchanged ground does.",
        epilog="Example: skyweave change 2023.tif 2024.tif -o change.tif --geojson change.geojson",
    )
    parser.add_argument("before", metavar="BEFORE", help="embeddings of the earlier date, of `skyweave embed`")
    parser.add_argument("after", metavar="AFTER", help="embeddings of the later date, of the same grid and model")
    parser.add_argument(
        "-o",
        "--output",
        type=OutputFile(".tif", ".tiff"),
        required=True,
        metavar="OUT.tif",
        help="distance, p value and change (0 or 1) of each patch",
    )
    parser.add_argument(
        "--geojson", type=OutputFile(".geojson", ".json"), metavar="OUT.geojson", help="outlines of what changed"
    )
    parser.add_argument(
        "--false-discoveries",
        type=float,
        default=0.05,
        metavar="SHARE",
        help="share of the changed patches that may be unchanged ones (default: 0.05)",
    )
    parser.add_argument(
        "--unchanged",
        metavar="FILE.geojson",
        help="polygons of ground that did not change (default: the lower half of all distances is taken for that)",
    )
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the map of change and print what it holds; return 0.

    Args:
        args: parsed arguments of the command.

    Raises:
        ConfigError: no share.
    """
    from skyweave.core.outputs import is_same_file
    from skyweave.core.progress import show_progress
    from skyweave.search.change.change_map import detect_change, write_change_geojson, write_change_map
    from skyweave.search.change.pair import pair_dates
    from skyweave.search.examples import read_polygons
    from skyweave.search.readers import open_patches

    if not 0 < args.false_discoveries < 1:
        raise ConfigError(f"--false-discoveries {args.false_discoveries:g}: give a share between 0 and 1")
    if is_same_file(args.before, args.after):
        raise ConfigError(f"{args.before} is both BEFORE and AFTER, and nothing changes; give the file of another date")
    unchanged = read_polygons(args.unchanged) if args.unchanged else None
    before, after = open_patches(args.before), open_patches(args.after)
    with show_progress("reading embeddings") as report:
        pair = pair_dates(before, after, lambda done, total: report("reading embeddings", done, total))
    if args.geojson:
        pair.places.known_crs()
    change = detect_change(pair, args.false_discoveries, unchanged)
    write_change_map(args.output, change)
    if args.geojson:
        write_change_geojson(args.geojson, change)
    _print_change(args, change)
    return 0


def _print_change(args: argparse.Namespace, change: "ChangeMap") -> None:
    for doubt in change.doubts:
        print(f"warning: {doubt}", file=sys.stderr)
    count, changed = len(change.distances), int(change.changed.sum())
    threshold = None if math.isinf(change.threshold) else change.threshold
    if args.json:
        content = {"patches": count, "changed": changed, "threshold": threshold, "rate": change.rate}
        print(json.dumps({**content, "null": change.null.description, "doubts": change.doubts}))
        return
    print(f"{args.output}: {changed} of {count} patches changed ({changed / count:.1%})")
    if threshold is None:
        print("no distance is larger than chance explains")
    else:
        print(f"distance of {threshold:.3f} or more; at most {change.rate:.0%} of them are expected to be unchanged")
    print(f"compared with {change.null.description}")
    if args.geojson:
        print(f"{args.geojson}: their outlines")
