"""``skyweave export``: a model for one sensor as a file that runs without this package."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from skyweave.core.errors import ConfigError
from skyweave.core.run_arguments import OutputFile

if TYPE_CHECKING:
    from skyweave.interop.export import ExportedModel

MIN_OPSET, MAX_OPSET = 18, 23
MAX_GSD_METRES = 1e6
MAX_SIDE_PIXELS = 65536


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of the command line.
    """
    parser = subparsers.add_parser(
        "export",
        help="a model as ONNX or torch.export",
        description="Write a model as ONNX or as a torch.export program, and beside it a STAC item that says what to "
        "feed: a backbone's features for one sensor, or a fine-tuned model whole, with its head and its sensor. "
        "Normalisation is inside: feed physical values in the bands' units.",
        epilog="`skyweave sensors show NAME` lists a sensor's bands and units.",
    )
    parser.add_argument("model", metavar="MODEL", help="shipped name or .safetensors file")
    parser.add_argument(
        "-o", "--output", type=OutputFile(), required=True, metavar="OUT", help="file to write: .onnx or .pt2"
    )
    parser.add_argument("--sensor", help="of a backbone: a name from `skyweave sensors`, or your own .yaml file")
    parser.add_argument("--bands", metavar="B,B,..", help="only these bands, in this order (default: the sensor's)")
    parser.add_argument("--gsd", type=float, metavar="METRES", help="pixel size (default: the sensor's)")
    parser.add_argument("--size", type=int, metavar="N", help="N x N pixels (default: any multiple of the patch size)")
    parser.add_argument("--patch-size", type=int, metavar="N", help="pixels a patch side (default: the model's)")
    parser.add_argument("--levels", action="store_true", help="also give the four intermediate levels")
    parser.add_argument("--features", action="store_true", help="of a larger model only its backbone's features")
    parser.add_argument("--nodata", action="store_true", help="accept NaN: such pixels are seen by nobody")
    parser.add_argument("--format", choices=("onnx", "pt2"), help="default: by the ending of OUT")
    parser.add_argument(
        "--precision",
        choices=("float32", "int8"),
        default="float32",
        help="of ONNX: int8 is smaller and faster, and a little off (default: float32)",
    )
    parser.add_argument("--opset", type=int, default=23, help="of ONNX (default: 23); 20 for older runtimes")
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Export and print what was written; return 0.

    Args:
        args: parsed arguments of the command.
    """
    from rich.console import Console

    from skyweave.backbone import load, load_backbone
    from skyweave.core.outputs import check_outputs
    from skyweave.core.sensors import get_sensor
    from skyweave.interop.export import export_model, stac_item_path

    check_outputs({"the STAC item beside -o,": stac_item_path(args.output)}, [Path(args.model).with_suffix(".json")])
    sensor = None if args.sensor is None else get_sensor(args.sensor)
    if args.bands is not None:
        if sensor is None:
            raise ConfigError("--bands chooses among the bands of --sensor; name that too")
        sensor = sensor.select([name.strip() for name in args.bands.split(",")])
    _check_positive(args)
    model = load_backbone(args.model) if args.features else load(args.model)
    with Console(stderr=True).status("exporting; this takes a minute"):
        written = export_model(
            model,
            args.output,
            sensor,
            name=Path(args.model).stem,
            size=args.size,
            format=args.format,
            opset=args.opset,
            precision=args.precision,
            ground_sample_distance=args.gsd,
            patch_size=args.patch_size,
            levels=args.levels,
            nodata=args.nodata,
        )
    if args.json:
        json.dump({**asdict(written), "path": str(written.path), "card": str(written.card)}, sys.stdout)
        print()
    else:
        _print(written)
    return 0


def _check_positive(args: argparse.Namespace) -> None:
    """Refuse sizes that are not positive."""
    for option in ("gsd", "size", "patch_size"):
        value = getattr(args, option)
        largest = MAX_GSD_METRES if option == "gsd" else MAX_SIDE_PIXELS
        if value is not None and not 0 < value <= largest:
            raise ConfigError(f"--{option.replace('_', '-')} is {value:g}, must be positive, and at most {largest:g}")
    if not MIN_OPSET <= args.opset <= MAX_OPSET:
        raise ConfigError(f"--opset {args.opset} is none that is written; give {MIN_OPSET} to {MAX_OPSET}")


def _print(written: "ExportedModel") -> None:
    """Print what was written for people."""
    print(f"{written.path}: {written.format}, {written.size / 1e6:.1f} MB")
    for name, shape in written.outputs.items():
        print(f"  {name}: {' x '.join('any' if side < 0 else str(side) for side in shape)}")
    if written.parity is not None:
        parity = written.parity
        print(
            f"  {parity.output} beside PyTorch in float32: difference {parity.largest_difference:.1e} at the largest, "
            f"{parity.relative_difference:.1e} of their spread; {parity.milliseconds:.0f} ms an image of 16 x 16 "
            f"patches on one thread, PyTorch {parity.torch_milliseconds:.0f} ms"
        )
    print(f"{written.card}: what to feed, as a STAC item")
