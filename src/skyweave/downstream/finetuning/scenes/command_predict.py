"""``skyweave predict``: what a fine-tuned model says of a scene, as a map."""

import argparse
import json
import sys

from skyweave.core.errors import ConfigError
from skyweave.core.run_arguments import OutputFile
from skyweave.data.reading_options import add_reading_arguments, read_declarations
from skyweave.inference.archive.arguments import add_archive_arguments, refuse_archive_options
from skyweave.inference.scene_arguments import (
    EXIT_PARTIAL,
    add_inference_arguments,
    add_qgis_argument,
    bound_memory,
    check_qgis_argument,
    read_inference_config,
)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of the command line.
    """
    parser = subparsers.add_parser(
        "predict",
        help="what a fine-tuned model says of a scene, as a map",
        description="Apply what `skyweave finetune` made to a scene of any size: classes, probabilities, several "
        "classes at a place, values, change between two dates, or boxes. Killed, the same command goes on where it "
        "stopped.",
        epilog="Exit code 3: a scene or a part of one could not be read; the rest is written.",
    )
    parser.add_argument("weights", metavar="WEIGHTS", help="the weights.safetensors of `skyweave finetune`")
    parser.add_argument(
        "scenes",
        metavar="SCENE",
        nargs="*",
        help="any raster that GDAL reads (a file, a subdataset's name, a URL), a product (the folder, zip or tar of "
        "Sentinel or Landsat), or a path with {band} where bands are separate files; two of two dates, or one of "
        "each sensor, as the model was trained",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=OutputFile(),
        metavar="OUT.tif",
        help="file to write: a GeoTIFF or of another format; of boxes a .geojson",
    )
    parser.add_argument(
        "--kind",
        choices=("classes", "probabilities", "labels", "values"),
        help="what is written (default: classes, labels of several classes at a place, or values)",
    )
    add_reading_arguments(parser)
    add_inference_arguments(parser, "as in training")
    parser.add_argument(
        "--flips", action="store_true", help="average over four mirror images, which takes four times as long"
    )
    parser.add_argument("--format", metavar="NAME", help="output format (default: by the suffix of the output)")
    add_qgis_argument(parser)
    add_archive_arguments(parser)
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Predict and print what was written; return 0, or 3 where a part could not be read.

    Args:
        args: parsed arguments of the command.

    Raises:
        ConfigError: neither scenes with an output nor a list with a folder is given.
    """
    bound_memory()
    if args.list is not None:
        from skyweave.downstream.finetuning.scenes.archive_run import run_archive

        return run_archive(args)
    if not args.scenes or args.output is None:
        raise ConfigError("give SCENE and -o OUT.tif, or --list and --into FOLDER")
    refuse_archive_options(args, "give --list")
    check_qgis_argument(args)
    from skyweave.core.progress import show_progress
    from skyweave.downstream.finetuning.models.checkpoint import load_finetuned
    from skyweave.downstream.finetuning.scenes.predict_scene import predict_scene

    declarations, config = read_declarations(args, len(args.scenes)), read_inference_config(args)
    model = load_finetuned(args.weights, args.device)
    model.test_time_flips |= args.flips
    with show_progress("predicting") as report:
        result = predict_scene(
            args.scenes,
            args.output,
            model,
            kind=args.kind,
            config=config,
            format=args.format,
            model_name=args.weights,
            progress=lambda done, total: report("predicting, windows", done, total),
            unit=args.unit,
            each=declarations,
        )
    if args.qgis:
        from skyweave.inference.serving.qgis_project import write_project_of

        write_project_of(args.qgis, result.path, args.scenes)
    for note in result.notes:
        print(f"warning: {note}", file=sys.stderr)
    for failure in result.failures:
        print(f"error: not in the output: {failure}", file=sys.stderr)
    if args.json:
        print(json.dumps({**vars(result), "path": str(result.path)}))
    else:
        number = f"{result.count} boxes" if result.kind == "boxes" else result.kind
        print(f"{result.path}: {number}; {result.columns} x {result.rows} pixels (width x height)")
    return EXIT_PARTIAL if result.failures else 0
