"""``skyweave embed``: a scene to a georeferenced map of features."""

import argparse
import json
import sys
from pathlib import Path

from skyweave.core.errors import ConfigError
from skyweave.core.run_arguments import OutputFile


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of the command line.
    """
    parser = subparsers.add_parser(
        "embed",
        help="a scene to a georeferenced map of features",
        description="Embed a raster of any size: a GeoTIFF, or a file of another format, whose pixels are the features "
        "of the scene's patches.",
        epilog="`skyweave inspect SCENE` tells which sensors fit; `skyweave sensors show NAME` lists its units.",
    )
    parser.add_argument("scene", metavar="SCENE", help="any raster that GDAL reads")
    parser.add_argument(
        "-o",
        "--output",
        type=OutputFile(),
        required=True,
        metavar="OUT.tif",
        help="file to write, a GeoTIFF or of another format",
    )
    parser.add_argument("--sensor", required=True, help="a name from `skyweave sensors`, or a .yaml file of yours")
    parser.add_argument("--unit", required=True, help="how the file stores values (dn, reflectance, db, uint8, ...)")
    parser.add_argument(
        "--bands", metavar="B,B,..", help="the file's bands in order, if it does not name them; or the word `sensor`"
    )
    parser.add_argument("--offset", type=float, default=0.0, help="added to stored values first (default: 0)")
    parser.add_argument("--nodata", help="value that means no data, or `none`; default: as the file declares")
    parser.add_argument("--gsd", type=float, metavar="METRES", help="pixel size, where the file does not know it")
    parser.add_argument("--weights", default="tiny", help="shipped name or .safetensors file (default: tiny)")
    parser.add_argument("--device", default="cpu", help="where to compute: cpu, cuda, mps (default: cpu)")
    parser.add_argument("--patch-size", type=int, metavar="N", help="pixels a patch side (default: the model's)")
    parser.add_argument("--tile", type=int, default=256, metavar="N", help="pixels a tile side (default: 256)")
    parser.add_argument("--overlap", type=int, default=64, metavar="N", help="pixels tiles share (default: 64)")
    parser.add_argument(
        "--dtype", metavar="TYPE", default="float16", help="storage: int8, float16 (default), float32 or the format's"
    )
    parser.add_argument("--format", metavar="NAME", help="output format (default: by the suffix of the output)")
    parser.add_argument(
        "--preview", type=OutputFile(".png"), metavar="OUT.png", help="first three principal components as an image"
    )
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Embed and print what was written; return 0.

    Args:
        args: parsed arguments of the command.
    """
    if not Path(args.scene).exists() and not args.scene.startswith("/vsi"):
        raise FileNotFoundError(f"there is no file {args.scene}")

    from skyweave.backbone import load_encoder
    from skyweave.core.progress import show_progress
    from skyweave.core.sensors import get_sensor
    from skyweave.embedding import EmbeddingConfig, embed_scene

    sensor = get_sensor(args.sensor)
    reading: dict[str, float | None] = {"offset": args.offset, "ground_sample_distance": args.gsd}
    if args.nodata is not None:
        reading["nodata"] = _parse_nodata(args.nodata)
    bands = args.bands
    if bands is not None and bands != "sensor":
        bands = [name.strip() for name in bands.split(",")]
    backbone = load_encoder(args.weights, args.device)
    with show_progress("embedding") as report:
        result = embed_scene(
            args.scene,
            args.output,
            backbone,
            sensor,
            unit=args.unit,
            bands=bands,
            config=EmbeddingConfig(args.patch_size, args.tile, args.overlap, args.dtype, args.format),
            preview=args.preview,
            model_name=str(args.weights),
            progress=lambda done, total: report("embedding, tiles", done, total),
            **reading,
        )
    for note in result.notes:
        print(f"warning: {note}", file=sys.stderr)
    if args.json:
        print(json.dumps({**vars(result), "path": str(result.path), "preview": args.preview and str(args.preview)}))
    else:
        print(
            f"{result.path}: {result.rows} x {result.columns} pixels of {result.ground_sample_distance:g} m, "
            f"{result.channels} channels, {result.valid_fraction:.0%} valid"
        )
        if args.preview:
            print(f"{args.preview}: its first three principal components")
    return 0


def _parse_nodata(text: str) -> float | None:
    if text.lower() == "none":
        return None
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"--nodata {text!r} is no number; give one, `nan` or `none`") from None
