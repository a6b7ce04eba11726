"""``skyweave apply``: an exported model over a scene, with neither PyTorch nor GDAL."""

import argparse
import json
import sys

from skyweave.core.run_arguments import OutputFile
from skyweave.data.reading_options import add_reading_arguments, read_declarations
from skyweave.inference.scene_arguments import EXIT_PARTIAL, add_window_arguments, bound_memory, read_inference_config


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of the command line.
    """
    parser = subparsers.add_parser(
        "apply",
        help="an exported model over a scene, without PyTorch and GDAL",
        description="Take what `skyweave export` wrote over a scene of any size: the features of a backbone, or what a "
        "fine-tuned model predicts. It needs NumPy, ONNX Runtime and tifffile alone (the distribution skyweave-edge). "
        "Killed, the same command goes on where it stopped.",
        epilog="Exit code 3: a part of the scene could not be read; the rest is written.",
    )
    parser.add_argument("model", metavar="MODEL.onnx", help="of `skyweave export --nodata`")
    parser.add_argument("scenes", metavar="SCENE", nargs="+", help="a GeoTIFF; where GDAL is installed any raster")
    parser.add_argument("-o", "--output", type=OutputFile(), metavar="OUT.tif", required=True, help="file to write")
    parser.add_argument(
        "--kind",
        choices=("features", "classes", "probabilities", "labels", "values"),
        help="what is written (default: the first of these that the model gives)",
    )
    parser.add_argument("--dtype", metavar="TYPE", help="storage of features: int8, float16 (default), float32")
    add_reading_arguments(parser)
    add_window_arguments(parser, "as the model was trained, or 16 patches")
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Apply the model and print what was written; return 0, or 3 where a part could not be read.

    Args:
        args: parsed arguments of the command.
    """
    bound_memory()
    from skyweave.core.progress import show_progress
    from skyweave.exported import apply_model, load_exported

    readings, config = read_declarations(args, len(args.scenes)), read_inference_config(args)
    file = load_exported(args.model)
    with show_progress("computing") as report:
        result = apply_model(
            file,
            args.scenes,
            args.output,
            readings,
            kind=args.kind,
            storage=args.dtype,
            config=config,
            progress=lambda done, total: report("computing, windows", done, total),
        )
    for note in result.notes:
        print(f"warning: {note}", file=sys.stderr)
    for failure in result.failures:
        print(f"error: not in the output: {failure}", file=sys.stderr)
    if args.json:
        print(json.dumps({**vars(result), "path": str(result.path)}))
    else:
        print(
            f"{result.path}: {result.kind}, {result.columns} x {result.rows} pixels (width x height), "
            f"{len(result.bands)} bands, {result.valid_fraction:.0%} valid"
        )
    return EXIT_PARTIAL if result.failures else 0
