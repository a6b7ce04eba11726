"""``skyweave embed``: a scene to a georeferenced map of features."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from skyweave.core.errors import ConfigError
from skyweave.core.run_arguments import OutputFile, OutputFolder
from skyweave.data.reading_options import add_reading_arguments, read_declarations
from skyweave.inference.archive.arguments import add_archive_arguments, refuse_archive_options
from skyweave.inference.scene_arguments import (
    EXIT_PARTIAL,
    add_inference_arguments,
    add_qgis_argument,
    bound_memory,
    check_qgis_argument,
)

if TYPE_CHECKING:
    from skyweave.embedding.config import EmbeddedScene


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of the command line.
    """
    parser = subparsers.add_parser(
        "embed",
        help="a scene to a georeferenced map of features",
        description="Embed a raster of any size: a GeoTIFF, or a file of another format, whose pixels are the features "
        "of the scene's patches. Killed, the same command goes on where it stopped.",
        epilog="`skyweave inspect SCENE` tells which sensors fit; `skyweave sensors show NAME` lists its units. Exit "
        "code 3: a scene or a part of one could not be read; the rest is written.",
    )
    parser.add_argument(
        "scene",
        nargs="*",
        metavar="SCENE",
        help="any raster that GDAL reads (a file, a subdataset's name, a URL), a product (the folder, zip or tar of "
        "Sentinel or Landsat), or a path with {band} where bands are separate files; several of one ground "
        "(dates, sensors) become one map on the grid of the first",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=OutputFile(),
        metavar="OUT.tif",
        help="file to write, a GeoTIFF or of another format",
    )
    parser.add_argument(
        "--sensor",
        required=True,
        help="a name from `skyweave sensors`, or a .yaml file of yours; of scenes of several sensors one each: a,b",
    )
    add_reading_arguments(parser)
    parser.add_argument("--weights", default="tiny", help="shipped name or .safetensors file (default: tiny)")
    parser.add_argument(
        "--combine",
        choices=("mean", "median", "concatenate"),
        default="mean",
        help="how the features of several scenes become one map: over those that see a patch (default: mean), or one "
        "after the other",
    )
    parser.add_argument("--patch-size", type=int, metavar="N", help="pixels a patch side (default: the model's)")
    add_inference_arguments(parser, "16 patches")
    parser.add_argument(
        "--flips", action="store_true", help="average over four mirror images, which takes four times as long"
    )
    parser.add_argument(
        "--dtype", metavar="TYPE", default="float16", help="storage: int8, float16 (default), float32 or the format's"
    )
    parser.add_argument("--format", metavar="NAME", help="output format (default: by the suffix of the output)")
    parser.add_argument(
        "--preview", type=OutputFile(".png"), metavar="OUT.png", help="first three principal components as an image"
    )
    add_qgis_argument(parser)
    parser.add_argument(
        "--catalog", type=OutputFolder(), metavar="FOLDER", help="add the output to a STAC collection in this folder"
    )
    parser.add_argument(
        "--acquired", metavar="DATE[/DATE]", help="when the scene was taken, for --catalog (default: as it says)"
    )
    add_archive_arguments(parser)
    _add_catalogue_arguments(parser)
    parser.add_argument("--licence", metavar="SPDX", help="of the collection, such as CC-BY-4.0 (default: various)")
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.set_defaults(run=run)


def _add_catalogue_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is taken from a catalogue instead of a file."""
    group = parser.add_argument_group("scenes of a STAC catalogue, instead of --list")
    group.add_argument("--stac", metavar="URL", help="address of a STAC API, or address or file of a static catalogue")
    group.add_argument("--collection", action="append", default=[], metavar="NAME", help="of items; may be repeated")
    group.add_argument(
        "--bbox", type=float, nargs=4, metavar=("WEST", "SOUTH", "EAST", "NORTH"), help="what is embedded, in degrees"
    )
    group.add_argument("--datetime", metavar="DATE[/DATE]", help="of items, such as 2024-05 or 2024-05-01/2024-06-15")
    group.add_argument(
        "--composite",
        default="day",
        metavar="KIND",
        help="items of a scene: day (default), clearest (all, the clearest on top), none (each alone)",
    )
    group.add_argument("--max-cloud", type=float, default=100.0, metavar="PERCENT", help="of items (default: 100)")
    group.add_argument("--keep-clouds", action="store_true", help="use no cloud masks")


def run(args: argparse.Namespace) -> int:
    """Embed and print what was written; return 0, or 3 where a part could not be read.

    Args:
        args: parsed arguments of the command.

    Raises:
        ConfigError: neither a scene with its output nor a catalogue with its folder is given.
    """
    bound_memory()
    if args.list is not None or args.stac is not None:
        from skyweave.embedding.archive_run import run_archive

        return run_archive(args)
    if not args.scene or args.output is None:
        raise ConfigError("give SCENE and -o OUT.tif, or --list or --stac with --into FOLDER")
    _refuse_unused(args)
    from skyweave.data.raster_files import check_raster_exists

    for scene in args.scene:
        if "{band}" not in scene:
            check_raster_exists(scene)

    from skyweave.backbone import load_encoder
    from skyweave.core.progress import show_progress
    from skyweave.core.sensors import get_sensor
    from skyweave.embedding import CatalogConfig, embed_scene
    from skyweave.embedding.config import read_embedding_config

    sensors = [get_sensor(name) for name in args.sensor.split(",")]
    declarations = read_declarations(args, len(args.scene))
    config = read_embedding_config(args)
    backbone = load_encoder(args.weights, args.device)
    with show_progress("embedding") as report:
        result = embed_scene(
            args.scene,
            args.output,
            backbone,
            sensors,
            config=config,
            preview=args.preview,
            catalog=args.catalog and CatalogConfig(args.catalog, args.acquired, args.licence),
            model_name=str(args.weights),
            progress=lambda done, total: report("embedding, windows", done, total),
            unit=args.unit,
            each=declarations,
        )
    if args.qgis:
        from skyweave.inference.serving.qgis_project import write_project_of

        write_project_of(args.qgis, result.path, args.scene)
    _print(args, result)
    return EXIT_PARTIAL if result.failures else 0


def _print(args: argparse.Namespace, result: "EmbeddedScene") -> None:
    """Print what was written, and what a user should know."""
    for note in result.notes:
        print(f"warning: {note}", file=sys.stderr)
    for failure in result.failures:
        print(f"error: not in the output: {failure}", file=sys.stderr)
    if args.json:
        files = {"path": result.path, "preview": args.preview, "item": result.item}
        print(json.dumps(vars(result) | {name: path and str(path) for name, path in files.items()}))
    else:
        print(
            f"{result.path}: {result.columns} x {result.rows} pixels (width x height) of "
            f"{result.ground_sample_distance:g} m, "
            f"{result.channels} channels, {result.valid_fraction:.0%} valid"
        )
        if result.item:
            print(f"{result.item}: its STAC item")
        if args.qgis:
            print(f"{args.qgis}: a project for QGIS")
        if args.preview:
            print(f"{args.preview}: its first three principal components")


def _refuse_unused(args: argparse.Namespace) -> None:
    """Refuse options that would change nothing for one scene."""
    refuse_archive_options(args, "give --list or --stac")
    check_qgis_argument(args)
    of_catalogue = {"--collection": args.collection, "--bbox": args.bbox}
    of_catalogue |= {"--datetime": args.datetime, "--keep-clouds": args.keep_clouds}
    for option, value in of_catalogue.items():
        if value:
            raise ConfigError(f"{option} is for scenes of a catalogue; give --stac URL, or remove it")
    for option, value in (("--acquired", args.acquired), ("--licence", args.licence)):
        if value is not None and args.catalog is None:
            raise ConfigError(f"{option} is written into the item of a collection; give --catalog FOLDER, or remove it")
